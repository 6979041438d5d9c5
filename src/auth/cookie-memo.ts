// What was found in Cookie fields, remembered by their bytes: a browser sends the same ones again and again, and a
// session in them is long. A digest and a comparison cost less than taking a field apart.
import type { HeaderBlock } from "../http/header-block.ts";
import { ID } from "../http/header-names.ts";

/** Fields of a thread, of a few kilobytes each; then all are forgotten. */
const FIELDS_MAX = 2048;
/** Longer ones are seldom sent, and would fill the memory of this. */
const BYTES_MAX = 8192;

interface Remembered<T> {
  readonly bytes: Buffer;
  readonly value: T;
}

export class CookieMemo<T> {
  readonly #fields = new Map<number, Remembered<T>>();
  readonly #find: (headers: HeaderBlock) => T;

  /** `find` takes a field apart; what it gives may be kept. */
  constructor(find: (headers: HeaderBlock) => T) {
    this.#find = find;
  }

  /** What is found in the Cookie field of a request that has one. */
  of(headers: HeaderBlock): T {
    const at = onlyCookie(headers);
    if (at < 0) return this.#find(headers);
    const field = headers.bytes.subarray(headers.valueStart(at), headers.valueEnd(at));
    const hash = Bun.hash.xxHash32(field);
    const known = this.#fields.get(hash);
    if (known?.bytes.equals(field)) return known.value;
    const value = this.#find(headers);
    if (field.length <= BYTES_MAX) {
      if (this.#fields.size >= FIELDS_MAX) this.#fields.clear();
      this.#fields.set(hash, { bytes: Buffer.from(field), value });
    }
    return value;
  }
}

/** Where the one Cookie field stands, also once it has been taken away; -1 where there are several. */
function onlyCookie(headers: HeaderBlock): number {
  let found = -1;
  for (let at = 0; at < headers.count; at += 1) {
    if (headers.ids[at] !== ID.cookie) continue;
    if (found >= 0) return -1;
    found = at;
  }
  return found;
}
