// What becomes of requests, as clients, the log and the metrics are told it.
import type { GraphqlConfig } from "../../config/schema-graphql.ts";
import type { Exchange, Outcome } from "../../pipeline/exchange.ts";
import type { Shared } from "../../pipeline/shared.ts";
import { firstOf, REASONS, type Refusal, refusalReply } from "./refusal.ts";

/** Lines of the log in a second and thread: clients decide how often something is wrong. */
const LINES_MAX = 10;
const SECOND_MS = 1000;

export class Teller {
  readonly #route: string;
  readonly #config: GraphqlConfig;
  readonly #shared: Shared;
  /** The labels of what passes, so that nothing is made for it. */
  readonly #passed = new Map<string, readonly string[]>();
  #second = 0;
  #lines = 0;

  constructor(route: string, config: GraphqlConfig, shared: Shared) {
    this.#route = route;
    this.#config = config;
    this.#shared = shared;
  }

  passed(type: string): void {
    let labels = this.#passed.get(type);
    if (labels === undefined) {
      labels = [this.#route, type, "passed"];
      this.#passed.set(type, labels);
    }
    this.#shared.count("sluice_graphql_requests_total", labels);
  }

  /** The answer to a request that may not run; undefined where that is only noted. */
  refused(
    x: Exchange,
    refused: Refusal | readonly (Refusal | null)[],
    type: string,
    name: string,
  ): Outcome | undefined {
    const { reason, errors } = firstOf(refused);
    this.#shared.count("sluice_graphql_requests_total", [this.#route, type, reason]);
    const isProtocol = REASONS[reason].fault === null;
    if (!isProtocol) this.#tell(x, reason, errors[0]?.message ?? "", type, name);
    // A document that nobody has cannot run in any case.
    if (this.#config.mode === "log" && !isProtocol) return undefined;
    return refusalReply(x, refused, this.#config);
  }

  #tell(x: Exchange, reason: string, why: string, type: string, name: string): void {
    const second = Math.floor(this.#shared.now() / SECOND_MS);
    if (second !== this.#second) this.#lines = 0;
    this.#second = second;
    this.#lines += 1;
    if (this.#lines > LINES_MAX) return;
    this.#shared.tell("a GraphQL request may not run", {
      route: this.#route,
      requestId: x.requestId,
      method: x.request.method,
      type,
      operation: name.slice(0, NAME_MAX),
      reason,
      why: why.slice(0, WHY_MAX),
      result: this.#config.mode === "log" ? "logged" : "refused",
    });
  }
}

const NAME_MAX = 64;
const WHY_MAX = 200;
