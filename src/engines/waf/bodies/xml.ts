// XML 1.0 as rules see it: the text of all elements and the values of all attributes. Nothing recurses, no entity is
// declared or fetched: documents that declare entities are refused, what lies outside is never asked for.
import { HEX } from "../transformations/characters.ts";
import { xmlCharacter, xmlCharacters } from "./xml-encoding.ts";

export interface XmlLimits {
  /** How many elements may be within each other. */
  readonly depth: number;
  /** How many attributes there may be in all. */
  readonly count: number;
}

export interface XmlBody {
  /** What is wrong; "" when nothing is. What came before it is given. */
  readonly fault: string;
  /** All text, one piece after the other, as XPath's string value of the root has it (`XML:/*`). */
  readonly text: string;
  /** Values of attributes, without those that declare name spaces (`XML://@*`). */
  readonly attributes: readonly string[];
}

/** Attributes of one element above this are compared by a set: each is looked for among those before it. */
const FEW_ATTRIBUTES = 8;

/** Bytes of a reference with its ampersand: numbers have eight digits at most that mean something. */
const REFERENCE_MAX = 16;

const LESS = 0x3c;
const GREATER = 0x3e;
const SLASH = 0x2f;
const BANG = 0x21;
const QUESTION = 0x3f;
const EQUALS = 0x3d;
const QUOTE = 0x22;
const APOSTROPHE = 0x27;
const SEMICOLON = 0x3b;
const OPEN_SUBSET = 0x5b;
const CLOSE_SUBSET = 0x5d;

const NAME_START = 1;
const NAME = 2;
const BLANK = 4;

/** XML 1.0, 2.3; all characters beyond ASCII count as letters of names. */
const CLASS: Uint8Array = new Uint8Array(256).fill(NAME_START | NAME, 0x80);
for (const code of Buffer.from("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_:"))
  CLASS[code] = NAME_START | NAME;
for (const code of Buffer.from("0123456789.-")) CLASS[code] = NAME;
for (const code of Buffer.from(" \t\r\n")) CLASS[code] = BLANK;

const ENTITIES: Readonly<Record<string, string>> = { lt: "<", gt: ">", amp: "&", quot: '"', apos: "'" };

/** Control characters that XML does not have, NUL among them (2.2). */
const NO_CHARACTER = /[\0-\x08\x0b\x0c\x0e-\x1f]/;

/** The beginning of a document that says its version (2.8), with what else it may say. */
const DECLARATION =
  /^<\?xml[ \t\r\n]+version[ \t\r\n]*=[ \t\r\n]*(?:"1\.\d"|'1\.\d')(?:[ \t\r\n]+(?:encoding|standalone)[ \t\r\n]*=[ \t\r\n]*(?:"[\w.-]+"|'[\w.-]+'))*[ \t\r\n]*\?>/;

/** A document type up to its subset or its end (2.8). */
const DOCTYPE =
  /<!DOCTYPE[ \t\r\n]+[A-Za-z_:\x80-\xff][\w:.\x80-\xff-]*(?:[ \t\r\n]+(?:SYSTEM|PUBLIC[ \t\r\n]+(?:"[^"]*"|'[^']*'))[ \t\r\n]+(?:"[^"]*"|'[^']*'))?[ \t\r\n]*[[>]/y;

/** Reads a whole document. */
export function parseXml(document: string, limits: XmlLimits): XmlBody {
  const text = xmlCharacters(document);
  if (text === null) return { fault: "XML: the encoding is wrong or not known", text: "", attributes: [] };
  return new XmlReader(text, limits).read();
}

class XmlReader {
  readonly #source: string;
  readonly #limits: XmlLimits;
  readonly #open: string[] = [];
  readonly #attributes: string[] = [];
  #text = "";
  #at = 0;
  #fault = "";
  #seenRoot = false;
  #seenDoctype = false;

  constructor(source: string, limits: XmlLimits) {
    this.#source = source;
    this.#limits = limits;
  }

  read(): XmlBody {
    if (NO_CHARACTER.test(this.#source)) this.#fail("a character is not allowed");
    while (this.#fault === "" && this.#at < this.#source.length) this.#node();
    if (this.#fault === "" && (this.#open.length > 0 || !this.#seenRoot)) this.#fail("the document ends too early");
    return { fault: this.#fault, text: this.#text, attributes: this.#attributes };
  }

  #fail(what: string): void {
    this.#fault = `XML: ${what} at byte ${this.#at}`;
  }

  #node(): void {
    const source = this.#source;
    if (source.charCodeAt(this.#at) !== LESS) {
      this.#characters();
      return;
    }
    const second = source.charCodeAt(this.#at + 1);
    if (second === SLASH) this.#endTag();
    else if (second === QUESTION) this.#instruction();
    else if (second === BANG) this.#markup();
    else this.#startTag();
  }

  #characters(): void {
    const source = this.#source;
    const next = source.indexOf("<", this.#at);
    const end = next < 0 ? source.length : next;
    const text = source.slice(this.#at, end);
    if (this.#open.length === 0) {
      if (text.trim() !== "") this.#fail("text stands outside of the root");
    } else if (text.includes("]]>")) this.#fail("a CDATA section ends that never began");
    else this.#text += this.#resolved(text);
    if (this.#fault === "") this.#at = end;
  }

  /** Text with its references resolved. */
  #resolved(text: string): string {
    let resolved = "";
    let from = 0;
    for (let at = text.indexOf("&"); at >= 0; at = text.indexOf("&", from)) {
      let end = at + 1;
      // Longer ones are not valid, so that no more is looked through for their ends.
      while (end < at + REFERENCE_MAX && text.charCodeAt(end) !== SEMICOLON) end += 1;
      const character = referenced(text, at + 1, end);
      if (character === "") {
        this.#fail("a reference is not known");
        return "";
      }
      resolved += at > from ? text.slice(from, at) + character : character;
      from = end + 1;
    }
    return from === 0 ? text : resolved + text.slice(from);
  }

  /** Behind the next `mark`, with what stands before it; null with a fault. */
  #through(mark: string, from: number): string | null {
    const end = this.#source.indexOf(mark, from);
    if (end < 0) {
      this.#fail("something is not ended");
      return null;
    }
    this.#at = end + mark.length;
    return this.#source.slice(from, end);
  }

  #instruction(): void {
    const start = this.#at;
    const end = this.#nameEnd(start + 2);
    const target = this.#source.slice(start + 2, end).toLowerCase();
    // What servers refuse, they do not read: but one that does must find what rules have found.
    const malformed = target === "xml" && (start !== 0 || !DECLARATION.test(this.#source));
    const behind = this.#source.charCodeAt(end);
    const ends = behind === QUESTION || (CLASS[behind]! & BLANK) !== 0;
    if (target === "" || malformed || !ends) this.#fail("an instruction is malformed");
    else this.#through("?>", end);
  }

  #markup(): void {
    const source = this.#source;
    if (source.startsWith("<!--", this.#at)) {
      const comment = this.#through("-->", this.#at + 4);
      if (comment !== null && (comment.includes("--") || comment.endsWith("-"))) this.#fail("a comment is malformed");
    } else if (source.startsWith("<![CDATA[", this.#at) && this.#open.length > 0)
      this.#text += this.#through("]]>", this.#at + 9) ?? "";
    else if (source.startsWith("<!DOCTYPE", this.#at) && !this.#seenRoot && !this.#seenDoctype) this.#doctype();
    else this.#fail("a declaration is malformed");
  }

  /** Passes over a document type; one that declares entities, or asks for declarations, is refused. */
  #doctype(): void {
    this.#seenDoctype = true;
    const source = this.#source;
    DOCTYPE.lastIndex = this.#at;
    if (!DOCTYPE.test(source)) {
      this.#fail("the document type is malformed");
      return;
    }
    let inSubset = false;
    for (let at = this.#at + 9; at < source.length; at += 1) {
      const code = source.charCodeAt(at);
      if (code === QUOTE || code === APOSTROPHE) {
        at = source.indexOf(String.fromCharCode(code), at + 1);
        if (at < 0) break;
      } else if (source.startsWith("<!--", at)) {
        at = source.indexOf("-->", at + 4) + 2;
        if (at < 2) break;
      } else if (source.startsWith("<!ENTITY", at) || (inSubset && code === 0x25)) {
        this.#fail("entities are declared");
        return;
      } else if (code === OPEN_SUBSET) inSubset = true;
      else if (code === CLOSE_SUBSET) inSubset = false;
      else if (code === GREATER && !inSubset) {
        this.#at = at + 1;
        return;
      }
    }
    this.#fail("the document type is malformed");
  }

  #nameEnd(from: number): number {
    let at = from;
    if ((CLASS[this.#source.charCodeAt(at)]! & NAME_START) === 0) return at;
    while ((CLASS[this.#source.charCodeAt(at)]! & NAME) !== 0) at += 1;
    return at;
  }

  #skipBlanks(): void {
    while ((CLASS[this.#source.charCodeAt(this.#at)]! & BLANK) !== 0) this.#at += 1;
  }

  #endTag(): void {
    const end = this.#nameEnd(this.#at + 2);
    const name = this.#source.slice(this.#at + 2, end);
    this.#at = end;
    this.#skipBlanks();
    if (this.#source.charCodeAt(this.#at) !== GREATER || this.#open.pop() !== name) this.#fail("an end tag is wrong");
    else this.#at += 1;
  }

  #startTag(): void {
    const end = this.#nameEnd(this.#at + 1);
    const name = this.#source.slice(this.#at + 1, end);
    if (name === "" || (this.#open.length === 0 && this.#seenRoot)) {
      this.#fail(name === "" ? "a tag is malformed" : "there is a second root");
      return;
    }
    this.#seenRoot = true;
    this.#at = end;
    if (!this.#tagAttributes()) return;
    if (this.#source.charCodeAt(this.#at) === SLASH) {
      if (this.#source.charCodeAt(this.#at + 1) === GREATER) this.#at += 2;
      else this.#fail("a tag is malformed");
      return;
    }
    this.#at += 1;
    if (this.#open.length === this.#limits.depth) this.#fail("nested too deeply");
    else this.#open.push(name);
  }

  /** Reads attributes up to the end of the tag; false with a fault. */
  #tagAttributes(): boolean {
    const source = this.#source;
    const names: string[] = [];
    let known: Set<string> | null = null;
    for (;;) {
      const before = this.#at;
      this.#skipBlanks();
      const code = source.charCodeAt(this.#at);
      if (code === GREATER || code === SLASH) return true;
      const end = this.#nameEnd(this.#at);
      const name = source.slice(this.#at, end);
      if (name === "" || before === this.#at || (known === null ? names.includes(name) : known.has(name))) {
        this.#fail("an attribute is malformed or comes twice");
        return false;
      }
      if (known !== null) known.add(name);
      else if (names.push(name) > FEW_ATTRIBUTES) known = new Set(names);
      this.#at = end;
      this.#attribute(name);
      if (this.#fault !== "") return false;
    }
  }

  #attribute(name: string): void {
    const source = this.#source;
    this.#skipBlanks();
    if (source.charCodeAt(this.#at) === EQUALS) {
      this.#at += 1;
      this.#skipBlanks();
      const quote = source.charCodeAt(this.#at);
      if (quote === QUOTE || quote === APOSTROPHE) {
        const raw = this.#through(String.fromCharCode(quote), this.#at + 1);
        if (raw === null) return;
        if (raw.includes("<")) this.#fail("an attribute has markup");
        else this.#keep(name, raw);
        return;
      }
    }
    this.#fail("an attribute has no value");
  }

  #keep(name: string, raw: string): void {
    const value = this.#resolved(raw.replace(/\r\n|[\t\r\n]/g, " "));
    if (this.#fault !== "" || name === "xmlns" || name.startsWith("xmlns:")) return;
    if (this.#attributes.length === this.#limits.count) this.#fail("there are too many attributes");
    else this.#attributes.push(value);
  }
}

/** What a reference stands for, whose name or number stands there; "" when it is not valid. */
function referenced(text: string, start: number, end: number): string {
  if (text.charCodeAt(end) !== SEMICOLON) return "";
  if (text.charCodeAt(start) !== 0x23) {
    const name = text.slice(start, end);
    return Object.hasOwn(ENTITIES, name) ? ENTITIES[name]! : "";
  }
  const hexadecimal = text.charCodeAt(start + 1) === 0x78;
  const from = hexadecimal ? start + 2 : start + 1;
  let value = 0;
  if (from === end) return "";
  for (let at = from; at < end; at += 1) {
    const digit = HEX[text.charCodeAt(at)]!;
    if (digit < 0 || (digit > 9 && !hexadecimal)) return "";
    value = value * (hexadecimal ? 16 : 10) + digit;
  }
  return xmlCharacter(value);
}
