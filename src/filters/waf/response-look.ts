// Phase 4: the body of an answer, which is kept with its head until as much of it was seen as the rules want.
import { Coder, type CoderOwner, leavePlace, takePlace } from "../../engines/compression/coders.ts";
import { codingOf } from "../../engines/compression/eligible.ts";
import { CODINGS, type Coding } from "../../http/content-codings.ts";
import { HeaderBlock } from "../../http/header-block.ts";
import type { BodyOutput, HoldingTransform } from "../../pipeline/body-transform.ts";
import { type Exchange, isFault } from "../../pipeline/exchange.ts";
import { holdResponse } from "../../pipeline/transforms.ts";
import { refusal, type Visit } from "./visit.ts";

/** Compressed bytes that may wait for the decoder before the server is held up. */
const IN_HAND_MAX = 131_072;

/** How the body of an answer can be read: as it is, undone, or not at all. */
function codingFor({ response }: Exchange): Coding | "plain" | null {
  const coding = codingOf(response.headers);
  return coding === "" ? "plain" : (CODINGS.find((each) => each === coding) ?? null);
}

export class ResponseLook implements HoldingTransform, CoderOwner {
  holding = true;
  readonly #visit: Visit;
  readonly #x: Exchange;
  readonly #pieces: Buffer[] = [];
  readonly #source: { room(): void };
  readonly #limit: number;
  #decoder: Coder | null = null;
  /** Where the body goes on to, once there is one. */
  #out: BodyOutput | null = null;
  /** Compressed bytes that the decoder has not taken yet, and that it has. */
  #inHand = 0;
  #taken = 0;
  #hasEnded = false;
  /** Enough was seen; the rules may take some steps over it, in which the server is held up. */
  #isDecided = false;
  #trailers: HeaderBlock | null = null;

  private constructor(visit: Visit, x: Exchange, limit: number) {
    this.#visit = visit;
    this.#x = x;
    this.#limit = limit;
    this.#source = holdResponse(x, this);
  }

  /** Looks at the body that follows; false where nobody can. */
  static start(visit: Visit, x: Exchange, limit: number): boolean {
    const coding = codingFor(x);
    // Where all decoders are busy, the answer passes: it is the server's, and others wait for it.
    if (coding === null || (coding !== "plain" && !takePlace())) return false;
    const look = new ResponseLook(visit, x, limit);
    if (coding !== "plain") look.#decoder = Coder.decoder(coding, look);
    return true;
  }

  // ——— HoldingTransform

  get full(): boolean {
    return this.holding && (this.#isDecided || this.#inHand > IN_HAND_MAX);
  }

  push(bytes: Buffer, from: number, to: number, out: BodyOutput): void {
    if (!this.holding) return out.data(bytes, from, to);
    this.#out = out;
    const piece = Buffer.from(bytes.subarray(from, to));
    this.#pieces.push(piece);
    if (this.#isDecided) return;
    if (this.#decoder === null) this.#see(piece);
    else {
      this.#inHand += piece.length;
      this.#decoder.write(piece);
    }
  }

  end(trailers: HeaderBlock | null, out: BodyOutput): void {
    if (!this.holding) return out.end(trailers);
    this.#out = out;
    this.#hasEnded = true;
    if (trailers !== null) this.#trailers = HeaderBlock.of(trailers.entries()); // the reader's own is used again
    if (this.#isDecided) return;
    if (this.#decoder === null || this.#pieces.length === 0) this.#release();
    else this.#decoder.end();
  }

  gone(): void {
    this.holding = false;
    this.#close();
  }

  #see(bytes: Buffer): void {
    if (this.#visit.transaction?.responsePiece(bytes) !== true) this.#release();
  }

  // ——— CoderOwner

  onTaken(bytes: number): void {
    const wasFull = this.full;
    this.#inHand -= bytes;
    this.#taken += bytes;
    if (!this.holding) return;
    // Content that becomes nothing however much of it comes: more is not looked at.
    if (this.#taken > this.#limit) return this.#release();
    if (wasFull && !this.full) this.#source.room();
  }
  onCoded(bytes: Buffer): void {
    if (this.holding) this.#see(bytes);
  }
  onCodedEnd(): void {
    if (this.holding) this.#release();
  }
  /** What could be read of it is looked at. */
  onCoderFault(): void {
    if (this.holding) this.#release();
  }

  #close(): void {
    if (this.#decoder === null) return;
    this.#decoder.close();
    this.#decoder = null;
    leavePlace();
  }

  /** Enough was seen: the answer goes out, or what the rules say in its place. */
  #release(): void {
    if (this.#isDecided) return;
    const wasFull = this.full;
    this.#isDecided = true;
    this.#close();
    this.#visit.transaction?.beginResponseBody();
    this.#step(wasFull);
  }

  #step(wasFull: boolean): void {
    if (!this.holding) return;
    const tx = this.#visit.transaction;
    if (tx?.step() === true) {
      setImmediate(() => this.#step(true));
      return;
    }
    const interruption = tx?.interruption ?? null;
    const out = this.#out!;
    if (interruption !== null) return this.#refuse(interruption, out);
    this.holding = false;
    for (const piece of this.#pieces) out.data(piece, 0, piece.length);
    this.#pieces.length = 0;
    if (this.#hasEnded) out.end(this.#trailers);
    else if (wasFull) this.#source.room();
  }

  #refuse(interruption: Parameters<typeof refusal>[1], out: BodyOutput): void {
    const x = this.#x;
    this.#pieces.length = 0;
    const outcome = refusal(x, interruption);
    if (outcome === undefined || outcome instanceof Promise) return;
    if (isFault(outcome)) return out.fail(outcome);
    x.sink?.onDownstreamGone(x.fault!);
    if (!x.over) x.downstream.reply(outcome);
  }
}
