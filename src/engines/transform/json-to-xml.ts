// JSON as XML, the other way round from xml-to-json.ts.
import { END, type JsonDocument, LIST, NEXT, OBJECT, START, TEXT, WIDTH } from "./json-document.ts";

/** What names begin with, and what may follow (XML 1.0 §2.3). */
const NAME_START =
  ":A-Z_a-z\xc0-\xd6\xd8-\xf6\xf8-\u02ff\u0370-\u037d\u037f-\u1fff\u200c\u200d\u2070-\u218f" +
  "\u2c00-\u2fef\u3001-\ud7ff\uf900-\ufdcf\ufdf0-\ufffd\u{10000}-\u{effff}";
const NAME = new RegExp(`^[${NAME_START}][${NAME_START}.0-9\xb7\u0300-\u036f\u203f\u2040-]*$`, "u");
/** Characters that no XML 1.0 document can hold (§2.2). */
const FORBIDDEN = /[^\t\n\r\x20-\ud7ff\ue000-\ufffd\u{10000}-\u{10ffff}]/u;

const ESCAPED: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "\r": "&#13;",
  "\n": "&#10;",
  "\t": "&#9;",
};

export type JsonAsXml =
  | { readonly xml: string; readonly problem: null }
  | { readonly xml: null; readonly problem: string };

class Refused extends Error {}

/**
 * The XML text of a JSON value. An object with one member that is no list is the root element with that name; anything
 * else is put into an element named `root`. It is refused where it becomes longer than `charsMax`: each item of a list
 * repeats the name of its member, however long that is.
 */
export function jsonToXml(document: JsonDocument, root: string, charsMax: number): JsonAsXml {
  const writer = new XmlWriter(document, charsMax);
  try {
    return { xml: `<?xml version="1.0" encoding="UTF-8"?>\n${writer.root(root)}`, problem: null };
  } catch (error) {
    if (error instanceof Refused) return { xml: null, problem: error.message };
    throw error;
  }
}

/** Whether an element may have this name. */
export const isXmlName = (name: string): boolean => NAME.test(name);

class XmlWriter {
  readonly #document: JsonDocument;
  #left: number;

  constructor(document: JsonDocument, charsMax: number) {
    this.#document = document;
    this.#left = charsMax;
  }

  /** Counts what is about to be made. */
  #spend(chars: number): void {
    this.#left -= chars;
    if (this.#left < 0) throw new Refused("it becomes too long");
  }

  root(name: string): string {
    const { table } = this.#document;
    if (table[0] !== OBJECT) return this.#element(name, 0);
    const only = WIDTH + WIDTH; // of the first member the value
    const has = table[NEXT]! > WIDTH;
    if (!has || table[only + NEXT] !== table[NEXT] || table[only] === LIST) return this.#element(name, 0);
    const own = this.#document.textAt(WIDTH);
    return own.startsWith("@") || own === "#text" ? this.#element(name, 0) : this.#element(own, only);
  }

  /** One element, or one for each item of a list. */
  #member(name: string, entry: number): string {
    const { table } = this.#document;
    if (table[entry] !== LIST) return this.#element(name, entry);
    let made = "";
    for (let at = entry + WIDTH; at < table[entry + NEXT]!; at = table[at + NEXT]!) made += this.#element(name, at);
    return made;
  }

  #element(name: string, entry: number): string {
    if (!NAME.test(name)) throw new Refused(`${JSON.stringify(name.slice(0, NAME_SHOWN))} is no name of an element`);
    this.#spend(2 * name.length + TAGS);
    const { table } = this.#document;
    let attributes = "";
    let content = "";
    if (table[entry] === LIST) content = this.#member("item", entry);
    else if (table[entry] !== OBJECT) content = this.#escaped(this.#scalar(entry), CONTENT);
    else {
      for (let at = entry + WIDTH; at < table[entry + NEXT]!; at = table[at + WIDTH + NEXT]!) {
        const key = this.#document.textAt(at);
        const value = at + WIDTH;
        if (key.startsWith("@")) attributes += this.#attribute(key.slice(1), value);
        else if (key === "#text") content += this.#escaped(this.#scalar(value), CONTENT);
        else content += this.#member(key, value);
      }
    }
    return content === "" ? `<${name}${attributes}/>` : `<${name}${attributes}>${content}</${name}>`;
  }

  #attribute(name: string, entry: number): string {
    if (!NAME.test(name)) throw new Refused(`${JSON.stringify(name.slice(0, NAME_SHOWN))} is no name of an attribute`);
    this.#spend(name.length);
    return ` ${name}="${this.#escaped(this.#scalar(entry), ATTRIBUTE)}"`;
  }

  #escaped(text: string, which: RegExp): string {
    if (FORBIDDEN.test(text)) throw new Refused("a text has a character that XML cannot hold");
    const made = text.replace(which, (char) => ESCAPED[char]!);
    this.#spend(made.length);
    return made;
  }

  /** The text of a scalar; "" for null. */
  #scalar(entry: number): string {
    const { table, bytes } = this.#document;
    if (table[entry] === TEXT) return this.#document.textAt(entry);
    if (table[entry] === OBJECT || table[entry] === LIST) throw new Refused("an attribute or text must be one value");
    const text = bytes.latin1Slice(table[entry + START], table[entry + END]);
    return text === "null" ? "" : text;
  }
}

const NAME_SHOWN = 50;
/** Brackets and the slash of an element. */
const TAGS = 5;
const CONTENT = /[&<>\r]/g;
const ATTRIBUTE = /[&<>"\r\n\t]/g;
