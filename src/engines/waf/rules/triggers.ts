// Which bytes a transformation needs to change anything. Most values of most requests have none of them, so that long
// chains of transformations cost nothing.

const UPPER = "ABCDEFGHIJKLMNOPQRSTUVWXYZ";
const BLANKS = "\t\n\v\f\r \x85\xa0";
const NO_BREAK = "\xc2\xa0";
const PATHS = "/\\.";
const HIGH = String.fromCharCode(...Array.from({ length: 128 }, (_, at) => 128 + at));

/** By name in lower case: bytes without any of which a value stays as it is. Transformations not named always run. */
const TRIGGERS: Readonly<Record<string, string>> = {
  cmdline: `\\"'^,;${BLANKS}${UPPER}`,
  compresswhitespace: BLANKS,
  cssdecode: "\\",
  escapeseqdecode: "\\",
  htmlentitydecode: "&",
  jsdecode: "\\",
  lowercase: UPPER,
  normalisepath: PATHS,
  normalisepathwin: PATHS,
  normalizepath: PATHS,
  normalizepathwin: PATHS,
  removecomments: "*-#",
  removecommentschar: "*-#",
  removenulls: "\0",
  removewhitespace: `${BLANKS}${NO_BREAK}`,
  replacecomments: "*",
  replacenulls: "\0",
  trim: BLANKS,
  trimleft: BLANKS,
  trimright: BLANKS,
  uppercase: UPPER.toLowerCase(),
  urldecode: "%+",
  urldecodeuni: "%+",
  utf8tounicode: `\0${HIGH}`,
};

/** Every value has this class, so that a step that needs no byte runs on it. */
const ANY = 1;
// Bits of a small integer, without the sign and the one of ANY.
const CLASSES_MAX = 29;

/** The classes of bytes that the transformations of a rule set ask for. */
export class Triggers {
  readonly #masks = new Int32Array(256);
  readonly #known = new Map<string, number>();

  /** The class of values that a transformation may change. */
  of(name: string): number {
    const bytes = TRIGGERS[name.toLowerCase()];
    if (bytes === undefined) return ANY;
    const known = this.#known.get(bytes);
    if (known !== undefined) return known;
    if (this.#known.size >= CLASSES_MAX) return ANY;
    const mask = 2 << this.#known.size;
    this.#known.set(bytes, mask);
    for (const byte of bytes) this.#masks[byte.charCodeAt(0)]! |= mask;
    return mask;
  }

  /** All classes of bytes that occur in a value. */
  classesOf(value: string): number {
    const masks = this.#masks;
    let classes = ANY;
    for (let at = 0; at < value.length; at += 1) classes |= masks[value.charCodeAt(at)]!;
    return classes;
  }
}
