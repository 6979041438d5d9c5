// What becomes of the answer to a check: its status must be one of the good ones, and its body have the text in it.

import type { StatusRanges } from "../http/status-ranges.ts";
import type { BodyMatch } from "./body-match.ts";
import type { Verdict } from "./probe.ts";

/** As the configuration promises. A health page that is longer says nothing more about health. */
const BODY_BYTES_MAX = 65_536;

/** What a check wants. */
export interface Wanted {
  readonly statuses: StatusRanges;
  readonly match: BodyMatch | null;
}

/** Looks at one answer as far as the verdict needs it. */
export class Judge {
  /** The verdict is there: the rest of the answer is of no use. */
  over = false;
  readonly #wanted: Wanted;
  readonly #settle: (verdict: Verdict) => void;
  #kept: Buffer = Buffer.alloc(0);
  #bodyBytes = 0;
  #status = 0;

  constructor(wanted: Wanted, settle: (verdict: Verdict) => void) {
    this.#wanted = wanted;
    this.#settle = settle;
  }

  /** The status of the final head. */
  head(status: number): void {
    this.#status = status;
    if (!this.#wanted.statuses.has(status)) this.fail(`status ${status}`);
  }

  body(bytes: Buffer, from: number, to: number): void {
    if (this.over) return;
    const length = Math.min(to - from, BODY_BYTES_MAX - this.#bodyBytes);
    const seen = this.#bodyBytes;
    this.#bodyBytes += length;
    const { match } = this.#wanted;
    if (match !== null) {
      this.#keep(bytes, from, length, seen);
      if (match.found(this.#kept.subarray(0, this.#bodyBytes), seen, false)) return this.#good();
    }
    if (this.#bodyBytes === BODY_BYTES_MAX) this.complete();
  }

  #keep(bytes: Buffer, from: number, length: number, at: number): void {
    if (this.#kept.length < at + length) {
      const grown = Buffer.allocUnsafeSlow(Math.min(BODY_BYTES_MAX, (at + length) * 2));
      this.#kept.copy(grown, 0, 0, at);
      this.#kept = grown;
    }
    bytes.copy(this.#kept, at, from, from + length);
  }

  /** Nothing more of the body comes, or is to be looked at. */
  complete(): void {
    if (this.over) return;
    const { match } = this.#wanted;
    if (match === null || match.found(this.#kept.subarray(0, this.#bodyBytes), 0, true)) this.#good();
    else this.fail(match.missing);
  }

  #good(): void {
    this.over = true;
    this.#settle({ ok: true, reason: `status ${this.#status}` });
  }

  fail(reason: string): void {
    if (this.over) return;
    this.over = true;
    this.#settle({ ok: false, reason });
  }
}
