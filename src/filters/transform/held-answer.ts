// The body of an answer, held with its head until all of it is there, decoded where it came compressed, and changed.
// One that cannot be changed never goes out as it is: what was to be taken out of it would be in there.
import { type Fault, fault } from "../../core/faults.ts";
import { Coder, type CoderOwner, leavePlace, takePlace } from "../../engines/compression/coders.ts";
import { markTrailers } from "../../engines/compression/eligible.ts";
import type { Emit, StreamRemove } from "../../engines/transform/stream-remove.ts";
import type { Coding } from "../../http/content-codings.ts";
import { HeaderBlock } from "../../http/header-block.ts";
import type { BodyOutput, HoldingTransform } from "../../pipeline/body-transform.ts";
import type { Exchange } from "../../pipeline/exchange.ts";
import { Gathered } from "../../pipeline/gathered.ts";
import { holdResponse, knowLength } from "../../pipeline/transforms.ts";
import type { Changed } from "./body-change.ts";

/** Compressed bytes that may wait for the decoder before the server is held up. */
const IN_HAND_MAX = 131_072;

/** How one answer is changed. */
export interface AnswerChange {
  readonly bytesMax: number;
  change(x: Exchange, body: Buffer): Changed;
  /** Changes one that is longer as it passes; null where that cannot be. */
  stream(): StreamRemove | null;
}

/** What a stream puts out of one piece, as one piece again. */
class Joined {
  #bytes: Buffer;
  #length = 0;
  readonly add: Emit = (bytes, from, to) => {
    if (this.#length + to - from > this.#bytes.length) this.#grow(to - from);
    this.#length += bytes.copy(this.#bytes, this.#length, from, to);
  };

  constructor(room: number) {
    this.#bytes = Buffer.allocUnsafeSlow(room);
  }
  #grow(more: number): void {
    const larger = Buffer.allocUnsafeSlow(2 * this.#bytes.length + more);
    this.#bytes.copy(larger, 0, 0, this.#length);
    this.#bytes = larger;
  }
  putTo(out: BodyOutput): void {
    if (this.#length > 0) out.data(this.#bytes, 0, this.#length);
  }
}

const MALFORMED = "the body must be JSON";

export class HeldAnswer implements HoldingTransform, CoderOwner {
  holding = true;
  readonly #x: Exchange;
  readonly #how: AnswerChange;
  readonly #source: { room(): void };
  #decoder: Coder | null = null;
  #stream: StreamRemove | null = null;
  readonly #bytes = new Gathered();
  #inHand = 0;
  #out: BodyOutput | null = null;
  #trailers: HeaderBlock | null = null;

  private constructor(x: Exchange, how: AnswerChange) {
    this.#x = x;
    this.#how = how;
    this.#source = holdResponse(x, this);
  }

  /** Holds the answer. A fault when it is compressed and nobody is free to decode it. */
  static start(x: Exchange, how: AnswerChange, coding: Coding | null): Fault | null {
    if (coding !== null && !takePlace()) return fault("transform.response", "all decoders are busy");
    const held = new HeldAnswer(x, how);
    if (coding !== null) held.#decoder = Coder.decoder(coding, held);
    return null;
  }

  // ——— HoldingTransform

  get full(): boolean {
    return this.holding && this.#inHand > IN_HAND_MAX;
  }

  push(bytes: Buffer, from: number, to: number, out: BodyOutput): void {
    if (this.#stream !== null) return this.#pass(this.#stream, bytes, from, to, out);
    if (!this.holding) return;
    this.#out = out;
    if (this.#decoder === null) return this.#keep(bytes, from, to);
    const piece = Buffer.from(bytes.subarray(from, to));
    this.#inHand += piece.length;
    this.#decoder.write(piece);
  }

  end(trailers: HeaderBlock | null, out: BodyOutput): void {
    if (!this.holding && this.#stream === null) return;
    this.#out = out;
    if (trailers !== null) {
      this.#trailers = HeaderBlock.of(trailers.entries()); // the reader's own is used again
      markTrailers(this.#trailers);
    }
    if (this.#stream !== null) {
      if (this.#stream.end()) out.end(this.#trailers);
      else this.#fail(MALFORMED);
    } else if (this.#decoder === null || this.#inHand + this.#bytes.length === 0) this.#finish();
    else this.#decoder.end();
  }

  gone(): void {
    this.holding = false;
    this.#stream = null;
    this.#bytes.clear();
    this.#close();
  }

  // ——— CoderOwner

  onTaken(bytes: number): void {
    const wasFull = this.full;
    this.#inHand -= bytes;
    if (wasFull && !this.full) this.#source.room();
  }
  onCoded(bytes: Buffer): void {
    if (this.holding) this.#keep(bytes, 0, bytes.length);
  }
  onCodedEnd(): void {
    if (this.holding) this.#finish();
  }
  onCoderFault(error: Error): void {
    if (this.holding) this.#fail(`coding: ${error.message}`);
  }

  #keep(bytes: Buffer, from: number, to: number): void {
    this.#bytes.add(bytes, from, to);
    if (this.#bytes.length > this.#how.bytesMax) this.#tooLong();
  }

  /**
   * From here on the answer passes. What is there shows that it is JSON so far; should it be none later, it is cut off.
   * Decoded answers do not: what they come to is held up nowhere.
   */
  #tooLong(): void {
    const stream = this.#decoder === null ? this.#how.stream() : null;
    if (stream === null) return this.#fail(`more than ${this.#how.bytesMax} bytes`);
    const made = new Joined(this.#bytes.length);
    for (const piece of this.#bytes.pieces)
      if (!stream.push(piece, 0, piece.length, made.add)) return this.#fail(MALFORMED);
    this.#bytes.clear();
    this.holding = false;
    this.#stream = stream;
    made.putTo(this.#out!);
  }

  #pass(stream: StreamRemove, bytes: Buffer, from: number, to: number, out: BodyOutput): void {
    const made = new Joined(to - from);
    this.#out = out;
    if (stream.push(bytes, from, to, made.add)) made.putTo(out);
    else this.#fail(MALFORMED);
  }

  #finish(): void {
    const { bytes, problem } = this.#how.change(this.#x, this.#bytes.whole);
    if (problem !== null) return this.#fail(`the body ${problem}`);
    const out = this.#out!;
    const trailers = this.#trailers;
    this.gone();
    if (trailers === null) knowLength(this.#x, out, bytes.length);
    if (bytes.length > 0) out.data(bytes, 0, bytes.length);
    out.end(trailers);
  }

  #fail(detail: string): void {
    this.gone();
    this.#out!.fail(fault("transform.response", detail));
  }

  #close(): void {
    if (this.#decoder === null) return;
    this.#decoder.close();
    this.#decoder = null;
    leavePlace();
  }
}
