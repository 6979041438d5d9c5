// Hashes for choosing servers: 32 bits, spread well, the same in every thread and after every start. They are not
// secret: whoever knows the servers can aim at one of them, which `maxLoad` is there for.
import { parseIp } from "../../core/ip.ts";

const C1 = 0xcc9e2d51;
const C2 = 0x1b873593;
/** Keeps IPv6 networks apart from IPv4 addresses of the same words. */
const V6_SEED = 0x9e3779b9;

/** Spreads every bit of a 32-bit number over all others (the finaliser of MurmurHash3): one to one, unsigned. */
export function mix(value: number): number {
  let h = value;
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
}

/** MurmurHash3 (32 bits) of the UTF-16 code units of a text. Unsigned; allocates nothing. */
export function hashText(text: string, seed = 0): number {
  const { length } = text;
  let h = seed;
  for (let at = 0; at < length; at += 2) {
    // Past the end there is NaN, which is 0 here; the length tells it from a real 0.
    let k = text.charCodeAt(at) | (text.charCodeAt(at + 1) << 16);
    k = Math.imul(k, C1);
    k = Math.imul((k << 15) | (k >>> 17), C2);
    h ^= k;
    h = (Math.imul((h << 13) | (h >>> 19), 5) + 0xe6546b64) | 0;
  }
  return mix(h ^ length);
}

/**
 * Hash of a client's address: an IPv4 address (also when mapped into IPv6) as a whole, of IPv6 the /64, which is what
 * one client usually gets and moves about in. A text that is no address counts as itself. Unsigned.
 */
export function hashAddress(ip: string): number {
  const address = parseIp(ip);
  if (address === null) return hashText(ip);
  const { family, words } = address;
  return family === 4 ? mix(words[0]!) : mix(mix(words[0]! ^ V6_SEED) ^ words[1]!);
}
