// A pattern as a program: the states of a non-deterministic automaton, with the order in which choices are tried.
import { ANY, LINE_FEED, WORD } from "./byte-set.ts";
import { type ByteSet, type Position, RegexError, type RegexNode, widthOf } from "./syntax.ts";

/** What a state does. `x` and `y` are its operands. */
export const Op = {
  /** Takes a byte of the set `x`, goes on at `y`. */
  BYTES: 0,
  /** Goes on at `x`, or else at `y`. */
  SPLIT: 1,
  /** Keeps the place in the input as capture slot `x`, goes on at `y`. */
  SAVE: 2,
  /** Goes on at `y` if the condition `x` holds here. */
  POSITION: 3,
  /** The whole match, or the sub-program of a look-around or an atomic group, is found. */
  MATCH: 4,
  /** Runs the sub-program `x` (an index into `subs`), goes on at `y`. */
  SUB: 5,
  /** Takes again what group `x` has taken (an index into `references`), goes on at `y`. */
  AGAIN: 6,
} as const;

export interface SubProgram {
  readonly start: number;
  /** The state that says that it is found. */
  readonly end: number;
  readonly kind: "ahead" | "behind" | "atomic";
  readonly negative: boolean;
  /** Where the sub-program of a look-behind begins, in bytes before here: one for each branch. */
  readonly branches: readonly { readonly start: number; readonly width: number }[];
}

export interface Reference {
  readonly group: number;
  readonly ignoreCase: boolean;
  /** The set of all bytes, for who cannot know what the group took. */
  readonly any: number;
}

/** A condition on the two symbols around a place: it holds if any of the pairs takes both. */
export interface Condition {
  readonly pairs: readonly { readonly before: SymbolSet; readonly after: SymbolSet }[];
}

/** Bytes, and two symbols that only conditions see: the edge of the text, and a line feed that is its last byte. */
export type SymbolSet = Uint8Array;
export const EDGE = 256;
export const LAST_LINE_FEED = 257;
export const SYMBOLS = 258;

export interface Program {
  readonly start: number;
  /** The state that says that the whole match is found. */
  readonly end: number;
  readonly op: Uint8Array;
  readonly x: Int32Array;
  readonly y: Int32Array;
  readonly sets: readonly ByteSet[];
  readonly conditions: readonly Condition[];
  readonly subs: readonly SubProgram[];
  readonly references: readonly Reference[];
  readonly groups: number;
  /** A match can only begin where the text does. */
  readonly anchored: boolean;
  /** Something that may be empty is repeated without end. */
  readonly emptyRounds: boolean;
}

/**
 * More states than the longest rules known need (about 10,000), and few enough that compiling a hostile pattern takes
 * milliseconds. Counted repetitions multiply: `(a{100}){100}` needs 10,000.
 */
const STATES_MAX = 32_768;
/** Conditions are bits of a 32-bit number. */
const CONDITIONS_MAX = 32;

/**
 * Compiles a tree.
 *
 * @throws RegexError for patterns with too many states
 */
export function compileProgram(tree: RegexNode, groups: number): Program {
  const builder = new Builder();
  const end = builder.emit(Op.MATCH, 0, 0);
  const start = builder.emit(Op.SAVE, 0, builder.compile(tree, builder.emit(Op.SAVE, 1, end)));
  return builder.finish(start, end, groups, beginsAtStart(tree));
}

/** Whether only compiling a tree tells if it can be: it may have too many states, or too many conditions. */
export function mustCompile(tree: RegexNode): boolean {
  let positions = 0;
  const statesOf = (node: RegexNode): number => {
    switch (node.kind) {
      case "bytes":
      case "back-reference":
        return 1;
      case "position":
        positions += 1;
        return 1;
      case "sequence":
      case "choice":
        return node.items.reduce((sum, item) => sum + statesOf(item) + 1, 0);
      case "repeat":
        return (statesOf(node.item) + 1) * Math.max(1, node.max === Number.POSITIVE_INFINITY ? node.min : node.max) + 2;
      default:
        return statesOf(node.item) + 2;
    }
  };
  return statesOf(tree) + 3 > STATES_MAX || positions > CONDITIONS_MAX;
}

function beginsAtStart(node: RegexNode): boolean {
  switch (node.kind) {
    case "position":
      return node.position.at === "text-start";
    case "group":
    case "atomic":
      return beginsAtStart(node.item);
    case "choice":
      return node.items.every(beginsAtStart);
    case "repeat":
      return node.min > 0 && beginsAtStart(node.item);
    case "sequence":
      // What comes before the anchor may not take anything.
      for (const item of node.items) {
        if (beginsAtStart(item)) return true;
        if (widthOf(item).max > 0) return false;
      }
      return false;
    default:
      return false;
  }
}

class Builder {
  readonly #op: number[] = [];
  readonly #x: number[] = [];
  readonly #y: number[] = [];
  readonly #sets = new Interned<ByteSet>();
  /** By identity, as most sets are those of single bytes, which the parser has once each. */
  readonly #setIds = new Map<ByteSet, number>();
  readonly #conditions = new Interned<Condition>();
  readonly #subs: SubProgram[] = [];
  readonly #references: Reference[] = [];
  #emptyRounds = false;

  emit(op: number, x: number, y: number): number {
    if (this.#op.length >= STATES_MAX) {
      throw new RegexError(
        `the pattern needs more than ${STATES_MAX} states: make its counted repetitions ({n,m}) smaller`,
        0,
      );
    }
    this.#op.push(op);
    this.#x.push(x);
    this.#y.push(y);
    return this.#op.length - 1;
  }

  /** States for a node that go on at `next`; gives the first of them. Built from the end, so that `next` is known. */
  compile(node: RegexNode, next: number): number {
    switch (node.kind) {
      case "bytes":
        return this.emit(Op.BYTES, this.#set(node.set), next);
      case "sequence":
        return node.items.reduceRight((after, item) => this.compile(item, after), next);
      case "choice": {
        const entries = node.items.map((item) => this.compile(item, next));
        return entries.reduceRight((rest, entry) => this.emit(Op.SPLIT, entry, rest));
      }
      case "repeat":
        return this.#repeat(node, next);
      case "group": {
        const close = this.emit(Op.SAVE, node.index * 2 + 1, next);
        return this.emit(Op.SAVE, node.index * 2, this.compile(node.item, close));
      }
      case "position":
        return this.emit(Op.POSITION, this.#condition(node.position), next);
      case "look":
        return this.#look(node, next);
      case "atomic": {
        const end = this.emit(Op.MATCH, 0, 0);
        const start = this.compile(node.item, end);
        return this.emit(Op.SUB, this.#sub({ start, end, kind: "atomic", negative: false, branches: [] }), next);
      }
      case "back-reference":
        this.#references.push({
          group: node.group,
          ignoreCase: node.ignoreCase,
          any: this.#set(ANY),
        });
        return this.emit(Op.AGAIN, this.#references.length - 1, next);
    }
  }

  #set(set: ByteSet): number {
    const known = this.#setIds.get(set);
    if (known !== undefined) return known;
    const id = this.#sets.add(set, keyOfSet(set));
    this.#setIds.set(set, id);
    return id;
  }

  #repeat(node: RegexNode & { kind: "repeat" }, next: number): number {
    const { item, min, max } = node;
    let entry = next;
    let copies = min;
    if (max === Number.POSITIVE_INFINITY) {
      const loop = this.#fork(node, -1, next);
      // An empty round must not go round again but on: then the loop is left behind a fork of its own.
      const back = widthOf(item).min > 0 ? loop : this.#fork(node, -1, next);
      const body = this.compile(item, back);
      this.#aim(node, loop, body);
      if (back !== loop) {
        this.#aim(node, back, body);
        this.#emptyRounds = true;
      }
      // At least once: straight into the body.
      entry = min > 0 ? body : loop;
      copies = Math.max(0, min - 1);
    } else {
      for (let extra = min; extra < max; extra += 1) entry = this.#fork(node, this.compile(item, entry), next);
    }
    for (let copy = 0; copy < copies; copy += 1) entry = this.compile(item, entry);
    return entry;
  }

  #fork(node: RegexNode & { kind: "repeat" }, body: number, next: number): number {
    return node.mode === "greedy" ? this.emit(Op.SPLIT, body, next) : this.emit(Op.SPLIT, next, body);
  }

  #aim(node: RegexNode & { kind: "repeat" }, fork: number, body: number): void {
    (node.mode === "greedy" ? this.#x : this.#y)[fork] = body;
  }

  #look(node: RegexNode & { kind: "look" }, next: number): number {
    const end = this.emit(Op.MATCH, 0, 0);
    const { ahead, negative, item } = node;
    if (ahead) {
      const start = this.compile(item, end);
      return this.emit(Op.SUB, this.#sub({ start, end, kind: "ahead", negative, branches: [] }), next);
    }
    const branches = (item.kind === "choice" ? item.items : [item]).map((branch) => ({
      start: this.compile(branch, end),
      width: widthOf(branch).min,
    }));
    return this.emit(Op.SUB, this.#sub({ start: end, end, kind: "behind", negative, branches }), next);
  }

  #sub(sub: SubProgram): number {
    this.#subs.push(sub);
    return this.#subs.length - 1;
  }

  #condition(position: Position): number {
    const condition: Condition = { pairs: pairsOf(position) };
    const index = this.#conditions.add(condition, keyOfPosition(position));
    if (index < CONDITIONS_MAX) return index;
    throw new RegexError(`more than ${CONDITIONS_MAX} different one-byte look-arounds: use fewer`, 0);
  }

  finish(start: number, end: number, groups: number, anchored: boolean): Program {
    return {
      start,
      end,
      op: Uint8Array.from(this.#op),
      x: Int32Array.from(this.#x),
      y: Int32Array.from(this.#y),
      sets: this.#sets.values,
      conditions: this.#conditions.values,
      subs: this.#subs,
      references: this.#references,
      groups,
      anchored,
      emptyRounds: this.#emptyRounds,
    };
  }
}

/** Values that are kept once each. */
class Interned<T> {
  readonly values: T[] = [];
  readonly #index = new Map<string, number>();

  add(value: T, key: string): number {
    const known = this.#index.get(key);
    if (known !== undefined) return known;
    this.#index.set(key, this.values.length);
    return this.values.push(value) - 1;
  }
}

/** The flags as bits, 16 in each character. */
function keyOfSet(set: ByteSet): string {
  let key = "";
  for (let from = 0; from < set.length; from += 16) {
    let bits = 0;
    for (let bit = 0; bit < 16; bit += 1) bits |= set[from + bit]! << bit;
    key += String.fromCharCode(bits);
  }
  return key;
}

function keyOfPosition(position: Position): string {
  const negative = "negative" in position && position.negative ? "!" : "";
  return `${position.at}${negative}${"set" in position ? keyOfSet(position.set) : ""}`;
}

const EVERYWHERE: SymbolSet = new Uint8Array(SYMBOLS).fill(1);

/** A set of bytes as symbols: the last line feed is one like any other, and the edge is `edge`. */
function symbols(set: ByteSet, edge: 0 | 1): SymbolSet {
  const made = new Uint8Array(SYMBOLS);
  made.set(set);
  made[EDGE] = edge;
  made[LAST_LINE_FEED] = set[10]!;
  return made;
}

function pairsOf(position: Position): Condition["pairs"] {
  const edge = symbols(new Uint8Array(256), 1);
  const lineEdge = symbols(LINE_FEED, 1);
  switch (position.at) {
    case "text-start":
      return [{ before: edge, after: EVERYWHERE }];
    case "text-end":
      return [{ before: EVERYWHERE, after: edge }];
    case "last-line-end": {
      const after = edge.slice();
      after[LAST_LINE_FEED] = 1;
      return [{ before: EVERYWHERE, after }];
    }
    case "line-start": {
      // As in PCRE, no line begins behind a line feed that ends the text.
      const inside = symbols(ANY, 0);
      return [
        { before: edge, after: EVERYWHERE },
        { before: symbols(LINE_FEED, 0), after: inside },
      ];
    }
    case "line-end":
      return [{ before: EVERYWHERE, after: lineEdge }];
    case "word-edge": {
      const word = symbols(WORD, 0);
      const other = word.map((flag) => 1 - flag);
      return position.negative
        ? [
            { before: word, after: word },
            { before: other, after: other },
          ]
        : [
            { before: word, after: other },
            { before: other, after: word },
          ];
    }
    case "before":
    case "after": {
      const set = position.negative
        ? symbols(
            position.set.map((flag) => 1 - flag),
            1,
          )
        : symbols(position.set, 0);
      return position.at === "before" ? [{ before: set, after: EVERYWHERE }] : [{ before: EVERYWHERE, after: set }];
    }
  }
}
