// Every transformation: does not throw, gives bytes, gives the very same string where nothing changes, does not grow
// beyond what its encoding may, and says what its slow twin (regular expressions over the manual's words) says.
// `bun src/engines/waf/transformations/transformations.fuzz.ts 182` replays one seed.
import { type Rng, runAlone } from "../../../core/fuzz.testing.ts";
import { bestFit } from "./best-fit.ts";
import { transformation } from "./index.ts";

const byte = (hex: string): string => String.fromCharCode(Number.parseInt(hex, 16) & 0xff);

/** What `%u` means. The table of similar characters is the same here: what is compared is how escapes are found. */
const similar = (hex: string): string =>
  String.fromCharCode(bestFit(Number.parseInt(hex.slice(0, 2), 16), Number.parseInt(hex.slice(2), 16)));

/** The character of a sixteen-bit number as ModSecurity narrows it. */
function narrow(hex: string): string {
  const low = Number.parseInt(hex.slice(-2), 16);
  const full = /^ff$/i.test(hex.slice(-4, -2)) && low > 0 && low < 0x5f;
  return String.fromCharCode(full ? low + 0x20 : low);
}

const C_LETTERS: Readonly<Record<string, string>> = {
  a: "\x07",
  b: "\b",
  f: "\f",
  n: "\n",
  r: "\r",
  t: "\t",
  v: "\v",
};
const ENTITIES: Readonly<Record<string, string>> = { quot: '"', amp: "&", lt: "<", gt: ">", nbsp: "\xa0" };

function reference(whole: string, hex?: string, decimal?: string, name?: string): string {
  if (name !== undefined) return ENTITIES[name.toLowerCase()] ?? whole;
  const value = BigInt(hex !== undefined ? `0x${hex}` : decimal!);
  return value >= 2n ** 63n ? "\xff" : String.fromCharCode(Number(value & 0xffn));
}

function cssReference(whole: string, digits?: string, other?: string): string {
  if (digits === undefined) return other === undefined || other === "\n" ? "" : other;
  if (digits.length < 4 || !/^0*$/.test(digits.slice(0, -4))) return byte(digits.slice(-2));
  return whole === "" ? "" : narrow(digits);
}

const TWINS: Readonly<Record<string, (input: string) => string>> = {
  urlDecode: (input) => input.replace(/%([0-9a-f]{2})|\+/gi, (_, hex) => (hex === undefined ? " " : byte(hex))),
  urlDecodeUni: (input) =>
    input.replace(/%u([0-9a-f]{4})|%([0-9a-f]{2})|\+/gi, (_, wide, hex) =>
      wide !== undefined ? similar(wide) : hex !== undefined ? byte(hex) : " ",
    ),
  htmlEntityDecode: (input) => input.replace(/&(?:#x([0-9a-f]+)|#([0-9]+)|([0-9a-z]+));?/gi, reference),
  jsDecode: (input) =>
    input.replace(
      /\\(?:u([0-9a-fA-F]{4})|x([0-9a-fA-F]{2})|([0-3]?[0-7]{1,2})|([\s\S]))/g,
      (_, wide, hex, octal, other: string) => {
        if (wide !== undefined) return narrow(wide);
        if (hex !== undefined) return byte(hex);
        return octal !== undefined ? String.fromCharCode(Number.parseInt(octal, 8)) : (C_LETTERS[other] ?? other);
      },
    ),
  cssDecode: (input) => input.replace(/\\(?:([0-9a-fA-F]{1,6})[ \t\n\v\f\r]?|([\s\S])|$)/g, cssReference),
  escapeSeqDecode: (input) =>
    input.replace(/\\(?:[xX]([0-9a-fA-F]{2})|([0-7]{1,3})|([\s\S]))/g, (_, hex, octal, other: string) => {
      if (hex !== undefined) return byte(hex);
      return octal !== undefined ? String.fromCharCode(Number.parseInt(octal, 8) & 0xff) : (C_LETTERS[other] ?? other);
    }),
  sqlHexDecode: (input) => input.replace(/0x((?:[0-9a-f]{2})+)/gi, (_, hex) => hex.replace(/../g, byte)),
  compressWhitespace: (input) => input.replace(/[ \t\n\v\f\r\xa0]+/g, " "),
  removeWhitespace: (input) => input.replace(/[ \t\n\v\f\r\xa0\xc2]+/g, ""),
  removeNulls: (input) => input.replaceAll("\0", ""),
  replaceNulls: (input) => input.replaceAll("\0", " "),
  trim: (input) => input.replace(/^[ \t\n\v\f\r]+|[ \t\n\v\f\r]+$/g, ""),
  trimLeft: (input) => input.replace(/^[ \t\n\v\f\r]+/, ""),
  trimRight: (input) => input.replace(/[ \t\n\v\f\r]+$/, ""),
  lowercase: (input) => input.replace(/[A-Z]+/g, (letters) => letters.toLowerCase()),
  uppercase: (input) => input.replace(/[a-z]+/g, (letters) => letters.toUpperCase()),
  cmdLine: (input) =>
    input
      .replace(/["'\\^]/g, "")
      .replace(/[ ,;\t\r\n]+/g, " ")
      .replace(/ (?=[/(])/g, "")
      .replace(/[A-Z]+/g, (letters) => letters.toLowerCase()),
  replaceComments: (input) => input.replace(/\/\*[\s\S]*?(?:\*\/|$)/g, " "),
  removeCommentsChar: (input) => input.replace(/\/\*|\*\/|<!--|-->|--|#/g, ""),
  removeComments: (input) =>
    input.replace(/(--|#)[\s\S]*$|\/\*[\s\S]*?(\*\/|$)|<!--[\s\S]*?(-->|$)/g, (_, rest, c, html) =>
      rest !== undefined || (c ?? html) !== "" ? "" : " ",
    ),
  normalizePath: slowPath,
  normalizePathWin: (input) => slowPath(input.replaceAll("\\", "/")),
  base64Decode: (input) => Buffer.from(/^[A-Za-z0-9+/]*/.exec(input)![0], "base64").latin1Slice(),
  base64DecodeExt: (input) => Buffer.from(input.replace(/[^A-Za-z0-9+/_-]/g, ""), "base64").latin1Slice(),
  length: (input) => `${Buffer.from(input, "latin1").length}`,
};

function slowPath(input: string): string {
  if (input === "") return "";
  const rooted = input.startsWith("/");
  const kept: string[] = [];
  for (const segment of input.split("/")) {
    if (segment === "" || segment === ".") continue;
    if (segment !== "..") kept.push(segment);
    else if (kept.length > 0 && kept.at(-1) !== "..") kept.pop();
    else if (!rooted) kept.push(segment);
  }
  const body = kept.join("/");
  return (rooted ? "/" : "") + body + (input.endsWith("/") && body !== "" ? "/" : "");
}

/** May be done again and change nothing more. */
const IDEMPOTENT: ReadonlySet<string> = new Set(
  ["compressWhitespace", "removeWhitespace", "removeNulls", "replaceNulls", "trim", "lowercase", "uppercase"].concat([
    "normalizePath",
    "normalizePathWin",
    "utf8toUnicode",
    "parityZero7bit",
  ]),
);

/** How many bytes one may become; one for all others. */
const GROWTH: Readonly<Record<string, number>> = { urlEncode: 3, utf8toUnicode: 3, hexEncode: 2, base64Encode: 4 };
const FIXED: ReadonlySet<string> = new Set(["length", "md5", "sha1"]);

const NAMES: readonly string[] = [
  ...Object.keys(TWINS),
  ...["base64Encode", "hexDecode", "hexEncode", "md5", "sha1", "none", "urlEncode", "utf8toUnicode"],
  ...["parityEven7bit", "parityOdd7bit", "parityZero7bit"],
];

const PIECES: readonly string[] = [
  ...[
    "%",
    "%4",
    "%41",
    "%3C",
    "%u",
    "%u00",
    "%u0041",
    "%uFF1c",
    "+",
    "\\",
    "\\u",
    "\\u0041",
    "\\uff1C",
    "\\x",
    "\\x41",
  ],
  ...["\\7", "\\377", "\\400", "\\0", "\\n", "\\61", "\\ff1c", "\\00ff1c", "\\1ff1c ", "\\\n", "&", "&lt", "&#60;"],
  ...["&#x3c", "&#", "&amp;", "&nbsp", "&quote;", "&#99999999999999999999;", "/*", "*/", "--", "-->", "<!--", "#", "-"],
  ...[
    "/",
    "//",
    "/./",
    "/../",
    "..",
    ".",
    "../",
    "a",
    "Z",
    "0",
    "0x41",
    "0x",
    " ",
    "\t",
    "\n",
    "\v",
    "\xa0",
    "\0",
    ",;",
  ],
  ...["'", '"', "^", "(", "\xc3\xa9", "\xe2\x80\x99", "\xf0\x9f\x98\x80", "\xc0\xaf", "\xff", "=", "VGVz", "_", "\xc3"],
];

export function transformationsLaw(rng: Rng): void {
  let input = "";
  for (let left = rng.below(12); left > 0; left -= 1)
    input += rng.oneIn(6) ? String.fromCharCode(rng.below(256)) : rng.pick(PIECES);
  for (const name of NAMES) {
    const run = transformation(name)!;
    const output = run(input);
    const where = `${name} of ${JSON.stringify(input)} is ${JSON.stringify(output)}`;
    if (!/^[\0-\xff]*$/.test(output)) throw new Error(`${where}: not bytes`);
    const twin = TWINS[name];
    if (twin !== undefined && twin(input) !== output)
      throw new Error(`${where}, but its twin says ${JSON.stringify(twin(input))}`);
    if (IDEMPOTENT.has(name) && run(output) !== output) throw new Error(`${where}, and again ${run(output)}`);
    if (!FIXED.has(name) && output.length > input.length * (GROWTH[name] ?? 1)) throw new Error(`${where}: it grew`);
  }
  const back = [
    ["urlEncode", "urlDecode"],
    ["hexEncode", "hexDecode"],
    ["base64Encode", "base64Decode"],
  ] as const;
  for (const [there, again] of back)
    if (transformation(again)!(transformation(there)!(input)) !== input) throw new Error(`${there} loses ${input}`);
}

if (import.meta.main) runAlone("transformations", transformationsLaw);
