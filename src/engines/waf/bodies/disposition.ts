// Content-Disposition of a part (RFC 7578 §4.2), accepting only what every server reads the same.
import { urlDecode } from "../transformations/url.ts";

const TYPE = "form-data";
const TAB = 0x09;
const SPACE = 0x20;
const QUOTE = 0x22;
const APOSTROPHE = 0x27;
const SEMICOLON = 0x3b;
const EQUALS = 0x3d;
const BACKSLASH = 0x5c;

export interface Disposition {
  /** What is wrong; "" when nothing is. */
  readonly fault: string;
  readonly name: string;
  /** null when there is none; "" is what browsers send for a file that was not chosen. */
  readonly fileName: string | null;
  /** `filename*` (RFC 5987), decoded; null when there is none. */
  readonly fileNameExtended: string | null;
  /** Quoting that servers read differently: apostrophes around a value, or in one without quotes. */
  readonly invalidQuoting: boolean;
}

/** Reads the value of the field. */
export function parseDisposition(value: string): Disposition {
  return new DispositionReader(value).read();
}

class DispositionReader {
  readonly #text: string;
  #at: number = TYPE.length;
  #name: string | null = null;
  #fileName: string | null = null;
  #fileNameExtended: string | null = null;
  #invalidQuoting = false;

  constructor(text: string) {
    this.#text = text;
  }

  read(): Disposition {
    const fault = this.#parameters();
    return {
      fault: fault === "" && (this.#name ?? "") === "" ? "the name is missing" : fault,
      name: this.#name ?? "",
      fileName: this.#fileName,
      fileNameExtended: this.#fileNameExtended,
      invalidQuoting: this.#invalidQuoting,
    };
  }

  #parameters(): string {
    const text = this.#text;
    if (!text.startsWith(TYPE)) return "it is not form-data";
    this.#skipBlanks();
    while (this.#at < text.length) {
      if (text.charCodeAt(this.#at) !== SEMICOLON) {
        const before = text.charCodeAt(this.#at - 1);
        if (before === QUOTE || before === APOSTROPHE) this.#invalidQuoting = true;
        return "something follows a value";
      }
      this.#at += 1;
      this.#skipBlanks();
      const fault = this.#parameter();
      if (fault !== "") return fault;
      this.#skipBlanks();
    }
    return "";
  }

  #skipBlanks(): void {
    while (isBlank(this.#text.charCodeAt(this.#at))) this.#at += 1;
  }

  #parameter(): string {
    const text = this.#text;
    const start = this.#at;
    while (this.#at < text.length && text.charCodeAt(this.#at) !== EQUALS && !isBlank(text.charCodeAt(this.#at)))
      this.#at += 1;
    const name = text.slice(start, this.#at);
    this.#skipBlanks();
    if (text.charCodeAt(this.#at) !== EQUALS) return "a parameter has no value";
    this.#at += 1;
    this.#skipBlanks();
    if (this.#at === text.length) return "a parameter has no value";
    const first = text.charCodeAt(this.#at);
    if (first === APOSTROPHE) this.#invalidQuoting = true;
    const value = first === QUOTE || first === APOSTROPHE ? this.#quoted(first) : this.#token();
    if (value === null) return "a quoted value is not ended";
    // Within quotes an apostrophe is part of the value for everybody: files of people are named so.
    if (first !== QUOTE && name !== "filename*" && value.includes("'")) this.#invalidQuoting = true;
    return this.#keep(name, value);
  }

  /** Only the quote and the backslash can be escaped; others stay, as some browsers send paths of Windows. */
  #quoted(quote: number): string | null {
    const text = this.#text;
    let value = "";
    let from = this.#at + 1;
    for (let at = from; at < text.length; at += 1) {
      const code = text.charCodeAt(at);
      if (code === quote) {
        this.#at = at + 1;
        return value + text.slice(from, at);
      }
      if (code !== BACKSLASH) continue;
      const next = text.charCodeAt(at + 1);
      if (next !== quote && next !== BACKSLASH) continue;
      value += text.slice(from, at);
      from = at + 1;
      at += 1;
    }
    return null;
  }

  #token(): string {
    const start = this.#at;
    while (this.#at < this.#text.length && isToken(this.#text.charCodeAt(this.#at))) this.#at += 1;
    return this.#text.slice(start, this.#at);
  }

  #keep(name: string, value: string): string {
    const twice = "a parameter comes twice";
    if (name === "name") {
      if (this.#name !== null) return twice;
      this.#name = value;
    } else if (name === "filename") {
      if (this.#fileName !== null) return twice;
      this.#fileName = value;
    } else if (name === "filename*") {
      if (this.#fileNameExtended !== null) return twice;
      this.#fileNameExtended = extended(value);
      return "";
    } else return "a parameter is not known";
    return "";
  }
}

/** `UTF-8''a%20b` as `a b`; what does not have that form, decoded as it is. */
function extended(value: string): string {
  const second = value.indexOf("'", value.indexOf("'") + 1);
  return urlDecode(value.slice(second + 1).replaceAll("+", "%2B"));
}

const isBlank = (code: number): boolean => code === SPACE || code === TAB;

/** As RFC 2045 §5.1 has tokens; the percent sign is one of them. */
const isToken = (code: number): boolean =>
  code > 0x20 && code < 0x7f && !'()<>@,;:\\"/[]?='.includes(String.fromCharCode(code));
