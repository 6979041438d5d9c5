// A deterministic automaton that is made while it runs: each of its states is a set of states of a graph, found when an
// input first leads there. A search of any length costs a table look-up for each byte, whatever the pattern.
import { work } from "../work.ts";
import type { Alphabet, Conditions } from "./alphabet.ts";
import type { RowContent, Scan } from "./scan.ts";
import type { Steps } from "./steps.ts";
import { type TableBudget, tableBudget } from "./table-budget.ts";

/** Entries of a row; other values are the offset of the next row. */
const UNKNOWN = 0;
const DEAD = -1;
const FOUND = -2;

/**
 * Of one automaton, before it forgets everything: one under attack needs no more to be fast. Ordinary traffic needs
 * 20 KB. What all automata of a thread may take together is bounded too (TableBudget).
 */
const BYTES_MAX = 512 * 1024;
const ROWS_FIRST = 4;
const WORK_OF_STEP = 10;
/** A unit of it, and a look-up in a table, as steps of the engine count them. */
const WORK_UNIT = 50;
const WORK_OF_BYTE = 2;
/** Of a row, besides what its members and entries take. */
const ROW_BYTES = 200;
const ENTRY_BYTES = 5;
const MEMBER_BYTES = 4;

/** What a search says: nothing is found, a match is, or it is not through with the input. */
export const MISS = 0;
export const HIT = 1;
export const WAITS = 2;

export class LazyDfa {
  readonly #steps: Steps;
  readonly #alphabet: Alphabet;
  readonly #conditions: Conditions;
  readonly #stride: number;
  readonly #rowOf = new Map<string, number>();
  /** By row number. */
  #contents: RowContent[] = [];
  #table: Int32Array;
  /** For each entry of the table, whether a match is at the place between the row and the symbol. */
  #hits: Uint8Array;
  #start = 0;
  /** Grows with each transition that is made, by what that costs: a unit is about 50 ns. */
  work = 0;
  /** Where the match ends that the last search has found: of all matches, the one that ends first. */
  end = 0;
  #bytes = 0;
  readonly #budget: TableBudget;

  constructor(steps: Steps, alphabet: Alphabet, conditions: Conditions, budget = tableBudget) {
    this.#steps = steps;
    this.#alphabet = alphabet;
    this.#conditions = conditions;
    this.#stride = alphabet.classes;
    this.#table = new Int32Array(ROWS_FIRST * this.#stride);
    this.#hits = new Uint8Array(this.#table.length);
    this.#budget = budget;
    budget.add(this);
    this.clear();
  }

  get bytes(): number {
    return this.#bytes;
  }

  /**
   * Whether a match is anywhere in the input: MISS, HIT, or WAITS when the work of this step is done before that is
   * known; then it goes on with the same input and scan. Without a scan it never waits. Not to be mixed with `findEnd`
   * and `step` on one automaton.
   */
  search(input: string, scan: Scan | null): number {
    const classOf = this.#alphabet.classOf;
    const plain = plainLength(input, this.#alphabet);
    let row = this.#start;
    let from = 0;
    if (scan !== null && scan.content !== null) {
      from = scan.at;
      row = this.rowFor(scan.content);
      scan.content = null;
    }
    let table = this.#table;
    for (let at = from; at < plain; at += 1) {
      const symbolClass = classOf[input.charCodeAt(at)]!;
      let next = table[row + symbolClass]!;
      if (next <= 0) {
        if (next === UNKNOWN) {
          next = this.#search(row, symbolClass);
          table = this.#table;
          if (work.left <= 0 && next > 0 && scan !== null) {
            scan.at = at + 1;
            scan.content = this.contentOf(next);
            return WAITS;
          }
        }
        if (next < 0) return this.#ends(at, from, next);
      }
      row = next;
    }
    if (plain < input.length) {
      row = this.#search(row, this.#alphabet.lastLineFeedClass);
      if (row < 0) return this.#ends(plain, from, row);
    }
    return this.#ends(input.length, from, this.#search(row, this.#alphabet.edgeClass));
  }

  #ends(at: number, from: number, row: number): number {
    work.left -= (at - from) * WORK_OF_BYTE;
    if (row !== FOUND) return MISS;
    this.end = at;
    return HIT;
  }

  /** The next row; FOUND in its place where there is a match before the symbol. */
  #search(row: number, symbolClass: number): number {
    const known = this.#table[row + symbolClass]!;
    if (known !== UNKNOWN) return known;
    return this.#make(row, symbolClass, true);
  }

  /** The end of the match that the steps prefer, or -1; beyond so much work, that of another match, or -1. */
  findEnd(input: string, workMax: number): number {
    const { classOf, lastLineFeedClass, edgeClass } = this.#alphabet;
    const plain = plainLength(input, this.#alphabet);
    const workEnd = this.work + workMax;
    let table = this.#table;
    let hits = this.#hits;
    let row = this.#start;
    let end = -1;
    for (let at = 0; at <= input.length; at += 1) {
      const last = at === input.length ? edgeClass : lastLineFeedClass;
      const symbolClass = at < plain ? classOf[input.charCodeAt(at)]! : last;
      let next = table[row + symbolClass]!;
      if (next === UNKNOWN) {
        if (this.work > workEnd) break;
        if (this.full) row = this.#afresh(row);
        next = this.#make(row, symbolClass, false);
        table = this.#table;
        hits = this.#hits;
      }
      if (hits[row + symbolClass] === 1) end = at;
      if (next < 0) break;
      row = next;
    }
    return end;
  }

  /** The row after a symbol; negative where nothing more can be found. */
  step(row: number, symbolClass: number): number {
    const known = this.#table[row + symbolClass]!;
    return known === UNKNOWN ? this.#make(row, symbolClass, false) : known;
  }

  /** Whether a match is found at the place between the row and the symbol, of a step that has been made. */
  hit(row: number, symbolClass: number): boolean {
    return this.#hits[row + symbolClass] === 1;
  }

  /** Whether a state is in the set of a row, if sets are sorted. */
  has(row: number, state: number): boolean {
    const { members } = this.#contents[row / this.#stride]!;
    let low = 0;
    let high = members.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (members[middle]! < state) low = middle + 1;
      else high = middle;
    }
    return members[low] === state;
  }

  /** True once it holds so much that `forget` is due. Until then rows stay valid. */
  get full(): boolean {
    return this.#bytes > BYTES_MAX;
  }

  contentOf(row: number): RowContent {
    return this.#contents[row / this.#stride]!;
  }

  rowFor(content: RowContent): number {
    const key = keyOf(content);
    const known = this.#rowOf.get(key);
    if (known !== undefined) return known;
    const row = this.#contents.push(content) * this.#stride - this.#stride;
    if (row + this.#stride > this.#table.length) this.#grow();
    this.#rowOf.set(key, row);
    this.#grown(ROW_BYTES + content.members.length * MEMBER_BYTES);
    return row;
  }

  /** Frees all rows, and their memory. */
  forget(): void {
    this.#shrink();
    this.clear();
  }

  #shrink(): void {
    this.#table = new Int32Array(ROWS_FIRST * this.#stride);
    this.#hits = new Uint8Array(this.#table.length);
  }

  /** Frees all rows. The table keeps its size, as those that come will need it, if there is room for them beside it. */
  clear(): void {
    if (this.#table.length * ENTRY_BYTES > BYTES_MAX / 2) this.#shrink();
    this.#rowOf.clear();
    // A row at offset 0 could not be told from an unknown one.
    this.#contents = [{ members: new Uint16Array(0), kind: -1 }];
    this.#table.fill(UNKNOWN);
    this.#hits.fill(0);
    this.#grown(this.#table.length * ENTRY_BYTES - this.#bytes);
    const kind = this.#conditions.kindOf[this.#alphabet.edgeClass]!;
    this.#start = this.rowFor({ members: this.#steps.first, kind });
  }

  /** The same row in an automaton that has forgotten all others. */
  #afresh(row: number): number {
    const content = this.contentOf(row);
    this.clear();
    return this.rowFor(content);
  }

  /** Finds out where a symbol leads, and notes it. */
  #make(row: number, symbolClass: number, searching: boolean): number {
    const { members, kind } = this.contentOf(row);
    const after = this.#steps.next(members, kind, symbolClass);
    const found = this.#steps.found;
    const done = members.length + WORK_OF_STEP;
    this.work += done;
    work.left -= done * WORK_UNIT;
    let from = row;
    let next = DEAD;
    if (found && searching) next = FOUND;
    else if (after !== null) {
      // While searching nobody keeps rows but the search itself.
      if (searching && this.full) from = this.#afresh(row);
      next = this.rowFor({ members: after, kind: this.#conditions.kindOf[symbolClass]! });
    }
    this.#table[from + symbolClass] = next;
    if (found) this.#hits[from + symbolClass] = 1;
    return next;
  }

  #grow(): void {
    const table = new Int32Array(this.#table.length * 2);
    table.set(this.#table);
    this.#table = table;
    const hits = new Uint8Array(table.length);
    hits.set(this.#hits);
    this.#hits = hits;
    this.#grown((table.length / 2) * ENTRY_BYTES);
  }

  #grown(bytes: number): void {
    this.#bytes += bytes;
    this.#budget.grow(this, bytes);
  }
}

function keyOf({ members, kind }: RowContent): string {
  let key = String.fromCharCode(kind);
  if (members.length > 16) return key + String.fromCharCode.apply(null, members as unknown as number[]);
  for (let index = 0; index < members.length; index += 1) key += String.fromCharCode(members[index]!);
  return key;
}

/** The length without a line feed that is the last byte, where the alphabet tells that from others. */
function plainLength(input: string, alphabet: Alphabet): number {
  const last = input.length - 1;
  if (last < 0 || alphabet.classOf[10] === alphabet.lastLineFeedClass) return input.length;
  return input.charCodeAt(last) === 10 ? last : input.length;
}
