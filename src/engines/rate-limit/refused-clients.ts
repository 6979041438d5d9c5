// Who is refused by limits the most: a table in shared memory of a fixed size. Of more clients than a bucket has slots,
// one that is not in it takes away from the count of the least, and gets its place when nothing is left of that: those
// who are refused all the time stay.
import { NO_TAG, SLOTS, tagOf } from "./buckets.ts";

const BUCKETS = 64;
/** Integers of a slot: tag, count, when it was last, length of the text; then the text. */
const STRIDE = 48;
const COUNT = 1;
const LAST = 2;
const LENGTH = 3;
const TEXT = 4;
const TEXT_BYTES = (STRIDE - TEXT) * Int32Array.BYTES_PER_ELEMENT;
const SECOND_MS = 1000;

export interface RefusedClient {
  readonly client: string;
  readonly limit: string;
  readonly route: string;
  /** How often, less what others took away. */
  readonly refused: number;
  /** ISO 8601, to the second. */
  readonly last: string;
}

interface Hash {
  of(key: string): void;
  readonly low: number;
  readonly high: number;
}

export class RefusedClients {
  /** The name of the memory. */
  static readonly memory = "clients refused by limits";
  /** For 1024 clients: 192 KB. */
  static readonly bytes = BUCKETS * SLOTS * STRIDE * Int32Array.BYTES_PER_ELEMENT;
  readonly #ints: Int32Array;
  readonly #bytes: Uint8Array;

  constructor(memory: SharedArrayBuffer) {
    this.#ints = new Int32Array(memory);
    this.#bytes = new Uint8Array(memory);
  }

  note(client: string, limit: string, route: string, hash: Hash, wallMs: number): void {
    const ints = this.#ints;
    if (ints.length === 0) return; // a plan that is only looked at
    const text = `${client}\n${limit}\n${route}`;
    hash.of(text);
    const bucket = (hash.low % BUCKETS) * SLOTS * STRIDE;
    const tag = tagOf(hash.high);
    let least = bucket;
    for (let slot = bucket; slot < bucket + SLOTS * STRIDE; slot += STRIDE) {
      if (ints[slot] === tag) {
        Atomics.add(ints, slot + COUNT, 1);
        ints[slot + LAST] = Math.floor(wallMs / SECOND_MS);
        return;
      }
      if (ints[slot + COUNT]! < ints[least + COUNT]!) least = slot;
    }
    const before = Atomics.load(ints, least);
    if (before !== NO_TAG && Atomics.sub(ints, least + COUNT, 1) > 1) return;
    if (Atomics.compareExchange(ints, least, before, tag) !== before) return;
    const bytes = Buffer.from(text).subarray(0, TEXT_BYTES);
    Atomics.store(ints, least + LENGTH, 0);
    this.#bytes.set(bytes, (least + TEXT) * Int32Array.BYTES_PER_ELEMENT);
    Atomics.store(ints, least + COUNT, 1);
    ints[least + LAST] = Math.floor(wallMs / SECOND_MS);
    Atomics.store(ints, least + LENGTH, bytes.length);
  }

  /** Those that were refused the most, at most `count`. */
  top(count: number): RefusedClient[] {
    const ints = this.#ints;
    const found: RefusedClient[] = [];
    for (let slot = 0; slot < ints.length; slot += STRIDE) {
      const length = Atomics.load(ints, slot + LENGTH);
      if (length === 0) continue;
      const from = (slot + TEXT) * Int32Array.BYTES_PER_ELEMENT;
      const [client = "", limit = "", route = ""] = Buffer.from(this.#bytes.slice(from, from + length))
        .toString()
        .split("\n");
      const last = new Date((ints[slot + LAST]! >>> 0) * SECOND_MS).toISOString();
      found.push({ client, limit, route, refused: Math.max(0, ints[slot + COUNT]!), last });
    }
    return found.sort((a, b) => b.refused - a.refused).slice(0, count);
  }
}
