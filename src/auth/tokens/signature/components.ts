// The parts of a request that a signature can be about (RFC 9421 section 2), each as the text that is signed.
import type { HeaderBlock } from "../../../http/header-block.ts";
import { decodeQuery } from "../../../http/query.ts";
import { type Item, parseDictionary, parseItem, parseList } from "../../../http/structured.ts";
import { dictionaryText, itemText, listText, memberText } from "../../../http/structured-text.ts";
import type { Exchange } from "../../../pipeline/exchange.ts";

/** What it is called in a signature: `"@method"`, `"x-field";bs`. */
export const componentText = (item: Item): string => itemText(item);

const PLAIN_PARTS: Readonly<Record<string, (x: Exchange) => string | null>> = {
  "@method": (x) => x.request.method,
  "@authority": authorityOf,
  "@scheme": (x) => x.scheme,
  "@target-uri": (x) => (hasPath(x) ? `${x.scheme}://${authorityOf(x)}${x.request.target}` : null),
  // Of an absolute target nobody knows any more how it was written.
  "@request-target": (x) => (x.request.form === "absolute" ? null : x.request.target),
  "@path": (x) => (hasPath(x) ? x.request.rawPath || "/" : null),
  "@query": (x) => (hasPath(x) ? `?${x.request.query}` : null),
};

/** Their names, for configurations. */
export const DERIVED: readonly string[] = Object.keys(PLAIN_PARTS);

const hasPath = ({ request }: Exchange): boolean => request.form === "origin" || request.form === "absolute";

/** In lower case, without the port that the scheme has by itself (RFC 9421 section 2.2.3). */
function authorityOf({ request, scheme }: Exchange): string {
  const { authority } = request;
  const usual = scheme === "https" ? ":443" : ":80";
  return authority.endsWith(usual) ? authority.slice(0, -usual.length) : authority;
}

/** The component's value; null where the request has none, and for components that are not known. */
export function componentValue(x: Exchange, item: Item): string | null {
  if (item.value.kind !== "string") return null;
  const name = item.value.value;
  const { parameters } = item;
  if (name === "@query-param") return parameters.size === 1 ? queryParameter(x, item) : null;
  if (name.startsWith("@")) return parameters.size === 0 ? (PLAIN_PARTS[name]?.(x) ?? null) : null;
  return fieldValue(x.request.headers, name, item);
}

/** RFC 9421 section 2.1. */
function fieldValue(headers: HeaderBlock, name: string, { parameters }: Item): string | null {
  if (name !== name.toLowerCase()) return null;
  const values = receivedValues(headers, name);
  if (values.length === 0) return null;
  if (parameters.size === 0) return values.join(", ");
  if (parameters.size > 1) return null;
  if (isFlag(parameters.get("sf"))) return strictText(name, values.join(", "));
  if (isFlag(parameters.get("bs"))) return bytesText(values);
  const key = parameters.get("key");
  return key?.kind === "string" ? memberOf(values.join(", "), key.value) : null; // `tr` and `req` are not for requests
}

const isFlag = (value: { readonly kind: string; readonly value: unknown } | undefined): boolean =>
  value?.kind === "boolean" && value.value === true;

/** As they came: what the proxy has changed since is nothing that was signed. */
function receivedValues(headers: HeaderBlock, name: string): string[] {
  const values: string[] = [];
  for (let at = 0; at < headers.count; at += 1)
    if (headers.nameAt(at).toLowerCase() === name) values.push(headers.valueAt(at));
  return values;
}

/** Dictionaries that could be read as lists; of all others it shows what they are. */
const DICTIONARIES: ReadonlySet<string> = new Set(["priority", "signature", "signature-input", "accept-signature"]);

/** The structured field in the one way that it is written. */
function strictText(name: string, field: string): string | null {
  const item = DICTIONARIES.has(name) ? null : parseItem(field);
  if (item !== null) return itemText(item);
  const list = DICTIONARIES.has(name) ? null : parseList(field);
  if (list !== null) return listText(list);
  const dictionary = parseDictionary(field);
  return dictionary === null ? null : dictionaryText(dictionary);
}

const bytesText = (values: readonly string[]): string =>
  values.map((value) => `:${Buffer.from(value, "latin1").toString("base64")}:`).join(", ");

function memberOf(field: string, key: string): string | null {
  const member = parseDictionary(field)?.get(key);
  return member === undefined ? null : memberText(member);
}

/** RFC 9421 section 2.2.8: a parameter that comes several times cannot be signed by its name. */
function queryParameter({ request }: Exchange, { parameters }: Item): string | null {
  const wanted = parameters.get("name");
  if (wanted?.kind !== "string") return null;
  let found: string | null = null;
  for (const part of request.query.split("&")) {
    const equals = part.indexOf("=");
    if (formText(equals < 0 ? part : part.slice(0, equals)) !== wanted.value) continue;
    if (found !== null) return null;
    found = equals < 0 ? "" : formText(part.slice(equals + 1));
  }
  return found;
}

/** A name or value decoded as a form's, and percent-encoded again in the one way that is signed. */
const formText = (text: string): string =>
  encodeURIComponent(decodeQuery(text)).replace(
    /[!'()~]/g,
    (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`,
  );
