// A worker's questions to the supervisor about certificates, and their answers.
import type { NameAnswer } from "../certificates/contexts.ts";

/** A handshake does not wait longer; certificates from a CA may take that long. */
const DEADLINE_MS = 30_000;
const NO_ANSWER: NameAnswer = { certificate: null, refusedMs: 1000 };

export class Questions {
  readonly #send: (question: number, listener: string, name: string) => void;
  readonly #open = new Map<number, (answer: NameAnswer) => void>();
  #next = 1;

  constructor(send: (question: number, listener: string, name: string) => void) {
    this.#send = send;
  }

  /** Resolves with the answer, or with a refusal when there is none in time. */
  readonly ask = (listener: string, name: string): Promise<NameAnswer> => {
    const question = this.#next++;
    const { promise, resolve } = Promise.withResolvers<NameAnswer>();
    const timer = setTimeout(() => this.answered(question, NO_ANSWER), DEADLINE_MS);
    timer.unref();
    this.#open.set(question, (answer) => {
      clearTimeout(timer);
      resolve(answer);
    });
    this.#send(question, listener, name);
    return promise;
  };

  answered(question: number, answer: NameAnswer): void {
    this.#open.get(question)?.(answer);
    this.#open.delete(question);
  }
}
