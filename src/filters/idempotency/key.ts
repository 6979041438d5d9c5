// The key that a request carries (draft-ietf-httpapi-idempotency-key-header, section 2.1): a structured string, or, as
// many clients have it, the same without quotes.
import { parseItem } from "../../http/structured.ts";

export type KeyFormat = "any" | "string" | "uuid";

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;
/** Visible ASCII but quotes, commas, semicolons and backslashes, which would be part of a structure. */
const BARE = /^[!#-+\--:<-[\]-~]+$/;
const QUOTE = 0x22;

/** The key of a field's value; null for a value that is none. */
export function parseKey(value: string, format: KeyFormat, lengthMax: number): string | null {
  if (value.length > 2 * lengthMax + 2) return null;
  const key = value.charCodeAt(0) === QUOTE ? quoted(value) : format !== "string" && BARE.test(value) ? value : null;
  if (key === null || key === "" || key.length > lengthMax) return null;
  if (format !== "uuid") return key;
  return UUID.test(key) ? key.toLowerCase() : null;
}

/** A string without parameters: nobody has said what they would mean. */
function quoted(value: string): string | null {
  const item = parseItem(value);
  return item?.value.kind === "string" && item.parameters.size === 0 ? item.value.value : null;
}
