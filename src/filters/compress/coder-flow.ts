// One body in a coder of the thread pool: what goes in, what comes out, and how either side is held up for the other.
import { type Fault, fault } from "../../core/faults.ts";
import { Coder, type CoderOwner, leavePlace } from "../../engines/compression/coders.ts";
import { markTrailers } from "../../engines/compression/eligible.ts";
import type { Coding } from "../../http/content-codings.ts";
import { HeaderBlock } from "../../http/header-block.ts";
import type { LateOutput } from "../../pipeline/body-transform.ts";
import type { CodedBody } from "../../pipeline/exchange.ts";
import { type Pausing, watchPause } from "./pauses.ts";

/** Bytes that may wait for a coder before the server is held up; the chunk that was read last goes on top. */
const IN_HAND_MAX = 131_072;
/** Below this it goes on. */
const IN_HAND_LOW = 32_768;

/** Looks at what a decoder makes of what it was given; a fault ends it. */
type Check = (count: CodedBody) => Fault | null;

/** Has one of the places for coders, and gives it back. */
export class CoderFlow implements CoderOwner, Pausing {
  readonly #out: LateOutput;
  readonly #count: CodedBody;
  readonly #check: Check | null;
  readonly #coder: Coder;
  #trailers: HeaderBlock | null = null;
  #inHand = 0;
  #isHeldUp = false; // the server
  #isPaused = false; // the coder, for the client
  #isDirty = false; // something has been written since it was flushed
  #isFed = false; // since the last look
  #isWatched = false;
  #isOver = false;

  private constructor(out: LateOutput, count: CodedBody, check: Check | null, make: (owner: CoderOwner) => Coder) {
    this.#out = out;
    this.#count = count;
    this.#check = check;
    this.#coder = make(this);
  }

  /** `takePlace` must have said yes. */
  static encode(out: LateOutput, count: CodedBody, coding: Coding, level: number): CoderFlow {
    return new CoderFlow(out, count, null, (owner) => Coder.encoder(coding, level, owner));
  }
  static decode(out: LateOutput, count: CodedBody, coding: Coding, check: Check): CoderFlow {
    return new CoderFlow(out, count, check, (owner) => Coder.decoder(coding, owner));
  }

  get full(): boolean {
    if (this.#inHand > IN_HAND_MAX) this.#isHeldUp = true;
    return this.#isHeldUp;
  }

  /** A piece, not empty, that stays as it is. */
  write(bytes: Buffer): void {
    if (this.#isOver) return;
    this.#inHand += bytes.length;
    this.#count.bytesIn += bytes.length;
    this.#isDirty = true;
    this.#isFed = true;
    this.#coder.write(bytes);
    this.#watch();
  }

  end(trailers: HeaderBlock | null): void {
    if (this.#isOver) return;
    if (trailers !== null) {
      this.#trailers = HeaderBlock.of(trailers.entries()); // the reader's own is used again by then
      markTrailers(this.#trailers);
    }
    this.#isDirty = false;
    this.#coder.end();
  }

  drain(): void {
    if (!this.#isPaused || this.#out.full) return;
    this.#isPaused = false;
    this.#coder.resume();
  }

  close(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    leavePlace();
    this.#coder.close();
  }

  #watch(): void {
    if (this.#isWatched) return;
    this.#isWatched = true;
    watchPause(this);
  }

  /** Nothing has come for a moment: the client gets what there is. */
  onPause(): void {
    this.#isWatched = false;
    if (this.#isOver || !this.#isDirty) return;
    if (this.#isFed) {
      this.#isFed = false;
      return this.#watch();
    }
    this.#isDirty = false;
    this.#coder.flush();
  }

  // ——— CoderOwner

  onTaken(bytes: number): void {
    this.#inHand -= bytes;
    if (this.#isOver || !this.#isHeldUp || this.#inHand > IN_HAND_LOW) return;
    this.#isHeldUp = false;
    this.#out.room();
  }

  onCoded(bytes: Buffer): void {
    if (this.#isOver || bytes.length === 0) return;
    this.#count.bytesOut += bytes.length;
    const broken = this.#check?.(this.#count) ?? null;
    if (broken !== null) return this.#fail(broken);
    this.#out.data(bytes, 0, bytes.length);
    if (this.#isOver || !this.#out.full) return;
    this.#isPaused = true;
    this.#coder.pause();
  }

  onCodedEnd(): void {
    if (this.#isOver) return;
    this.close();
    this.#out.end(this.#trailers);
  }

  onCoderFault(error: Error): void {
    if (this.#isOver) return;
    this.#fail(fault(this.#check === null ? "proxy.internal" : "upstream.bad_response", `coding: ${error.message}`));
  }

  #fail(cause: Fault): void {
    this.close();
    this.#out.fail(cause);
  }
}
