// IP addresses and networks: strict parsing, canonical text, and quick "is this address in one of those networks".

/** An address as 32-bit words: one for IPv4, four for IPv6. IPv4-mapped IPv6 (`::ffff:a.b.c.d`) is IPv4 here. */
export interface IpAddress {
  readonly family: 4 | 6;
  readonly words: readonly number[];
}

/** A network; the bits of `words` beyond `prefix` are zero. */
export interface Cidr extends IpAddress {
  /** Length of the network part in bits. */
  readonly prefix: number;
}

const DOT = 0x2e;
const COLON = 0x3a;
const NOT_IPV4 = -1;
// Filled by parse6, read before the next call: looking an address up allocates nothing.
const scratch = new Uint32Array(4);

/** Four decimal octets without leading zeros, as an unsigned number; -1 when it is anything else. */
function parse4(text: string, from: number): number {
  let value = 0;
  let octets = 0;
  let octet = -1;
  for (let at = from; at < text.length; at += 1) {
    const code = text.charCodeAt(at);
    if (code === DOT) {
      if (octet < 0 || octets === 3) return NOT_IPV4;
      value = value * 256 + octet;
      octets += 1;
      octet = -1;
    } else {
      const digit = code - 0x30;
      // A leading zero is octal to some readers and decimal to others, so it is neither here.
      if (digit < 0 || digit > 9 || octet === 0) return NOT_IPV4;
      octet = octet < 0 ? digit : octet * 10 + digit;
      if (octet > 255) return NOT_IPV4;
    }
  }
  return octets === 3 && octet >= 0 ? value * 256 + octet : NOT_IPV4;
}

/** By character code: the value of a hexadecimal digit, -1 for all else. */
const HEX_DIGITS = new Int8Array(128).fill(-1);
for (let value = 0; value < 16; value += 1) {
  const digit = value.toString(16);
  HEX_DIGITS[digit.charCodeAt(0)] = value;
  HEX_DIGITS[digit.toUpperCase().charCodeAt(0)] = value;
}

const hexDigit = (code: number): number => (code < 128 ? HEX_DIGITS[code]! : -1);

/** RFC 4291 §2.2 into `scratch`; false for all else (zone ids included). */
function parse6(text: string): boolean {
  const groups = scratchGroups;
  let count = 0;
  let gap = -1; // how many groups stand before `::`
  let at = 0;
  if (text.charCodeAt(0) === COLON) {
    if (text.charCodeAt(1) !== COLON) return false;
    gap = 0;
    at = 2;
  }
  while (at < text.length) {
    if (count === 8) return false;
    const start = at;
    let group = 0;
    while (at < text.length) {
      const digit = hexDigit(text.charCodeAt(at));
      if (digit < 0) break;
      group = group * 16 + digit;
      at += 1;
    }
    if (at < text.length && text.charCodeAt(at) === DOT) {
      const tail = parse4(text, start);
      if (tail < 0 || count > 6) return false;
      groups[count] = tail >>> 16;
      groups[count + 1] = tail & 0xffff;
      count += 2;
      break;
    }
    if (at === start || at - start > 4) return false;
    groups[count] = group;
    count += 1;
    if (at === text.length) break;
    if (text.charCodeAt(at) !== COLON) return false;
    at += 1;
    if (at === text.length) return false;
    if (text.charCodeAt(at) === COLON) {
      if (gap >= 0) return false;
      gap = count;
      at += 1;
    }
  }
  if (gap < 0 ? count !== 8 : count > 7) return false;
  spread(groups, count, gap < 0 ? count : gap);
  return true;
}

const scratchGroups = new Uint16Array(8);

/** Puts `count` groups, with the zeros of `::` after the first `gap` of them, into `scratch` as words. */
function spread(groups: Uint16Array, count: number, gap: number): void {
  const moved = 8 - count;
  if (moved > 0) {
    for (let at = 7; at >= gap + moved; at -= 1) groups[at] = groups[at - moved]!;
    for (let at = gap; at < gap + moved; at += 1) groups[at] = 0;
  }
  for (let word = 0; word < 4; word += 1) scratch[word] = groups[word * 2]! * 0x10000 + groups[word * 2 + 1]!;
}

const isMapped = (): boolean => scratch[0] === 0 && scratch[1] === 0 && scratch[2] === 0xffff;

/** An IPv4 or IPv6 address, without brackets, port or zone; null when it is anything else. */
export function parseIp(text: string): IpAddress | null {
  const v4 = parse4(text, 0);
  if (v4 >= 0) return { family: 4, words: [v4] };
  if (!parse6(text)) return null;
  return isMapped() ? { family: 4, words: [scratch[3]!] } : { family: 6, words: [...scratch] };
}

/** The one text of an address: dotted IPv4 (mapped addresses too) or RFC 5952; null when it is no address. */
export function canonicalIp(text: string): string | null {
  const ip = parseIp(text);
  return ip === null ? null : formatIp(ip);
}

/** Dotted IPv4, or IPv6 as RFC 5952 §4 writes it. */
function formatIp(ip: IpAddress): string {
  if (ip.family === 4) {
    const v = ip.words[0]!;
    return `${v >>> 24}.${(v >>> 16) & 255}.${(v >>> 8) & 255}.${v & 255}`;
  }
  const groups = ip.words.flatMap((word) => [word >>> 16, word & 0xffff]);
  const [from, length] = longestZeros(groups);
  const hex = (part: number[]): string => part.map((group) => group.toString(16)).join(":");
  return length < 2 ? hex(groups) : `${hex(groups.slice(0, from))}::${hex(groups.slice(from + length))}`;
}

/** The first of the longest runs of zero groups: where it begins and how long it is. */
function longestZeros(groups: readonly number[]): [from: number, length: number] {
  let best: [number, number] = [0, 0];
  let run = 0;
  for (let at = 0; at < groups.length; at += 1) {
    run = groups[at] === 0 ? run + 1 : 0;
    if (run > best[1]) best = [at - run + 1, run];
  }
  return best;
}

/** What per-address limits count by: an IPv4 address itself, of IPv6 the /64, which is what one client usually gets. */
export function addressKey(ip: string): string {
  if (!ip.includes(":")) return ip;
  const parsed = parseIp(ip);
  if (parsed === null) return ip;
  if (parsed.family === 4) return formatIp(parsed);
  return `${formatIp({ family: 6, words: [parsed.words[0]!, parsed.words[1]!, 0, 0] })}/64`;
}

/**
 * Puts the words of an address into `out` and says how many these are: one for IPv4 (mapped into IPv6 too), four for
 * IPv6, 0 when it is no address. Allocates nothing.
 */
export function readIp(text: string, out: Uint32Array): 0 | 1 | 4 {
  const v4 = parse4(text, 0);
  if (v4 >= 0) {
    out[0] = v4;
    return 1;
  }
  if (!parse6(text)) return 0;
  if (isMapped()) {
    out[0] = scratch[3]!;
    return 1;
  }
  for (let at = 0; at < 4; at += 1) out[at] = scratch[at]!;
  return 4;
}

/** A network (`10.0.0.0/8`) or a single address; bits beyond the prefix are dropped. Null when it is neither. */
export function parseCidr(text: string): Cidr | null {
  const slash = text.indexOf("/");
  const address = slash < 0 ? text : text.slice(0, slash);
  const ip = parseIp(address);
  if (ip === null) return null;
  // A network inside ::ffff:0:0/96 is an IPv4 network; a wider prefix on such an address has no one meaning.
  const mapped = ip.family === 4 && address.includes(":") ? 96 : 0;
  const bits = ip.family === 4 ? 32 : 128;
  if (slash < 0) return { ...ip, prefix: bits };
  const digits = text.slice(slash + 1);
  if (!/^(0|[1-9]\d{0,2})$/.test(digits)) return null;
  const prefix = Number(digits) - mapped;
  if (prefix < 0 || prefix > bits) return null;
  return { family: ip.family, prefix, words: ip.words.map((word, at) => (word & maskOf(prefix - at * 32)) >>> 0) };
}

/** The mask of a word of which the first `bits` count. */
function maskOf(bits: number): number {
  return bits <= 0 ? 0 : bits >= 32 ? 0xffffffff : (0xffffffff << (32 - bits)) >>> 0;
}

/** A set of networks. A look-up is one binary search over sorted ranges and allocates nothing. */
export class CidrSet {
  readonly #v4: Ranges;
  readonly #v6: Ranges;

  /** Throws RangeError for a text that is neither an address nor a network. */
  constructor(texts: readonly string[]) {
    const cidrs = texts.map((text) => {
      const cidr = parseCidr(text);
      if (cidr === null) throw new RangeError(`not an address or network: ${JSON.stringify(text)}`);
      return cidr;
    });
    this.#v4 = rangesOf(
      cidrs.filter((cidr) => cidr.family === 4),
      1,
    );
    this.#v6 = rangesOf(
      cidrs.filter((cidr) => cidr.family === 6),
      4,
    );
  }

  /** Whether the address lies in one of the networks; false for a text that is no address. */
  has(ip: string): boolean {
    const v4 = parse4(ip, 0);
    if (v4 >= 0) {
      scratch[0] = v4;
      return holds(this.#v4);
    }
    if (!parse6(ip)) return false;
    if (!isMapped()) return holds(this.#v6);
    scratch[0] = scratch[3]!;
    return holds(this.#v4);
  }
}

/** Disjoint ranges in ascending order, `width` words for each first and each last address. */
interface Ranges {
  readonly width: number;
  readonly count: number;
  readonly first: Uint32Array;
  readonly last: Uint32Array;
}

function rangesOf(cidrs: readonly Cidr[], width: number): Ranges {
  const sorted = [...cidrs].sort((a, b) => compareWords(a.words, 0, b.words, 0, width) || a.prefix - b.prefix);
  const first = new Uint32Array(sorted.length * width);
  const last = new Uint32Array(sorted.length * width);
  let count = 0;
  for (const cidr of sorted) {
    // Two networks are disjoint or one holds the other; the holder sorts first.
    if (count > 0 && compareWords(cidr.words, 0, last, (count - 1) * width, width) <= 0) continue;
    for (let at = 0; at < width; at += 1) {
      first[count * width + at] = cidr.words[at]!;
      last[count * width + at] = (cidr.words[at]! | ~maskOf(cidr.prefix - at * 32)) >>> 0;
    }
    count += 1;
  }
  return { width, count, first, last };
}

type Words = ArrayLike<number>;

function compareWords(a: Words, aAt: number, b: Words, bAt: number, width: number): number {
  for (let at = 0; at < width; at += 1) {
    const left = a[aAt + at]!;
    const right = b[bAt + at]!;
    if (left !== right) return left < right ? -1 : 1;
  }
  return 0;
}

/** Whether the address in `scratch` lies in one of the ranges. */
function holds(ranges: Ranges): boolean {
  const { width, first, last } = ranges;
  let low = 0;
  let high = ranges.count;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (compareWords(first, middle * width, scratch, 0, width) <= 0) low = middle + 1;
    else high = middle;
  }
  return low > 0 && compareWords(scratch, 0, last, (low - 1) * width, width) <= 0;
}
