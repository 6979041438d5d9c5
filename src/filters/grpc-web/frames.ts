// Frames of gRPC messages (a byte of flags, four of length, the message), and that of gRPC-Web that holds trailers.
import { GRPC_STATUS } from "../../http/grpc.ts";
import { HeaderBlock } from "../../http/header-block.ts";
import type { BodyOutput, BodyTransform } from "../../pipeline/transforms.ts";

const FRAME_HEAD_BYTES = 5;
/** The flag of a frame that holds trailers (PROTOCOL-WEB.md). */
const TRAILERS = 0x80;

/** Follows frames as they pass, cut anywhere. */
export class FrameTracker {
  #head = 0; // bytes of the frame's head that have passed
  #left = 0; // bytes of its message that have not; valid once the head has passed

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
      } else {
        const step = Math.min(this.#left, to - at);
        this.#left -= step;
        at += step;
      }
      if (this.#head === FRAME_HEAD_BYTES && this.#left === 0) this.#head = 0;
    }
  }
}

/** Of an answer that ended without any: nobody can say how the call went. */
const NO_TRAILERS = HeaderBlock.of([
  ["grpc-status", String(GRPC_STATUS.unknown)],
  ["grpc-message", "The server's answer ended without a status."],
]);

/** The frame with these trailers: lines of `name:value`, names in lower case. */
export function trailerFrame(trailers: HeaderBlock): Buffer {
  let lines = "";
  trailers.forEach((name, value) => {
    lines += `${name.toLowerCase()}:${value}\r\n`;
  });
  const frame = Buffer.allocUnsafe(FRAME_HEAD_BYTES + lines.length);
  frame[0] = TRAILERS;
  frame.writeUInt32BE(lines.length, 1);
  frame.latin1Write(lines, FRAME_HEAD_BYTES);
  return frame;
}

/** Messages pass, and the trailers follow them as a frame. */
export class TrailersToFrame implements BodyTransform {
  push(bytes: Buffer, from: number, to: number, out: BodyOutput): void {
    out.data(bytes, from, to);
  }

  end(trailers: HeaderBlock | null, out: BodyOutput): void {
    const frame = trailerFrame(trailers ?? NO_TRAILERS);
    out.data(frame, 0, frame.length);
    out.end(null);
  }
}
