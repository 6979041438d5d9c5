// Forms with long files: what comes behind the part that was read ahead is looked at as it flows by. The end of the
// body, and what is not decided yet, waits, so that no server has the whole form before.
import type { Transaction } from "../../engines/waf/index.ts";
import { FormTail } from "../../engines/waf/index.ts";
import { HeaderBlock } from "../../http/header-block.ts";
import type { BodyOutput, BodyTransform } from "../../pipeline/body-transform.ts";
import { type Exchange, isFault } from "../../pipeline/exchange.ts";
import { watchRequest } from "../../pipeline/transforms.ts";
import { blocked, refusal, type Visit } from "./visit.ts";

/** Looks at what follows the part of a form that the transaction has seen. For forms that go on. */
export function lookAtTail(visit: Visit, x: Exchange, tx: Transaction): void {
  if (tx.state.bodyProcessor !== "MULTIPART" || tx.state.engine === "off") return;
  watchRequest(x, new TailLook(visit, x, tx.state.requestBodyLimit));
}

class TailLook implements BodyTransform {
  readonly #visit: Visit;
  readonly #x: Exchange;
  readonly #tail: FormTail;
  readonly #limit: number;
  /** The head as it came: others may change it before all of the body is there. */
  readonly #line: ReturnType<Visit["line"]>;
  readonly #fields: (readonly [name: string, value: string])[] = [];
  #held: Buffer[] = [];
  #heldBytes = 0;
  #isLooking = false;
  /** Nothing more is looked at, or nothing more goes on. */
  #isOpen = false;
  #isOver = false;
  #hasEnded = false;
  #trailers: HeaderBlock | null = null;

  constructor(visit: Visit, x: Exchange, limit: number) {
    this.#visit = visit;
    this.#x = x;
    this.#limit = limit;
    this.#line = visit.line();
    x.request.headers.forEach((name, value) => void this.#fields.push([name, value]));
    this.#tail = new FormTail(x.request.header("content-type") ?? "", limit);
  }

  push(bytes: Buffer, from: number, to: number, out: BodyOutput): void {
    if (this.#isOver) return;
    const piece = Buffer.from(bytes.subarray(from, to));
    this.#held.push(piece);
    this.#heldBytes += piece.length;
    if (!this.#isOpen) this.#tail.push(piece);
    if (this.#isLooking) this.#x.downstream.pauseBody();
    else this.#go(out);
  }

  end(trailers: HeaderBlock | null, out: BodyOutput): void {
    if (this.#isOver) return;
    this.#hasEnded = true;
    if (trailers !== null) this.#trailers = HeaderBlock.of(trailers.entries()); // the reader's own is used again
    this.#tail.end();
    if (!this.#isLooking) this.#go(out);
  }

  #go(out: BodyOutput): void {
    const tail = this.#tail;
    if (!this.#isOpen && tail.pending) {
      const isDue = this.#hasEnded || (this.#heldBytes > this.#limit && tail.complete);
      if (isDue || tail.tooLong) this.#look(out);
      return;
    }
    // One piece stays: only at the end it is known that the form is whole.
    const stays = this.#isOpen || this.#hasEnded ? 0 : 1;
    const pieces = this.#held.splice(0, this.#held.length - stays);
    for (const piece of pieces) {
      this.#heldBytes -= piece.length;
      out.data(piece, 0, piece.length);
    }
    if (this.#hasEnded) {
      this.#isOver = true;
      out.end(this.#trailers);
    }
  }

  #look(out: BodyOutput): void {
    const isTooLong = this.#tail.tooLong;
    const form = Buffer.from(this.#tail.take(), "latin1");
    const tx = this.#visit.firewall.take();
    this.#isLooking = true;
    if (isTooLong) this.#isOpen = true; // where rules leave that alone
    tx.begin(this.#line);
    for (const [name, value] of this.#fields) tx.requestHeader(name, value);
    if (isTooLong) tx.state.tx.set("form_too_long", "1");
    tx.beginRequestHead();
    // Whoever has just given this piece hears of a refusal later.
    this.#later(() => this.#head(tx, form, out));
  }

  #head(tx: Transaction, form: Buffer, out: BodyOutput): void {
    if (tx.step()) return this.#later(() => this.#head(tx, form, out));
    if (tx.interruption === null) {
      tx.requestPiece(form);
      tx.beginRequestBody();
    }
    this.#body(tx, out);
  }

  #body(tx: Transaction, out: BodyOutput): void {
    if (tx.step()) return this.#later(() => this.#body(tx, out));
    this.#isLooking = false;
    if (tx.interruption !== null && !this.#x.over) this.#refuse(tx, out);
    this.#visit.firewall.finish(this.#x, tx);
    if (this.#isOver || this.#x.over) return;
    this.#go(out);
    if (!this.#isLooking && !this.#isOver && !this.#hasEnded) this.#x.downstream.resumeBody();
  }

  /** Other connections are served in between. */
  #later(step: () => void): void {
    this.#x.downstream.pauseBody();
    setImmediate(step);
  }

  #refuse(tx: Transaction, out: BodyOutput): void {
    const x = this.#x;
    this.#isOver = true;
    this.#held = [];
    const outcome = refusal(x, tx.interruption);
    if (outcome === undefined || outcome instanceof Promise) return;
    if (isFault(outcome) || x.downstream.answered) return out.fail(blocked(tx.interruption!));
    x.sink?.onDownstreamGone(x.fault!);
    if (!x.over) x.downstream.reply(outcome);
  }
}
