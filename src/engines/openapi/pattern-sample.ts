// A short text that an expression finds, for examples that are made of schemas. Most patterns of schemas are a row of
// classes with counts; where one is more than that, the text may not fit, and whoever asked looks at it.

const LENGTH_MAX = 1000;
/** Deeper groups have no use. */
const DEPTH_MAX = 16;

const CLASSES: Readonly<Record<string, string>> = { d: "0", w: "a", s: " ", D: "a", W: "-", S: "a", n: "\n", t: "\t" };
const CANDIDATES = [..."aA0-_. ", "z", "Z", "9", "@", "ä"];

/** The text; null where none can be made in this way. */
export function patternSample(pattern: string): string | null {
  try {
    const text = new Reader(pattern).alternatives(0);
    return new RegExp(pattern, "u").test(text) ? text : null;
  } catch {
    return null; // It is no expression of this kind.
  }
}

class Reader {
  readonly #text: string;
  #at = 0;

  constructor(text: string) {
    this.#text = text;
  }

  /** The first of the alternatives up to the end of the group. */
  alternatives(depth: number): string {
    if (depth > DEPTH_MAX) throw new RangeError("too deep");
    const first = this.#row(depth);
    while (this.#text[this.#at] === "|") {
      this.#at += 1;
      this.#row(depth);
    }
    return first;
  }

  #row(depth: number): string {
    let made = "";
    while (this.#at < this.#text.length && !"|)".includes(this.#text[this.#at]!)) {
      const part = this.#part(depth);
      const count = this.#count();
      made += part.repeat(Math.min(count, LENGTH_MAX));
      if (made.length > LENGTH_MAX) throw new RangeError("too long");
    }
    return made;
  }

  #part(depth: number): string {
    const char = this.#text[this.#at]!;
    this.#at += 1;
    if (char === "^" || char === "$") return "";
    if (char === ".") return "a";
    if (char === "[") return this.#class();
    if (char === "\\") return this.#escape();
    if (char !== "(") return char;
    if (this.#text[this.#at] === "?") {
      const kind = /^\?(?::|<[A-Za-z_]\w*>)/.exec(this.#text.slice(this.#at))?.[0];
      if (kind === undefined) throw new RangeError("looks around");
      this.#at += kind.length;
    }
    const inner = this.alternatives(depth + 1);
    this.#at += 1; // the parenthesis
    return inner;
  }

  #escape(): string {
    const char = this.#text[this.#at] ?? "";
    this.#at += 1;
    if (char === "b") return "";
    return CLASSES[char] ?? char;
  }

  /** One character of a class: the first that is named, or one that is not where it is negated. */
  #class(): string {
    const end = this.#classEnd();
    const source = this.#text.slice(this.#at - 1, end + 1);
    this.#at = end + 1;
    const first = source[1] === "\\" ? (CLASSES[source[2] ?? ""] ?? source[2] ?? "") : (source[1] ?? "");
    const tester = new RegExp(`^${source}$`, "u");
    const found = [first, ...CANDIDATES].find((char) => char !== "" && tester.test(char));
    if (found === undefined) throw new RangeError("no character fits");
    return found;
  }

  #classEnd(): number {
    for (let at = this.#at; at < this.#text.length; at += 1) {
      if (this.#text[at] === "\\") at += 1;
      else if (this.#text[at] === "]") return at;
    }
    throw new RangeError("a class that does not end");
  }

  /** The least number of times that what stands before may be there. */
  #count(): number {
    const found = /^(?:[*+?]|\{(\d+)(?:,\d*)?\})\??/.exec(this.#text.slice(this.#at));
    if (found === null) return 1;
    this.#at += found[0].length;
    if (found[1] !== undefined) return Number(found[1]);
    return found[0].startsWith("+") ? 1 : 0;
  }
}
