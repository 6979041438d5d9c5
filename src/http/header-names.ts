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
  "grpc-timeout",
  "grpc-status",
  "if-match",
  "if-unmodified-since",
  "if-range",
  "expires",
  "pragma",
] as const;

export type KnownName = Exclude<(typeof NAMES)[number], "">;

/** The integer of every known name: `ID["content-length"]`. 0 stands for all others. */
export const ID = Object.freeze(Object.fromEntries(NAMES.map((name, id) => [name, id]))) as Readonly<
  Record<KnownName, number>
>;
/** One more than the largest id. */
export const ID_COUNT = NAMES.length;
const NAME_BYTES: readonly Uint8Array[] = NAMES.map((name) => new TextEncoder().encode(name));

// A name is looked up by its length and three of its letters: enough to give every known name a slot of its own, and no
// work for the letters between. Which factors do that is searched at the start, always with the same outcome.
const SLOTS = 1024;
const { lengthFactor, firstFactor, laterFactor, table: TABLE } = findFactors();

function slotOf(
  bytes: Uint8Array,
  start: number,
  end: number,
  byLength: number,
  byFirst: number,
  byLater: number,
): number {
  const length = end - start;
  const first = bytes[start]! | 0x20;
  const later = bytes[start + ((length * 3) >> 2)]! | 0x20;
  const last = bytes[end - 1]! | 0x20;
  return (length * byLength + first * byFirst + later * byLater + last) & (SLOTS - 1);
}

/** A table in which no two known names share a slot, or null. */
function fillTable(byLength: number, byFirst: number, byLater: number): Uint8Array | null {
  const table = new Uint8Array(SLOTS);
  for (let id = 1; id < NAMES.length; id += 1) {
    const name = NAME_BYTES[id]!;
    const slot = slotOf(name, 0, name.length, byLength, byFirst, byLater);
    if (table[slot] !== 0) return null;
    table[slot] = id;
  }
  return table;
}

function findFactors(): { lengthFactor: number; firstFactor: number; laterFactor: number; table: Uint8Array } {
  for (let factor = 1; factor < 10_000; factor += 1) {
    const [lengthFactor, firstFactor, laterFactor] = [
      (factor * 13) % 1021,
      (factor * 37) % 1019,
      (factor * 101) % 1013,
    ];
    const table = fillTable(lengthFactor, firstFactor, laterFactor);
    if (table !== null) return { lengthFactor, firstFactor, laterFactor, table };
  }
  throw new Error("the known field names do not fit the table: raise SLOTS");
}

/** The id of the name in `bytes[start, end)`, in any case and not empty; 0 when it is not a known one. */
export function idOfBytes(bytes: Uint8Array, start: number, end: number): number {
  const id = TABLE[slotOf(bytes, start, end, lengthFactor, firstFactor, laterFactor)]!;
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
