// Where one WebSocket frame ends and the next begins (RFC 6455 section 5.2), in bytes that only pass through: so that a
// frame of our own can be put between two.

const CLOSE = 0x88;
const MASKED = 0x80;
const LENGTH = 0x7f;
const LENGTH_16 = 126;
const LENGTH_64 = 127;
const MASK_BYTES = 4;
const HEAD_BYTES_MAX = 14;

export class WebSocketFrames {
  /** The head of a frame as far as it has come. */
  readonly #head = new Uint8Array(HEAD_BYTES_MAX);
  #headLength = 0;
  /** Bytes of the frame that are still to come; 0 within a head. */
  #rest = 0;

  /** What has passed so far ends with a whole frame. */
  get isBetween(): boolean {
    return this.#headLength === 0 && this.#rest === 0;
  }

  /** Looks at `bytes` as they pass. With `stop`, no further than the end of a frame. Returns how far it looked. */
  pass(bytes: Uint8Array, stop: boolean): number {
    let at = 0;
    while (at < bytes.length) {
      if (this.#rest > 0) {
        const taken = Math.min(this.#rest, bytes.length - at);
        this.#rest -= taken;
        at += taken;
      } else {
        this.#head[this.#headLength] = bytes[at]!;
        this.#headLength += 1;
        at += 1;
        this.#readHead();
      }
      if (stop && this.isBetween) return at;
    }
    return at;
  }

  #readHead(): void {
    const head = this.#head;
    if (this.#headLength < 2) return;
    const short = head[1]! & LENGTH;
    const lengthBytes = short === LENGTH_16 ? 2 : short === LENGTH_64 ? 8 : 0;
    if (this.#headLength < 2 + lengthBytes + ((head[1]! & MASKED) === 0 ? 0 : MASK_BYTES)) return;
    let length = lengthBytes === 0 ? short : 0;
    for (let i = 0; i < lengthBytes; i += 1) length = length * 256 + head[2 + i]!;
    this.#rest = length;
    this.#headLength = 0;
  }
}

/** A server's close frame with a status (RFC 6455 section 5.5.1). */
export const closeFrame = (status: number): Buffer => Buffer.from([CLOSE, 2, status >>> 8, status & 0xff]);
