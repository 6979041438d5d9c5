// What becomes of a message that is not as described: an answer that says what is wrong where, or a line of the log.
import { type Fault, type FaultCode, fault } from "../../core/faults.ts";
import type { Problem } from "../../engines/openapi/index.ts";
import { errorReply } from "../../pipeline/error-reply.ts";
import type { Exchange, Outcome } from "../../pipeline/exchange.ts";
import type { Shared } from "../../pipeline/shared.ts";

export type Effect = "enforce" | "log" | "off";

/** Lines of the log in a second and thread: clients decide how often something is wrong. */
const LINES_MAX = 10;
const SECOND_MS = 1000;

export class Verdicts {
  readonly #route: string;
  readonly #shared: Shared;
  #second = 0;
  #lines = 0;

  constructor(route: string, shared: Shared) {
    this.#route = route;
    this.#shared = shared;
  }

  /** The answer to a request; undefined where it goes on. */
  request(x: Exchange, effect: Effect, code: FaultCode, problems: readonly Problem[]): Outcome | undefined {
    if (effect === "off") return undefined;
    const cause = fault(code, textOf(problems));
    this.#note(x, "request", effect, cause);
    if (effect === "log") return undefined;
    x.fault ??= cause; // for logs and bans
    const answer = errorReply(cause, x.requestId, x.request.header("accept"));
    if (problems.length === 0 || answer.headers.get("content-type") !== "application/problem+json") return answer;
    const body = { ...(JSON.parse(answer.body.toString()) as object), errors: problems };
    return { ...answer, body: Buffer.from(`${JSON.stringify(body)}\n`) };
  }

  /** What the server's answer fails of; null where it goes on. What is wrong is not the client's to know. */
  response(x: Exchange, effect: Effect, problems: readonly Problem[]): Fault | null {
    const cause = fault("validate.response", textOf(problems));
    this.#note(x, "response", effect, cause);
    return effect === "enforce" ? cause : null;
  }

  #note(x: Exchange, message: string, effect: Effect, { code, detail }: Fault): void {
    const result = effect === "enforce" ? "refused" : "logged";
    this.#shared.count("sluice_validation_failures_total", [this.#route, message, result]);
    const second = Math.floor(this.#shared.now() / SECOND_MS);
    if (second !== this.#second) this.#lines = 0;
    this.#second = second;
    this.#lines += 1;
    if (this.#lines > LINES_MAX) return;
    const { method, path } = x.request;
    this.#shared.tell(`a ${message} is not as described`, {
      route: this.#route,
      requestId: x.requestId,
      method,
      path: (path ?? "").slice(0, PATH_MAX),
      ...(message === "response" ? { status: x.response.status } : {}),
      code,
      detail,
      result,
    });
  }
}

const PATH_MAX = 200;
/** In the log the first of them are enough. */
const TOLD_MAX = 3;

const textOf = (problems: readonly Problem[]): string =>
  problems
    .slice(0, TOLD_MAX)
    .map((each) => `${each.in}${each.path}: ${each.message}`)
    .join("; ");
