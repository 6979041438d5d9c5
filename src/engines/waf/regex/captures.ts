// Finds what each group took, in time proportional to the input. Reading forward finds where the preferred match ends;
// reading backward from there, where it begins, and for every place which states lead to that end; walking forward then
// takes the first choice that does, so it never turns back over bytes.
import type { Alphabet } from "./alphabet.ts";
import type { LazyDfa } from "./lazy-dfa.ts";
import { Op, type Program } from "./program.ts";
import type { RowContent } from "./scan.ts";

/** Places whose rows are known at a time; of longer inputs, each block is read again when the walk comes to it. */
const BLOCK = 4096;
/**
 * About a millisecond for each reading. Inputs made to be hard get no more: then the captures are those of a match, but
 * perhaps not of the first, or none are found.
 */
const WORK_MAX = 20_000;
/** About a millisecond. Of matches that are longer, groups that end later are as if they had taken nothing. */
const WALK_MAX = 24_576;

export class CaptureFinder {
  readonly #program: Program;
  readonly #alphabet: Alphabet;
  /** Reads forward, with preferred steps. */
  readonly #forward: LazyDfa;
  /** Reads backward from an end, with all steps. */
  readonly #backward: LazyDfa;
  /** The rows at the places of one block, from its first place to its end. */
  readonly #rows = new Int32Array(BLOCK + 1);
  #blockAt = 0;
  #end = 0;
  /** The state at an end, for each kind of what follows it. */
  readonly #ends: readonly RowContent[];
  #workEnd = 0;
  /** What the rows at the ends of blocks stand for, by the number of the block, counted back from the end. */
  readonly #checkpoints: RowContent[] = [];
  // The walk: states seen at a place, and what is left to try there. A negative entry gives a slot its old value back.
  readonly #seen: Int32Array;
  #round = 0;
  readonly #stack: number[] = [];

  constructor(program: Program, alphabet: Alphabet, forward: LazyDfa, backward: LazyDfa) {
    this.#program = program;
    this.#alphabet = alphabet;
    this.#forward = forward;
    this.#backward = backward;
    this.#seen = new Int32Array(program.op.length);
    const members = Uint16Array.of(program.end);
    this.#ends = Array.from({ length: alphabet.backward.kinds }, (_, kind) => ({ members, kind }));
  }

  /**
   * Writes the pairs of the leftmost match, the preferred one of those that begin there. False if there was no time to
   * find it.
   *
   * @param end where some match ends, which is taken if there is no time to find the preferred one
   */
  find(input: string, end: number, captures: Int32Array): boolean {
    this.#end = this.#forward.findEnd(input, WORK_MAX);
    if (this.#end < 0) this.#end = end;
    const { anchored, groups } = this.#program;
    // Most rules ask for the whole match alone.
    const start = anchored && groups === 0 ? 0 : this.#readBack(input);
    if (start < 0) return false;
    captures.fill(-1);
    if (groups > 0) this.#walk(input, start, captures);
    captures[0] = start;
    captures[1] = this.#end;
    return true;
  }

  /** The class of the symbol at a place; beside the text it is the edge. */
  #classAt(input: string, at: number): number {
    const { classOf, edgeClass, lastLineFeedClass } = this.#alphabet;
    if (at < 0 || at >= input.length) return edgeClass;
    const byte = input.charCodeAt(at);
    return byte === 10 && at === input.length - 1 ? lastLineFeedClass : classOf[byte]!;
  }

  /** Reads from the end as long as a match may begin there, and gives the first place where one does. */
  #readBack(input: string): number {
    const reader = this.#backward;
    const kind = this.#alphabet.backward.kindOf[this.#classAt(input, this.#end)]!;
    let content = this.#ends[kind]!;
    let first = -1;
    this.#checkpoints.length = 0;
    this.#workEnd = reader.work + WORK_MAX;
    for (let block = 0; ; block += 1) {
      if (reader.full) reader.clear();
      this.#checkpoints.push(content);
      const begins = this.#readBlock(input, block);
      if (begins >= 0) first = begins;
      const row = this.#rows[0]!;
      if (reader.work > this.#workEnd) return first;
      if (row < 0 || this.#blockAt === 0) return first;
      content = reader.contentOf(row);
    }
  }

  /** Reads the places of a block from its end on; gives the first place in it where a match begins, or -1. */
  #readBlock(input: string, block: number): number {
    const reader = this.#backward;
    const to = this.#end - block * BLOCK;
    const from = Math.max(0, to - BLOCK);
    let row = reader.rowFor(this.#checkpoints[block]!);
    let first = -1;
    this.#blockAt = from;
    this.#rows[to - from] = row;
    for (let at = to; at > from; at -= 1) {
      const symbol = this.#classAt(input, at - 1);
      const next = reader.step(row, symbol);
      if (reader.hit(row, symbol)) first = at;
      row = next;
      this.#rows[at - 1 - from] = row;
      if (row < 0 || reader.work > this.#workEnd) {
        this.#rows[0] = row;
        return first;
      }
    }
    // Whether one begins at the first place of a block, the block before it tells; at the start of the text, the edge.
    if (from === 0) {
      reader.step(row, this.#alphabet.edgeClass);
      if (reader.hit(row, this.#alphabet.edgeClass)) first = 0;
    }
    return first;
  }

  #rowAt(input: string, at: number): number {
    const block = Math.ceil((this.#end - at) / BLOCK) - 1;
    const from = Math.max(0, this.#end - (block + 1) * BLOCK);
    if (from !== this.#blockAt) {
      if (this.#backward.full) this.#backward.clear();
      // This time all of the block is wanted.
      this.#workEnd = Number.POSITIVE_INFINITY;
      this.#readBlock(input, block);
    }
    return this.#rows[at - this.#blockAt]!;
  }

  #walk(input: string, start: number, captures: Int32Array): void {
    let state = this.#program.start;
    const last = start + WALK_MAX;
    for (let at = start; state >= 0 && at < last; at += 1) state = this.#choose(input, at, state, captures);
    if (state < 0) return;
    for (let slot = 2; slot < captures.length; slot += 2) {
      if (captures[slot + 1]! < captures[slot]!) captures.fill(-1, slot, slot + 2);
    }
  }

  /** The state behind the byte here, of the first choice that leads to a match; -1 where the match ends here. */
  #choose(input: string, at: number, from: number, captures: Int32Array): number {
    const { op, x, y } = this.#program;
    const { classes, takes, forward } = this.#alphabet;
    const row = at < this.#end ? this.#rowAt(input, at) : -1;
    const here = this.#classAt(input, at);
    const mask = forward.masks[forward.kindOf[this.#classAt(input, at - 1)]! * classes + here]!;
    const stack = this.#stack;
    const round = ++this.#round;
    stack.length = 0;
    let state = from;
    for (;;) {
      if (this.#seen[state] !== round) {
        this.#seen[state] = round;
        switch (op[state]) {
          case Op.BYTES:
            if (row >= 0 && takes[x[state]! * classes + here] === 1 && this.#backward.has(row, state)) return y[state]!;
            break;
          case Op.SPLIT:
            stack.push(y[state]!);
            state = x[state]!;
            continue;
          case Op.SAVE: {
            const slot = x[state]!;
            stack.push(captures[slot]!, -1 - slot);
            captures[slot] = at;
            state = y[state]!;
            continue;
          }
          case Op.POSITION:
            if (((mask >>> x[state]!) & 1) === 0) break;
            state = y[state]!;
            continue;
          case Op.MATCH:
            if (at < this.#end) break;
            return -1;
        }
      }
      let back = stack.pop()!;
      while (back < 0) {
        captures[-1 - back] = stack.pop()!;
        back = stack.pop()!;
      }
      state = back;
    }
  }
}
