// Bytes that wait: content to be sent, or content that a paused handler has not taken. Large pieces are kept where they
// lie; small ones are copied together, so that a peer that sends single bytes makes us hold bytes, not objects and
// chunks.

/** Pieces below this are copied. */
const SMALL_BYTES = 1024;
const BLOCK_BYTES = 4096;
/** A piece is kept where it lies only if it is at least this share of the chunk that it would keep alive. */
const SHARE_MIN = 8;

const NO_BYTES: Buffer = Buffer.alloc(0);

interface Piece {
  bytes: Buffer;
  from: number;
  to: number;
}

export class ByteQueue {
  /** Bytes in all. */
  length = 0;
  readonly #pieces: Piece[] = [];
  /** The first piece that has not been taken: those before it are let go of in one step. */
  #first = 0;
  /** The last piece is a block of our own with room behind it. */
  #ownTail = false;

  /** Returns whether the bytes are kept where they lie. */
  push(bytes: Buffer, from: number, to: number): boolean {
    const size = to - from;
    this.length += size;
    if (size >= SMALL_BYTES && size * SHARE_MIN >= bytes.length) {
      this.#pieces.push({ bytes, from, to });
      this.#ownTail = false;
      return true;
    }
    const last = this.#pieces[this.#pieces.length - 1];
    if (this.#ownTail && last !== undefined && last.bytes.length - last.to >= size) {
      bytes.copy(last.bytes, last.to, from, to);
      last.to += size;
      return false;
    }
    const block = Buffer.allocUnsafeSlow(Math.max(BLOCK_BYTES, size));
    bytes.copy(block, 0, from, to);
    this.#pieces.push({ bytes: block, from: 0, to: size });
    this.#ownTail = true;
    return false;
  }

  /** The first piece; empty when nothing waits. What has been taken out of it stays as it is. */
  get bytes(): Buffer {
    return this.#pieces[this.#first]?.bytes ?? NO_BYTES;
  }
  get from(): number {
    return this.#pieces[this.#first]?.from ?? 0;
  }
  get to(): number {
    return this.#pieces[this.#first]?.to ?? 0;
  }

  /** Takes bytes from the first piece, at most as many as it has. */
  take(size: number): void {
    const piece = this.#pieces[this.#first]!;
    piece.from += size;
    this.length -= size;
    if (piece.from < piece.to) return;
    piece.bytes = NO_BYTES;
    this.#first += 1;
    if (this.#first === this.#pieces.length) {
      this.#pieces.length = 0;
      this.#first = 0;
      this.#ownTail = false;
    } else if (this.#first >= 64 && this.#first * 2 >= this.#pieces.length) {
      this.#pieces.splice(0, this.#first);
      this.#first = 0;
    }
  }
}
