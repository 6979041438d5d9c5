// Cuts a connection's bytes into frames (RFC 9113 §4.1), wherever the network cut them. Content of DATA frames is
// passed on as it arrives; the payload of every other known frame is gathered, and read where it lies when it came
// whole.
import { FLAG, FRAME_HEADER_BYTES, readUint31, TYPE } from "./frames.ts";

/** Who takes the frames. After each call `stopped` of the reader decides whether it goes on. */
export interface FrameSink {
  /** A frame begins. False stops the reader: the frame is against the rules. */
  onFrame(length: number, type: number, flags: number, id: number): boolean;
  /** The whole payload of the frame, for all types but DATA and unknown ones. Not valid beyond the call. */
  onPayload(bytes: Buffer, from: number, to: number): void;
  /** The frame is DATA with this much content behind its padding length. */
  onDataBegin(content: number): void;
  /** Content. The bytes may be kept. */
  onData(bytes: Buffer, from: number, to: number): void;
  /** The DATA frame is complete, padding included. */
  onDataEnd(): void;
  /** The padding is as long as the payload or longer (RFC 9113 §6.1). */
  onBadPadding(): void;
}

// What comes next.
const HEADER = 0;
const PAYLOAD = 1;
const PAD_LENGTH = 2;
const CONTENT = 3;
const PADDING = 4;
const SKIPPED = 5; // the payload of a frame of an unknown type

/** A payload in pieces is gathered in a buffer that grows with it: an announced length alone costs nothing. */
const CARRY_BYTES_MIN = 256;

export class FrameReader {
  readonly #sink: FrameSink;
  /** Set to read no further. */
  stopped = false;
  #state = HEADER;
  #length = 0;
  #type = 0;
  #flags = 0;
  /** Bytes of the current part that are still to come, and of the padding behind the content. */
  #left = 0;
  #padding = 0;
  /** A header or payload that came in pieces. */
  #carry: Buffer | null = null;
  #carried = 0;

  constructor(sink: FrameSink) {
    this.#sink = sink;
  }

  /** A part of a frame has come that is of no use without the rest; content of DATA always is. */
  get isInside(): boolean {
    return this.#carried > 0;
  }

  /** Reads on in `chunk[start, …)`. */
  read(chunk: Buffer, start: number): void {
    const end = chunk.length;
    let at = start;
    while (!this.stopped) {
      switch (this.#state) {
        case HEADER:
          if (at === end) return;
          at = this.#header(chunk, at, end);
          break;
        case PAYLOAD:
          if (this.#left > 0 && at === end) return;
          at = this.#payload(chunk, at, end);
          break;
        case PAD_LENGTH:
          if (at === end) return;
          this.#padding = chunk[at]!;
          at += 1;
          this.#left = this.#length - 1 - this.#padding;
          if (this.#left < 0) return this.#badPadding();
          this.#state = CONTENT;
          this.#sink.onDataBegin(this.#left);
          break;
        case CONTENT: {
          if (this.#left > 0) {
            if (at === end) return;
            const to = end - at < this.#left ? end : at + this.#left;
            this.#left -= to - at;
            const from = at;
            at = to;
            this.#sink.onData(chunk, from, to);
            if (this.#left > 0) break;
          }
          this.#left = this.#padding;
          this.#state = PADDING;
          break;
        }
        default: {
          if (this.#left > 0 && at === end) return;
          const to = end - at < this.#left ? end : at + this.#left;
          this.#left -= to - at;
          at = to;
          if (this.#left > 0) return;
          const wasData = this.#state === PADDING;
          this.#state = HEADER;
          if (wasData) this.#sink.onDataEnd();
        }
      }
    }
  }

  /** Returns where it has read to. */
  #header(chunk: Buffer, at: number, end: number): number {
    if (this.#carried === 0 && end - at >= FRAME_HEADER_BYTES) {
      this.#begin(chunk, at);
      return at + FRAME_HEADER_BYTES;
    }
    const to = Math.min(end, at + FRAME_HEADER_BYTES - this.#carried);
    this.#gather(chunk, at, to);
    if (this.#carried === FRAME_HEADER_BYTES) {
      const carry = this.#carry!;
      this.#letGo();
      this.#begin(carry, 0);
    }
    return to;
  }

  #begin(bytes: Buffer, at: number): void {
    const length = (bytes[at]! << 16) | (bytes[at + 1]! << 8) | bytes[at + 2]!;
    const type = bytes[at + 3]!;
    const flags = bytes[at + 4]!;
    this.#length = length;
    this.#type = type;
    this.#flags = flags;
    if (!this.#sink.onFrame(length, type, flags, readUint31(bytes, at + 5))) {
      this.stopped = true;
      return;
    }
    this.#left = length;
    this.#padding = 0;
    if (this.#type === TYPE.data) {
      if ((this.#flags & FLAG.padded) !== 0) {
        if (length === 0) this.#badPadding();
        this.#state = PAD_LENGTH;
      } else {
        this.#state = CONTENT;
        this.#sink.onDataBegin(length);
      }
    } else this.#state = type <= TYPE.continuation || type === TYPE.priorityUpdate ? PAYLOAD : SKIPPED;
  }

  #badPadding(): void {
    this.stopped = true;
    this.#sink.onBadPadding();
  }

  #payload(chunk: Buffer, at: number, end: number): number {
    const left = this.#left;
    if (this.#carried === 0 && end - at >= left) {
      this.#state = HEADER;
      this.#sink.onPayload(chunk, at, at + left);
      return at + left;
    }
    const to = end - at < left ? end : at + left;
    this.#gather(chunk, at, to);
    this.#left = left - (to - at);
    if (this.#left === 0) {
      const carry = this.#carry!;
      const carried = this.#carried;
      this.#letGo();
      this.#state = HEADER;
      this.#sink.onPayload(carry, 0, carried);
    }
    return to;
  }

  #gather(chunk: Buffer, from: number, to: number): void {
    const need = this.#carried + (to - from);
    if (this.#carry === null || this.#carry.length < need) {
      const grown = Buffer.allocUnsafeSlow(Math.max(CARRY_BYTES_MIN, need * 2));
      this.#carry?.copy(grown, 0, 0, this.#carried);
      this.#carry = grown;
    }
    chunk.copy(this.#carry, this.#carried, from, to);
    this.#carried = need;
  }

  #letGo(): void {
    this.#carry = null;
    this.#carried = 0;
  }
}
