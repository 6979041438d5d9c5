// What TypeScript configurations hook into a route with `use`.
import type { Exchange } from "./exchange.ts";
import type { Reply } from "./reply.ts";

/** Nothing goes on; a reply (`x.respond(…)`) is the answer. */
// biome-ignore lint/suspicious/noConfusingVoidType: functions that return nothing, async ones too, must fit.
export type PluginResult = undefined | void | Reply | Promise<undefined | void | Reply>;

export interface Plugin {
  /** For logs and errors. */
  readonly name: string;
  /** Before the request is forwarded, after all policies of the route. */
  request?(x: Exchange): PluginResult;
  /** Once the head of the answer is there, after the `responseHeaders` policy. */
  response?(x: Exchange): PluginResult;
}
