// Bytes that the system would not take yet, in order. Pieces that may change under us are copied when they are queued.
import { isLent, spent } from "../core/spent.ts";

export class OutputQueue {
  /** Bytes waiting. */
  length = 0;
  #pieces: Buffer[] = [];
  /** Per piece: what is spent once it is sent; null where others may look at it. */
  #given: (Buffer | null)[] = [];
  #first = 0; // index of the first piece, so that taking one costs no move of the others

  /** `given`: nobody else looks at the bytes, or at the rest of their buffer. */
  push(bytes: Buffer, start: number, end: number, copy: boolean, given = false): void {
    const piece = copy ? Buffer.from(bytes.subarray(start, end)) : bytes.subarray(start, end);
    this.#pieces.push(piece as Buffer);
    this.#given.push(given && !isLent(bytes) ? bytes : null);
    this.length += end - start;
  }

  /** Offers pieces to `take`, which says how many bytes it took, until it takes less than offered. */
  drainTo(take: (piece: Buffer) => number): void {
    while (this.#first < this.#pieces.length) {
      const piece = this.#pieces[this.#first]!;
      const taken = take(piece);
      this.length -= taken;
      if (taken < piece.length) {
        this.#pieces[this.#first] = piece.subarray(taken) as Buffer;
        return;
      }
      const given = this.#given[this.#first]!;
      if (given !== null) spent(given);
      this.#first += 1;
    }
    this.clear();
  }

  clear(): void {
    this.#pieces = [];
    this.#given = [];
    this.#first = 0;
    this.length = 0;
  }
}
