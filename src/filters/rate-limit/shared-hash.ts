// The hash by which clients are counted: on all machines, and after a restart, the same where they share a seed.
import { KeyHash } from "../../engines/storage/key-hash.ts";
import { LIMIT_SEED, type Live, type Shared } from "../../pipeline/shared.ts";

const SEED_BYTES = 8;

export class SharedHash {
  low = 0;
  high = 0;
  readonly #live: Live<KeyHash>;

  constructor(shared: Shared) {
    this.#live = shared.live(LIMIT_SEED, (memory) => {
      const isShared = memory.byteLength === SEED_BYTES;
      return new KeyHash(isShared ? new DataView(memory).getBigUint64(0) : shared.seed);
    });
  }

  of(key: string | Uint8Array): void {
    const hash = this.#live.current;
    hash.of(key);
    this.low = hash.low;
    this.high = hash.high;
  }
}
