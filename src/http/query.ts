// Query parameters, read without a parser object: only what somebody asks for is decoded.
import { decodePercent } from "./path.ts";

/** Every value of a query parameter, decoded (`%XX` as UTF-8, `+` as a space); a bare `name` has the value "". */
export function queryValues(query: string, name: string): string[] {
  if (query === "") return [];
  const values: string[] = [];
  for (const part of query.split("&")) {
    const equals = part.indexOf("=");
    if (decodeQuery(equals < 0 ? part : part.slice(0, equals)) !== name) continue;
    values.push(equals < 0 ? "" : decodeQuery(part.slice(equals + 1)));
  }
  return values;
}

/** A query name or value as text: `%XX` as UTF-8, `+` as a space. */
export function decodeQuery(text: string): string {
  if (!text.includes("%") && !text.includes("+")) return text;
  return Buffer.from(decodePercent(text.replaceAll("+", " ")), "latin1").toString();
}

/** The first value of a query parameter, decoded as `queryValues` does; null when there is none. Splits nothing. */
export function firstQueryValue(query: string, name: string): string | null {
  for (let at = 0; at < query.length; ) {
    const amp = query.indexOf("&", at);
    const end = amp < 0 ? query.length : amp;
    const equals = query.indexOf("=", at);
    const nameEnd = equals < 0 || equals > end ? end : equals;
    const plain = nameEnd - at === name.length && query.startsWith(name, at);
    if (plain || (end > at && decodeQuery(query.slice(at, nameEnd)) === name))
      return nameEnd === end ? "" : decodeQuery(query.slice(nameEnd + 1, end));
    at = end + 1;
  }
  return null;
}
