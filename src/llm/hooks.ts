// What plugins of a route do to prompts (`prompt` in pipeline/plugin.ts).
import { type Prompt, setText, textOf } from "../engines/llm/prompt.ts";
import type { Exchange } from "../pipeline/exchange.ts";
import type { Plugin } from "../pipeline/plugin.ts";
import { isOutcome } from "../pipeline/plugin-checks.ts";
import type { Reply } from "../pipeline/reply.ts";

export class PromptHooks {
  readonly #plugins: readonly Plugin[];

  /** Throws RangeError for a hook that is no function. */
  constructor(plugins: readonly Plugin[]) {
    for (const { name, prompt } of plugins)
      if (prompt !== undefined && typeof prompt !== "function")
        throw new RangeError(`plugin "${name}": prompt is not a function`);
    this.#plugins = plugins.filter(({ prompt }) => prompt !== undefined);
  }

  get isEmpty(): boolean {
    return this.#plugins.length === 0;
  }

  /** Has the plugins look at each text, in their order. An answer of one of them ends it. Throws what they throw. */
  async run(x: Exchange, { texts }: Prompt): Promise<Reply | null> {
    for (const place of texts) {
      for (const plugin of this.#plugins) {
        const result = await plugin.prompt!(x, textOf(place), place.role);
        if (x.over) return null;
        if (typeof result === "string") setText(place, result);
        else if (result !== undefined) {
          if (!isOutcome(result) || "code" in result) throw new TypeError(`plugin "${plugin.name}": not a text`);
          return result;
        }
      }
    }
    return null;
  }
}
