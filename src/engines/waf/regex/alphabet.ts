// Bytes that no set and no condition of a program tells apart are one class, so that tables have few columns.

import { EDGE, LAST_LINE_FEED, type Program, SYMBOLS, type SymbolSet } from "./program.ts";
import type { ByteSet } from "./syntax.ts";
import { RegexError } from "./syntax.ts";

export interface Alphabet {
  readonly classes: number;
  /** The class of each byte. */
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
  readonly kindOf: Uint8Array;
  /** The conditions that hold, as bits: at `kind * classes + class of the next symbol`. */
  readonly masks: Int32Array;
}

/** Finds the classes of a program. */
export function makeAlphabet(program: Program): Alphabet {
  const partition = new Int32Array(SYMBOLS);
  let classes = 1;
  const split = (set: ByteSet | SymbolSet): void => {
    const renamed = new Map<number, number>();
    for (let symbol = 0; symbol < SYMBOLS; symbol += 1) {
      // In a set of bytes alone, the last line feed is one like any other, and the edge is never in.
      const flag = symbol < set.length ? set[symbol]! : symbol === LAST_LINE_FEED ? set[10]! : 0;
      const key = partition[symbol]! * 2 + flag;
      if (!renamed.has(key)) renamed.set(key, renamed.size);
      partition[symbol] = renamed.get(key)!;
    }
    classes = renamed.size;
  };
  program.sets.forEach(split);
  for (const { pairs } of program.conditions) {
    for (const pair of pairs) {
      split(pair.before);
      split(pair.after);
    }
  }
  if (classes > 256) throw new RegexError("the pattern tells all bytes apart: use sets of bytes", 0);
  const symbolOf = new Int32Array(classes);
  for (let symbol = SYMBOLS - 1; symbol >= 0; symbol -= 1) symbolOf[partition[symbol]!] = symbol;
  const takes = new Uint8Array(program.sets.length * classes);
  for (const [index, set] of program.sets.entries()) {
    for (let symbol = 0; symbol < 256; symbol += 1) takes[index * classes + partition[symbol]!]! |= set[symbol]!;
    takes[index * classes + partition[LAST_LINE_FEED]!]! |= set[10]!;
  }
  return {
    classes,
    classOf: Uint8Array.from(partition.subarray(0, 256)),
    edgeClass: partition[EDGE]!,
    lastLineFeedClass: partition[LAST_LINE_FEED]!,
    takes,
    forward: conditionsOf(classes, (last, next) => maskOf(program, symbolOf[last]!, symbolOf[next]!)),
    backward: conditionsOf(classes, (last, next) => maskOf(program, symbolOf[next]!, symbolOf[last]!)),
  };
}

function maskOf(program: Program, before: number, after: number): number {
  let mask = 0;
  for (const [index, { pairs }] of program.conditions.entries()) {
    if (pairs.some((pair) => pair.before[before] === 1 && pair.after[after] === 1)) mask |= 1 << index;
  }
  return mask;
}

function conditionsOf(classes: number, maskAt: (last: number, next: number) => number): Conditions {
  const kindOf = new Uint8Array(classes);
  const rows: Int32Array[] = [];
  const known = new Map<string, number>();
  for (let last = 0; last < classes; last += 1) {
    const row = Int32Array.from({ length: classes }, (_, next) => maskAt(last, next));
    const key = row.join();
    if (!known.has(key)) known.set(key, rows.push(row) - 1);
    kindOf[last] = known.get(key)!;
  }
  const masks = new Int32Array(rows.length * classes);
  for (const [kind, row] of rows.entries()) masks.set(row, kind * classes);
  return { kinds: rows.length, kindOf, masks };
}
