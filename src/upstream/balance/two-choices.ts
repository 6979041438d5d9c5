// Power of two choices: of two servers drawn by chance, the one with fewer requests in flight for its weight.
import { type Balancer, type Candidates, NO_CANDIDATES, type Random } from "./contract.ts";
import { Usable } from "./usable.ts";

export class TwoChoices implements Balancer {
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
    const index = this.#choose(this.#usable, tried);
    return index >= 0 || tried === null ? index : this.#choose(this.#rest.fill(this.#candidates, tried), null);
  }

  /** -1 when there is none, or when too many were tried to find two by chance. */
  #choose(usable: Usable, tried: Uint8Array | null): number {
    const { indices } = usable;
    const first = usable.draw(this.#random, tried);
    if (first < 0) return -1;
    if (usable.count === 1) return indices[first]!;
    const other = usable.drawOther(first, this.#random, tried);
    if (other < 0) return -1;
    // A tie is the first's: it was drawn as its weight says, the other was not.
    return indices[usable.load(other) < usable.load(first) ? other : first]!;
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
