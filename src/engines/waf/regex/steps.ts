// Where a symbol leads from a set of states of a graph: what a lazy automaton asks for each transition that is new.
import type { Alphabet, Conditions } from "./alphabet.ts";
import type { Graph } from "./graph.ts";

export interface Steps {
  /** The members of the set before anything is read. */
  readonly first: Uint16Array;
  /** Whether the last step found a match at the place before its symbol. */
  readonly found: boolean;
  /** The set after a symbol, where what was read before is of a kind; null where nothing more can be found. */
  next(from: Uint16Array, kind: number, symbolClass: number): Uint16Array | null;
}

/** Sets as such, sorted: whether there is a match, and which states lead to one. */
export class AllSteps implements Steps {
  readonly first: Uint16Array;
  found = false;
  readonly #graph: Graph;
  readonly #alphabet: Alphabet;
  readonly #conditions: Conditions;
  /** Matches may begin at any place; else only where the reading does. */
  readonly #searching: boolean;
  /** For a kind and class, what the start of the graph leads to, as it is part of every set. */
  readonly #beginnings: ({ readonly members: Uint16Array; readonly found: boolean } | undefined)[];
  // Marks of this step: equal to its round.
  readonly #seen: Int32Array;
  readonly #arrived: Int32Array;
  readonly #reached: Uint16Array;
  readonly #stack: Int32Array;
  #round = 0;
  #count = 0;

  constructor(graph: Graph, alphabet: Alphabet, conditions: Conditions, searching: boolean) {
    this.first = searching ? new Uint16Array(0) : Uint16Array.of(graph.start);
    this.#graph = graph;
    this.#alphabet = alphabet;
    this.#conditions = conditions;
    this.#searching = searching;
    this.#beginnings = new Array(conditions.kinds * alphabet.classes).fill(undefined);
    this.#seen = new Int32Array(graph.states);
    this.#arrived = new Int32Array(graph.states);
    this.#reached = new Uint16Array(graph.states);
    // States are marked when they are pushed, so each is there at most once.
    this.#stack = new Int32Array(graph.states);
  }

  next(from: Uint16Array, kind: number, symbolClass: number): Uint16Array | null {
    const beginning = this.#searching ? this.#beginning(kind, symbolClass) : null;
    this.#round += 1;
    this.#count = 0;
    if (beginning !== null) this.#begin(beginning.members);
    this.#follow(from, kind, symbolClass);
    this.found = beginning?.found === true || this.#seen[this.#graph.goal] === this.#round;
    if (this.#count === 0 && !this.#searching) return null;
    return sorted(this.#reached, this.#count);
  }

  #begin(members: Uint16Array): void {
    for (let index = 0; index < members.length; index += 1) {
      this.#arrived[members[index]!] = this.#round;
      this.#reached[index] = members[index]!;
    }
    this.#count = members.length;
  }

  #beginning(kind: number, symbolClass: number): { readonly members: Uint16Array; readonly found: boolean } {
    const key = kind * this.#alphabet.classes + symbolClass;
    const known = this.#beginnings[key];
    if (known !== undefined) return known;
    this.#round += 1;
    this.#count = 0;
    this.#follow(Uint16Array.of(this.#graph.start), kind, symbolClass);
    const members = this.#reached.slice(0, this.#count);
    const made = { members, found: this.#seen[this.#graph.goal] === this.#round };
    this.#beginnings[key] = made;
    return made;
  }

  #follow(from: Uint16Array, kind: number, symbolClass: number): void {
    const { freeAt, freeTo, freeIf, stepAt, stepTo, stepSet } = this.#graph;
    const { classes, takes } = this.#alphabet;
    const mask = this.#conditions.masks[kind * classes + symbolClass]!;
    const round = this.#round;
    const seen = this.#seen;
    const stack = this.#stack;
    let depth = 0;
    for (let index = 0; index < from.length; index += 1) {
      seen[from[index]!] = round;
      stack[depth++] = from[index]!;
    }
    while (depth > 0) {
      const state = stack[--depth]!;
      for (let edge = stepAt[state]!; edge < stepAt[state + 1]!; edge += 1) {
        if (takes[stepSet[edge]! * classes + symbolClass] === 1) this.#arrive(stepTo[edge]!);
      }
      for (let edge = freeAt[state]!; edge < freeAt[state + 1]!; edge += 1) {
        const to = freeTo[edge]!;
        const condition = freeIf[edge]!;
        if (seen[to] === round || (condition >= 0 && ((mask >>> condition) & 1) === 0)) continue;
        seen[to] = round;
        stack[depth++] = to;
      }
    }
  }

  #arrive(state: number): void {
    if (this.#arrived[state] === this.#round) return;
    this.#arrived[state] = this.#round;
    this.#reached[this.#count] = state;
    this.#count += 1;
  }
}

/** Sets are mostly of a few members, for which the runtime's own sorting is slow. */
const INSERTION_MAX = 24;

function sorted(reached: Uint16Array, count: number): Uint16Array {
  const members = reached.slice(0, count);
  if (count > INSERTION_MAX) return members.sort();
  for (let index = 1; index < count; index += 1) {
    const member = members[index]!;
    let place = index;
    for (; place > 0 && members[place - 1]! > member; place -= 1) members[place] = members[place - 1]!;
    members[place] = member;
  }
  return members;
}

/** In place of a state, as the last of a set: a match may begin here too. Programs have fewer states. */
const SEARCH = 0xffff;

/**
 * Sets in the order in which a backtracking search would try their states. A match cuts off what comes after it in that
 * order, so the last match found is the one that such a search prefers.
 */
export class PreferredSteps implements Steps {
  readonly first: Uint16Array;
  found = false;
  readonly #graph: Graph;
  readonly #alphabet: Alphabet;
  readonly #conditions: Conditions;
  readonly #seen: Int32Array;
  readonly #arrived: Int32Array;
  readonly #reached: Uint16Array;
  readonly #stack: Int32Array;
  #round = 0;
  #count = 0;

  constructor(graph: Graph, alphabet: Alphabet, conditions: Conditions, searching: boolean) {
    this.first = Uint16Array.of(searching ? SEARCH : graph.start);
    this.#graph = graph;
    this.#alphabet = alphabet;
    this.#conditions = conditions;
    this.#seen = new Int32Array(graph.states);
    this.#arrived = new Int32Array(graph.states);
    this.#reached = new Uint16Array(graph.states + 1);
    this.#stack = new Int32Array(graph.freeTo.length + 1);
  }

  next(from: Uint16Array, kind: number, symbolClass: number): Uint16Array | null {
    this.#round += 1;
    this.#count = 0;
    this.found = false;
    for (let index = 0; index < from.length; index += 1) {
      const member = from[index]!;
      this.#follow(member === SEARCH ? this.#graph.start : member, kind, symbolClass);
      if (this.found) break;
      if (member === SEARCH) this.#reached[this.#count++] = SEARCH;
    }
    return this.#count === 0 ? null : this.#reached.slice(0, this.#count);
  }

  /** Goes through what a state leads to without taking a byte, in order, up to a match. */
  #follow(from: number, kind: number, symbolClass: number): void {
    const { freeAt, freeTo, freeIf, stepAt, stepTo, stepSet, goal } = this.#graph;
    const { classes, takes } = this.#alphabet;
    const mask = this.#conditions.masks[kind * classes + symbolClass]!;
    const round = this.#round;
    const stack = this.#stack;
    let depth = 0;
    stack[depth++] = from;
    while (depth > 0) {
      const state = stack[--depth]!;
      if (this.#seen[state] === round) continue;
      this.#seen[state] = round;
      if (state === goal) {
        this.found = true;
        return;
      }
      for (let edge = stepAt[state]!; edge < stepAt[state + 1]!; edge += 1) {
        const to = stepTo[edge]!;
        if (takes[stepSet[edge]! * classes + symbolClass] === 0 || this.#arrived[to] === round) continue;
        this.#arrived[to] = round;
        this.#reached[this.#count++] = to;
      }
      // The last edge first, so that the first one is on top.
      for (let edge = freeAt[state + 1]! - 1; edge >= freeAt[state]!; edge -= 1) {
        const condition = freeIf[edge]!;
        if (condition < 0 || ((mask >>> condition) & 1) === 1) stack[depth++] = freeTo[edge]!;
      }
    }
  }
}
