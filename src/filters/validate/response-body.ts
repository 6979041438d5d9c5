// The body of an answer, collected until all of it is there: held back until then, or only looked at as it passes.
import type { Fault } from "../../core/faults.ts";
import { HeaderBlock } from "../../http/header-block.ts";
import type { BodyOutput, HoldingTransform } from "../../pipeline/body-transform.ts";
import type { Exchange } from "../../pipeline/exchange.ts";
import { Gathered } from "../../pipeline/gathered.ts";
import { holdResponse } from "../../pipeline/transforms.ts";

/** Says what an answer fails of; null for nothing. It is given null for a body that is longer than what is checked. */
type Judge = (body: Buffer | null) => Fault | null;

export class ResponseBody implements HoldingTransform {
  holding: boolean;
  readonly full = false; // a body is held up to a limit, beyond which it is judged at once
  readonly #max: number;
  readonly #judge: Judge;
  readonly #bytes = new Gathered();
  #isJudged = false;

  private constructor(max: number, holds: boolean, judge: Judge) {
    this.holding = holds;
    this.#max = max;
    this.#judge = judge;
  }

  static start(x: Exchange, max: number, holds: boolean, judge: Judge): void {
    holdResponse(x, new ResponseBody(max, holds, judge));
  }

  push(bytes: Buffer, from: number, to: number, out: BodyOutput): void {
    if (!this.holding) out.data(bytes, from, to);
    if (this.#isJudged) return;
    this.#bytes.add(bytes, from, to);
    if (this.#bytes.length > this.#max) this.#decide(null, out);
  }

  end(trailers: HeaderBlock | null, out: BodyOutput): void {
    // The reader's own are used again.
    const kept = trailers === null ? null : HeaderBlock.of(trailers.entries());
    if (!this.#isJudged && !this.#decide(this.#bytes.whole, out)) return;
    out.end(kept);
  }

  gone(): void {
    this.#isJudged = true;
    this.#bytes.clear();
    this.holding = false;
  }

  /** False when the answer has failed. */
  #decide(body: Buffer | null, out: BodyOutput): boolean {
    this.#isJudged = true;
    const cause = this.#judge(body);
    const wasHeld = this.holding;
    this.holding = false;
    if (cause !== null) {
      out.fail(cause);
      return false;
    }
    if (wasHeld) for (const piece of this.#bytes.pieces) out.data(piece, 0, piece.length);
    this.#bytes.clear();
    return true;
  }
}
