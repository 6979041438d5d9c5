// One pass over a value tells which operators can match it at all: most of them need one of their literals to occur.
import { LiteralSet } from "../literals/literal-set.ts";

/** An operator's bit is its place in the list. */
export class Prefilter {
  /** How many numbers of 32 bits the operators take. */
  readonly words: number;
  readonly #set: LiteralSet;
  /** The bits of operators of which nothing is known. */
  readonly #always: Uint32Array;

  /**
   * @param literals for each operator; every value that it matches contains one of them, without regard to case. Null
   *   for an operator that may match anything.
   */
  constructor(literals: readonly (readonly string[] | null)[]) {
    this.words = (literals.length + 31) >>> 5;
    this.#always = new Uint32Array(this.words);
    const owners = new Map<string, number[]>();
    for (const [bit, list] of literals.entries()) {
      if (list === null) this.#always[bit >>> 5]! |= 1 << (bit & 31);
      for (const literal of new Set(list)) {
        const known = owners.get(literal);
        if (known === undefined) owners.set(literal, [bit]);
        else known.push(bit);
      }
    }
    this.#set = new LiteralSet([...owners.keys()], [...owners.values()]);
  }

  /** Sets the bits of the operators that may match in `bits`, from `at`. */
  candidates(value: string, bits: Uint32Array, at: number): void {
    bits.set(this.#always, at);
    this.#set.mark(value, bits, at);
  }
}
