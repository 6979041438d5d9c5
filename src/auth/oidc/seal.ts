// Authenticated encryption of what browsers and stores keep for us: AES-256-GCM under keys made of the configured
// secrets. The first secret encrypts, all of them decrypt, so that secrets can be changed without ending sessions.
import { createCipheriv, createDecipheriv, hkdfSync, randomBytes } from "node:crypto";

const CIPHER = "aes-256-gcm";
const KEY_BYTES = 32;
const ID_BYTES = 4;
/** Random ones are safe for 2^32 messages of a key (NIST SP 800-38D section 8.3). */
const NONCE_BYTES = 12;
const TAG_BYTES = 16;
const OVERHEAD = ID_BYTES + NONCE_BYTES + TAG_BYTES;

/** What something sealed is for: what is sealed for one use cannot be passed off as another. */
export type Purpose = "session" | "flow" | "state" | "record" | "code" | "logout";

interface Secret {
  /** Tells which secret it was, without saying anything of it. */
  readonly id: Buffer;
  readonly keys: Map<Purpose, Buffer>;
  readonly secret: string | Uint8Array;
}

const derive = (secret: string | Uint8Array, use: string, bytes: number): Buffer =>
  Buffer.from(hkdfSync("sha256", secret, "", `sluice oidc ${use}`, bytes));

function keyOf({ keys, secret }: Secret, purpose: Purpose): Buffer {
  let key = keys.get(purpose);
  if (key === undefined) {
    key = derive(secret, purpose, KEY_BYTES);
    keys.set(purpose, key);
  }
  return key;
}

export class Keyring {
  readonly #secrets: readonly Secret[];

  /** At least one; the first encrypts. */
  constructor(secrets: readonly (string | Uint8Array)[]) {
    this.#secrets = secrets.map((secret) => ({ secret, id: derive(secret, "id", ID_BYTES), keys: new Map() }));
  }

  /** Encrypts, as base64url text. It opens again only for the same purpose and `about`. */
  seal(purpose: Purpose, about: string, plain: Buffer): string {
    const secret = this.#secrets[0]!;
    const key = keyOf(secret, purpose);
    return Buffer.concat([secret.id, sealWith(key, about, plain)]).toString("base64url");
  }

  /** What was sealed; null for anything else. */
  open(purpose: Purpose, about: string, text: string): Buffer | null {
    const sealed = Buffer.from(text, "base64url");
    // Another text with the same bytes would be another cookie for the same session.
    if (sealed.length < OVERHEAD || sealed.toString("base64url") !== text) return null;
    for (const secret of this.#secrets) {
      if (sealed.compare(secret.id, 0, ID_BYTES, 0, ID_BYTES) !== 0) continue;
      return openWith(keyOf(secret, purpose), about, sealed.subarray(ID_BYTES));
    }
    return null;
  }

  /** Whether it was sealed under a secret that is on its way out. */
  isOld(text: string): boolean {
    const id = Buffer.from(text.slice(0, 8), "base64url").subarray(0, ID_BYTES);
    return !id.equals(this.#secrets[0]!.id);
  }
}

/** Encrypts with a key of 32 bytes: nonce, content and tag. */
export function sealWith(key: Buffer, about: string, plain: Buffer): Buffer {
  const nonce = randomBytes(NONCE_BYTES);
  const cipher = createCipheriv(CIPHER, key, nonce).setAAD(Buffer.from(about));
  return Buffer.concat([nonce, cipher.update(plain), cipher.final(), cipher.getAuthTag()]);
}

/** What `sealWith` has sealed; null for anything else. */
export function openWith(key: Buffer, about: string, sealed: Buffer): Buffer | null {
  if (sealed.length < NONCE_BYTES + TAG_BYTES) return null;
  const end = sealed.length - TAG_BYTES;
  const decipher = createDecipheriv(CIPHER, key, sealed.subarray(0, NONCE_BYTES), { authTagLength: TAG_BYTES });
  decipher.setAAD(Buffer.from(about)).setAuthTag(sealed.subarray(end));
  try {
    return Buffer.concat([decipher.update(sealed.subarray(NONCE_BYTES, end)), decipher.final()]);
  } catch {
    return null;
  }
}
