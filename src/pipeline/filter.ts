// The contract of filters and plugins.
import type { Exchange } from "./exchange.ts";
import type { Reply } from "./reply.ts";

/** Nothing goes on; a reply ends the phase and is sent. A promise only where something really has to be waited for. */
export type FilterResult = undefined | void | Reply | Promise<undefined | void | Reply>;

export interface Filter {
  readonly name: string;
  /** Before the request is forwarded. A reply is the answer: nothing is forwarded. */
  request?(x: Exchange): FilterResult;
  /** Once the head of the upstream's answer is there. A reply replaces it. */
  response?(x: Exchange): FilterResult;
}
