// Bytes that come in pieces and are kept. A peer decides how small its pieces are, and an object for each of them would
// take a hundred times what is in it: small ones are put together.

/** Room for small pieces: as long as what comes off a socket at once usually is. */
const BLOCK_BYTES = 16_384;
const SMALL_BYTES = 4096;

export class Gathered {
  length = 0;
  readonly #full: Buffer[] = [];
  #last: Buffer | null = null;
  #used = 0;

  /** Keeps a copy. */
  add(bytes: Buffer, from: number, to: number): void {
    const length = to - from;
    if (this.#last === null || this.#last.length - this.#used < length) this.#open(length);
    bytes.copy(this.#last!, this.#used, from, to);
    this.#used += length;
    this.length += length;
  }

  /** The first piece gets what it needs, as often there is no other. */
  #open(length: number): void {
    const isFirst = this.#last === null;
    if (this.#last !== null && this.#used > 0) this.#full.push(this.#last.subarray(0, this.#used));
    this.#last = Buffer.allocUnsafeSlow(isFirst || length > SMALL_BYTES ? length : BLOCK_BYTES);
    this.#used = 0;
  }

  /** All that there is, in their order. The bytes stay as they are. */
  get pieces(): readonly Buffer[] {
    return this.#used === 0 || this.#last === null ? this.#full : [...this.#full, this.#last.subarray(0, this.#used)];
  }
  /** The same as one. */
  get whole(): Buffer {
    const { pieces } = this;
    return pieces.length === 1 ? pieces[0]! : Buffer.concat(pieces, this.length);
  }

  clear(): void {
    this.#full.length = 0;
    this.#last = null;
    this.#used = 0;
    this.length = 0;
  }
}
