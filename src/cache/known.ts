// What is known of keys without answers of theirs: that they may not be stored, that they are too long for it, or that
// their servers have just failed.
import type { HeaderBlock } from "../http/header-block.ts";
import { type Failure, Failures } from "./failures.ts";
import { MissMarks } from "./miss-marks.ts";
import type { Lack } from "./peers.ts";

export class Known {
  readonly #marks = new MissMarks();
  /** Those of them that are too long alone: parts of them may be stored. */
  readonly #long = new MissMarks();
  readonly #failures = new Failures();

  /** Whether nobody should wait for the answer to a request of this key; times are milliseconds since 1970. */
  isRefused(key: string, request: HeaderBlock, now: number): boolean {
    return this.#marks.size > 0 && this.#marks.covers(key, request, now);
  }
  refused(key: string, few: boolean, now: number): void {
    this.#marks.note(key, few, now);
  }

  isLong(key: string, now: number): boolean {
    return this.#long.size > 0 && this.#long.has(key, now);
  }
  tooLong(key: string, now: number): void {
    this.#marks.note(key, false, now);
    this.#long.add(key, now);
  }

  /** How the server failed, where it is not to be asked for a while; else null. */
  failure(key: string, now: number): Failure | null {
    return this.#failures.size > 0 ? this.#failures.holding(key, now) : null;
  }
  failed(key: string, failure: Failure, now: number): void {
    this.#failures.add(key, failure, now);
  }

  /** The server has confirmed or sent an answer, which may be another worker's. */
  answered(key: string): void {
    this.#failures.delete(key);
  }
  /** The answer has been stored. */
  stored(key: string): void {
    this.#marks.delete(key);
    this.#failures.delete(key);
  }

  /** The same for another worker, and from one. */
  lackOf(key: string, now: number): Lack {
    if (this.#failures.holding(key, now) !== null) return "failed";
    const noted = this.#marks.of(key, now);
    return noted === "all" ? "refused" : noted === "few" ? "refused-few" : "nothing";
  }
  lacks(key: string, lack: Lack, now: number): void {
    if (lack === "failed") this.#failures.add(key, "error", now);
    else if (lack !== "nothing") this.#marks.note(key, lack === "refused-few", now);
  }
}
