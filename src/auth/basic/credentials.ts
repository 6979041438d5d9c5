// The Basic scheme (RFC 7617): a name and a password in one field.
import type { HeaderBlock } from "../../http/header-block.ts";
import { ID } from "../../http/header-names.ts";

export interface Credentials {
  readonly user: string;
  readonly password: string;
}

const BASE64 = /^[A-Za-z0-9+/]+={0,2}$/;
const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** What follows `Basic ` in the Authorization field; null where there is no such field, or another scheme. */
export function basicToken(headers: HeaderBlock): string | null {
  const field = headers.getById(ID.authorization);
  if (field === null || field.length < 6 || field.slice(0, 6).toLowerCase() !== "basic ") return null;
  return field.slice(6).trim();
}

/** The name and the password; null for what is malformed. */
export function readCredentials(token: string): Credentials | null {
  if (!BASE64.test(token)) return null;
  let text: string;
  try {
    text = utf8.decode(Buffer.from(token, "base64"));
  } catch {
    return null;
  }
  const colon = text.indexOf(":");
  // Control characters are part of neither (RFC 7617 section 2); of a log line they would make two.
  if (colon < 1 || /[\x00-\x1f\x7f]/.test(text)) return null;
  return { user: text.slice(0, colon), password: text.slice(colon + 1) };
}

/** A challenge for it. Throws RangeError for a realm that cannot be written. */
export function basicChallenge(realm: string): string {
  if (!/^[\x20-\x7e]*$/.test(realm)) throw new RangeError("a realm is written in visible ASCII characters");
  return `Basic realm="${realm.replace(/["\\]/g, "\\$&")}", charset="UTF-8"`;
}
