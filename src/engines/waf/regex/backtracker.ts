// Runs what no automaton can: back-references, look-around of more than a byte, atomic groups. It tries choice by
// choice, remembers which did not lead anywhere, and stops after a number of steps.
import { work } from "../work.ts";
import { WORD } from "./byte-set.ts";
import { HIT, MISS, WAITS } from "./lazy-dfa.ts";
import { EDGE, LAST_LINE_FEED, Op, type Program, type SubProgram } from "./program.ts";
import type { Scan } from "./scan.ts";

/** From one place in the input: about two milliseconds. Rules of the Core Rule Set take some hundred steps. */
const STEPS_MAX = 100_000;
/** From all places: 15 for each byte of 128 KB, which honest text needs where a pattern tries each word. */
const STEPS_OF_ALL = 2_000_000;
const WORK_OF_STEP = 20;
/** States that are remembered: more take more memory than they spare time. */
const FAILED_MAX = 50_000;
/** Until so many steps nothing is remembered, as that costs more than going there again: unless rounds may be empty. */
const STEPS_FORGETFUL = 512;
/** What remembering costs, in steps. */
const STEPS_TO_REMEMBER = 10;

export class Backtracker {
  readonly #program: Program;
  /** The bytes that a match can begin with; null where it can begin with any, or be empty. */
  readonly #first: Uint8Array | null;
  /** The slots of groups that are referred to: what follows depends on them. */
  readonly #telling: readonly number[];
  readonly #forgetful: number;
  #input = "";
  #slots: Int32Array = new Int32Array(0);
  #steps = 0;
  #stepsMax = 0;
  /** The last search ended for its steps, so that it is not known whether there is a match. */
  gaveUp = false;

  constructor(program: Program) {
    this.#program = program;
    this.#first = firstBytes(program);
    this.#forgetful = program.emptyRounds ? 0 : STEPS_FORGETFUL;
    const groups = new Set(program.references.map((reference) => reference.group));
    this.#telling = [...groups].flatMap((group) => [group * 2, group * 2 + 1]);
  }

  /**
   * Writes the pairs of the leftmost match, and gives HIT; MISS if there is none, or if it took too many steps to find
   * one. With a scan it may give WAITS, and goes on at the next call.
   */
  find(input: string, captures: Int32Array, scan: Scan | null = null): number {
    const { start, anchored, groups } = this.#program;
    const failed = new Set<number | string>();
    this.#input = input;
    this.#slots = captures;
    this.gaveUp = false;
    captures.fill(-1, 0, groups * 2 + 2);
    const last = anchored ? 0 : input.length;
    const from = scan?.tries === true ? scan.at : 0;
    let steps = scan?.tries === true ? scan.steps : 0;
    if (scan !== null) scan.tries = false;
    for (let at = from; at <= last; at += 1) {
      if (this.#first !== null && (at === input.length || this.#first[input.charCodeAt(at)] === 0)) continue;
      if (scan !== null && work.left <= 0 && at > from) {
        scan.wait(at, steps);
        return WAITS;
      }
      this.#steps = 0;
      this.#stepsMax = Math.min(STEPS_MAX, STEPS_OF_ALL - steps);
      const end = this.#run(start, at, failed);
      steps += this.#steps;
      work.left -= this.#steps * WORK_OF_STEP;
      if (end >= 0) return HIT;
      if (this.gaveUp) break;
      if (failed.size > FAILED_MAX) failed.clear();
    }
    captures.fill(-1, 0, groups * 2 + 2);
    return MISS;
  }

  /** Runs from a state to a match; gives the place where that ends, or -1, with the slots as they were. */
  #run(start: number, from: number, failed: Set<number | string>): number {
    const { op, x, y, sets } = this.#program;
    const input = this.#input;
    // What is left to try: a state and a place, or -1 - slot and the value that it had.
    const stack: number[] = [];
    let state = start;
    let at = from;
    for (;;) {
      this.#steps += 1;
      if (this.#steps > this.#stepsMax) {
        this.gaveUp = true;
        return -1;
      }
      let next = -1;
      const operand = x[state]!;
      switch (op[state]) {
        case Op.BYTES:
          if (at < input.length && sets[operand]![input.charCodeAt(at)] === 1) {
            next = y[state]!;
            at += 1;
          }
          break;
        case Op.SPLIT:
          if (this.#steps > this.#forgetful && this.#wasHere(failed, state, at)) break;
          stack.push(y[state]!, at);
          next = operand;
          break;
        case Op.SAVE:
          stack.push(-1 - operand, this.#slots[operand]!);
          this.#slots[operand] = at;
          next = y[state]!;
          break;
        case Op.POSITION:
          if (this.#holds(operand, at)) next = y[state]!;
          break;
        case Op.SUB: {
          const sub = this.#program.subs[operand]!;
          const before = this.#slots.slice();
          const end = this.#sub(sub, at);
          if (end >= 0 === sub.negative) {
            this.#slots.set(before);
            break;
          }
          for (let slot = 0; slot < before.length; slot += 1) {
            if (before[slot] !== this.#slots[slot]) stack.push(-1 - slot, before[slot]!);
          }
          if (sub.kind === "atomic") at = end;
          next = y[state]!;
          break;
        }
        case Op.AGAIN: {
          const end = this.#again(operand, at);
          if (end < 0) break;
          at = end;
          next = y[state]!;
          break;
        }
        default:
          return at;
      }
      while (next < 0) {
        if (stack.length === 0) return -1;
        const value = stack.pop()!;
        const entry = stack.pop()!;
        if (entry < 0) this.#slots[-1 - entry] = value;
        else {
          next = entry;
          at = value;
        }
      }
      state = next;
    }
  }

  /** Whether the search was at a choice before, in the same situation; then it cannot lead anywhere now. */
  #wasHere(failed: Set<number | string>, state: number, at: number): boolean {
    this.#steps += STEPS_TO_REMEMBER;
    const before = failed.size;
    failed.add(this.#keyOf(state, at));
    return failed.size === before;
  }

  #sub(sub: SubProgram, at: number): number {
    if (sub.kind !== "behind") return this.#run(sub.start, at, new Set());
    for (const { start, width } of sub.branches) {
      if (width <= at && this.#run(start, at - width, new Set()) >= 0) return at;
    }
    return -1;
  }

  /** Names a state, a place, and all else that decides what follows from there. */
  #keyOf(state: number, at: number): number | string {
    const places = this.#input.length + 2;
    let key = state * places + at;
    for (let index = 0; index < this.#telling.length; index += 1) {
      key = key * places + this.#slots[this.#telling[index]!]! + 1;
    }
    if (key < Number.MAX_SAFE_INTEGER) return key;
    return `${state},${at},${this.#telling.map((slot) => this.#slots[slot])}`;
  }

  #again(reference: number, at: number): number {
    const { group, ignoreCase } = this.#program.references[reference]!;
    const from = this.#slots[group * 2]!;
    const to = this.#slots[group * 2 + 1]!;
    // A group that has taken nothing yet, or is only open, is found nowhere.
    if (from < 0 || to < from || at + to - from > this.#input.length) return -1;
    this.#steps += to - from;
    for (let offset = 0; offset < to - from; offset += 1) {
      const left = this.#input.charCodeAt(from + offset);
      const right = this.#input.charCodeAt(at + offset);
      if (left !== right && !(ignoreCase && sameLetter(left, right))) return -1;
    }
    return at + to - from;
  }

  #symbolAt(at: number): number {
    if (at < 0 || at >= this.#input.length) return EDGE;
    const byte = this.#input.charCodeAt(at);
    return byte === 10 && at === this.#input.length - 1 ? LAST_LINE_FEED : byte;
  }

  #holds(condition: number, at: number): boolean {
    const before = this.#symbolAt(at - 1);
    const after = this.#symbolAt(at);
    for (const pair of this.#program.conditions[condition]!.pairs) {
      if (pair.before[before] === 1 && pair.after[after] === 1) return true;
    }
    return false;
  }
}

/** Two letters of ASCII that differ in case alone. */
function sameLetter(left: number, right: number): boolean {
  return (left ^ right) === 32 && WORD[left] === 1 && (left | 32) >= 97;
}

function firstBytes(program: Program): Uint8Array | null {
  const { op, x, y } = program;
  const first = new Uint8Array(256);
  const seen = new Set<number>();
  const open = [program.start];
  while (open.length > 0) {
    const state = open.pop()!;
    if (seen.has(state)) continue;
    seen.add(state);
    switch (op[state]) {
      case Op.BYTES: {
        const set = program.sets[x[state]!]!;
        for (let byte = 0; byte < 256; byte += 1) first[byte]! |= set[byte]!;
        break;
      }
      case Op.SPLIT:
        open.push(x[state]!, y[state]!);
        break;
      case Op.SUB: {
        const sub = program.subs[x[state]!]!;
        // An atomic group may be empty, and then the match begins with what follows: too rare to look closer.
        if (sub.kind === "atomic") return null;
        open.push(y[state]!);
        break;
      }
      case Op.SAVE:
      case Op.POSITION:
        open.push(y[state]!);
        break;
      default:
        return null;
    }
  }
  return first;
}
