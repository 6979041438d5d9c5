// Vary (RFC 9110 §12.5.5): by which fields of requests answers differ.
import type { HeaderBlock } from "./header-block.ts";
import { ID } from "./header-names.ts";

/** Says that an answer depends on these fields, beside what it says already. */
export function varyBy(headers: HeaderBlock, fields: readonly string[]): void {
  const said = headers.getById(ID.vary);
  if (said === null) return headers.add("vary", fields.join(", "));
  const names = said.split(",").map((name) => name.trim().toLowerCase());
  if (names.includes("*")) return;
  const missing = fields.filter((field) => !names.includes(field.toLowerCase()));
  if (missing.length > 0) headers.set("vary", [said, ...missing].join(", "));
}
