// Regular expressions in the flavour of PCRE, on bytes, in time that grows with the input alone: whatever the pattern
// and the input, no search holds the event loop.
import { work } from "../work.ts";
import { type Alphabet, makeAlphabet } from "./alphabet.ts";
import { Backtracker } from "./backtracker.ts";
import { CaptureFinder } from "./captures.ts";
import { makeGraph } from "./graph.ts";
import { HIT, LazyDfa } from "./lazy-dfa.ts";
import { requiredLiterals } from "./literals.ts";
import { type Flags, parsePattern } from "./parser.ts";
import { compileProgram, mustCompile, type Program } from "./program.ts";
import type { Scan } from "./scan.ts";
import { AllSteps, PreferredSteps } from "./steps.ts";

export { HIT, WAITS } from "./lazy-dfa.ts";
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
  /** The same in steps: MISS, HIT, or WAITS when it is to be called again with the same input and scan. */
  search(input: string, scan: Scan): number;
  /**
   * The same, with the [start, end] of the whole match and of each group in `captures`; -1 for one that took nothing.
   * Groups beyond its length are left out. Of inputs made to be hard, the captures may be those of another match.
   */
  exec(input: string, captures: Int32Array): boolean;
  /** Writes the captures for an input in which the last search has found a match. */
  capture(input: string, captures: Int32Array): void;
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
  // Only what is too large or too strange throws, so that most patterns need no program to be found right.
  if (mustCompile(tree)) compileProgram(tree, groups);
  return new Compiled(pattern, flags, groups, requiredLiterals(tree));
}

// What a pattern and each of its states cost when they are made ready.
const WORK_TO_COMPILE = 200_000;
const WORK_OF_STATE = 300;
/** Of a match whose captures took too long to find, so much before its end is taken for it. */
const CAPTURED_MAX = 64;

class Compiled implements Regex {
  readonly groups: number;
  readonly literals: readonly string[] | null;
  readonly #pattern: string;
  readonly #flags: Flags;
  readonly #slots: Int32Array;
  // All is made when it is first wanted: many rules never run, and few of those that match give captures.
  #program: Program | null = null;
  #backtracker: Backtracker | null = null;
  #alphabet: Alphabet | null = null;
  #searcher: LazyDfa | null = null;
  #finder: CaptureFinder | null = null;

  constructor(pattern: string, flags: Flags, groups: number, literals: readonly string[] | null) {
    this.groups = groups;
    this.literals = literals;
    this.#pattern = pattern;
    this.#flags = flags;
    this.#slots = new Int32Array(groups * 2 + 2);
  }

  get gaveUp(): boolean {
    return this.#backtracker?.gaveUp === true;
  }

  test(input: string): boolean {
    return this.#search(input, null) === HIT;
  }

  search(input: string, scan: Scan): number {
    return this.#search(input, scan);
  }

  exec(input: string, captures: Int32Array): boolean {
    if (!this.test(input)) return false;
    this.capture(input, captures);
    return true;
  }

  capture(input: string, captures: Int32Array): void {
    // The backtracker has written them already.
    if (this.#backtracker === null) {
      this.#finder ??= this.#makeFinder();
      if (!this.#finder.find(input, this.#searcher!.end, this.#slots)) this.#takeEnd();
    }
    captures.fill(-1);
    captures.set(captures.length < this.#slots.length ? this.#slots.subarray(0, captures.length) : this.#slots);
  }

  /** It took too long to find what was captured: where a match ends is known. */
  #takeEnd(): void {
    const { end } = this.#searcher!;
    this.#slots.fill(-1);
    this.#slots[0] = Math.max(0, end - CAPTURED_MAX);
    this.#slots[1] = end;
  }

  #search(input: string, scan: Scan | null): number {
    this.#searcher ??= this.#makeSearcher();
    if (this.#backtracker === null) return this.#searcher.search(input, scan);
    this.#backtracker.gaveUp = false;
    const found = scan?.tries === true ? HIT : this.#searcher.search(input, scan);
    return found === HIT ? this.#backtracker.find(input, this.#slots, scan) : found;
  }

  #compiled(): Program {
    if (this.#program !== null) return this.#program;
    const { tree, groups } = parsePattern(this.#pattern, this.#flags);
    const program = compileProgram(tree, groups);
    if (program.references.length > 0 || program.subs.length > 0) this.#backtracker = new Backtracker(program);
    this.#program = program;
    work.left -= WORK_TO_COMPILE + program.op.length * WORK_OF_STATE;
    return program;
  }

  #symbols(): Alphabet {
    this.#alphabet ??= makeAlphabet(this.#compiled());
    return this.#alphabet;
  }

  /** Finds whether there is a match; of a pattern that needs the backtracker, whether there may be one. */
  #makeSearcher(): LazyDfa {
    const program = this.#compiled();
    const alphabet = this.#symbols();
    const graph = makeGraph(program, "forward");
    const steps = new AllSteps(graph, alphabet, alphabet.forward, !program.anchored);
    return new LazyDfa(steps, alphabet, alphabet.forward);
  }

  #makeFinder(): CaptureFinder {
    const program = this.#compiled();
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
