// What TypeScript configurations hook into a route with `use`.
import type { Exchange } from "./exchange.ts";
import type { Reply } from "./reply.ts";

/** Nothing goes on; a reply (`x.respond(…)`) is the answer. */
// biome-ignore lint/suspicious/noConfusingVoidType: functions that return nothing, async ones too, must fit.
export type PluginResult = undefined | void | Reply | Promise<undefined | void | Reply>;

/** The text to send in its place; nothing for the text as it is; a reply in place of asking a model. */
// biome-ignore lint/suspicious/noConfusingVoidType: functions that return nothing, async ones too, must fit.
export type PromptResult = undefined | void | string | Reply | Promise<undefined | void | string | Reply>;

export interface Plugin {
  /** For logs and errors. */
  readonly name: string;
  /** Before the request is forwarded, after all policies of the route. */
  request?(x: Exchange): PluginResult;
  /** Once the head of the answer is there, after the `responseHeaders` policy. */
  response?(x: Exchange): PluginResult;
  /** On routes with `llm`: each text of a prompt, and who says it (`system`, `user`, `assistant`, `tool`). */
  prompt?(x: Exchange, text: string, role: string): PromptResult;
}
