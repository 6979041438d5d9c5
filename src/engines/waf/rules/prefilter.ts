// One pass over a value tells which operators can match it at all: each of these needs one of its literals to occur.
import { LiteralSet } from "../literals/literal-set.ts";

/** The literals of all operators that have some. An operator's bit is its place in the list. */
export class Prefilter {
  /** How many numbers of 32 bits the operators take. */
  readonly words: number;
  readonly #set: LiteralSet;

  /** @param literals for each operator; every value that it matches contains one of them, without regard to case */
  constructor(literals: readonly (readonly string[])[]) {
    this.words = (literals.length + 31) >>> 5;
    const owners = new Map<string, number[]>();
    for (const [bit, list] of literals.entries()) {
      for (const literal of new Set(list)) {
        const known = owners.get(literal);
        if (known === undefined) owners.set(literal, [bit]);
        else known.push(bit);
      }
    }
    this.#set = new LiteralSet([...owners.keys()], [...owners.values()]);
  }

  /** Adds the bits of the operators that can match to `bits`, from `at`; false when there are none. */
  candidates(value: string, bits: Uint32Array, at: number): boolean {
    return this.#set.mark(value, bits, at);
  }
}
