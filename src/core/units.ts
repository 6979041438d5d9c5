// Durations, sizes and rates as users write them, and as the code counts them.
declare const unit: unique symbol;
/** A number that carries its unit in the type, so that bytes and milliseconds never mix. */
export type Unit<Name extends string> = number & { readonly [unit]: Name };
/** A span of time in milliseconds. */
export type Millis = Unit<"ms">;
/** A count of bytes. */
export type ByteCount = Unit<"bytes">;
/** Bytes or events per second. */
export type PerSecond = Unit<"per second">;

export const millis = (n: number): Millis => n as Millis;
export const byteCount = (n: number): ByteCount => n as ByteCount;
const perSecond = (n: number): PerSecond => n as PerSecond;

const DURATION_MS: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };
const SIZE_BYTES: Readonly<Record<string, number>> = { B: 1, KB: 1024, MB: 1024 ** 2, GB: 1024 ** 3, TB: 1024 ** 4 };
/** Something that happens so often: `count` times in each `perMs`. */
export interface Rate {
  readonly count: number;
  readonly perMs: Millis;
}

const RATE_SECONDS: Readonly<Record<string, number>> = { s: 1, m: 60, h: 3600, d: 86_400 };

function scaled(text: string, pattern: RegExp, units: Readonly<Record<string, number>>): number | null {
  const parts = pattern.exec(text);
  const scale = parts ? units[parts[2] ?? ""] : undefined;
  return parts && scale !== undefined ? Number(parts[1]) * scale : null;
}

/** `250ms`, `5s`, `1m`, `2h`, `30d` in milliseconds; null when it is not a duration. */
export function parseDuration(text: string): Millis | null {
  const n = scaled(text, /^(\d+(?:\.\d+)?)(ms|s|m|h|d)$/, DURATION_MS);
  return n === null ? null : millis(Math.round(n));
}

/** `512B`, `64KB`, `10MB`, `1GB` (powers of 1024) in bytes; null when it is not a size. */
export function parseSize(text: string): ByteCount | null {
  const n = scaled(text, /^(\d+(?:\.\d+)?)(B|KB|MB|GB|TB)$/, SIZE_BYTES);
  return n === null ? null : byteCount(Math.round(n));
}

/** `10MB/s`, `64KB/m` as bytes per second; null when it is not a data rate. */
export function parseDataRate(text: string): PerSecond | null {
  const slash = text.lastIndexOf("/");
  const size = parseSize(text.slice(0, slash));
  const seconds = RATE_SECONDS[text.slice(slash + 1)];
  return size === null || seconds === undefined ? null : perSecond(size / seconds);
}

/** `100/s`, `1000/m`, `10000/h`, `50000/d` as a rate; null when it is none. */
export function parseRate(text: string): Rate | null {
  const parts = /^([1-9]\d{0,8})\/(s|m|h|d)$/.exec(text);
  return parts === null ? null : { count: Number(parts[1]), perMs: millis(DURATION_MS[parts[2]!]!) };
}
