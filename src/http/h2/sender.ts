// Writes a connection's frames, and decides when content may go out: windows (RFC 9113 §5.2), a full output, and the
// order of streams that compete.

import { NOT_IN_TRAILERS } from "../h1/writer.ts";
import type { HeaderBlock } from "../header-block.ts";
import { ByteQueue } from "./byte-queue.ts";
import type { H2Output } from "./contracts.ts";
import {
  FLAG,
  FRAME_BYTES_MAX,
  FRAME_HEADER_BYTES,
  PREFACE,
  TYPE,
  WINDOW_MAX,
  writeFrameHeader,
  writeUint32,
} from "./frames.ts";
import { HpackEncoder, hpackMax } from "./hpack-encoder.ts";
import { CONTROL_BACKLOG_BYTES_MAX, QUEUED_BYTES_HIGH, QUEUED_BYTES_LOW, WINDOW_DEFAULT } from "./limits.ts";
import { Schedule } from "./schedule.ts";
import type { H2Stream } from "./stream.ts";
import { copyBlock } from "./trailers.ts";

/** Content up to this is copied behind its frame header; more is sent from where it lies. */
const COPY_BYTES_MAX = 2048;
/** Windows that let out less at a time are no use to anybody. */
const USEFUL_BYTES_MIN = 64;
/** Beside the fields, a block may begin with updates of the table's size. */
const BLOCK_EXTRA_BYTES = 32;

export interface SenderHost {
  /** END_STREAM has been written. */
  onEndSent(stream: H2Stream): void;
  /** The peer makes us write and does not read. */
  onBacklog(): void;
}

export class Sender {
  readonly encoder: HpackEncoder = new HpackEncoder();
  readonly schedule: Schedule<H2Stream> = new Schedule();
  /** What the connection may send. */
  window: number = WINDOW_DEFAULT;
  /** DATA frames with content so far, without those that a tiny window has made small. */
  dataFrames = 0;
  readonly #out: H2Output;
  readonly #host: SenderHost;
  /** Where the head that is being written lies. */
  #buffer: Buffer = PREFACE;
  #headAt = 0;
  /** Bytes of control frames since the output was last not full. */
  #backlog = 0;
  #pumping = false;

  constructor(out: H2Output, host: SenderHost) {
    this.#out = out;
    this.#host = host;
  }

  // ——— heads

  beginHead(room: number): HpackEncoder {
    const frames = 2 + Math.ceil(room / FRAME_BYTES_MAX);
    this.#buffer = this.#out.room(room + BLOCK_EXTRA_BYTES + frames * FRAME_HEADER_BYTES);
    this.#headAt = this.#out.at;
    this.encoder.begin(this.#buffer, this.#headAt + FRAME_HEADER_BYTES);
    return this.encoder;
  }

  /** Frames what the encoder has written since `beginHead` (RFC 9113 §6.2, §6.10). */
  finishHead(id: number, end: boolean): void {
    const buffer = this.#buffer;
    const blockAt = this.#headAt + FRAME_HEADER_BYTES;
    const length = this.encoder.at - blockAt;
    const flags = end ? FLAG.endStream : 0;
    if (length <= FRAME_BYTES_MAX) {
      writeFrameHeader(buffer, this.#headAt, length, TYPE.headers, flags | FLAG.endHeaders, id);
      this.#out.wrote(blockAt + length);
      return;
    }
    // The pieces move apart, the last one first, to make room for the headers of the frames between them.
    const pieces = Math.ceil(length / FRAME_BYTES_MAX);
    for (let piece = pieces - 1; piece >= 0; piece -= 1) {
      const from = blockAt + piece * FRAME_BYTES_MAX;
      const to = Math.min(from + FRAME_BYTES_MAX, blockAt + length);
      const at = from + piece * FRAME_HEADER_BYTES;
      if (piece > 0) buffer.copyWithin(at, from, to);
      const pieceFlags = (piece === 0 ? flags : 0) | (piece === pieces - 1 ? FLAG.endHeaders : 0);
      const type = piece === 0 ? TYPE.headers : TYPE.continuation;
      writeFrameHeader(buffer, at - FRAME_HEADER_BYTES, to - from, type, pieceFlags, id);
    }
    this.#out.wrote(blockAt + length + (pieces - 1) * FRAME_HEADER_BYTES);
  }

  // ——— content

  /** Sends content, or queues what cannot go out now. `end`: the message ends with it. */
  data(stream: H2Stream, bytes: Buffer, from: number, to: number, end: boolean): void {
    let at = from;
    if (stream.queued === 0) {
      if (at === to) {
        if (end) this.end(stream, null);
        return;
      }
      if (this.schedule.empty) {
        const out = this.#out;
        while (at < to && this.window > 0 && stream.sendWindow > 0 && !out.full) {
          const size = Math.min(to - at, FRAME_BYTES_MAX, this.window, stream.sendWindow);
          this.#emit(stream, bytes, at, at + size, end && at + size === to);
          at += size;
          if (size >= USEFUL_BYTES_MIN || at === to) this.dataFrames += 1;
        }
        if (at === to) {
          if (end) this.#host.onEndSent(stream);
          return;
        }
      }
    }
    stream.waiting ??= new ByteQueue();
    stream.waiting.push(bytes, at, to);
    stream.queued = stream.waiting.length;
    stream.endWaits = end;
    if (stream.queued > QUEUED_BYTES_HIGH) stream.full = true;
    if (stream.sendWindow > 0 && stream.queued > 0) this.schedule.add(stream);
    this.pump();
  }

  /** Ends the message behind what waits. */
  end(stream: H2Stream, trailers: HeaderBlock | null): void {
    const fields = trailers !== null && (trailers.count > 0 || trailers.added !== null) ? trailers : null;
    if (stream.queued > 0) {
      stream.endWaits = true;
      stream.trailersWait = fields === null ? null : copyBlock(fields);
      return;
    }
    if (fields === null) this.#emit(stream, PREFACE, 0, 0, true);
    else this.#trailers(stream, fields);
    this.#host.onEndSent(stream);
  }

  #trailers(stream: H2Stream, trailers: HeaderBlock): void {
    this.beginHead(hpackMax(trailers)).fields(trailers, NOT_IN_TRAILERS);
    this.finishHead(stream.id, true);
  }

  /** One DATA frame. */
  #emit(stream: H2Stream, bytes: Buffer, from: number, to: number, end: boolean): void {
    const size = to - from;
    const out = this.#out;
    const copied = size <= COPY_BYTES_MAX;
    const buffer = out.room(FRAME_HEADER_BYTES + (copied ? size : 0));
    const at = writeFrameHeader(buffer, out.at, size, TYPE.data, end ? FLAG.endStream : 0, stream.id);
    if (copied) {
      bytes.copy(buffer, at, from, to);
      out.wrote(at + size);
    } else {
      out.wrote(at);
      out.piece(bytes, from, to);
    }
    stream.sendWindow -= size;
    this.window -= size;
  }

  /** Sends what waits, as far as windows and the output let it. */
  pump(): void {
    if (this.#pumping) return; // a handler that is told to go on has more to send: the loop below sees it
    this.#pumping = true;
    for (;;) {
      if (this.window <= 0 || this.#out.full) break;
      const stream = this.schedule.first();
      if (stream === null) break;
      this.#next(stream);
    }
    this.#pumping = false;
  }

  /** The next frame of a stream whose turn it is. */
  #next(stream: H2Stream): void {
    const waiting = stream.waiting!;
    const { bytes, from } = waiting;
    const size = Math.min(waiting.to - from, FRAME_BYTES_MAX, this.window, stream.sendWindow);
    const rest = stream.queued - size;
    const trailers = stream.trailersWait;
    const ends = rest === 0 && stream.endWaits;
    this.#emit(stream, bytes, from, from + size, ends && trailers === null);
    if (size >= USEFUL_BYTES_MIN || from + size === waiting.to) this.dataFrames += 1;
    waiting.take(size);
    stream.queued = rest;
    if (rest === 0 || stream.sendWindow <= 0) this.schedule.remove(stream);
    else this.schedule.sent(stream);
    if (ends) {
      if (trailers !== null) this.#trailers(stream, trailers);
      stream.full = false;
      this.#host.onEndSent(stream);
    } else if (stream.full && rest <= QUEUED_BYTES_LOW) {
      stream.full = false;
      stream.handler.onStreamDrain();
    }
  }

  /** Nothing of the stream is sent any more. */
  drop(stream: H2Stream): void {
    this.schedule.remove(stream);
    stream.waiting = null;
    stream.queued = 0;
    stream.full = false;
    stream.endWaits = false;
    stream.trailersWait = null;
  }

  /** The peer lets the connection send more. False when that is more than windows can be (RFC 9113 §6.9.1). */
  grow(increment: number): boolean {
    this.window += increment;
    if (this.window > WINDOW_MAX) return false;
    this.pump();
    return true;
  }

  /** The stream's window changes, by a WINDOW_UPDATE or by SETTINGS (RFC 9113 §6.9.2). False as above. */
  growStream(stream: H2Stream, change: number): boolean {
    stream.sendWindow += change;
    if (stream.sendWindow > WINDOW_MAX) return false;
    if (stream.sendWindow <= 0) this.schedule.remove(stream);
    else if (stream.queued > 0) this.schedule.add(stream);
    return true;
  }

  // ——— control frames

  /** The output takes more again. */
  writable(): void {
    this.#backlog = 0;
    this.pump();
  }

  preface(): void {
    const buffer = this.#out.room(PREFACE.length);
    const { at } = this.#out;
    PREFACE.copy(buffer, at);
    this.#out.wrote(at + PREFACE.length);
  }

  /** `pairs`: identifiers and values in turn. */
  settings(pairs: readonly number[]): void {
    const length = (pairs.length / 2) * 6;
    const buffer = this.#begin(length, TYPE.settings, 0, 0);
    let at = this.#out.at + FRAME_HEADER_BYTES;
    for (let i = 0; i < pairs.length; i += 2) {
      buffer[at] = pairs[i]! >>> 8;
      buffer[at + 1] = pairs[i]!;
      at = writeUint32(buffer, at + 2, pairs[i + 1]!);
    }
    this.#finish(length);
  }
  settingsAck(): void {
    this.#begin(0, TYPE.settings, FLAG.ack, 0);
    this.#finish(0);
  }
  /** Answers a PING with its own eight bytes. */
  pong(bytes: Buffer, from: number): void {
    const buffer = this.#begin(8, TYPE.ping, FLAG.ack, 0);
    bytes.copy(buffer, this.#out.at + FRAME_HEADER_BYTES, from, from + 8);
    this.#finish(8);
  }
  ping(high: number, low: number): void {
    const buffer = this.#begin(8, TYPE.ping, 0, 0);
    writeUint32(buffer, writeUint32(buffer, this.#out.at + FRAME_HEADER_BYTES, high), low);
    this.#finish(8);
  }
  reset(id: number, code: number): void {
    const buffer = this.#begin(4, TYPE.rstStream, 0, id);
    writeUint32(buffer, this.#out.at + FRAME_HEADER_BYTES, code);
    this.#finish(4);
  }
  windowUpdate(id: number, increment: number): void {
    const buffer = this.#begin(4, TYPE.windowUpdate, 0, id);
    writeUint32(buffer, this.#out.at + FRAME_HEADER_BYTES, increment);
    this.#finish(4);
  }
  goaway(last: number, code: number, text: string): void {
    const length = 8 + text.length;
    const buffer = this.#begin(length, TYPE.goaway, 0, 0);
    const at = writeUint32(buffer, writeUint32(buffer, this.#out.at + FRAME_HEADER_BYTES, last), code);
    buffer.latin1Write(text, at);
    this.#finish(length);
  }

  #begin(length: number, type: number, flags: number, id: number): Buffer {
    const buffer = this.#out.room(FRAME_HEADER_BYTES + length);
    writeFrameHeader(buffer, this.#out.at, length, type, flags, id);
    return buffer;
  }

  #finish(length: number): void {
    const out = this.#out;
    out.wrote(out.at + FRAME_HEADER_BYTES + length);
    if (!out.full) return;
    this.#backlog += FRAME_HEADER_BYTES + length;
    if (this.#backlog > CONTROL_BACKLOG_BYTES_MAX) {
      this.#backlog = 0; // what is written about it does not count again
      this.#host.onBacklog();
    }
  }
}
