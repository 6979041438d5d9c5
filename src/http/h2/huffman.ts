// The Huffman code of HPACK and QPACK (RFC 7541 §5.2, Appendix B).
import { BYTE_CLASS } from "./hpack-flags.ts";

const SYMBOLS = 257;
const EOS = 256;
const LONGEST = 30;

/** Bits of the code of each byte, and of EOS. The code is canonical: the codes themselves follow from their lengths. */
// biome-ignore format: sixteen to a line, so that a line is a row of the ASCII table
const LENGTHS: readonly number[] = [
  13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28,
  28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 28,
  6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6,
  5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10,
  13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7,
  7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6,
  15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5,
  6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28,
  20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23,
  24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24,
  22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23,
  21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23,
  26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25,
  19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27,
  20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23,
  26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26,
  30,
];

const CODE_BITS: Uint8Array = Uint8Array.from(LENGTHS);
const CODES: Int32Array = new Int32Array(SYMBOLS);
/** Symbols in the order of their codes, and where those of each length begin. */
const SORTED: Uint16Array = new Uint16Array(SYMBOLS);
const FIRST_OF: Int32Array = new Int32Array(LONGEST + 1);
const FIRST_CODE: Int32Array = new Int32Array(LONGEST + 1);
/** For each length: what the next 32 bits are less than when a code of at most that length begins them. */
const LIMIT: Float64Array = new Float64Array(LONGEST + 1);
{
  let code = 0;
  let sorted = 0;
  for (let bits = 1; bits <= LONGEST; bits += 1) {
    code *= 2;
    FIRST_CODE[bits] = code;
    FIRST_OF[bits] = sorted;
    for (let symbol = 0; symbol < SYMBOLS; symbol += 1) {
      if (CODE_BITS[symbol] !== bits) continue;
      CODES[symbol] = code;
      SORTED[sorted] = symbol;
      code += 1;
      sorted += 1;
    }
    LIMIT[bits] = code * 2 ** (32 - bits);
  }
}

// Decoding looks at 12 bits at a time: most of what stands in a field has codes of 5 to 8 bits, so that one look gives
// one or two symbols. A table by bytes and states would do no more at a time, and be 16 times as large.
const PEEK = 12;
const PEEK_MASK = (1 << PEEK) - 1;
const BITS_SHIFT = 16;
const COUNT_SHIFT = 20;
const CLASS_SHIFT = 22;
/** By the next 12 bits: first symbol, second one << 8, bits of both << 16, how many symbols << 20, classes << 22. */
const PEEKED: Int32Array = new Int32Array(1 << PEEK);
for (let next = 0; next <= PEEK_MASK; next += 1) {
  let bits = 0;
  let count = 0;
  while (count < 2) {
    const symbol = shortSymbol((next << bits) & PEEK_MASK, PEEK - bits);
    if (symbol < 0) break;
    PEEKED[next]! |= (symbol << (8 * count)) | (BYTE_CLASS[symbol]! << CLASS_SHIFT);
    bits += CODE_BITS[symbol]!;
    count += 1;
  }
  PEEKED[next]! |= (bits << BITS_SHIFT) | (count << COUNT_SHIFT);
}

/** The symbol whose code begins these 12 bits, of which `available` count; -1 without one. */
function shortSymbol(next: number, available: number): number {
  for (let bits = 5; bits <= available; bits += 1) {
    const rank = (next >> (PEEK - bits)) - FIRST_CODE[bits]!;
    const symbol = SORTED[FIRST_OF[bits]! + rank];
    if (rank >= 0 && symbol !== undefined && CODE_BITS[symbol] === bits) return symbol;
  }
  return -1;
}

/** At most this many bytes come out of `length` bytes: the shortest code has 5 bits. */
export const decodedMax = (length: number): number => ((length * 8) / 5) | 0;

export class HuffmanReader {
  /** The classes (hpack-flags.ts) of the bytes that the last call of `decode` wrote, gathered with OR. */
  classes = 0;
  #at = 0;
  #held = 0;
  #have = 0;

  /**
   * Decodes `from[start, end)` into `out` from `at` on. Returns where the text ends, or -1 for bytes that no encoder
   * may write: an EOS, or padding that is longer than 7 bits or not all ones (RFC 7541 §5.2). Room needed:
   * `decodedMax()`; bytes behind the end may have been overwritten.
   */
  decode(from: Uint8Array, start: number, end: number, out: Uint8Array, at: number): number {
    let read = start;
    let to = at;
    let held = 0; // bits that are read and not decoded, in the lowest `have` bits
    let have = 0;
    let seen = 0;
    for (;;) {
      if (have < PEEK) {
        if (read + 1 < end) {
          held = (held << 16) | (from[read]! << 8) | from[read + 1]!;
          read += 2;
          have += 16;
        } else {
          if (read < end) {
            held = (held << 8) | from[read]!;
            read += 1;
            have += 8;
          }
          if (have < PEEK) break;
        }
      }
      const peeked = PEEKED[(held >>> (have - PEEK)) & PEEK_MASK]!;
      const count = (peeked >> COUNT_SHIFT) & 3;
      if (count > 0) {
        out[to] = peeked;
        out[to + 1] = peeked >> 8;
        to += count;
        have -= (peeked >> BITS_SHIFT) & 15;
        seen |= peeked;
        continue;
      }
      this.#at = read;
      this.#held = held;
      this.#have = have;
      const symbol = this.#long(from, end);
      if (symbol < 0) return -1;
      out[to] = symbol;
      to += 1;
      seen |= BYTE_CLASS[symbol]! << CLASS_SHIFT;
      read = this.#at;
      held = this.#held;
      have = this.#have;
    }
    return this.#tail(held, have, out, to, seen >> CLASS_SHIFT);
  }

  /** The last bits, fewer than 12: what they lack is filled up with ones, with which no short code ends. */
  #tail(held: number, have: number, out: Uint8Array, at: number, seen: number): number {
    let classes = seen;
    let left = have;
    let to = at;
    for (;;) {
      const peeked = PEEKED[((held << (PEEK - left)) | ((1 << (PEEK - left)) - 1)) & PEEK_MASK]!;
      const count = (peeked >> COUNT_SHIFT) & 3;
      const bits = (peeked >> BITS_SHIFT) & 15;
      if (count === 0 || bits > left) break;
      out[to] = peeked;
      if (count === 2) out[to + 1] = peeked >> 8;
      to += count;
      left -= bits;
      classes |= peeked >> CLASS_SHIFT;
    }
    const padding = (1 << left) - 1;
    if (left > 7 || (held & padding) !== padding) return -1;
    this.classes = classes;
    return to;
  }

  /** A symbol with a code of more than 12 bits; -1 when it is EOS or the bits end before. */
  #long(from: Uint8Array, end: number): number {
    let next = this.#held << (32 - this.#have);
    let available = this.#have;
    for (let at = this.#at; available < 32; at += 1) {
      if (at >= end) break;
      // The part of a byte that reaches beyond 32 bits is shifted out.
      next |= available <= 24 ? from[at]! << (24 - available) : from[at]! >> (available - 24);
      available += 8;
    }
    const bits32 = next >>> 0;
    let bits = PEEK + 1;
    while (bits < LONGEST && bits32 >= LIMIT[bits]!) bits += 1;
    const symbol = SORTED[FIRST_OF[bits]! + ((next >>> (32 - bits)) - FIRST_CODE[bits]!)]!;
    if (symbol === EOS || bits > available) return -1;
    while (this.#have < bits) {
      this.#held = (this.#held << 8) | from[this.#at]!;
      this.#at += 1;
      this.#have += 8;
    }
    this.#have -= bits;
    return symbol;
  }
}

/** How many bytes `bytes[start, end)` takes as a Huffman code. */
export function huffmanLength(bytes: Uint8Array, start: number, end: number): number {
  let bits = 0;
  for (let i = start; i < end; i += 1) bits += CODE_BITS[bytes[i]!]!;
  return (bits + 7) >> 3;
}

/** Writes the Huffman code of `bytes[start, end)` into `out` from `at` on; returns where it ends. */
export function huffmanEncode(bytes: Uint8Array, start: number, end: number, out: Uint8Array, at: number): number {
  let to = at;
  let held = 0; // the lowest `have` bits are still to be written
  let have = 0;
  for (let i = start; i < end; i += 1) {
    const byte = bytes[i]!;
    const code = CODES[byte]!;
    let bits = CODE_BITS[byte]!;
    if (bits > 16) {
      // Bits to be written and a long code do not fit 32 bits together: its upper part goes first.
      bits -= 16;
      held = (held << bits) | (code >>> 16);
      for (have += bits; have >= 8; have -= 8) {
        out[to] = held >>> (have - 8);
        to += 1;
      }
      bits = 16;
    }
    held = (held << bits) | (bits === 16 ? code & 0xffff : code);
    for (have += bits; have >= 8; have -= 8) {
      out[to] = held >>> (have - 8);
      to += 1;
    }
  }
  if (have > 0) {
    out[to] = (held << (8 - have)) | (0xff >> have); // padded with the beginning of EOS
    to += 1;
  }
  return to;
}
