// One stream of HTTP/3 as the runtime gives it: fields and content, both ways. The runtime holds senders back for what
// we write, but takes all that a client sends whether anybody reads it or not (docs/http3.md): so everything is read at
// once, and what nobody wants yet is held here, up to a limit.
import type { QuicError } from "node:quic";
import { beginTurn, endTurn } from "./outbox.ts";
import { DRAINABLE, type NativeStream, type NativeWriter, quic } from "./quic-runtime.ts";

/** Names in lower case and their values; several values of one name as a list. */
export type QuicFields = Record<string, string | string[]>;

/** What a stream tells its owner. */
export interface QuicStreamHandler {
  /** The head has come. `ended`: nothing follows it. */
  onHead(fields: QuicFields, ended: boolean): void;
  /** Content. The bytes belong to the handler. */
  onData(bytes: Buffer): void;
  /** The message is complete. Not called where the head has said so. */
  onEnd(trailers: QuicFields | null): void;
  /** The stream was `full` and no longer is. */
  onDrain(): void;
  /** More has come than is held for a paused stream. It is dropped from now on. */
  onOverflow(): void;
  /**
   * The stream is gone, both ways; told exactly once. `code` is why it broke (RFC 9114 §8.1), -1 when it did not or the
   * connection went away.
   */
  onClose(code: number): void;
}

/** What a stream has of its connection. */
export interface QuicStreamHost {
  /** Bytes that are held by all of its streams. */
  held: number;
  /** A handler has thrown: that is a bug, and costs the connection, but no other. */
  broke(error: unknown): void;
}

/** Above this much of one stream, of one connection and of all, what a client sends is no longer held. */
export const HELD_BY_STREAM_MAX = 8_388_608; // what a fast client sends in the time in which a server is dialed
const HELD_BY_CONNECTION_MAX = 16_777_216;
const HELD_BY_ALL_MAX = 134_217_728;
/** What a client may go on to send after it has been told to stop: what was on its way. Then the stream is cut. */
const LATE_BYTES_MAX = 4_194_304;

const NOBODY: QuicStreamHandler = {
  onHead() {},
  onData() {},
  onEnd() {},
  onDrain() {},
  onOverflow() {},
  onClose() {},
};
const all = { held: 0 };
const NO_CODE = -1;
const INTERNAL = 0x102;
const CANCELLED = 0x10c;

/** What is done at the end of the turn, once all of its events have been told. */
const later: (() => void)[] = [];
function runLater(): void {
  const now = later.splice(0);
  for (const what of now) what();
}

export class QuicStream {
  handler: QuicStreamHandler = NOBODY;
  /** Told of the way in: complete. Of the way out: the end has been asked for. */
  remoteEnded = false;
  localEnded = false;
  closed = false;
  readonly #native: NativeStream;
  readonly #connection: QuicStreamHost;
  readonly #reader: AsyncIterator<Uint8Array[]>;
  #writer: NativeWriter | null = null;
  /** The head, until it is known whether it is all. */
  #fields: QuicFields | null = null;
  #headGiven = false;
  #trailers: QuicFields | null = null;
  #allRead = false;
  #isPaused = false;
  #isDropping = false;
  #late = 0;
  /** What has come for a paused stream. */
  readonly #held: Buffer[] = [];
  #heldBytes = 0;
  /** What the runtime has not taken yet, as its buffer is full. */
  readonly #queue: Buffer[] = [];
  #queueBytes = 0;
  #isWaiting = false;
  /** By the runtime. */
  #isClosed = false;
  #endWaits = false;

  constructor(native: NativeStream, connection: QuicStreamHost) {
    this.#native = native;
    this.#connection = connection;
    this.#reader = (native as AsyncIterable<Uint8Array[]>)[Symbol.asyncIterator]();
    native.onheaders = (fields) => this.#guard(() => this.#onHead(fields as QuicFields));
    native.ontrailers = (fields) => {
      this.#trailers = fields as QuicFields;
    };
    native.onreset = (error) => this.#guard(() => this.#onReset(codeOf(error)));
    native.closed.then(
      () => this.#guard(() => this.#onClosed(NO_CODE)),
      (error: unknown) => this.#guard(() => this.#onClosed(codeOf(error))),
    );
  }

  /** Runs what an event leads to as a turn of its own. */
  #guard(what: () => void): void {
    beginTurn();
    try {
      what();
    } catch (error) {
      this.#connection.broke(error);
    }
    endTurn();
  }

  #atEndOfTurn(what: () => void): void {
    if (later.push(() => this.#guard(what)) === 1) setImmediate(runLater);
  }

  // ——— the way in

  #onHead(fields: QuicFields): void {
    if (this.closed || this.#fields !== null) return;
    this.#fields = fields;
    // The end of a request without content is known by the end of the turn.
    this.#atEndOfTurn(() => this.#giveHead(false));
    this.#read();
  }

  #giveHead(ended: boolean): void {
    const fields = this.#fields;
    if (fields === null || this.closed || this.#headGiven) return;
    this.#headGiven = true;
    this.remoteEnded = ended;
    this.handler.onHead(fields, ended);
  }

  #read(): void {
    this.#reader.next().then(this.#onRead, this.#onReadError);
  }

  readonly #onRead = (result: IteratorResult<Uint8Array[]>): void => this.#guard(() => this.#onBatch(result));

  #onBatch({ done, value }: IteratorResult<Uint8Array[]>): void {
    if (this.closed) return;
    if (done === true) {
      if (!this.#headGiven) return this.#giveHead(true);
      this.#allRead = true;
      // Trailers are told of in the same turn, but behind this.
      return this.#atEndOfTurn(() => this.#giveEnd());
    }
    this.#giveHead(false);
    this.#take(joined(value));
    if (!this.closed) this.#read();
  }

  /** What else is told in this turn knows the code. */
  readonly #onReadError = (): void => {
    this.#atEndOfTurn(() => {
      if (!this.#isDropping) this.#broken(NO_CODE);
    });
  };

  #take(bytes: Buffer): void {
    if (this.closed) return;
    if (this.#isDropping) {
      this.#late += bytes.length;
      if (this.#late > LATE_BYTES_MAX) this.#broken(NO_CODE);
      return;
    }
    if (!this.#isPaused && this.#held.length === 0) return this.handler.onData(bytes);
    this.#held.push(bytes);
    this.#count(bytes.length);
    if (
      this.#heldBytes <= HELD_BY_STREAM_MAX &&
      this.#connection.held <= HELD_BY_CONNECTION_MAX &&
      all.held <= HELD_BY_ALL_MAX
    )
      return;
    this.#drop();
    this.handler.onOverflow();
  }

  #count(bytes: number): void {
    this.#heldBytes += bytes;
    this.#connection.held += bytes;
    all.held += bytes;
  }

  #drop(): void {
    this.#isDropping = true;
    this.#held.length = 0;
    this.#count(-this.#heldBytes);
  }

  #giveEnd(): void {
    if (!this.#allRead || this.closed || this.remoteEnded || this.#isPaused || this.#held.length > 0) return;
    this.remoteEnded = true;
    if (!this.#isDropping) this.handler.onEnd(this.#trailers);
    if (this.#isClosed) this.#over(NO_CODE);
  }

  /** What comes is held, up to a limit. */
  pause(): void {
    this.#isPaused = true;
  }
  resume(): void {
    if (!this.#isPaused) return;
    this.#isPaused = false;
    while (!this.#isPaused && this.#held.length > 0 && !this.closed) {
      const bytes = this.#held.shift()!;
      this.#count(-bytes.length);
      this.handler.onData(bytes);
    }
    this.#giveEnd();
  }

  /** What still comes is dropped, and the client told to send no more of it. */
  stopReceiving(code: number): void {
    if (this.closed) return;
    this.#drop();
    this.#isPaused = false;
    if (this.#allRead) return this.#giveEnd();
    this.#native.stopSending(BigInt(code));
  }

  // ——— the way out

  /** Sends the head of an answer. False: the runtime does not take such fields, and nothing has been sent. */
  sendHead(fields: QuicFields, last: boolean): boolean {
    if (this.closed || this.localEnded) return true;
    try {
      if (!this.#native.sendHeaders(fields, { terminal: last })) return false;
    } catch {
      return false;
    }
    if (last) this.localEnded = true;
    return true;
  }

  /** Sends the head of an interim answer (1xx); one that the runtime does not take is left out. */
  sendInformational(fields: QuicFields): void {
    if (this.closed || this.localEnded) return;
    try {
      this.#native.sendInformationalHeaders(fields);
    } catch {
      // Clients can do without.
    }
  }

  /** Sends content. What the runtime does not take now is queued by reference: the bytes must stay. */
  send(bytes: Buffer, from: number, to: number): void {
    if (this.closed || this.localEnded || from === to) return;
    const piece = from === 0 && to === bytes.length ? bytes : (bytes.subarray(from, to) as Buffer);
    if (this.#isWaiting || !this.#write(piece)) {
      this.#queue.push(piece);
      this.#queueBytes += piece.length;
    }
  }

  /** False: the buffer of the runtime is full. It takes a copy. */
  #write(piece: Buffer): boolean {
    const writer = this.#writing();
    const taken = writer.writeSync(piece);
    if (!taken && writer.desiredSize === null) return true; // the client wants no more; the end of the stream follows
    if (!taken || writer.desiredSize === 0) this.#wait(writer);
    return taken;
  }

  #writing(): NativeWriter {
    this.#writer ??= this.#native.writer as unknown as NativeWriter;
    return this.#writer;
  }

  #wait(writer: NativeWriter): void {
    const drained = writer[DRAINABLE]();
    if (drained === null) return;
    this.#isWaiting = true;
    drained.then(this.#onDrained, ignore);
  }

  readonly #onDrained = (): void => this.#guard(() => this.#flush());

  #flush(): void {
    this.#isWaiting = false;
    if (this.closed) return;
    while (this.#queue.length > 0 && !this.#isWaiting) {
      if (!this.#write(this.#queue[0]!)) break;
      this.#queueBytes -= this.#queue.shift()!.length;
    }
    if (this.#isWaiting || this.#queue.length > 0) return;
    if (!this.#endWaits) return this.handler.onDrain();
    this.#endWaits = false;
    this.#writing().endSync();
  }

  /** Ends the answer. */
  end(trailers: QuicFields | null): void {
    if (this.closed || this.localEnded) return;
    this.localEnded = true;
    if (trailers !== null) {
      this.#native.onwanttrailers = () => {
        try {
          this.#native.sendTrailers(trailers);
        } catch {
          this.#abort(INTERNAL); // it does not take them: the client must not believe that there were none
        }
      };
    }
    if (this.#isWaiting) this.#endWaits = true;
    else this.#writing().endSync();
  }

  /** Puts the stream before or behind others (RFC 9218): urgency 0 (first) to 7, of which the runtime knows three. */
  prioritise(urgency: number, incremental: boolean): void {
    if (this.closed || this.#native.destroyed) return;
    this.#native.setPriority({ level: urgency < 3 ? "high" : urgency > 3 ? "low" : "default", incremental });
  }

  /** More waits than should: stop until `onDrain`. */
  get full(): boolean {
    return this.#isWaiting;
  }

  /** Bytes that have not left yet, as far as the runtime tells. */
  get queued(): number {
    const writer = this.#writer;
    if (writer === null || this.closed) return 0;
    const desired = writer.desiredSize;
    return this.#queueBytes + (desired === null ? 0 : Math.max(0, this.#native.highWaterMark - desired));
  }

  // ——— the end

  /** Ends the stream at once, both ways. */
  reset(code: number): void {
    if (this.closed) return;
    this.#abort(code);
    this.#over(NO_CODE);
  }

  #abort(code: number): void {
    if (this.#native.destroyed) return;
    const { QuicError: Reason } = quic();
    const reason: QuicError = new Reason("reset", { errorCode: BigInt(code) });
    this.#native.destroy(reason);
  }

  /** The client has given up its way: what it has sent is no complete message. */
  #onReset(code: number): void {
    if (!this.#isDropping) return this.#broken(code);
    this.#allRead = true; // it was told to
    this.#giveEnd();
  }

  /** What the client has sent is cut off, or is too much: it gets no answer either. */
  #broken(code: number): void {
    if (this.closed) return;
    this.#abort(CANCELLED);
    this.#over(code);
  }

  /** The runtime has done with the stream. What came before may still have to be read. */
  #onClosed(code: number): void {
    this.#isClosed = true;
    const isComplete = this.localEnded && !this.#endWaits && code === NO_CODE;
    if (!isComplete || this.remoteEnded || this.#isDropping) this.#over(code);
  }

  #over(code: number): void {
    if (this.closed) return;
    this.closed = true;
    this.#drop();
    this.#queue.length = 0;
    this.#queueBytes = 0;
    this.handler.onClose(code);
  }
}

function ignore(): void {}

function codeOf(error: unknown): number {
  const code = (error as { errorCode?: bigint } | null)?.errorCode;
  return typeof code === "bigint" ? Number(code) : NO_CODE;
}

function joined(chunks: readonly Uint8Array[]): Buffer {
  const only = chunks[0]!;
  if (chunks.length === 1) return Buffer.from(only.buffer, only.byteOffset, only.byteLength);
  return Buffer.concat(chunks);
}
