// A worker's side of the book of keys, which is in the supervisor (keys.ts).
import type { Claimed, KeptAnswer, KeyBook, KeyClaim } from "../pipeline/key-book.ts";
import type { KeyMessage } from "./keys.ts";
import { Questions } from "./questions.ts";

const UNKNOWN: Claimed = { kind: "unknown" };

export class WorkerKeys implements KeyBook {
  readonly #send: (question: number, message: KeyMessage) => void;
  readonly #questions: Questions<[claim: KeyClaim], Claimed>;
  /** What is asked for, so that a key that comes too late can be given back. */
  readonly #asked = new Map<number, string>();

  constructor(send: (question: number, message: KeyMessage) => void) {
    this.#send = send;
    this.#questions = new Questions<[claim: KeyClaim], Claimed>(UNKNOWN, (question, claim) => {
      this.#asked.set(question, claim.id);
      send(question, { do: "claim", claim });
    });
  }

  claim(claim: KeyClaim): Promise<Claimed> {
    return this.#questions.ask(claim);
  }

  finish(id: string, token: number, answer: KeptAnswer | null, ttlMs: number): void {
    this.#send(0, { do: "finish", id, token, answer, ttlMs });
  }

  /** The supervisor has answered. */
  claimed(question: number, claimed: Claimed): void {
    const id = this.#asked.get(question) ?? "";
    this.#asked.delete(question);
    if (!this.#questions.answered(question, claimed) && claimed.kind === "taken")
      this.finish(id, claimed.token, null, 0);
  }
}
