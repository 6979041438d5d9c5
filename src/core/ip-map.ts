// Which of very many networks is the most specific one that holds an address. The networks are laid out once as ranges
// that do not overlap, in memory that threads can share; a look-up is one binary search and allocates nothing.
import { type Cidr, readIp } from "./ip.ts";

/** Counts of the ranges of IPv6 and of IPv4. */
const HEADER_WORDS = 2;
const WORD_BYTES = 4;
const KEY_BYTES = 8;

/** The first 52 bits of an address. */
const keyOf = (first: number, second: number): number => first * 2 ** 20 + (second >>> 12);

const words = new Uint32Array(4);

export class IpMap {
  readonly #v4: Uint32Array;
  readonly #v4Prefixes: Uint8Array;
  readonly #v6: Uint32Array;
  /** The first 52 bits of each, which nearly always say enough: numbers of JavaScript hold them. */
  readonly #v6Keys: Float64Array;
  readonly #v6Prefixes: Uint8Array;
  /** Where the ranges begin that start with each 16 bits; null where there are too few to need it. */
  readonly #v4Index: Uint32Array | null;
  readonly #v6Index: Uint32Array | null;

  /** `memory` is what `layOut` made; empty for no networks. */
  constructor(memory: SharedArrayBuffer) {
    const [v6 = 0, v4 = 0] = memory.byteLength === 0 ? [] : new Uint32Array(memory, 0, HEADER_WORDS);
    let at = memory.byteLength === 0 ? 0 : HEADER_WORDS * WORD_BYTES;
    this.#v6Keys = new Float64Array(memory, at, v6);
    at += v6 * KEY_BYTES;
    this.#v6 = new Uint32Array(memory, at, v6 * 4);
    at += v6 * 4 * WORD_BYTES;
    this.#v4 = new Uint32Array(memory, at, v4);
    at += v4 * WORD_BYTES;
    this.#v6Prefixes = new Uint8Array(memory, at, v6);
    this.#v4Prefixes = new Uint8Array(memory, at + v6, v4);
    this.#v4Index = indexOf(this.#v4, 1);
    this.#v6Index = indexOf(this.#v6, 4);
  }

  static of(networks: readonly Cidr[]): IpMap {
    return new IpMap(layOut(networks));
  }

  /**
   * One more than the prefix length of the most specific network that holds the address; 0 when none does, or when the
   * text is no address.
   */
  find(ip: string): number {
    if (this.#v4Prefixes.length + this.#v6Prefixes.length === 0) return 0;
    const count = readIp(ip, words);
    return count === 0 ? 0 : count === 1 ? this.#find4(words[0]!) : this.#find6();
  }

  #find4(address: number): number {
    const starts = this.#v4;
    const index = this.#v4Index;
    let low = index === null ? 0 : index[address >>> 16]!;
    let high = index === null ? starts.length : index[(address >>> 16) + 1]!;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (starts[middle]! <= address) low = middle + 1;
      else high = middle;
    }
    return low === 0 ? 0 : this.#v4Prefixes[low - 1]!;
  }

  #find6(): number {
    const keys = this.#v6Keys;
    const key = keyOf(words[0]!, words[1]!);
    const index = this.#v6Index;
    let low = index === null ? 0 : index[words[0]! >>> 16]!;
    let high = index === null ? keys.length : index[(words[0]! >>> 16) + 1]!;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (keys[middle]! <= key) low = middle + 1;
      else high = middle;
    }
    if (low > 0 && keys[low - 1] === key) low = this.#exactly6(low);
    return low === 0 ? 0 : this.#v6Prefixes[low - 1]!;
  }

  /** How many of the first `high` ranges begin at or before the address, by all of its bits. */
  #exactly6(high: number): number {
    const starts = this.#v6;
    let low = 0;
    let end = high;
    while (low < end) {
      const middle = (low + end) >>> 1;
      if (isAtMost(starts, middle * 4)) low = middle + 1;
      else end = middle;
    }
    return low;
  }
}

/** With fewer ranges than this, all of them lie in the processor's cache, and an index would only take room there. */
const INDEXED_MIN = 4096;

/** By the first 16 bits: how many ranges begin before them. `stride` words make an address. */
function indexOf(starts: Uint32Array, stride: number): Uint32Array | null {
  const count = starts.length / stride;
  if (count < INDEXED_MIN) return null;
  const index = new Uint32Array(65_537);
  let at = 0;
  for (let first = 0; first <= 65_535; first += 1) {
    index[first] = at;
    while (at < count && starts[at * stride]! >>> 16 === first) at += 1;
  }
  index[65_536] = count;
  return index;
}

/** Whether the address that starts a range is not above the one in `words`. */
function isAtMost(starts: Uint32Array, at: number): boolean {
  for (let word = 0; word < 4; word += 1) {
    const start = starts[at + word]!;
    const wanted = words[word]!;
    if (start !== wanted) return start < wanted;
  }
  return true;
}

/** Where a range begins, and one more than the prefix of the network that it belongs to; 0 for none. */
interface Range {
  readonly start: bigint;
  readonly prefix: number;
}

/** The networks as memory for IpMap: 5 bytes for each range of IPv4 and 25 for each of IPv6. */
export function layOut(networks: readonly Cidr[]): SharedArrayBuffer {
  const v4 = rangesOf(networks, 4, 32);
  const v6 = rangesOf(networks, 6, 128);
  const keysAt = HEADER_WORDS * WORD_BYTES;
  const wordsAt = keysAt + v6.length * KEY_BYTES;
  const wordCount = v6.length * 4 + v4.length;
  const prefixesAt = wordsAt + wordCount * WORD_BYTES;
  const memory = new SharedArrayBuffer(prefixesAt + v6.length + v4.length);
  new Uint32Array(memory, 0, HEADER_WORDS).set([v6.length, v4.length]);
  const keys = new Float64Array(memory, keysAt, v6.length);
  const all = new Uint32Array(memory, wordsAt, wordCount);
  v6.forEach(({ start }, at) => {
    for (let word = 0; word < 4; word += 1)
      all[at * 4 + word] = Number((start >> BigInt(96 - 32 * word)) & 0xffff_ffffn);
    keys[at] = keyOf(all[at * 4]!, all[at * 4 + 1]!);
  });
  v4.forEach(({ start }, at) => {
    all[v6.length * 4 + at] = Number(start);
  });
  new Uint8Array(memory, prefixesAt).set([...v6, ...v4].map(({ prefix }) => prefix));
  return memory;
}

/** Networks lie in one another or apart: those that are open stand on a stack, the most specific one on top. */
function rangesOf(networks: readonly Cidr[], family: 4 | 6, bits: number): Range[] {
  const sorted = networks
    .filter((network) => network.family === family)
    .map(({ words: parts, prefix }) => {
      const start = parts.reduce((sum, word) => (sum << 32n) | BigInt(word), 0n);
      return { start, end: start + (1n << BigInt(bits - prefix)), prefix: prefix + 1 };
    })
    .sort((a, b) => (a.start < b.start ? -1 : a.start > b.start ? 1 : a.prefix - b.prefix));
  const ranges: Range[] = [];
  const add = (start: bigint, prefix: number): void => {
    const last = ranges.at(-1);
    if (last?.start === start) ranges.pop();
    if (ranges.at(-1)?.prefix !== prefix) ranges.push({ start, prefix });
  };
  const open: { end: bigint; prefix: number }[] = [];
  const close = (before: bigint | null): void => {
    for (let top = open.at(-1); top !== undefined && (before === null || top.end <= before); top = open.at(-1)) {
      open.pop();
      add(top.end, open.at(-1)?.prefix ?? 0);
    }
  };
  for (const { start, end, prefix } of sorted) {
    close(start);
    add(start, prefix);
    open.push({ end, prefix });
  }
  close(null);
  // What would begin behind the last address of all.
  return ranges.filter(({ start }) => start < 1n << BigInt(bits));
}
