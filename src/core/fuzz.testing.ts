// Fuzzing from a seed: a law is a function that throws when it does not hold; a seed that broke it repeats the failure.

/** A source of chance that gives the same numbers for the same seed (mulberry32). */
export class Rng {
  #state: number;

  constructor(seed: number) {
    this.#state = seed >>> 0;
  }

  /** A whole number in [0, below). */
  below(below: number): number {
    this.#state = (this.#state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), 1 | this.#state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 0x1_0000_0000) * below);
  }

  pick<T>(from: readonly T[]): T {
    return from[this.below(from.length)]!;
  }

  /** True once in `n` times. */
  oneIn(n: number): boolean {
    return this.below(n) === 0;
  }
}

/** Something that must hold for whatever the source of chance makes up. Throws when it does not. */
export type Law = (rng: Rng) => void;

/** Tries seeds from `first` on; the error of the first that breaks the law names its seed. Returns the seeds tried. */
export function tryLaw(name: string, law: Law, first: number, rounds: number): number {
  for (let seed = first; seed < first + rounds; seed += 1) {
    try {
      law(new Rng(seed));
    } catch (error) {
      throw new Error(`${name}: seed ${seed}: ${error instanceof Error ? error.message : error}`, { cause: error });
    }
  }
  return rounds;
}

const ENDLESS_STEP = 10_000;

/**
 * What a fuzz file does when it is run by itself: with a seed as its argument it tries that one; without, it goes on
 * from a seed that nobody tried before until a law breaks or the process is stopped.
 */
export function runAlone(name: string, law: Law): void {
  const given = process.argv[2];
  if (given !== undefined) {
    tryLaw(name, law, Number(given), 1);
    console.log(`${name}: seed ${given} holds`);
    return;
  }
  let seed = crypto.getRandomValues(new Uint32Array(1))[0]! >>> 1;
  for (;;) {
    seed += tryLaw(name, law, seed, ENDLESS_STEP);
    console.log(`${name}: holds up to seed ${seed - 1}`);
  }
}
