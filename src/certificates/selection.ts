// Which certificate, or which policy, a server name gets. Workers ask at every handshake: this file loads nothing.

const NAME_LENGTH_MAX = 253; // RFC 1035 §2.3.4, as text without the last dot
const LABEL_LENGTH_MAX = 63;
const DOT = 0x2e;
const HYPHEN = 0x2d;
const UNDERSCORE = 0x5f;

/**
 * A host name as tables hold it: lower case, without the dot at the end. Null for what is no name that a certificate
 * could be for: IP addresses (RFC 6066 §3 keeps them out of SNI), empty labels, other characters (RFC 1123 §2.1, with
 * underscores). A name that is in this form already is returned as it is.
 */
export function normalName(name: string): string | null {
  let length = name.length;
  if (length > 1 && name.charCodeAt(length - 1) === DOT) length -= 1;
  if (length === 0 || length > NAME_LENGTH_MAX) return null;
  let labelAt = 0;
  let digitsOnly = true;
  let isLower = length === name.length;
  for (let at = 0; at < length; at += 1) {
    const code = name.charCodeAt(at);
    if (code === DOT) {
      if (at === labelAt) return null;
      labelAt = at + 1;
      digitsOnly = true;
    } else if (code < 0x30 || code > 0x39) {
      if (code >= 0x41 && code <= 0x5a) isLower = false;
      else if (!((code >= 0x61 && code <= 0x7a) || code === HYPHEN || code === UNDERSCORE)) return null;
      digitsOnly = false;
    }
    if (at - labelAt >= LABEL_LENGTH_MAX) return null;
  }
  // No top-level domain is a number (RFC 1123 §2.1): this was meant as an IPv4 address.
  if (labelAt === length || digitsOnly) return null;
  return isLower ? name : name.slice(0, length).toLowerCase();
}

/** `normalName` for `*.name` as well; a `*` anywhere else is refused (RFC 9525 §6.3), and null. */
export function normalPattern(pattern: string): string | null {
  if (!pattern.startsWith("*.")) return normalName(pattern);
  const parent = normalName(pattern.slice(2));
  return parent === null ? null : `*.${parent}`;
}

/** Values by server name: exact names before `*.parent`, which stands for one label, and a default for all the rest. */
export class NameTable<T> {
  readonly #exact = new Map<string, T>();
  readonly #wildcards = new Map<string, T>();
  /** For clients that name no server, or one that is not here; null when there is none. */
  readonly fallback: T | null;

  /** Patterns are names, `*.name`, or `*` for the default; others, such as IP addresses, cannot be asked for and are left out. */
  constructor(entries: Iterable<readonly [pattern: string, value: T]>, fallback: T | null = null) {
    let rest = fallback;
    for (const [pattern, value] of entries) {
      const normal = pattern === "*" ? "*" : normalPattern(pattern);
      if (normal === "*") rest = value;
      else if (normal?.startsWith("*.")) this.#wildcards.set(normal.slice(2), value);
      else if (normal !== null) this.#exact.set(normal, value);
    }
    this.fallback = rest;
  }

  /** Names and wildcards in the table. */
  get size(): number {
    return this.#exact.size + this.#wildcards.size;
  }

  /** Every value as often as it is there. */
  *values(): Iterable<T> {
    yield* this.#exact.values();
    yield* this.#wildcards.values();
    if (this.fallback !== null) yield this.fallback;
  }

  /** What is there for this very name; undefined for others, and for what is no name. */
  find(name: string): T | undefined {
    // Clients send lower case, so what they ask for is usually found without looking at a character of it.
    const value = this.#exact.get(name);
    if (value !== undefined) return value;
    const normal = normalName(name);
    if (normal === null) return undefined;
    if (normal !== name) {
      const again = this.#exact.get(normal);
      if (again !== undefined) return again;
    }
    if (this.#wildcards.size === 0) return undefined;
    const dot = normal.indexOf(".");
    return dot < 0 ? undefined : this.#wildcards.get(normal.slice(dot + 1));
  }

  /** `find`, or else the default; for a client that sent no name, pass undefined or "". */
  choose(name: string | undefined): T | null {
    return (name === undefined || name === "" ? undefined : this.find(name)) ?? this.fallback;
  }
}
