// What the URL of a request says of GraphQL. Two programs may read one URL in two ways: whatever could be read so is
// refused.
import { memberOf } from "../../engines/graphql/index.ts";

/** By name, decoded; the text says what is wrong. */
export type UrlMembers = ReadonlyMap<string, string> | string;

const NONE: ReadonlyMap<string, string> = new Map();

/** The members among the parameters of a query, without its `?`. */
export function urlMembers(query: string): UrlMembers {
  if (query === "") return NONE;
  const found = new Map<string, string>();
  for (const part of query.split("&")) {
    const [first = "", ...others] = part.split(";");
    // Some servers take a semicolon for the end of a parameter.
    for (const other of others) if (nameIn(other) !== "") return AMBIGUOUS;
    const name = nameIn(first);
    if (name === null || (name !== "" && (others.length > 0 || found.has(name)))) return AMBIGUOUS;
    if (name === "") continue;
    const equals = part.indexOf("=");
    const value = equals < 0 ? "" : decoded(part.slice(equals + 1));
    if (value === null) return "A parameter is not encoded as it should be.";
    found.set(name, value);
  }
  return found;
}

/** Control characters, which no name has for a good reason. */
const HIDDEN = /[\x00-\x1f\x7f]/;

const AMBIGUOUS = "Parameters of the URL could be read in two ways.";

/** The member that a parameter is, "" for none; null where some may take it for one. */
function nameIn(part: string): string | null {
  const equals = part.indexOf("=");
  const name = decoded(equals < 0 ? part : part.slice(0, equals));
  if (name === null) return null;
  // To some a name ends at a NUL.
  if (HIDDEN.test(name)) return null;
  // `query[]` and `query[0]` are lists of `query` to some, a space before it nothing to others.
  const trimmed = name.trim();
  const bracket = trimmed.indexOf("[");
  const member = memberOf(bracket < 0 ? trimmed : trimmed.slice(0, bracket));
  return member === "" || member === name ? member : null;
}

/** Percent-encoded UTF-8 as text; null for what is none. */
function decoded(text: string): string | null {
  for (let at = 0; at < text.length; at += 1) if (text.charCodeAt(at) > 0x7e) return null;
  try {
    return decodeURIComponent(text.replaceAll("+", " "));
  } catch {
    return null;
  }
}
