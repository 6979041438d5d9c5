// Content types of messages against those that a specification names (RFC 9110 §8.3).

export interface MediaRange<T> {
  /** `application`, or `*`. */
  readonly type: string;
  readonly subtype: string;
  /** Parameters that a message has to have as well, lower-case, sorted: `charset=utf-8`. */
  readonly parameters: readonly string[];
  readonly content: T;
}

const TOKEN = /^[!#$%&'*+\-.^_`|~0-9a-z]+$/;

/** Reads the key of a `content`. Throws RangeError for one that is no media type. */
export function mediaRange<T>(text: string, content: T): MediaRange<T> {
  const [essence = "", ...parameters] = partsOf(text);
  const [type = "", subtype = "", ...more] = essence.split("/");
  if (!TOKEN.test(type) || !TOKEN.test(subtype) || more.length > 0) throw new RangeError(`"${text}" is no media type`);
  return { type, subtype, parameters: parameters.sort(), content };
}

/** The most specific first. */
export function bySpecificity(a: MediaRange<unknown>, b: MediaRange<unknown>): number {
  return weight(b) - weight(a);
}

const weight = ({ type, subtype, parameters }: MediaRange<unknown>): number =>
  (type === "*" ? 0 : 2000) + (subtype === "*" ? 0 : 1000) + parameters.length;

/** What is named for the content type of a message; null for nothing. `ranges` are sorted. */
export function matching<T>(ranges: readonly MediaRange<T>[], contentType: string): T | null {
  const [essence = "", ...parameters] = partsOf(contentType);
  const slash = essence.indexOf("/");
  const type = essence.slice(0, slash);
  const subtype = essence.slice(slash + 1);
  if (slash < 1) return null;
  for (const range of ranges) {
    const fits = (range.type === "*" || range.type === type) && (range.subtype === "*" || range.subtype === subtype);
    if (fits && range.parameters.every((each) => parameters.includes(each))) return range.content;
  }
  return null;
}

const partsOf = (text: string): string[] =>
  text.includes(";") ? text.toLowerCase().split(";").map(tidy) : [text.trim().toLowerCase()];

const tidy = (part: string): string => part.trim().replaceAll('"', "");

/**
 * Whether everybody reads a body of this type alike: there is one type, and its text is UTF-8. A server may know other
 * charsets, in which the same bytes say something else.
 */
export function isPlainType(contentType: string): boolean {
  if (contentType.includes(",")) return false; // the field was there twice
  if (!contentType.includes(";")) return true;
  const [, ...parameters] = partsOf(contentType);
  return parameters.every((each) => !each.startsWith("charset") || UTF8.includes(each));
}

const UTF8 = ["charset=utf-8", "charset=utf8", "charset=us-ascii"];

/** How a body is read: as JSON, as a form, or not at all. */
export type Reading = "json" | "form" | "none";

export function readingOf(contentType: string): Reading {
  const semicolon = contentType.indexOf(";");
  const essence = (semicolon < 0 ? contentType : contentType.slice(0, semicolon)).trim().toLowerCase();
  if (essence === "application/json" || (essence.startsWith("application/") && essence.endsWith("+json")))
    return "json";
  return essence === "application/x-www-form-urlencoded" ? "form" : "none";
}
