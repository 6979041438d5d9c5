// `validate`: requests and answers are held against an OpenAPI document, or bodies against a JSON Schema.
import type { ValidateConfig } from "../../config/schema-validate.ts";
import {
  type Answer,
  type Api,
  answerPlan,
  type BodyPlan,
  bodyProblems,
  type Content,
  headerProblems,
  type Operation,
  schemaPlan,
} from "../../engines/openapi/index.ts";
import type { Exchange, Filter, FilterResult, Outcome } from "../../pipeline/exchange.ts";
import { requestBody } from "../../pipeline/held-body.ts";
import type { Held, Shared } from "../../pipeline/shared.ts";
import { expectTransform } from "../../pipeline/transforms.ts";
import type { FilterDefinition } from "../definition.ts";
import { load } from "./load.ts";
import { ResponseBody } from "./response-body.ts";
import { type Effect, Verdicts } from "./verdict.ts";

export const validate: FilterDefinition = {
  key: "validate",
  compile({ validate: config }, { route, shared }) {
    if (config === undefined) return [];
    const loaded = load(config);
    const validator = new Validator(config, loaded.api, loaded.content, route, shared);
    const request = (x: Exchange): FilterResult => validator.request(x);
    if (config.responses === "off") return [Object.freeze<Filter>({ name: "validate", request })];
    const response = (x: Exchange): FilterResult => validator.response(x);
    return [Object.freeze<Filter>({ name: "validate", request, response })];
  },
};

/** The operation that a request was for, until its answer comes. */
class Asked implements Held {
  readonly next: Held | null;
  readonly validator: Validator;
  readonly operation: Operation;

  constructor(validator: Validator, operation: Operation, next: Held | null) {
    this.validator = validator;
    this.operation = operation;
    this.next = next;
  }
  leave(): void {
    // Nothing is held but the operation itself.
  }
}

class Validator {
  readonly #api: Api | null;
  readonly #content: Content | null;
  readonly #config: ValidateConfig;
  readonly #unknownPaths: Effect;
  readonly #unknownMethods: Effect;
  readonly #verdicts: Verdicts;

  constructor(config: ValidateConfig, api: Api | null, content: Content | null, route: string, shared: Shared) {
    this.#api = api;
    this.#content = content;
    this.#config = config;
    this.#unknownPaths = milder(config.requests, config.unknownPaths);
    this.#unknownMethods = milder(config.requests, config.unknownMethods);
    this.#verdicts = new Verdicts(route, shared);
  }

  request(x: Exchange): FilterResult {
    if (this.#api === null) {
      return this.#body(x, schemaPlan(x.request, this.#content!, hasBody(x)), "application/json, application/*+json");
    }
    const found = this.#api.find(x.request.method, x.request.path ?? "");
    if (found.kind === "path") return this.#verdicts.request(x, this.#unknownPaths, "validate.path", []);
    if (found.kind === "method") return this.#methodUnknown(x, found.allow);
    const { operation, values } = found;
    if (this.#config.responses !== "off") this.#expectAnswer(x, operation);
    if (this.#config.requests === "off") return undefined;
    const problems = operation.parameterProblems(x.request, values);
    if (problems.length > 0) {
      const outcome = this.#verdicts.request(x, this.#config.requests, "validate.request", problems);
      if (outcome !== undefined) return outcome;
    }
    return this.#body(x, operation.bodyPlan(x.request, hasBody(x)), operation.accepts);
  }

  #methodUnknown(x: Exchange, allow: string): Outcome | undefined {
    const outcome = this.#verdicts.request(x, this.#unknownMethods, "validate.method", []);
    if (outcome !== undefined && "headers" in outcome) outcome.headers.set("allow", allow);
    return outcome;
  }

  /** The answer is read as it comes from the server, so it has to come as it is. */
  #expectAnswer(x: Exchange, operation: Operation): void {
    x.held = new Asked(this, operation, x.held);
    x.request.headers.set("accept-encoding", "identity");
    x.request.headers.remove("range"); // a part cannot be held against anything
    expectTransform(x);
  }

  #body(x: Exchange, plan: BodyPlan, accepts: string): FilterResult {
    const effect = this.#config.requests;
    switch (plan.kind) {
      case "pass":
        return undefined;
      case "missing":
        return this.#verdicts.request(x, effect, "validate.request", [NO_BODY]);
      case "type":
        return this.#typeUnknown(x, "accept", accepts);
      case "coding":
        return this.#typeUnknown(x, "accept-encoding", "identity");
      case "check":
        return requestBody(x, this.#config.maxBody).then((body) => this.#checked(x, body, plan.content, plan.reading));
    }
  }

  /** RFC 9110 §15.5.16 */
  #typeUnknown(x: Exchange, name: string, value: string): Outcome | undefined {
    const outcome = this.#verdicts.request(x, this.#config.requests, "validate.type", []);
    if (outcome !== undefined && "headers" in outcome && value !== "") outcome.headers.set(name, value);
    return outcome;
  }

  #checked(x: Exchange, body: Buffer | null, content: Content, reading: "json" | "form"): Outcome | undefined {
    if (x.over) return undefined;
    const effect = this.#config.requests;
    const problems = body === null ? [] : bodyProblems(body, content, reading);
    if (body !== null && problems.length === 0) return undefined;
    const code = body === null ? "request.body_too_large" : "validate.request";
    const outcome = this.#verdicts.request(x, effect, code, problems);
    if (outcome !== undefined) x.downstream.discardBody();
    return outcome;
  }

  response(x: Exchange): FilterResult {
    const { response } = x;
    const operation = this.#operationOf(x);
    // What was answered in place of the server says itself what it is about, and a 304 is about what the client has.
    if (operation === null || x.ownBody !== null || response.status === NOT_MODIFIED || response.upgrade !== "") {
      return undefined;
    }
    const answer = operation.answer(response.status);
    if (answer === null)
      return this.#wrong(x, { in: "status", path: "", message: `${response.status} is not described` });
    const [problem] = headerProblems(response, answer);
    if (problem !== undefined) {
      const outcome = this.#wrong(x, problem);
      if (outcome !== undefined) return outcome;
    }
    return response.body === "none" ? undefined : this.#answerBody(x, answer);
  }

  #answerBody(x: Exchange, answer: Answer): Outcome | undefined {
    const plan = answerPlan(x.response, answer);
    const { responses, maxBody } = this.#config;
    if (plan.kind === "type")
      return this.#wrong(x, { in: "header", path: "/content-type", message: "is not described" });
    if (plan.kind === "coding") return this.#wrong(x, { in: "body", path: "", message: "is encoded" });
    if (plan.kind !== "check") return undefined;
    const { content, reading } = plan;
    ResponseBody.start(x, maxBody, responses === "enforce", (body) => {
      if (body === null) {
        return responses === "enforce" ? this.#verdicts.response(x, responses, [TOO_LONG]) : null;
      }
      const problems = bodyProblems(body, content, reading);
      return problems.length === 0 ? null : this.#verdicts.response(x, responses, problems);
    });
    return undefined;
  }

  #wrong(x: Exchange, problem: { in: string; path: string; message: string }): Outcome | undefined {
    return this.#verdicts.response(x, this.#config.responses, [problem]) ?? undefined;
  }

  #operationOf(x: Exchange): Operation | null {
    for (let held = x.held; held !== null; held = held.next) {
      if (held instanceof Asked && held.validator === this) return held.operation;
    }
    return null;
  }
}

const hasBody = ({ request }: Exchange): boolean =>
  request.body !== "none" && !(request.body === "length" && request.length === 0);

const NOT_MODIFIED = 304;
const NO_BODY = { in: "body", path: "", message: "must be there" };
const TOO_LONG = { in: "body", path: "", message: "is longer than what is checked" };

const MILDNESS: readonly Effect[] = ["enforce", "log", "off"];
const milder = (a: Effect, b: Effect): Effect => MILDNESS[Math.max(MILDNESS.indexOf(a), MILDNESS.indexOf(b))]!;
