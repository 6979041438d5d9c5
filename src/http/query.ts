// Query parameters and cookies, read without a parser object: only what somebody asks for is decoded.
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

/** Every value of a cookie in a Cookie field (RFC 6265 §4.2.1; several fields arrive joined by a comma), unquoted. */
export function cookieValues(field: string | null, name: string): string[] {
  if (field === null) return [];
  const values: string[] = [];
  for (const part of field.split(/; *|, (?=[^=;,]+=)/)) {
    const equals = part.indexOf("=");
    if (equals <= 0 || part.slice(0, equals).trim() !== name) continue;
    const value = part.slice(equals + 1).trim();
    values.push(value.length > 1 && value.startsWith('"') && value.endsWith('"') ? value.slice(1, -1) : value);
  }
  return values;
}
