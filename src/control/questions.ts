// Questions of one thread to another, and their answers.

/** A handshake does not wait longer; certificates from a CA may take that long, and purges of large stores too. */
const DEADLINE_MS = 30_000;

export class Questions<About extends readonly unknown[], Answer> {
  readonly #send: (question: number, ...about: About) => void;
  readonly #none: Answer;
  readonly #open = new Map<number, (answer: Answer) => void>();
  #next = 1;

  /** `none` is the answer where there is none in time. */
  constructor(none: Answer, send: (question: number, ...about: About) => void) {
    this.#none = none;
    this.#send = send;
  }

  /** Resolves in any case. */
  readonly ask = (...about: About): Promise<Answer> => {
    const question = this.#next++;
    const { promise, resolve } = Promise.withResolvers<Answer>();
    const timer = setTimeout(() => this.answered(question, this.#none), DEADLINE_MS);
    timer.unref();
    this.#open.set(question, (answer) => {
      clearTimeout(timer);
      resolve(answer);
    });
    this.#send(question, ...about);
    return promise;
  };

  /** Nobody is left to answer. */
  end(): void {
    for (const question of [...this.#open.keys()]) this.answered(question, this.#none);
  }

  /** False where nobody waits for it any more. */
  answered(question: number, answer: Answer): boolean {
    this.#open.get(question)?.(answer);
    return this.#open.delete(question);
  }
}
