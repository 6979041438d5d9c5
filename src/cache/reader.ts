// Sends an answer of the cache to one client, as fast as it takes it: one that is whole, or one that is still fetched.
import { type Fault, fault } from "../core/faults.ts";
import { freeSpent } from "../core/spent.ts";
import type { ByteRange } from "../http/ranges.ts";
import type { Downstream, Exchange, RequestSink, ServeEnvironment, ServeWaiter } from "../pipeline/exchange.ts";
import { Pace } from "../pipeline/pace.ts";
import type { Body, BodyReader } from "./body.ts";

/** What an answer consists of: bytes that are there, or a part of the content with its last byte included. */
export type Part = Buffer | ByteRange;

/** All of the content, however long it turns out to be. */
export const WHOLE: readonly Part[] = [{ first: 0, last: Number.POSITIVE_INFINITY }];
export const NOTHING: readonly Part[] = [];

/** Bytes that one answer may send before others have their turn, however fast its client takes them. */
const TURN_BYTES_MAX = 1_048_576;
const UNREADABLE = fault("file.failed", "what is stored cannot be read");

export class Reader implements RequestSink, ServeWaiter, BodyReader {
  readonly #x: Exchange;
  readonly #env: Pick<ServeEnvironment, "wheel" | "respond">;
  #body: Body;
  /** Who may have other content to send than that; null for nobody. */
  readonly #kept: { readonly chosen: Body | null } | null;
  readonly #parts: readonly Part[];
  /** Who tells how the client fares. */
  #teller: Downstream | null = null;
  #part = 0;
  /** Where in the part the next byte is. */
  #at = 0;
  /** The piece that holds it, and where that begins in the content. */
  #piece = 0;
  #pieceAt = 0;
  /** What was read of the file that has the content before the first piece, and where that begins. */
  #block: Buffer | null = null;
  #blockAt = 0;
  #reading = false;
  #begun = false;
  #turnOver = false; // others have their turn
  #sending = false;
  #over = false;
  #pace: Pace | null = null;
  /** Somebody else hears of the client, and tells. */
  readonly #isTold: boolean;

  constructor(
    x: Exchange,
    env: Pick<ServeEnvironment, "wheel" | "respond">,
    body: Body,
    parts: readonly Part[],
    kept: { readonly chosen: Body | null } | null,
    isTold = false,
  ) {
    this.#x = x;
    this.#isTold = isTold;
    this.#kept = kept;
    this.#env = env;
    this.#body = body;
    this.#parts = parts;
    const rate = x.route!.rate;
    if (rate > 0) this.#pace = new Pace(rate, env.wheel, () => this.#send());
  }

  /** How far it has come in the content: what lies before it is of no more use to it. */
  get offset(): number {
    const part = this.#parts[this.#part];
    return part === undefined || Buffer.isBuffer(part) ? this.#pieceAt : part.first + this.#at;
  }

  /** Sends the answer whose head is in `x.response`. */
  start(): void {
    const x = this.#x;
    if (!this.#body.done || this.#body.backing !== null) this.#body.follow(this);
    this.#teller = x.downstream;
    if (!this.#isTold) {
      x.sink = this;
      x.downstream.readBody(this);
    }
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
    const chosen = this.#kept?.chosen ?? null;
    if (chosen !== null) {
      this.#body = chosen; // what it was made of is whole, and followed by nobody
      if (!chosen.done) chosen.follow(this);
    }
    const { downstream, response } = this.#x;
    // What filters have put before the client has to hear of it first. Most have put nothing there.
    if (downstream !== this.#teller && !this.#isTold) downstream.readBody(this);
    downstream.head(response);
    this.#send();
  }

  onMore(): void {
    if (!this.#sending) this.#send();
  }

  /** Sends what can be sent now. */
  #send(): void {
    if (!this.#begun || this.#over || this.#turnOver || this.#pace?.waiting === true) return;
    this.#sending = true; // what is sent may let more come, which is sent by the loop that runs already
    this.#sendOn();
    this.#sending = false;
  }

  #sendOn(): void {
    const { downstream } = this.#x;
    let sent = 0;
    while (!this.#over && !downstream.full) {
      const part = this.#parts[this.#part];
      if (part === undefined) return this.#finish();
      if (sent >= TURN_BYTES_MAX) return this.#giveWay();
      const count = Buffer.isBuffer(part) ? this.#sendGiven(part) : this.#sendContent(part);
      if (count === 0) return;
      sent += count;
      if (this.#over || this.#pace?.take(count) === false) return;
    }
  }

  #sendGiven(part: Buffer): number {
    this.#part += 1;
    this.#x.downstream.data(part, 0, part.length);
    return part.length;
  }

  /** Sends bytes of one piece; 0 when there are none yet, or no more will come. */
  #sendContent({ first, last }: ByteRange): number {
    const body = this.#body;
    const offset = first + this.#at;
    if (offset >= body.length) {
      if (body.fault !== null) this.#fail(body.fault);
      else if (body.done) this.#finish();
      return 0;
    }
    if (offset < body.firstOffset) return this.#sendBlock(offset, last);
    this.#seek(offset);
    const from = offset - this.#pieceAt;
    const to = Math.min(body.filled(this.#piece), last - this.#pieceAt + 1);
    const bytes = body.piece(this.#piece)!;
    this.#advance(to - from, this.#pieceAt + to > last);
    this.#x.downstream.data(bytes, from, to);
    if (!this.#over) body.taken();
    return to - from;
  }

  #advance(count: number, isPartOver: boolean): void {
    this.#at += count;
    if (!isPartOver) return;
    this.#part += 1;
    this.#at = 0;
  }

  /** Sends bytes that a file has; 0 where they have to be read first. */
  #sendBlock(offset: number, last: number): number {
    const block = this.#block;
    const blockAt = this.#blockAt;
    if (block === null || offset < blockAt || offset >= blockAt + block.length) {
      this.#readBlock(offset);
      return 0;
    }
    const from = offset - blockAt;
    const to = Math.min(block.length, last - blockAt + 1);
    this.#advance(to - from, blockAt + to > last);
    const isSpent = to === block.length;
    if (isSpent) this.#block = null;
    this.#x.downstream.data(block, from, to, isSpent);
    if (!this.#over) this.#body.taken();
    return to - from;
  }

  #readBlock(offset: number): void {
    if (this.#reading) return;
    this.#reading = true;
    this.#block = null;
    void this.#body.backing!.read(offset).then((block) => {
      this.#reading = false;
      if (this.#over) return;
      if (block === null || block.length === 0) return this.#fail(UNREADABLE);
      this.#block = block;
      this.#blockAt = offset;
      this.#send();
      freeSpent(); // no turn of a connection ends here
    });
  }

  /** Finds the piece with this byte. It may lie before the last one: parts come in the order in which they were asked for. */
  #seek(offset: number): void {
    const body = this.#body;
    if (offset < this.#pieceAt || this.#piece < body.firstPiece) {
      this.#piece = body.firstPiece;
      this.#pieceAt = body.firstOffset;
    }
    while (offset >= this.#pieceAt + body.filled(this.#piece)) {
      this.#pieceAt += body.filled(this.#piece);
      this.#piece += 1;
    }
  }

  #giveWay(): void {
    this.#turnOver = true;
    setImmediate(() => {
      this.#turnOver = false;
      this.#send();
    });
  }

  #finish(): void {
    this.#close();
    this.#x.downstream.end(this.#body.trailers);
  }

  #fail(cause: Fault): void {
    this.#close();
    this.#x.downstream.abort(cause);
  }

  #close(): void {
    if (this.#over) return;
    this.#over = true;
    this.#pace?.stop();
    this.#body.leave(this);
  }

  // ——— RequestSink: requests that the cache takes have no body

  onRequestData(): void {}
  onRequestEnd(): void {}
  onDownstreamDrain(): void {
    this.onMore();
  }
  onDownstreamGone(_cause: Fault): void {
    this.#close();
  }
}
