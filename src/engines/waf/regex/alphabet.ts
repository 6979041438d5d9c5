// Bytes that no set and no condition of a program tells apart are one class, so that tables have few columns.

import { EDGE, LAST_LINE_FEED, type Program, SYMBOLS, type SymbolSet } from "./program.ts";
import type { ByteSet } from "./syntax.ts";

export interface Alphabet {
  readonly classes: number;
  /** The class of each byte: those of bytes come first, so that they fit. */
  readonly classOf: Uint8Array;
  readonly edgeClass: number;
  /** The class of a line feed that is the last byte. */
  readonly lastLineFeedClass: number;
  /** Whether set `s` has the bytes of class `c`: at `s * classes + c`. */
  readonly takes: Uint8Array;
  /** Conditions for who reads from the start to the end. */
  readonly forward: Conditions;
  readonly backward: Conditions;
}

/** Which conditions hold between the symbol that was read last and the next one. */
export interface Conditions {
  readonly kinds: number;
  /** What of the class read last matters to conditions. */
  readonly kindOf: Uint16Array;
  /** The conditions that hold, as bits: at `kind * classes + class of the next symbol`. */
  readonly masks: Int32Array;
}

/** Finds the classes of a program. */
export function makeAlphabet(program: Program): Alphabet {
  const partition = new Partition();
  for (const set of program.sets) partition.split(set);
  for (const { pairs } of program.conditions) {
    for (const pair of pairs) {
      partition.split(pair.before);
      partition.split(pair.after);
    }
  }
  const { classes, classOf } = partition;
  const symbolOf = new Int32Array(classes);
  for (let symbol = SYMBOLS - 1; symbol >= 0; symbol -= 1) symbolOf[classOf[symbol]!] = symbol;
  const takes = new Uint8Array(program.sets.length * classes);
  for (const [index, set] of program.sets.entries()) {
    for (let symbol = 0; symbol < 256; symbol += 1) takes[index * classes + classOf[symbol]!]! |= set[symbol]!;
    takes[index * classes + classOf[LAST_LINE_FEED]!]! |= set[10]!;
  }
  return {
    classes,
    classOf: Uint8Array.from(classOf.subarray(0, 256)),
    edgeClass: classOf[EDGE]!,
    lastLineFeedClass: classOf[LAST_LINE_FEED]!,
    takes,
    forward: conditionsOf(program, symbolOf, true),
    backward: conditionsOf(program, symbolOf, false),
  };
}

/** The symbols in classes, ever finer. A class has a lower number than one whose first symbol comes later. */
class Partition {
  classes = 1;
  readonly classOf = new Int32Array(SYMBOLS);
  /** The number of a class with and without a flag, found in this round. */
  readonly #renamed = new Int32Array(SYMBOLS * 2);

  split(set: ByteSet | SymbolSet): void {
    const { classOf } = this;
    const renamed = this.#renamed.fill(-1);
    let count = 0;
    for (let symbol = 0; symbol < SYMBOLS; symbol += 1) {
      // In a set of bytes alone, the last line feed is one like any other, and the edge is never in.
      const flag = symbol < set.length ? set[symbol]! : symbol === LAST_LINE_FEED ? set[10]! : 0;
      const key = classOf[symbol]! * 2 + flag;
      if (renamed[key]! < 0) renamed[key] = count++;
      classOf[symbol] = renamed[key]!;
    }
    this.classes = count;
  }
}

/** @param symbolOf a symbol of each class */
function conditionsOf(program: Program, symbolOf: Int32Array, forward: boolean): Conditions {
  const classes = symbolOf.length;
  const kindOf = new Uint16Array(classes);
  const pairs = program.conditions.flatMap((condition, bit) =>
    condition.pairs.map(({ before, after }) => ({
      last: forward ? before : after,
      next: forward ? after : before,
      bit,
    })),
  );
  // Classes that are in the same sets of what was read last matter alike.
  const known = new Map<string, number>();
  const examples: number[] = [];
  for (let last = 0; last < classes; last += 1) {
    const symbol = symbolOf[last]!;
    let key = "";
    for (const pair of pairs) key += pair.last[symbol];
    if (!known.has(key)) known.set(key, examples.push(symbol) - 1);
    kindOf[last] = known.get(key)!;
  }
  const masks = new Int32Array(examples.length * classes);
  for (const [kind, symbol] of examples.entries()) {
    for (const { last, next, bit } of pairs) {
      if (last[symbol] === 0) continue;
      for (let at = 0; at < classes; at += 1) if (next[symbolOf[at]!] === 1) masks[kind * classes + at]! |= 1 << bit;
    }
  }
  return { kinds: examples.length, kindOf, masks };
}
