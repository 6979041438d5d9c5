// The states of a program as a graph, to be followed from its start or from its end.
import { Op, type Program } from "./program.ts";

/** Edges in rows: those of state `v` are at `at[v]` up to `at[v + 1]`. */
export interface Graph {
  readonly states: number;
  readonly start: number;
  readonly goal: number;
  /** Edges that take nothing, with the condition that must hold, or -1. */
  readonly freeAt: Int32Array;
  readonly freeTo: Int32Array;
  readonly freeIf: Int32Array;
  /** Edges that take a byte of a set. */
  readonly stepAt: Int32Array;
  readonly stepTo: Int32Array;
  readonly stepSet: Int32Array;
}

/**
 * The graph of a program. What a graph cannot say is taken wider: look-arounds always hold, atomic groups give back, a
 * back-reference takes anything; so it finds all that the program finds, and perhaps more.
 */
export function makeGraph(program: Program, direction: "forward" | "backward"): Graph {
  const states = program.op.length;
  const free = new Edges(states * 2);
  const step = new Edges(states);
  for (let from = 0; from < states; from += 1) addEdges(program, from, free, step);
  const turned = direction === "backward";
  const frees = free.inRows(states, turned);
  const steps = step.inRows(states, turned);
  return {
    states,
    start: turned ? program.end : program.start,
    goal: turned ? program.start : program.end,
    freeAt: frees.at,
    freeTo: frees.to,
    freeIf: frees.by,
    stepAt: steps.at,
    stepTo: steps.to,
    stepSet: steps.by,
  };
}

function addEdges(program: Program, from: number, free: Edges, step: Edges): void {
  const x = program.x[from]!;
  const y = program.y[from]!;
  switch (program.op[from]) {
    case Op.BYTES:
      step.add(from, y, x);
      break;
    case Op.SPLIT:
      free.add(from, x, -1);
      free.add(from, y, -1);
      break;
    case Op.SAVE:
      free.add(from, y, -1);
      break;
    case Op.POSITION:
      free.add(from, y, x);
      break;
    case Op.SUB: {
      const sub = program.subs[x]!;
      if (sub.kind === "atomic") {
        free.add(from, sub.start, -1);
        free.add(sub.end, y, -1);
      } else free.add(from, y, -1);
      break;
    }
    case Op.AGAIN:
      step.add(from, from, program.references[x]!.any);
      free.add(from, y, -1);
      break;
  }
}

/** Edges as numbers: patterns have thousands of them. A state adds at most two. */
class Edges {
  readonly #from: Int32Array;
  readonly #to: Int32Array;
  /** A condition, or a set. */
  readonly #by: Int32Array;
  #count = 0;

  constructor(most: number) {
    this.#from = new Int32Array(most);
    this.#to = new Int32Array(most);
    this.#by = new Int32Array(most);
  }

  add(from: number, to: number, by: number): void {
    this.#from[this.#count] = from;
    this.#to[this.#count] = to;
    this.#by[this.#count] = by;
    this.#count += 1;
  }

  /** The edges by the state where they begin, or where they end if they are turned round. */
  inRows(
    states: number,
    turned: boolean,
  ): { readonly at: Int32Array; readonly to: Int32Array; readonly by: Int32Array } {
    const from = turned ? this.#to : this.#from;
    const target = turned ? this.#from : this.#to;
    const count = this.#count;
    const at = new Int32Array(states + 1);
    for (let edge = 0; edge < count; edge += 1) at[from[edge]! + 1]! += 1;
    for (let state = 0; state < states; state += 1) at[state + 1]! += at[state]!;
    const fill = at.slice();
    const to = new Int32Array(count);
    const by = new Int32Array(count);
    for (let edge = 0; edge < count; edge += 1) {
      const place = fill[from[edge]!]!++;
      to[place] = target[edge]!;
      by[place] = this.#by[edge]!;
    }
    return { at, to, by };
  }
}
