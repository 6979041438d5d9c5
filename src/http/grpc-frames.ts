// Frames of gRPC messages: a byte of flags, four of length, the message.

export const FRAME_HEAD_BYTES = 5;

/** Follows frames as they pass, cut anywhere. */
export class FrameTracker {
  #head = 0; // bytes of the frame's head that have passed
  #left = 0; // bytes of its message that have not; valid once the head has passed

  #longest = 0;

  /** The length of the longest message so far, in bytes; known once the head of its frame has passed. */
  get longest(): number {
    return this.#longest;
  }
  /** All frames so far have passed as a whole. */
  get between(): boolean {
    return this.#head === 0;
  }

  pass(bytes: Uint8Array, from: number, to: number): void {
    let at = from;
    while (at < to) {
      if (this.#head < FRAME_HEAD_BYTES) {
        this.#left = this.#head === 0 ? 0 : this.#left * 256 + bytes[at]!;
        this.#head += 1;
        at += 1;
        if (this.#head === FRAME_HEAD_BYTES && this.#left > this.#longest) this.#longest = this.#left;
      } else {
        const step = Math.min(this.#left, to - at);
        this.#left -= step;
        at += step;
      }
      if (this.#head === FRAME_HEAD_BYTES && this.#left === 0) this.#head = 0;
    }
  }
}
