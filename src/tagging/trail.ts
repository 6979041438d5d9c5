// What became of the last events, step by step, for operators who ask where one has gone.
import type { Unwanted } from "../engines/tagging/selection.ts";
import type { Queued } from "./queue.ts";

/**
 * `held`: waits for what its visitor will choose. `unwanted`: a destination is not to get it. `retried`: it has to be
 * sent once more. `dead`: a destination will never take it.
 */
export type StepKind =
  | "received"
  | "held"
  | "refined"
  | "written"
  | "dropped"
  | "unwanted"
  | "retried"
  | "sent"
  | "dead";

export interface Step {
  readonly what: StepKind;
  /** Milliseconds since 1970; of the last time where it has happened again. */
  readonly at: number;
  readonly destination?: string;
  readonly why?: string;
  /** How often in a row. */
  readonly times?: number;
}

/** The way of one event. */
export interface Way {
  readonly id: string;
  readonly steps: readonly Step[];
  /** The event as it is written down, as JSON; "" before that, and where it is long. */
  readonly event: string;
}

interface Known {
  id: string;
  seq: number;
  readonly steps: Step[];
  event: string;
}

/** Events that are known: some megabytes of them. */
const EVENTS_MAX = 1000;
/** Longer ones are known without what is in them. */
const EVENT_LENGTH_MAX = 4096;
/** Two tries at ten destinations, and what comes before. */
const STEPS_MAX = 32;

export class Trail {
  readonly #byId = new Map<string, Known>();
  readonly #bySeq = new Map<number, Known>();
  /** Those that are in memory alone, in the order in which they will be written. */
  #unwritten: Known[] = [];

  /** An event has come. `held`: it waits for a choice. */
  received(id: string, at: number, held: boolean): void {
    const known: Known = { id, seq: 0, steps: [{ what: "received", at }], event: "" };
    if (held) known.steps.push({ what: "held", at });
    this.#forget(this.#byId.get(id));
    this.#byId.set(id, known);
    if (this.#byId.size > EVENTS_MAX) this.#forget(this.#byId.values().next().value);
  }

  /** It can be written down now, under this id and as this text. */
  refined(before: string, id: string, event: string, at: number): void {
    const known = this.#byId.get(before) ?? { id, seq: 0, steps: [], event: "" };
    if (before !== id && this.#byId.delete(before)) this.#byId.set(id, known);
    known.id = id;
    known.event = event.length <= EVENT_LENGTH_MAX ? event : "";
    known.steps.push({ what: "refined", at });
    this.#unwritten.push(known);
  }

  /** There is no room for it. */
  dropped(id: string, at: number): void {
    this.#byId.get(id)?.steps.push({ what: "dropped", at });
  }

  /** All that was refined is in the queue, beginning with this number; with 0 it has found no room there. */
  written(first: number, at: number): void {
    for (const [behind, known] of this.#unwritten.entries()) {
      known.steps.push({ what: first === 0 ? "dropped" : "written", at });
      if (first === 0 || this.#byId.get(known.id) !== known) continue;
      known.seq = first + behind;
      this.#bySeq.set(known.seq, known);
    }
    this.#unwritten = [];
  }

  unwanted(destination: string, seq: number, why: Unwanted | "age", at: number): void {
    const known = this.#bySeq.get(seq);
    if (known !== undefined) add(known.steps, { what: "unwanted", at, destination, why });
  }

  /** What has come of events at a destination; of those that it is not to get that is known already. */
  told(
    what: "sent" | "retried" | "dead",
    destination: string,
    events: readonly Queued[],
    why: string,
    at: number,
  ): void {
    for (const { seq } of events) {
      const known = this.#bySeq.get(seq);
      if (known === undefined || known.steps.some((step) => isUnwanted(step, destination))) continue;
      add(known.steps, { what, at, destination, ...(why === "" ? {} : { why }) });
    }
  }

  /** Null for an event that is not known, or no longer. */
  of(id: string): Way | null {
    const known = this.#byId.get(id);
    return known === undefined ? null : { id, steps: [...known.steps], event: known.event };
  }

  #forget(known: Known | undefined): void {
    if (known === undefined) return;
    this.#byId.delete(known.id);
    this.#bySeq.delete(known.seq);
  }
}

const isUnwanted = (step: Step, destination: string): boolean =>
  step.what === "unwanted" && step.destination === destination;

/** What happens again and again takes one step. */
function add(steps: Step[], step: Step): void {
  const at = steps.findLastIndex(({ destination }) => destination === step.destination);
  const last = steps[at];
  if (last?.what === step.what) steps[at] = { ...step, times: (last.times ?? 1) + 1 };
  else if (steps.length < STEPS_MAX) steps.push(step);
}
