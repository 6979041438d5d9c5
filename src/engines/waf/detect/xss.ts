// Finds markup that runs code. A value is read as it would stand in a page: as text, and within attributes without
// quotes and with each of them, which it ends. Tags and attributes are those of an HTML tokenizer (HTML 13.2.5);
// comments are not passed over, as browsers have differed in where they end.
import { htmlEntityDecode } from "../transformations/escapes.ts";
import { isAddress, isDangerousTag, isEvent, mayBeEvent } from "./html-words.ts";

const TAB = 0x09;
const LINE_FEED = 0x0a;
const FORM_FEED = 0x0c;
const CR = 0x0d;
const SPACE = 0x20;
const BANG = 0x21;
const QUOTE = 0x22;
const APOSTROPHE = 0x27;
const SLASH = 0x2f;
const COLON = 0x3a;
const EQUALS = 0x3d;
const GREATER = 0x3e;
const QUESTION = 0x3f;
const BACKTICK = 0x60;

/** Longer names are none that we know. */
const NAME_MAX = 64;
/** Of a value that begins an address, as much as a scheme may need with all its letters as references. */
const SCHEME_TEXT_MAX = 256;

/** Bytes without one of which a handler of an event, or a style, does nothing. */
const CODE: Uint8Array = new Uint8Array(256);
for (const code of Buffer.from("(`=&\\@*")) CODE[code] = 1;

/** What the schemes that run code begin with, and references. */
const SCHEME_START: Uint8Array = new Uint8Array(256);
for (const code of Buffer.from("jJvVlLmMdD&")) SCHEME_START[code] = 1;

const isBlank = (code: number): boolean =>
  code === SPACE || code === TAB || code === LINE_FEED || code === CR || code === FORM_FEED || code === 0x0b;

const isLetter = (code: number): boolean => (code | 0x20) >= 0x61 && (code | 0x20) <= 0x7a;

const isWordByte = (code: number): boolean => isLetter(code) || (code >= 0x30 && code <= 0x39) || code === 0x5f;

/** Whether the value would run code in a page. */
export function detectXss(input: string): boolean {
  const equals = input.includes("=");
  if (input.includes("<") && (inText(input) || (equals && afterQuotes(input)))) return true;
  if (equals && !input.includes("<") && afterQuotes(input)) return true;
  return input.includes(":") && isCodeAddress(input);
}

/** The value as text: every tag that begins in it. */
function inText(input: string): boolean {
  for (let at = input.indexOf("<"); at >= 0; at = input.indexOf("<", at)) {
    at += 1;
    // The end of a script that the page has begun is as good as a beginning.
    if (input.charCodeAt(at) === SLASH) at += 1;
    const code = input.charCodeAt(at);
    if (code === BANG || code === QUESTION) {
      if (isDangerousDeclaration(input, at)) return true;
    } else if (isLetter(code)) {
      const end = nameEnd(input, at);
      const name = nameAt(input, at, end);
      const bare = end >= input.length || input.charCodeAt(end) === GREATER;
      if (isDangerousTag(name, bare) || (name === "style" && isSheet(input, end))) return true;
      if (attributes(input, end, true)) return true;
      at = attributesEnd;
    }
  }
  return false;
}

/** The name in lower case, without the NUL bytes that some browsers pass over. */
const nameAt = (input: string, from: number, end: number): string =>
  input
    .slice(from, Math.min(end, from + NAME_MAX))
    .replaceAll("\0", "")
    .toLowerCase();

/** Whether rules of CSS follow. */
const isSheet = (input: string, from: number): boolean => input.includes("{", from) || input.includes("@", from);

/** Conditional comments, entities and what fetches style sheets or behaviours. */
function isDangerousDeclaration(input: string, at: number): boolean {
  const start = input.slice(at, at + 24).toLowerCase();
  if (start.startsWith("!--[if") || start.startsWith("![if")) return true;
  if (start.startsWith("!entity") || start.startsWith("!element") || start.startsWith("!attlist")) return true;
  if (start.startsWith("?import") || start.startsWith("?xml-stylesheet")) return true;
  return start.startsWith("?") && holdsBacktick(input, at);
}

/** Whether a backtick stands before the next tag: some browsers ended declarations there, and servers run what follows. */
function holdsBacktick(input: string, from: number): boolean {
  for (let at = from; at < input.length; at += 1) {
    const code = input.charCodeAt(at);
    if (code === BACKTICK) return true;
    if (code === GREATER || code === 0x3c) return false;
  }
  return false;
}

/** Where the name of a tag that begins at `from` ends. */
function nameEnd(input: string, from: number): number {
  let at = from;
  for (; at < input.length; at += 1) {
    const code = input.charCodeAt(at);
    if (isBlank(code) || code === SLASH || code === GREATER) break;
  }
  return at;
}

/** The value within an attribute: what follows the first blank, and the first of each quote. */
function afterQuotes(input: string): boolean {
  let blank = 0;
  while (blank < input.length && !isBlank(input.charCodeAt(blank)) && input.charCodeAt(blank) !== GREATER) blank += 1;
  if (blank < input.length && isBlank(input.charCodeAt(blank)) && attributes(input, blank, false)) return true;
  const slash = input.indexOf("/");
  if (slash >= 0 && slash < blank && attributes(input, slash, false)) return true;
  for (const mark of ['"', "'", "`"]) {
    const quote = input.indexOf(mark);
    if (quote >= 0 && attributes(input, quote + 1, false)) return true;
  }
  // An attribute as a whole, where a page puts the value behind a tag's name. Further ones stand behind a blank.
  return attributes(input, 0, false, 1);
}

/** Where `attributes` has come to. */
let attributesEnd = 0;

/** Whether one of the attributes up to the end of the tag is dangerous. `inTag` says that the tag is in the value. */
function attributes(input: string, from: number, inTag: boolean, most = input.length): boolean {
  const length = input.length;
  let at = from;
  for (let left = most; left > 0; left -= 1) {
    while (at < length && (isBlank(input.charCodeAt(at)) || input.charCodeAt(at) === SLASH)) at += 1;
    attributesEnd = at;
    if (at >= length || input.charCodeAt(at) === GREATER) return false;
    const start = at;
    let code = input.charCodeAt(at);
    // An equals sign at the beginning belongs to the name.
    do {
      at += 1;
      code = input.charCodeAt(at);
    } while (at < length && !isBlank(code) && code !== SLASH && code !== GREATER && code !== EQUALS);
    const end = at;
    while (at < length && isBlank(input.charCodeAt(at))) at += 1;
    if (input.charCodeAt(at) !== EQUALS) continue;
    at += 1;
    while (at < length && isBlank(input.charCodeAt(at))) at += 1;
    const valueStart = at;
    at = valueEnd(input, at);
    // Not ended: what stands in it may be markup where the quote is none.
    attributesEnd = at > length ? valueStart : at;
    if (end - start <= NAME_MAX && isDangerous(input, start, end, valueStart, Math.min(at, length), inTag)) return true;
    if (at > length) {
      attributesEnd = valueStart;
      return false;
    }
  }
  return false;
}

/** Behind a value; beyond the input where a quote does not end it. */
function valueEnd(input: string, from: number): number {
  const quote = input.charCodeAt(from);
  if (quote === QUOTE || quote === APOSTROPHE || quote === BACKTICK) {
    const end = input.indexOf(String.fromCharCode(quote), from + 1);
    return end < 0 ? input.length + 1 : end + 1;
  }
  let at = from;
  while (at < input.length && !isBlank(input.charCodeAt(at)) && input.charCodeAt(at) !== GREATER) at += 1;
  return at;
}

function isDangerous(input: string, start: number, end: number, from: number, to: number, inTag: boolean): boolean {
  if (from >= to && !inTag) return false;
  // Most names begin with none of these letters; nothing is made for them.
  if (!isLetter(input.charCodeAt(start))) return false;
  const name = nameAt(input, start, end);
  if (inTag ? isEvent(name) || mayBeEvent(name) : isEvent(name) && mayBeCode(input, from, to)) return true;
  if (name === "style") return mayBeCode(input, from, to) && isDangerousStyle(input.slice(from, to), inTag);
  if (name === "srcdoc" || name === "datasrc" || name === "dataformatas") return true;
  if (name === "attributename") return true;
  if (name.startsWith("xmlns")) return inTag && isNameSpaceOfPages(input.slice(from, to));
  if (!isAddress(name)) return false;
  if (name !== "content" && !mayBeScheme(input, from, to)) return false;
  const value = unquoted(input.slice(from, Math.min(to, from + SCHEME_TEXT_MAX)));
  return hasCodeScheme(name === "content" ? value.slice(value.toLowerCase().indexOf("url=") + 4) : value);
}

/** Whether something in a value calls or assigns. Outside of tags names of events are words as well (`OnSuccess=`). */
function mayBeCode(input: string, from: number, to: number): boolean {
  for (let at = from; at < to; at += 1) if (CODE[input.charCodeAt(at)] === 1) return true;
  return false;
}

/** Whether a value begins as the name of a scheme that runs code, or with a reference. Most do not. */
function mayBeScheme(input: string, from: number, to: number): boolean {
  for (let at = from; at < to; at += 1) {
    const code = input.charCodeAt(at);
    if (code > SPACE && code < 0x7f && code !== QUOTE && code !== APOSTROPHE && code !== BACKTICK)
      return SCHEME_START[code] === 1;
  }
  return false;
}

function unquoted(value: string): string {
  const code = value.charCodeAt(0);
  return code === QUOTE || code === APOSTROPHE || code === BACKTICK ? value.slice(1) : value;
}

/** Name spaces in which elements are those of pages. */
function isNameSpaceOfPages(value: string): boolean {
  const lower = value.toLowerCase();
  return (
    lower.includes("/1999/xhtml") || lower.includes("/2000/svg") || lower.includes("/math") || lower.includes("/xsl")
  );
}

/** Functions of CSS that only compute. */
const HARMLESS_CALLS = /\b(?:rgba?|hsla?|calc|var|min|max|clamp|translate[xyz3d]*|rotate[xyz]?|scale[xy]?)\(/g;

/** A style that fetches, runs or hides something. Plain declarations, as editors write them, are no attack. */
function isDangerousStyle(value: string, inTag: boolean): boolean {
  const lower = htmlEntityDecode(value).toLowerCase();
  if (lower.includes("expression") || lower.includes("javascript") || lower.includes("-moz-binding")) return true;
  if (lower.includes("behavior:") || lower.includes("@import")) return true;
  return inTag && isUnusual(lower);
}

/** Calls that do not only compute, and what hides names. */
function isUnusual(lower: string): boolean {
  return lower.replace(HARMLESS_CALLS, "").includes("(") || lower.includes("\\") || lower.includes("/*");
}

/** References that stand for what schemes are hidden with. */
const HIDING: Readonly<Record<string, string>> = { "&tab;": "", "&newline;": "", "&colon;": ":" };

/** Whether an address begins with a scheme that runs code, as browsers read it: references, blanks within, any case. */
function hasCodeScheme(value: string): boolean {
  let scheme = "";
  const text = htmlEntityDecode(value)
    .toLowerCase()
    .replace(/&(?:tab|newline|colon);/g, (name) => HIDING[name]!);
  for (let at = 0; at < text.length && scheme.length < 48; at += 1) {
    const code = text.charCodeAt(at);
    if (code > SPACE && code !== 0x7f && code < 0x80) scheme += text[at];
    else if (code === SPACE && scheme !== "") break;
  }
  if (scheme.startsWith("javascript:") || scheme.startsWith("vbscript:") || scheme.startsWith("livescript:"))
    return true;
  if (scheme.startsWith("view-source:") || scheme.startsWith("mocha:") || scheme.startsWith("jar:")) return true;
  return (
    scheme.startsWith("data:") &&
    !/^data:(?:image\/(?:png|gif|jpe?g|webp|avif|bmp|x-icon)|font|audio|video)/.test(scheme)
  );
}

/** The value as a whole address that runs code. A title (`JavaScript: The Good Parts`) does not go on as code does. */
function isCodeAddress(input: string): boolean {
  const colon = input.slice(0, SCHEME_TEXT_MAX).indexOf(":");
  if (colon < 0 || !hasCodeScheme(input.slice(0, SCHEME_TEXT_MAX))) return false;
  if (input.slice(0, colon).trim().toLowerCase() === "data")
    return /^\s*data:\s*(?:text\/(?:html|xml)|image\/svg|application\/x)/i.test(input);
  const after = input.charCodeAt(colon + 1);
  if (!isBlank(after) && colon + 1 < input.length && after !== COLON) return true;
  return callsSomething(input, colon + 1);
}

/** Whether a parenthesis or a backtick stands right behind a word. */
function callsSomething(input: string, from: number): boolean {
  for (let at = from + 1; at < input.length; at += 1) {
    const code = input.charCodeAt(at);
    if ((code === 0x28 || code === BACKTICK) && isWordByte(input.charCodeAt(at - 1))) return true;
  }
  return false;
}
