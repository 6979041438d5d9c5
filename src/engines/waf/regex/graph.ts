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

interface Edge {
  readonly from: number;
  readonly to: number;
  /** A condition, or a set. */
  readonly by: number;
}

/**
 * The graph of a program. What a graph cannot say is taken wider: look-arounds always hold, atomic groups give back, a
 * back-reference takes anything; so it finds all that the program finds, and perhaps more.
 */
export function makeGraph(program: Program, direction: "forward" | "backward"): Graph {
  const free: Edge[] = [];
  const step: Edge[] = [];
  for (let from = 0; from < program.op.length; from += 1) addEdges(program, from, free, step);
  const turned = direction === "backward";
  const states = program.op.length;
  const frees = inRows(states, turned ? free.map(turnRound) : free);
  const steps = inRows(states, turned ? step.map(turnRound) : step);
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

function addEdges(program: Program, from: number, free: Edge[], step: Edge[]): void {
  const x = program.x[from]!;
  const y = program.y[from]!;
  switch (program.op[from]) {
    case Op.BYTES:
      step.push({ from, to: y, by: x });
      break;
    case Op.SPLIT:
      free.push({ from, to: x, by: -1 }, { from, to: y, by: -1 });
      break;
    case Op.SAVE:
      free.push({ from, to: y, by: -1 });
      break;
    case Op.POSITION:
      free.push({ from, to: y, by: x });
      break;
    case Op.SUB: {
      const sub = program.subs[x]!;
      if (sub.kind === "atomic") free.push({ from, to: sub.start, by: -1 }, { from: sub.end, to: y, by: -1 });
      else free.push({ from, to: y, by: -1 });
      break;
    }
    case Op.AGAIN:
      step.push({ from, to: from, by: program.references[x]!.any });
      free.push({ from, to: y, by: -1 });
      break;
  }
}

const turnRound = ({ from, to, by }: Edge): Edge => ({ from: to, to: from, by });

function inRows(
  states: number,
  edges: readonly Edge[],
): { readonly at: Int32Array; readonly to: Int32Array; readonly by: Int32Array } {
  const at = new Int32Array(states + 1);
  for (const edge of edges) at[edge.from + 1]! += 1;
  for (let state = 0; state < states; state += 1) at[state + 1]! += at[state]!;
  const fill = at.slice();
  const to = new Int32Array(edges.length);
  const by = new Int32Array(edges.length);
  for (const edge of edges) {
    const place = fill[edge.from]!++;
    to[place] = edge.to;
    by[place] = edge.by;
  }
  return { at, to, by };
}
