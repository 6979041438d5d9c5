// One answer whose bytes are read from the file while they are sent: pieces of a large file, with back-pressure.
//
// A length was promised before the first byte. What is read is sent only if the file is still in the state in which it
// was opened, or has only grown; otherwise the answer is cut off, so that nobody takes half of one file and half of
// another for a whole.
import { closeSync, fstatSync, read, readSync } from "node:fs";
import { monotonic } from "../core/clock.ts";
import { type Fault, fault } from "../core/faults.ts";
import { freeSpent } from "../core/spent.ts";
import type { ResponseHead } from "../http/message.ts";
import type { DirectOutput, Exchange, RequestSink, ServeEnvironment, ServeWaiter } from "../pipeline/exchange.ts";
import { Pace } from "../pipeline/pace.ts";
import { type FileState, isIntact, type OpenedFile } from "./open.ts";

/** What an answer consists of: bytes that are there, or a part of the file with its last byte included. */
export type Part = Buffer | { readonly first: number; readonly last: number };

/** Bytes that are read and sent at a time: with less, calls cost more; with more, caches no longer hold them. */
const PIECE_BYTES = 262_144;
/** With a rate, a piece is what goes out in a tenth of a second, but not less than this. */
const PACED_BYTES_MIN = 4096;
/** Of a piece that is not taken as a whole so much is queued: enough for the connection to say when to go on. */
const QUEUED_BYTES = 81_920;
/** The same where files are moved, which asks to be told when it is gone. */
const REMINDER_BYTES = 4096;
/** Bytes that one answer may send before others have their turn, however fast its client takes them. */
const TURN_BYTES_MAX = 1_048_576;
/**
 * A piece that took longer came from a slow disk: the next ones are waited for without holding up the thread. With
 * less, a thread that had to wait for its processor would be taken for that.
 */
const SLOW_MS = 8;
/** So many are read that way before it is tried again whether the system has read ahead. */
const SLOW_PIECES = 16;

const CHANGED = fault("file.changed", "cut short, or written to");

/** What is sent at once, or not at all, is read into here. */
const shared = Buffer.allocUnsafeSlow(PIECE_BYTES);

export class FileStream implements RequestSink, ServeWaiter {
  readonly #x: Exchange;
  readonly #env: ServeEnvironment;
  readonly #fd: number;
  readonly #state: FileState;
  readonly #parts: readonly Part[];
  readonly #slowMs: number;
  #part = 0;
  /** Where in the part the next byte is. */
  #at = 0;
  #begun = false;
  #reading = false; // a piece is waited for
  #turnOver = false; // others have their turn
  #slowPieces = 0;
  #over = false;
  #pace: Pace | null = null;
  #pieceBytes = PIECE_BYTES;
  #requestEnded = false;

  /** Takes over the open file. A read that takes longer than `slowMs` is followed by ones that are waited for. */
  constructor(x: Exchange, env: ServeEnvironment, file: OpenedFile, parts: readonly Part[], slowMs: number = SLOW_MS) {
    this.#x = x;
    this.#env = env;
    this.#fd = file.fd;
    this.#state = file.state;
    this.#parts = parts;
    this.#slowMs = slowMs;
    const rate = x.route!.rate;
    if (rate === 0) return;
    this.#pace = new Pace(rate, env.wheel, () => this.#goOn());
    this.#pieceBytes = Math.ceil(Math.max(PACED_BYTES_MIN, Math.min(PIECE_BYTES, rate / 10)));
  }

  /** Sends the answer with this head. */
  start(head: ResponseHead): void {
    const x = this.#x;
    x.response = head;
    x.sink = this;
    x.downstream.readBody(this);
    if (this.#over || !this.#env.respond(x, this)) return;
    this.#begin();
  }

  responsePhaseOver(proceed: boolean): void {
    if (this.#over) return;
    if (proceed) this.#begin();
    else this.#close();
  }

  #begin(): void {
    this.#begun = true;
    this.#x.downstream.head(this.#x.response);
    this.#send();
  }

  /** Sends what can be sent now. */
  #send(): void {
    if (!this.#begun || this.#over || this.#reading || this.#turnOver || this.#pace?.waiting === true) return;
    const { downstream } = this.#x;
    let sent = 0;
    while (!downstream.full) {
      const part = this.#parts[this.#part];
      if (part === undefined) return this.#finish();
      if (sent >= TURN_BYTES_MAX) return this.#giveWay();
      const count = Buffer.isBuffer(part) ? this.#sendGiven(part) : this.#sendPiece(part.first, part.last);
      if (count === 0 || this.#over) return;
      sent += count;
      if (this.#pace?.take(count) === false) return;
    }
  }

  #sendGiven(part: Buffer): number {
    this.#part += 1;
    this.#x.downstream.data(part, 0, part.length);
    return part.length;
  }

  /** Sends the next piece of a part of the file; 0 when it has to be waited for, or nothing more comes. */
  #sendPiece(first: number, last: number): number {
    const from = first + this.#at;
    const left = last - from + 1;
    if (this.#slowPieces > 0) {
      this.#slowPieces -= 1;
      this.#wait(Buffer.allocUnsafeSlow(Math.min(this.#pieceBytes, left)), from);
      return 0;
    }
    const direct = this.#x.downstream.direct?.() ?? null;
    // What is on its way is changed with its file. By the time that the end is sent, which is read and so a copy, all
    // that was moved has arrived, and the file is known to be intact: no whole answer has a byte of another file.
    const movable = left - (direct?.inFlightMax ?? Number.POSITIVE_INFINITY);
    if (movable <= 0 || this.#pace !== null) return this.#sendRead(direct, from, left);
    const moved = this.#move(direct!, from, Math.min(TURN_BYTES_MAX, movable));
    if (moved > 0 || this.#over) return moved;
    // A little that waits in the connection has it say when to go on. It is copied, and what is moved is not.
    const sent = this.#sendRead(direct, from, Math.min(REMINDER_BYTES, left));
    return direct!.remind!() ? 0 : sent;
  }

  #move(direct: DirectOutput, from: number, length: number): number {
    if (!this.#maySend(length)) return 0;
    const before = monotonic();
    const moved = direct.move!(this.#fd, from, length);
    if (monotonic() - before > this.#slowMs) this.#slowPieces = SLOW_PIECES;
    this.#x.bytesOut += moved;
    this.#advance(moved);
    return moved;
  }

  #sendRead(direct: DirectOutput | null, from: number, left: number): number {
    const isOffered = direct?.offer !== undefined;
    const most = Math.min(this.#pieceBytes, left);
    const bytes = isOffered ? shared : Buffer.allocUnsafeSlow(most);
    let count = 0;
    const before = monotonic();
    try {
      count = readSync(this.#fd, bytes, 0, most, from);
    } catch (error) {
      this.#fail(fault("file.failed", String(error)));
      return 0;
    }
    if (monotonic() - before > this.#slowMs) this.#slowPieces = SLOW_PIECES;
    if (!this.#maySend(count)) return 0;
    const { downstream } = this.#x;
    if (!isOffered) {
      this.#advance(count);
      downstream.data(bytes, 0, count, true);
      return count;
    }
    const taken = direct!.offer!(bytes, 0, count);
    const queued = Math.min(QUEUED_BYTES, count - taken);
    this.#x.bytesOut += taken;
    this.#advance(taken + queued);
    if (queued > 0) downstream.data(copyOf(bytes, taken, taken + queued), 0, queued, true);
    return taken + queued;
  }

  /** Whether what was just read, or is moved, is what the file held when the answer began; otherwise it is cut off. */
  #maySend(count: number): boolean {
    if (count > 0 && isIntact(fstatSync(this.#fd), this.#state)) return true;
    this.#fail(CHANGED);
    return false;
  }

  #advance(count: number): void {
    this.#at += count;
    const part = this.#parts[this.#part];
    if (part === undefined || Buffer.isBuffer(part) || this.#at <= part.last - part.first) return;
    this.#part += 1;
    this.#at = 0;
  }

  /** Reads a piece without holding up the thread. The file stays open until it is there. */
  #wait(bytes: Buffer, from: number): void {
    this.#reading = true;
    read(this.#fd, bytes, 0, bytes.length, from, (error, count) => {
      this.#reading = false;
      if (this.#over) return closeSync(this.#fd);
      if (error !== null) return this.#fail(fault("file.failed", String(error)));
      if (!this.#maySend(count)) return;
      this.#advance(count);
      this.#x.downstream.data(bytes, 0, count, count === bytes.length);
      if (!this.#over && this.#pace?.take(count) !== false) this.#send();
      freeSpent();
    });
  }

  #giveWay(): void {
    this.#turnOver = true;
    setImmediate(() => {
      this.#turnOver = false;
      this.#goOn();
    });
  }

  /** Sends on in a turn of the event loop that no connection has begun, so nobody else frees what was sent in it. */
  #goOn(): void {
    this.#send();
    freeSpent();
  }

  #finish(): void {
    const { downstream } = this.#x;
    this.#close();
    if (!this.#requestEnded) downstream.discardBody();
    downstream.end(null);
  }

  #fail(cause: Fault): void {
    this.#close();
    if (!this.#x.over) this.#x.downstream.abort(cause);
  }

  /** Nothing more is read. */
  #close(): void {
    if (this.#over) return;
    this.#over = true;
    this.#pace?.stop();
    if (!this.#reading) closeSync(this.#fd);
  }

  // ——— RequestSink: what a GET has as a body means nothing

  onRequestData(): void {}
  onRequestEnd(): void {
    this.#requestEnded = true;
  }
  onDownstreamDrain(): void {
    this.#send();
  }
  onDownstreamGone(_cause: Fault): void {
    this.#close();
  }
}

/** Not out of the runtime's pool of small buffers, so that it is freed once it is sent. */
function copyOf(bytes: Buffer, from: number, to: number): Buffer {
  const copy = Buffer.allocUnsafeSlow(to - from);
  bytes.copy(copy, 0, from, to);
  return copy;
}

/** Reads a whole small file; null when it was changed meanwhile. Throws the system's errors. */
export function readWhole({ fd, state }: OpenedFile): Buffer | null {
  const bytes = Buffer.allocUnsafeSlow(state.size);
  let at = 0;
  while (at < bytes.length) {
    const count = readSync(fd, bytes, at, bytes.length - at, at);
    if (count === 0) return null;
    at += count;
  }
  return isIntact(fstatSync(fd), state) ? bytes : null;
}
