// Regular expressions in the flavour of PCRE, on bytes, in time that grows with the input alone: whatever the pattern
// and the input, no search holds the event loop.
import { type Alphabet, makeAlphabet } from "./alphabet.ts";
import { Backtracker } from "./backtracker.ts";
import { CaptureFinder } from "./captures.ts";
import { makeGraph } from "./graph.ts";
import { LazyDfa } from "./lazy-dfa.ts";
import { requiredLiterals } from "./literals.ts";
import { parsePattern } from "./parser.ts";
import { compileProgram, type Program } from "./program.ts";
import { AllSteps, PreferredSteps } from "./steps.ts";

export { RegexError } from "./syntax.ts";

export interface Regex {
  /** Capturing groups, without the whole match. */
  readonly groups: number;
  /**
   * Lower-cased words (ASCII letters alone), at least one of which is in every input that matches, in whatever case;
   * null when nothing is known.
   */
  readonly literals: readonly string[] | null;
  /** The last search ended for the steps it took, and said that nothing is found. Only back-references and the like can. */
  readonly gaveUp: boolean;
  /** Whether a match is anywhere in the input: a string of Latin-1 characters, one for each byte. */
  test(input: string): boolean;
  /**
   * The same, with the [start, end] of the whole match and of each group in `captures`; -1 for one that took nothing.
   * Groups beyond its length are left out.
   */
  exec(input: string, captures: Int32Array): boolean;
}

export interface RegexOptions {
  readonly ignoreCase?: boolean;
  /** `^` and `$` match at every line, as libmodsecurity has it; else at the edges of the text. */
  readonly multiline?: boolean;
  /** `$` matches at the very end only, not before a line feed that ends the text. */
  readonly dollarEndOnly?: boolean;
}

/**
 * Compiles a pattern. The dot takes line feeds too, as in ModSecurity.
 *
 * @throws RegexError with the offset, and what to do, for what cannot be matched so
 */
export function compileRegex(pattern: string, options: RegexOptions = {}): Regex {
  const { ignoreCase = false, multiline = false, dollarEndOnly = false } = options;
  const flags = { ignoreCase, multiline, dollarEndOnly, dotAll: true, extended: false };
  const { tree, groups } = parsePattern(pattern, flags);
  const program = compileProgram(tree, groups);
  return new Compiled(program, requiredLiterals(tree));
}

class Compiled implements Regex {
  readonly groups: number;
  readonly literals: readonly string[] | null;
  readonly #program: Program;
  readonly #backtracker: Backtracker | null;
  readonly #slots: Int32Array;
  // Tables are made when they are first wanted: many rules never run, and few of those that match give captures.
  #alphabet: Alphabet | null = null;
  #searcher: LazyDfa | null = null;
  #finder: CaptureFinder | null = null;

  constructor(program: Program, literals: readonly string[] | null) {
    const regular = program.references.length === 0 && program.subs.length === 0;
    this.groups = program.groups;
    this.literals = literals;
    this.#program = program;
    this.#backtracker = regular ? null : new Backtracker(program);
    this.#slots = new Int32Array(program.groups * 2 + 2);
  }

  get gaveUp(): boolean {
    return this.#backtracker?.gaveUp === true;
  }

  test(input: string): boolean {
    this.#searcher ??= this.#makeSearcher();
    if (!this.#searcher.test(input)) return false;
    return this.#backtracker === null || this.#backtracker.find(input, this.#slots);
  }

  exec(input: string, captures: Int32Array): boolean {
    if (!this.#find(input)) return false;
    captures.fill(-1);
    captures.set(captures.length < this.#slots.length ? this.#slots.subarray(0, captures.length) : this.#slots);
    return true;
  }

  #find(input: string): boolean {
    if (this.#backtracker !== null) return this.test(input);
    this.#finder ??= this.#makeFinder();
    return this.#finder.find(input, this.#slots);
  }

  #symbols(): Alphabet {
    this.#alphabet ??= makeAlphabet(this.#program);
    return this.#alphabet;
  }

  /** Finds whether there is a match; of a pattern that needs the backtracker, whether there may be one. */
  #makeSearcher(): LazyDfa {
    const alphabet = this.#symbols();
    const graph = makeGraph(this.#program, "forward");
    const steps = new AllSteps(graph, alphabet, alphabet.forward, !this.#program.anchored);
    return new LazyDfa(steps, alphabet, alphabet.forward);
  }

  #makeFinder(): CaptureFinder {
    const program = this.#program;
    const alphabet = this.#symbols();
    const there = makeGraph(program, "forward");
    const back = makeGraph(program, "backward");
    const preferred = new PreferredSteps(there, alphabet, alphabet.forward, !program.anchored);
    const all = new AllSteps(back, alphabet, alphabet.backward, false);
    return new CaptureFinder(
      program,
      alphabet,
      new LazyDfa(preferred, alphabet, alphabet.forward),
      new LazyDfa(all, alphabet, alphabet.backward),
    );
  }
}
