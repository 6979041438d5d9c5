// `bots`: who may by what it says it is, and whether crawlers are what they say.
import { within } from "../../config/compile-error.ts";
import type { BotsConfig } from "../../config/schema-abuse.ts";
import { fault } from "../../core/faults.ts";
import type { Filter } from "../../pipeline/exchange.ts";
import type { FilterDefinition } from "../definition.ts";
import { Crawlers, type Verdict } from "./crawlers.ts";

export const bots: FilterDefinition = {
  key: "bots",
  compile(policies, { shared }) {
    const config = policies.bots;
    if (config === undefined) return [];
    const denied = within("deny", () => new Agents(config.deny));
    const allowed = within("allow", () => new Agents(config.allow));
    const crawlers = crawlersOf(config, shared);
    const filter: Filter = {
      name: "bots",
      request(x) {
        const agent = (x.request.header("user-agent") ?? "").toLowerCase();
        if (agent === "") return config.empty === "deny" ? fault("bot.denied", "no User-Agent") : undefined;
        if (allowed.match(agent)) return undefined;
        const domains = crawlers === null ? null : crawlers.claimed(agent);
        if (crawlers === null || domains === null)
          return denied.match(agent) ? fault("bot.denied", "User-Agent") : undefined;
        const verdict = crawlers.verify(x.ip, domains);
        if (typeof verdict !== "string") return verdict.then(outcomeOf);
        return outcomeOf(verdict);
      },
    };
    return [Object.freeze(filter)];
  },
};

const crawlersOf = ({ verifyCrawlers, crawlers }: BotsConfig, shared: ConstructorParameters<typeof Crawlers>[1]) =>
  verifyCrawlers ? new Crawlers(crawlers, shared) : null;

/** Where the DNS does not answer, nobody is shut out. */
const outcomeOf = (verdict: Verdict) =>
  verdict === "fake" ? fault("bot.denied", "not the crawler it claims to be") : undefined;

/** Parts of User-Agent fields in lower case, and regular expressions over them. */
class Agents {
  readonly #parts: readonly string[];
  readonly #patterns: readonly RegExp[];

  /** Throws CompileError for what is no regular expression. */
  constructor(texts: readonly string[]) {
    this.#parts = texts.filter((text) => !text.startsWith("~")).map((text) => text.toLowerCase());
    this.#patterns = texts.flatMap((text, at) =>
      text.startsWith("~") ? [within(at, () => patternOf(text.slice(1)))] : [],
    );
  }

  match(agent: string): boolean {
    for (const part of this.#parts) if (agent.includes(part)) return true;
    for (const pattern of this.#patterns) if (pattern.test(agent)) return true;
    return false;
  }
}

function patternOf(source: string): RegExp {
  try {
    return new RegExp(source, "i");
  } catch (error) {
    throw new RangeError(`"${source}" is not a regular expression: ${(error as Error).message}`);
  }
}
