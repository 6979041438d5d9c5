// The frame of gRPC-Web that holds trailers, behind those of the messages.
import { GRPC_STATUS } from "../../http/grpc.ts";
import { FRAME_HEAD_BYTES } from "../../http/grpc-frames.ts";
import { HeaderBlock } from "../../http/header-block.ts";
import type { BodyOutput, BodyTransform } from "../../pipeline/body-transform.ts";

/** The flag of a frame that holds trailers (PROTOCOL-WEB.md). */
const TRAILERS = 0x80;

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
