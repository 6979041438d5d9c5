// What was found in Cookie fields, remembered by their bytes: a browser sends the same ones again and again, and a
// session in them is long. A digest and a comparison cost less than taking a field apart.
import type { HeaderBlock } from "../http/header-block.ts";
import { ID } from "../http/header-names.ts";

/** Fields of a thread; then all are forgotten. */
const FIELDS_MAX = 2048;
/** As many bytes of them: anybody can send long ones, and what is found in them takes about twice as much again. */
const TOTAL_MAX = 2_097_152;
/** Longer ones are seldom sent, and would fill the memory of this. */
const BYTES_MAX = 8192;

interface Remembered<T> {
  readonly bytes: Buffer;
  readonly value: T;
}

export class CookieMemo<T> {
  readonly #fields = new Map<number, Remembered<T>>();
  readonly #find: (headers: HeaderBlock) => T;
  #total = 0;

  /** `find` takes a field apart; what it gives may be kept. */
  constructor(find: (headers: HeaderBlock) => T) {
    this.#find = find;
  }

  /** What is found in the Cookie fields of a request that has some: over HTTP/2 each cookie may have its own. */
  of(headers: HeaderBlock): T {
    const { ids, count } = headers;
    let hash = 0;
    let length = 0;
    for (let at = 0; at < count; at += 1) {
      if (ids[at] !== ID.cookie) continue; // also those that have been taken away
      const field = fieldAt(headers, at);
      hash = Bun.hash.xxHash32(field, hash);
      length += field.length + 1;
    }
    const known = this.#fields.get(hash);
    if (known !== undefined && known.bytes.length === length && isSame(headers, known.bytes)) return known.value;
    const value = this.#find(headers);
    if (length <= BYTES_MAX) this.#keep(hash, joined(headers, length), value);
    return value;
  }

  #keep(hash: number, bytes: Buffer, value: T): void {
    if (this.#fields.size >= FIELDS_MAX || this.#total >= TOTAL_MAX) {
      this.#fields.clear();
      this.#total = 0;
    }
    this.#total += bytes.length;
    this.#fields.set(hash, { bytes, value });
  }
}

const fieldAt = (headers: HeaderBlock, at: number): Buffer =>
  headers.bytes.subarray(headers.valueStart(at), headers.valueEnd(at));

/** Whether the fields are these, one behind another, each with a zero behind it, which no field has in it. */
function isSame(headers: HeaderBlock, bytes: Buffer): boolean {
  const { ids, count } = headers;
  let from = 0;
  for (let at = 0; at < count; at += 1) {
    if (ids[at] !== ID.cookie) continue;
    const start = headers.valueStart(at);
    const end = headers.valueEnd(at);
    const to = from + end - start;
    if (to >= bytes.length || bytes[to] !== 0) return false;
    if (headers.bytes.compare(bytes, from, to, start, end) !== 0) return false;
    from = to + 1;
  }
  return true;
}

function joined(headers: HeaderBlock, length: number): Buffer {
  const bytes = Buffer.alloc(length);
  let from = 0;
  for (let at = 0; at < headers.count; at += 1) {
    if (headers.ids[at] !== ID.cookie) continue;
    from += fieldAt(headers, at).copy(bytes, from) + 1;
  }
  return bytes;
}
