// The contract of filters and plugins.
import type { Fault } from "../core/faults.ts";
import type { Exchange } from "./exchange.ts";
import type { Reply } from "./reply.ts";

/** What ends a phase: an answer to send, or a fault that the answer is made from. */
export type Outcome = Reply | Fault;

/** Nothing goes on; an outcome ends the phase. A promise only where something really has to be waited for. */
export type FilterResult = undefined | void | Outcome | Promise<undefined | void | Outcome>;

export const isFault = (outcome: Outcome): outcome is Fault => "code" in outcome;

export interface Filter {
  readonly name: string;
  /** Before the request is forwarded. A reply is the answer: nothing is forwarded. */
  request?(x: Exchange): FilterResult;
  /** Once the head of the upstream's answer is there. A reply replaces it. */
  response?(x: Exchange): FilterResult;
}
