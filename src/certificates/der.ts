// DER (ITU-T X.690): just what a certificate is written with.

export type Der = Buffer;

const SEQUENCE = 0x30;
const SET = 0x31;

/** One value: tag, length, content. */
function der(tag: number, ...content: readonly Uint8Array[]): Der {
  const body = Buffer.concat(content);
  return Buffer.concat([Buffer.from([tag, ...lengthOf(body.length)]), body]);
}

/** Short form below 128, else the number of bytes and the bytes (X.690 §8.1.3). */
function lengthOf(length: number): number[] {
  if (length < 0x80) return [length];
  const bytes: number[] = [];
  for (let rest = length; rest > 0; rest = Math.floor(rest / 256)) bytes.unshift(rest % 256);
  return [0x80 | bytes.length, ...bytes];
}

export const sequence = (...content: readonly Uint8Array[]): Der => der(SEQUENCE, ...content);
export const setOf = (...content: readonly Uint8Array[]): Der => der(SET, ...content);
export const TRUE: Der = der(0x01, Buffer.from([0xff]));
export const octets = (content: Uint8Array): Der => der(0x04, content);
export const utf8 = (text: string): Der => der(0x0c, Buffer.from(text));
/** Context-specific: `[n]` around other values. */
export const explicit = (n: number, ...content: readonly Uint8Array[]): Der => der(0xa0 | n, ...content);
/** Context-specific: `[n]` in place of a simple value's own tag. */
export const implicit = (n: number, content: Uint8Array): Der => der(0x80 | n, content);

/** An unsigned integer from its bytes. */
export function integer(bytes: Uint8Array): Der {
  let from = 0;
  while (from < bytes.length - 1 && bytes[from] === 0) from += 1;
  const digits = bytes.subarray(from);
  return der(0x02, ...(digits[0]! >= 0x80 ? [Buffer.from([0])] : []), digits);
}

/** Whole bytes, or flags of which the last `unused` bits are none. */
export const bits = (content: Uint8Array, unused = 0): Der => der(0x03, Buffer.from([unused]), content);

/** An object identifier in dotted form. */
export function oid(dotted: string): Der {
  const [first = 0, second = 0, ...rest] = dotted.split(".").map(Number);
  const bytes: number[] = [];
  for (const arc of [first * 40 + second, ...rest]) {
    const groups = [arc % 128];
    for (let left = Math.floor(arc / 128); left > 0; left = Math.floor(left / 128)) groups.unshift((left % 128) | 0x80);
    bytes.push(...groups);
  }
  return der(0x06, Buffer.from(bytes));
}

/** Milliseconds since 1970, in whole seconds: two digits of the year up to 2049 (RFC 5280 §4.1.2.5). */
export function time(ms: number): Der {
  const text = new Date(ms).toISOString().replace(/\.\d+|[-:T]/g, "");
  return ms < Date.UTC(2050, 0, 1) ? der(0x17, Buffer.from(text.slice(2))) : der(0x18, Buffer.from(text));
}
