// The signatures of a request as it brings them (RFC 9421 sections 4.1 and 4.2), and the text that each is about.
import type { HeaderBlock } from "../../../http/header-block.ts";
import { type BareItem, type InnerList, type Parameters, parseDictionary } from "../../../http/structured.ts";
import { innerListText } from "../../../http/structured-text.ts";
import type { Exchange } from "../../../pipeline/exchange.ts";
import { componentText, componentValue } from "./components.ts";

export interface Signature {
  readonly list: InnerList;
  readonly bytes: Buffer;
  /** "" for what is not there. */
  readonly keyId: string;
  readonly algorithm: string;
  readonly nonce: string;
  readonly tag: string;
  /** Seconds since 1970; NaN for what is not there. */
  readonly created: number;
  readonly expires: number;
}

/** A client signs once, a proxy before us perhaps another time. */
const SIGNATURES_MAX = 4;
/** More than the fields of a usual request; a text is made of each. */
const COMPONENTS_MAX = 48;

/** Null where there are none; what cannot be read as one is left out. */
export function signaturesOf(headers: HeaderBlock): readonly Signature[] | null {
  const input = headers.get("signature-input");
  const values = headers.get("signature");
  if (input === null && values === null) return null;
  const lists = parseDictionary(input ?? "");
  const bytes = parseDictionary(values ?? "");
  const found: Signature[] = [];
  for (const [label, list] of lists ?? []) {
    const value = bytes?.get(label);
    if (found.length === SIGNATURES_MAX) break;
    if (list.kind !== "list" || value?.kind !== "item" || value.value.kind !== "bytes") continue;
    const signature = signatureOf(list, value.value.value);
    if (signature !== null) found.push(signature);
  }
  return found;
}

function signatureOf(list: InnerList, bytes: Buffer): Signature | null {
  const { items, parameters } = list;
  if (items.length > COMPONENTS_MAX) return null;
  const names = new Set(items.map(componentText));
  if (names.size !== items.length) return null; // RFC 9421 section 2: each once
  const keyId = textOf(parameters, "keyid");
  const algorithm = textOf(parameters, "alg");
  const nonce = textOf(parameters, "nonce");
  const tag = textOf(parameters, "tag");
  const created = secondsOf(parameters, "created");
  const expires = secondsOf(parameters, "expires");
  if (keyId === null || algorithm === null || nonce === null || tag === null) return null;
  if (created === null || expires === null) return null;
  return { list, bytes, keyId, algorithm, nonce, tag, created, expires };
}

/** Null where it is there and something else. */
function textOf(parameters: Parameters, name: string): string | null {
  const value: BareItem | undefined = parameters.get(name);
  return value === undefined ? "" : value.kind === "string" ? value.value : null;
}
function secondsOf(parameters: Parameters, name: string): number | null {
  const value = parameters.get(name);
  return value === undefined ? Number.NaN : value.kind === "integer" ? value.value : null;
}

/** RFC 9421 section 2.5; null where the request lacks something that is signed. */
export function signatureBase(x: Exchange, list: InnerList): Buffer | null {
  let text = "";
  for (const item of list.items) {
    const value = componentValue(x, item);
    if (value === null) return null;
    text += `${componentText(item)}: ${value}\n`;
  }
  return Buffer.from(`${text}"@signature-params": ${innerListText(list)}`, "latin1");
}

/** Names of what is signed as a whole: with `@target-uri` all parts of the address are. */
export function coveredNames({ items }: InnerList): ReadonlySet<string> {
  const names = new Set<string>();
  for (const { value, parameters } of items) {
    if (value.kind !== "string" || parameters.has("key") || value.value === "@query-param") continue;
    names.add(value.value);
    for (const part of PARTS[value.value] ?? []) names.add(part);
  }
  return names;
}

const PARTS: Readonly<Record<string, readonly string[]>> = {
  "@target-uri": ["@scheme", "@authority", "@request-target", "@path", "@query"],
  "@request-target": ["@path", "@query"],
};
