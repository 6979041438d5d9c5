// The 64-bit hash of a key, as two halves: numbers of JavaScript hold 53 bits. It is seeded, so that nobody outside can
// choose keys that fall together.

/** One for each thread and seed. The halves are those of the last key: read them before the next one is hashed. */
export class KeyHash {
  readonly #seed: bigint;
  readonly #whole = new BigUint64Array(1);
  readonly #halves = new Uint32Array(this.#whole.buffer);

  constructor(seed: bigint) {
    this.#seed = seed;
  }

  of(key: string | Uint8Array): void {
    this.#whole[0] = Bun.hash.xxHash3(key, this.#seed);
  }

  get low(): number {
    return this.#halves[0]!;
  }
  get high(): number {
    return this.#halves[1]!;
  }
}
