// Follows the frames of zstd (RFC 8878 §3.1) without decoding them, to see whether the last one is whole: the runtime's
// decoder takes content that is cut off for complete.

const MAGIC = 0xfd2fb528;
/** §3.1.2: sixteen magic numbers, whose frames hold anything. */
const SKIPPABLE = 0x184d2a50;
/** Bytes of the dictionary's id and of the content's length, by their flags in the descriptor. */
const DICTIONARY_ID_BYTES = [0, 1, 2, 4];
const CONTENT_SIZE_BYTES = [0, 2, 4, 8];

// What is read next.
const MAGIC_NUMBER = 0;
const DESCRIPTOR = 1;
const BLOCK = 2;
const SKIP_SIZE = 3;
const BROKEN = 4;

export class ZstdFrames {
  #reads = MAGIC_NUMBER;
  /** Bytes to pass over before that. */
  #skip = 0;
  /** The number that is being read, its bytes so far and how many it has. */
  #number = 0;
  #have = 0;
  #need = 4;
  #checksum = 0;
  #isBegun = false;

  /** Whether the bytes so far end with a frame, and there was one. */
  get isWhole(): boolean {
    return this.#reads === MAGIC_NUMBER && this.#have === 0 && this.#skip === 0 && this.#isBegun;
  }

  push(bytes: Buffer): void {
    let at = 0;
    while (at < bytes.length && this.#reads !== BROKEN) {
      if (this.#skip > 0) {
        const step = Math.min(this.#skip, bytes.length - at);
        this.#skip -= step;
        at += step;
        continue;
      }
      this.#number += bytes[at]! * 256 ** this.#have;
      this.#have += 1;
      at += 1;
      if (this.#have === this.#need) this.#take(this.#number);
    }
  }

  #next(reads: number, need: number, skip: number): void {
    this.#reads = reads;
    this.#need = need;
    this.#skip = skip;
    this.#number = 0;
    this.#have = 0;
  }

  #take(number: number): void {
    if (this.#reads === MAGIC_NUMBER) {
      this.#isBegun = true;
      if (number === MAGIC) this.#next(DESCRIPTOR, 1, 0);
      else if (number >= SKIPPABLE && number < SKIPPABLE + 16) this.#next(SKIP_SIZE, 4, 0);
      else this.#reads = BROKEN;
    } else if (this.#reads === SKIP_SIZE) this.#next(MAGIC_NUMBER, 4, number);
    else if (this.#reads === DESCRIPTOR) this.#takeDescriptor(number);
    else this.#takeBlock(number);
  }

  /** §3.1.1.1.1 */
  #takeDescriptor(byte: number): void {
    const isSingle = (byte & 0x20) !== 0;
    const sizeFlag = byte >> 6;
    const size = sizeFlag === 0 && isSingle ? 1 : CONTENT_SIZE_BYTES[sizeFlag]!;
    this.#checksum = (byte & 0x04) === 0 ? 0 : 4;
    this.#next(BLOCK, 3, (isSingle ? 0 : 1) + DICTIONARY_ID_BYTES[byte & 0x03]! + size);
  }

  /** §3.1.1.2: whether it is the last one, its type and its size. */
  #takeBlock(header: number): void {
    const type = (header >> 1) & 0x03;
    const size = type === 1 ? 1 : header >> 3; // one byte that is repeated
    if (type === 3) this.#reads = BROKEN;
    else if ((header & 1) === 0) this.#next(BLOCK, 3, size);
    else this.#next(MAGIC_NUMBER, 4, size + this.#checksum);
  }
}
