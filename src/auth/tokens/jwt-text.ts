// A signed token as text (RFC 7515 section 7.1): three parts in base64url. Everything is read before anything is
// verified, so what is here means nothing until then.
import { type JsonObject, strictObject } from "./strict-json.ts";

export interface JwtText {
  readonly header: JsonObject;
  readonly claims: JsonObject;
}

const PARTS = /^([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)$/;

/** The parts; null for what is no signed token: encrypted ones have five parts, unsigned ones end in a dot. */
export function readJwt(token: string): JwtText | null {
  const parts = PARTS.exec(token);
  if (parts === null || bytesOf(parts[3]!) === null) return null;
  const header = partOf(parts[1]!);
  const claims = partOf(parts[2]!);
  return header === null || claims === null ? null : { header, claims };
}

function partOf(text: string): JsonObject | null {
  const bytes = bytesOf(text);
  return bytes === null ? null : strictObject(bytes);
}

/** Null where it is not written in the one way: bits that mean nothing would make a second text of the same token. */
function bytesOf(text: string): Buffer | null {
  const bytes = Buffer.from(text, "base64url");
  return bytes.toString("base64url") === text ? bytes : null;
}
