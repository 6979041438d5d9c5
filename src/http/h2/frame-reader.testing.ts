// What the tests of frames share: a sink that keeps what it hears, and frames as bytes.
import { FrameReader, type FrameSink } from "./frame-reader.ts";
import { FRAME_HEADER_BYTES, writeFrameHeader, writeUint32 } from "./frames.ts";

/** A frame; `length` where the header is to lie about it. */
export function frame(type: number, flags: number, id: number, payload: Uint8Array | string = "", length = -1): Buffer {
  const body = Buffer.from(payload as Uint8Array);
  const bytes = Buffer.alloc(FRAME_HEADER_BYTES + body.length);
  body.copy(bytes, writeFrameHeader(bytes, 0, length < 0 ? body.length : length, type, flags, id));
  return bytes;
}

export function uint32(...values: readonly number[]): Buffer {
  const bytes = Buffer.alloc(4 * values.length);
  let at = 0;
  for (const value of values) at = writeUint32(bytes, at, value);
  return bytes;
}

/** What a reader tells, as text; content of DATA is joined. */
class FrameLog implements FrameSink {
  readonly heard: string[] = [];
  /** Frames of this type are refused; -1 for none. */
  readonly refused: number;
  #content = "";

  constructor(refused = -1) {
    this.refused = refused;
  }

  onFrame(length: number, type: number, flags: number, id: number): boolean {
    this.heard.push(`frame ${type} flags ${flags} stream ${id} ${length} bytes`);
    return type !== this.refused;
  }
  onPayload(bytes: Buffer, from: number, to: number): void {
    this.heard.push(`payload ${bytes.latin1Slice(from, to)}`);
  }
  onDataBegin(content: number): void {
    this.heard.push(`content of ${content}`);
  }
  onData(bytes: Buffer, from: number, to: number): void {
    if (from >= to || from < 0 || to > bytes.length) throw new Error(`content at ${from} to ${to}`);
    this.#content += bytes.latin1Slice(from, to);
  }
  onDataEnd(): void {
    this.heard.push(`data ${this.#content}`);
    this.#content = "";
  }
  onBadPadding(): void {
    this.heard.push("bad padding");
  }
}

/** What a reader tells of these pieces. */
export function hear(pieces: readonly Buffer[], refused = -1): string[] {
  const log = new FrameLog(refused);
  const reader = new FrameReader(log);
  for (const piece of pieces) {
    // Pieces do not lie at the beginning of their chunk, nor do they stay as they are where nothing was said of that.
    const chunk = Buffer.concat([Buffer.from("xyz"), piece]) as Buffer;
    reader.read(chunk, 3);
    chunk.fill(0x2a);
  }
  return log.heard;
}
