// By chance, each server as often as its weight says.
import { type Balancer, type Candidates, NO_CANDIDATES, type Random } from "./contract.ts";
import { Usable } from "./usable.ts";

export class RandomChoice implements Balancer {
  readonly keyed = false;
  readonly #random: Random;
  #candidates = NO_CANDIDATES;
  readonly #usable = new Usable();
  /** What a request that was tried before can still have. */
  readonly #rest = new Usable();

  constructor(random: Random) {
    this.#random = random;
  }

  pick(_key: number, tried: Uint8Array | null): number {
    const usable = this.#usable;
    const at = usable.draw(this.#random, tried);
    if (at >= 0) return usable.indices[at]!;
    if (tried === null) return -1;
    const rest = this.#rest.fill(this.#candidates, tried);
    return rest.count === 0 ? -1 : rest.indices[rest.draw(this.#random, null)]!;
  }

  reset(candidates: Candidates): void {
    this.#candidates = candidates;
    this.reweigh();
  }

  reweigh(): void {
    this.#usable.fill(this.#candidates, null);
  }

  observe(): void {}
}
