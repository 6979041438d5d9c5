// Changes come in bursts: a file is written in steps, a deployment restarts one container after another.

/** Calls `act` once things have been quiet for `quietMs`, and at the latest `maxMs` after the first `poke`. */
export class SettleDown {
  readonly #act: () => void;
  readonly #quietMs: number;
  readonly #maxMs: number;
  #quiet: ReturnType<typeof setTimeout> | undefined;
  #latest: ReturnType<typeof setTimeout> | undefined;

  constructor(act: () => void, quietMs: number, maxMs: number) {
    this.#act = act;
    this.#quietMs = quietMs;
    this.#maxMs = maxMs;
  }

  poke(): void {
    clearTimeout(this.#quiet);
    this.#quiet = setTimeout(this.#fire, this.#quietMs);
    this.#latest ??= setTimeout(this.#fire, this.#maxMs);
  }

  stop(): void {
    clearTimeout(this.#quiet);
    clearTimeout(this.#latest);
    this.#latest = undefined;
  }

  readonly #fire = (): void => {
    this.stop();
    this.#act();
  };
}
