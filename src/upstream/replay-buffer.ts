// The body of a request as far as it was sent, kept so that it can be sent to another server.
import { SPENT_MIN } from "../core/spent.ts";
import type { UpstreamClient } from "./upstream-client.ts";

/** One piece costs some hundred bytes of memory, however little of the body it holds. */
const PIECES_MAX = 256;

/** A piece of a large chunk is kept where it lies only if it is at least this share of it. */
const SHARE_MIN = 8;

/** Whether keeping so many of the bytes would keep far more alive: of HTTP/2 many requests come in one chunk. */
function isSmallPart({ buffer }: Buffer, size: number): boolean {
  return buffer.byteLength >= SPENT_MIN && size * SHARE_MIN < buffer.byteLength;
}

export class ReplayBuffer {
  readonly #bytesMax: number;
  readonly #pieces: { readonly bytes: Buffer; readonly from: number; readonly to: number }[] = [];
  #bytes = 0;

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  /** Keeps one more piece. False when the body is too long, and then it cannot be sent again; `must` keeps it anyway. */
  add(bytes: Buffer, from: number, to: number, must: boolean): boolean {
    this.#bytes += to - from;
    if (!must && (this.#bytes > this.#bytesMax || this.#pieces.length >= PIECES_MAX)) return false;
    if (isSmallPart(bytes, to - from)) {
      const own = Buffer.allocUnsafeSlow(to - from);
      bytes.copy(own, 0, from, to);
      this.#pieces.push({ bytes: own, from: 0, to: own.length });
    } else this.#pieces.push({ bytes, from, to });
    return true;
  }

  sendTo(client: UpstreamClient): void {
    for (const { bytes, from, to } of this.#pieces) client.sendData(bytes, from, to);
  }
}
