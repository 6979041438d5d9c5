// One request to a model: read, looked at, counted, and put to one provider after the other until one answers.
import { type Fault, type FaultCode, fault, specOf } from "../core/faults.ts";
import { apiOf, type Fields, type Format, isFields } from "../engines/llm/formats.ts";
import { toChat } from "../engines/llm/to-chat.ts";
import { toMessages, Untranslatable } from "../engines/llm/to-messages.ts";
import { noUsage, type Usage } from "../engines/llm/usage.ts";
import { ID } from "../http/header-names.ts";
import type { Exchange, RequestSink, ServeEnvironment } from "../pipeline/exchange.ts";
import { requestBody } from "../pipeline/held-body.ts";
import type { InnerRequest } from "../pipeline/inner.ts";
import type { Reply } from "../pipeline/reply.ts";
import type { Held } from "../pipeline/shared.ts";
import { Attempt, type AttemptOwner, type Failure } from "./attempt.ts";
import type { Gateway } from "./gateway.ts";
import type { Reservation } from "./limits.ts";
import { errorReply, modelsReply } from "./replies.ts";
import { type Asked, isRefusal, type Refusal } from "./rules.ts";
import type { Target } from "./target.ts";

/** What the log calls a refusal. */
const CODES: Readonly<Record<Refusal["kind"], FaultCode>> = {
  invalid: "llm.request",
  model: "llm.model",
  too_large: "llm.prompt",
  refused: "llm.prompt",
  limited: "limit.tokens",
  unavailable: "llm.provider",
  unknown_path: "llm.path",
};

export class Visit implements RequestSink, Held, AttemptOwner {
  readonly next: Held | null;
  readonly x: Exchange;
  readonly env: ServeEnvironment;
  readonly gateway: Gateway;
  asked: Asked | null = null;
  /** What clients are told of their limits; "" for nothing. */
  limits = "";
  readonly #format: Format;
  #held = 0;
  #targets: Target[] = [];
  #reservation: Reservation | null = null;
  #attempt: Attempt | null = null;
  /** Why no provider could be asked that is there. */
  #untranslated = "";

  static start(x: Exchange, env: ServeEnvironment, gateway: Gateway): void {
    const visit = new Visit(x, env, gateway);
    x.held = visit;
    visit.#begin();
  }

  private constructor(x: Exchange, env: ServeEnvironment, gateway: Gateway) {
    this.x = x;
    this.env = env;
    this.gateway = gateway;
    this.next = x.held;
    // Which errors it reads where the path does not tell.
    this.#format = x.request.header("anthropic-version") === null ? "openai" : "anthropic";
  }

  #begin(): void {
    const { x, gateway } = this;
    const path = x.rewrittenTarget === "" ? (x.request.path ?? "") : (x.rewrittenTarget.split("?", 1)[0] ?? "");
    const spec = apiOf(path);
    if (spec === null || spec.method !== x.request.method)
      return this.refuse({ status: 404, kind: "unknown_path", message: `there is no ${x.request.method} ${path}` });
    if (spec.api === "models") return this.env.answer(x, modelsReply(gateway.models, this.#format));
    const { format, api } = spec;
    const { bodyMax } = gateway.rules;
    const coding = x.request.headers.received(ID["content-encoding"]) ? x.request.header("content-encoding") : null;
    if (coding !== null && coding !== "identity")
      return this.refuse({ status: 415, kind: "invalid", message: "the request must not be encoded" }, format);
    // A body whose length nobody tells may be as long as it is allowed to be.
    const bytes = x.request.body === "length" ? Math.min(x.request.length, bodyMax) : bodyMax;
    if (!gateway.hold(bytes))
      return this.refuse({ status: 503, kind: "unavailable", message: "too much is under way" }, format);
    this.#held = bytes;
    requestBody(x, bodyMax)
      .then(async (body) => {
        if (x.over) return;
        if (body === null) {
          const message = `the request is longer than ${bodyMax} bytes`;
          return this.refuse({ status: 413, kind: "too_large", message }, format);
        }
        this.#holds(body.length);
        const asked = gateway.rules.read(api, format, body);
        if (isRefusal(asked)) return this.refuse(asked, format);
        this.asked = asked;
        await this.#prepare(asked);
      })
      .catch((error: unknown) => this.#broken(error));
  }

  /** It is known now what was to be made room for. */
  #holds(bytes: number): void {
    this.gateway.release(this.#held - bytes);
    this.#held = bytes;
  }

  async #prepare(asked: Asked): Promise<void> {
    const { x, gateway } = this;
    this.#targets = gateway.candidates(asked.api, asked.format, asked.model);
    if (this.#targets.length === 0)
      return this.refuse({ status: 404, kind: "model", message: `the model "${asked.model}" is not there` });
    const prompt = gateway.rules.check(asked, (label) => gateway.redacted("prompt", label));
    if (isRefusal(prompt)) return this.refuse(prompt);
    if (!gateway.hooks.isEmpty) {
      const answer = await gateway.hooks.run(x, prompt);
      if (x.over) return;
      if (answer !== null) return this.env.answer(x, answer);
    }
    const counted: Asked = { ...asked, promptTokens: prompt.tokens };
    this.asked = counted;
    const { plan } = x;
    const overPlan = plan?.reserveTokens(x, counted.promptTokens + counted.answerTokens) ?? null;
    if (overPlan !== null) return this.env.answer(x, this.#overPlan(overPlan, counted));
    const refused = gateway.limits.isEmpty || asked.api === "count" ? null : await this.#reserve(counted);
    if (x.over) return this.#settle(null);
    if (refused !== null) return this.env.answer(x, refused);
    x.sink = this;
    x.downstream.readBody(this); // all of it has been read: from here on it is heard how the client fares
    if (!x.over) this.#ask();
  }

  /** The plan of the consumer has not so many tokens left (filters/rate-limit/plan-filter.ts). */
  #overPlan(over: Fault, { format }: Asked): Reply {
    const { x } = this;
    x.fault = over;
    return errorReply(429, format, "limited", "the quota of tokens of your plan is used up", x.requestId, [
      ["retry-after", String(over.retryAfter)],
    ]);
  }

  async #reserve({ promptTokens, answerTokens, model, format }: Asked): Promise<Reply | null> {
    const { x, gateway } = this;
    const usage: Usage = { ...noUsage(), input: promptTokens, output: answerTokens };
    const reservation = await gateway.limits.reserve(x, model, usage, gateway.costOf(model, usage));
    this.#reservation = reservation;
    const { refusedBy, retryMs, left } = reservation;
    this.limits = left;
    if (refusedBy === null || x.over) return null;
    const seconds = Math.max(1, Math.ceil(retryMs / 1000));
    x.limit = refusedBy.name;
    x.fault = fault(refusedBy.isRate ? "limit.rate" : "limit.tokens", `limit "${refusedBy.name}"`, seconds);
    return errorReply(429, format, "limited", `the limit "${refusedBy.name}" is used up`, x.requestId, [
      ["retry-after", String(seconds)],
      ["ratelimit-policy", gateway.limits.policy],
      ["ratelimit", left],
    ]);
  }

  // ——— providers

  /** Puts it to the next one. */
  #ask(): void {
    for (;;) {
      const target = this.#targets.shift();
      if (target === undefined) return this.#noneLeft();
      const request = this.#requestFor(target);
      if (request === null) continue;
      this.#attempt = new Attempt(this, target);
      return this.#attempt.start(request);
    }
  }

  /** What a provider is sent; null where it cannot be said in its format. */
  #requestFor(target: Target): InnerRequest | null {
    const asked = this.asked!;
    const { x } = this;
    const isSame = target.format === asked.format;
    const model = target.modelOf(asked.model) ?? asked.model;
    const said = isSame ? asked.body : asked.api === "chat" ? toMessages(asked.body) : toChat(asked.body);
    if (said instanceof Untranslatable) {
      this.#untranslated = said.why;
      return null;
    }
    const api = isSame ? asked.api : asked.api === "chat" ? "messages" : "chat";
    const body: Fields = { ...said, model };
    if (asked.isStream && (api === "chat" || api === "completions")) {
      const options = isFields(body.stream_options) ? body.stream_options : {};
      body.stream_options = { ...options, include_usage: true };
    }
    return {
      method: "POST",
      target: target.pathFor(api, model),
      fields: target.fieldsFor(x, asked.format, asked.isStream),
      host: target.host,
      hidesClient: true,
      body: Buffer.from(JSON.stringify(body)),
      headMs: target.timeoutMs,
      totalMs: 0,
    };
  }

  #noneLeft(): void {
    const why = this.#untranslated;
    this.refuse({ status: 400, kind: "invalid", message: `no provider that is there can take it: ${why}` });
  }

  get mayAskAnother(): boolean {
    return this.#targets.length > 0;
  }

  /** A provider has not answered as it should: another one may. */
  askAnother({ target, kind, retryAfter }: Failure): void {
    this.gateway.failed(target, kind, retryAfter);
    this.#attempt = null;
    if (!this.x.over) this.#ask();
  }

  noteFailure({ target, kind, retryAfter }: Failure): void {
    this.gateway.failed(target, kind, retryAfter);
  }

  /** There is no answer. */
  failed(cause: Fault): void {
    this.#attempt = null;
    const { x } = this;
    x.fault = cause;
    const { status, title } = specOf(cause);
    this.#settle(null);
    this.answer(errorReply(status, this.#answerFormat, "unavailable", title, x.requestId, this.#retryFields(status)));
  }

  #retryFields(status: number): readonly (readonly [string, string])[] {
    return status === 503 ? [["retry-after", "1"]] : [];
  }

  answer(reply: Reply): void {
    if (!this.x.over) this.env.answer(this.x, reply);
  }

  get #answerFormat(): Format {
    return this.asked?.format ?? this.#format;
  }

  refuse({ status, kind, message }: Refusal, format = this.#answerFormat): void {
    const { x } = this;
    this.#settle(null);
    x.fault = fault(CODES[kind], message);
    this.answer(errorReply(status, format, kind, message, x.requestId));
  }

  #broken(error: unknown): void {
    this.#settle(null);
    if (this.x.over) return;
    const detail = error instanceof Error ? (error.stack ?? error.message) : String(error);
    this.x.downstream.fail(fault("proxy.internal", detail));
  }

  /** What the request has used in the end; null for nothing. */
  #settle(usage: Usage | null): void {
    const { asked } = this;
    const cost = usage === null || asked === null ? 0 : this.gateway.costOf(asked.model, usage);
    this.#reservation?.settle(usage, cost);
    this.#reservation = null;
  }

  settle(attempt: Attempt): void {
    const metered = attempt.metered();
    this.x.tokens = this.gateway.tokens(this.x, attempt.target, this.asked!.model, metered, attempt.firstAt);
    this.#settle(metered.usage);
  }

  // ——— RequestSink: how the client fares

  onRequestData(): void {}
  onRequestEnd(): void {}
  onDownstreamDrain(): void {
    this.#attempt?.onDrain();
  }
  onDownstreamGone(): void {
    this.#attempt?.gone();
    this.#attempt = null;
  }

  // ——— Held

  /** The exchange has ended. */
  leave(): void {
    this.#attempt?.gone();
    this.#attempt = null;
    this.#settle(null);
    this.#holds(0);
  }
}
