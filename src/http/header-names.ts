// Field names that the proxy itself acts on get a small integer, so that the hot path compares numbers, not text.

/** Every known name by its id. */
export const NAMES = [
  "", // 0: a name that nothing here knows
  // Framing and hop-by-hop fields (RFC 9110 §7.6.1, RFC 9112 §6).
  "connection",
  "keep-alive",
  "proxy-connection",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
  "proxy-authenticate",
  "proxy-authorization",
  "proxy-authentication-info",
  "content-length",
  "host",
  "expect",
  "http2-settings",
  // Fields that the proxy sets or adds to.
  "via",
  "forwarded",
  "x-forwarded-for",
  "x-forwarded-proto",
  "x-forwarded-host",
  "x-forwarded-port",
  "x-forwarded-prefix",
  "x-forwarded-server",
  "x-forwarded-ssl",
  "x-forwarded-scheme",
  "x-forwarded-protocol",
  "x-real-ip",
  "x-request-id",
  "date",
  "server",
  // Fields that routes, filters and logs ask for.
  "authorization",
  "cookie",
  "set-cookie",
  "user-agent",
  "referer",
  "accept",
  "accept-encoding",
  "accept-language",
  "content-type",
  "content-encoding",
  "location",
  "origin",
  "cache-control",
  "etag",
  "last-modified",
  "if-none-match",
  "if-modified-since",
  "range",
  "vary",
  "age",
  "retry-after",
  "proxy-status",
  "max-forwards",
] as const;

export type KnownName = Exclude<(typeof NAMES)[number], "">;

/** The integer of every known name: `ID["content-length"]`. 0 stands for all others. */
export const ID = Object.freeze(Object.fromEntries(NAMES.map((name, id) => [name, id]))) as Readonly<
  Record<KnownName, number>
>;
/** One more than the largest id. */
export const ID_COUNT = NAMES.length;
const NAME_BYTES: readonly Uint8Array[] = NAMES.map((name) => new TextEncoder().encode(name));

/** The step of the hash that the head reader computes while it checks a name: `step(hash, lowerCaseByte)`. */
export const HASH_SEED = 0;
const SLOTS = 1024;
const MULTIPLIER = findMultiplier();
const TABLE = fillTable(MULTIPLIER)!;

function hashOf(bytes: Uint8Array, multiplier: number): number {
  let hash = HASH_SEED;
  for (const byte of bytes) hash = (Math.imul(hash, multiplier) + byte) | 0;
  return hash;
}

/** A table without collisions for this multiplier, or null. */
function fillTable(multiplier: number): Uint8Array | null {
  const table = new Uint8Array(SLOTS);
  for (let id = 1; id < NAMES.length; id += 1) {
    const slot = hashOf(NAME_BYTES[id]!, multiplier) & (SLOTS - 1);
    if (table[slot] !== 0) return null;
    table[slot] = id;
  }
  return table;
}

/** Multipliers are tried until no two known names share a slot; the search is the same at every start. */
function findMultiplier(): number {
  for (let multiplier = 31; multiplier < 100_000; multiplier += 2)
    if (fillTable(multiplier) !== null) return multiplier;
  throw new Error("no perfect hash for the known field names: raise SLOTS");
}

export const HASH_MULTIPLIER: number = MULTIPLIER;

/**
 * The id of the name in `bytes[start, end)`, any case, whose hash the caller has computed over lower-case bytes;
 * 0 when it is not a known one.
 */
export function idByHash(hash: number, bytes: Uint8Array, start: number, end: number): number {
  const id = TABLE[hash & (SLOTS - 1)]!;
  if (id === 0) return 0;
  const name = NAME_BYTES[id]!;
  if (name.length !== end - start) return 0;
  for (let i = 0; i < name.length; i += 1) {
    const byte = bytes[start + i]!;
    if (byte !== name[i]! && (byte | 0x20) !== name[i]!) return 0;
  }
  return id;
}

const BY_NAME: ReadonlyMap<string, number> = new Map(NAMES.map((name, id) => [name, id]));
/** The id of a lower-case name; 0 when it is not a known one. */
export const idOf = (lowerName: string): number => BY_NAME.get(lowerName) ?? 0;
