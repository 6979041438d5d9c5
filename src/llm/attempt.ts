// One request to one provider, and what becomes of its answer: passed on byte by byte with a look at a copy, changed
// event by event, or changed as a whole.
import { turnTime } from "../core/clock.ts";
import { type Fault, fault, specOf } from "../core/faults.ts";
import { AnswerStream } from "../engines/llm/answer-stream.ts";
import { redactAnswer } from "../engines/llm/event-redactor.ts";
import { type Api, type Fields, isFields, jsonOf } from "../engines/llm/formats.ts";
import { JsonMeter, type Meter, type Metered, StreamMeter } from "../engines/llm/meter.ts";
import { chatAnswer, messageAnswer, translatedError } from "../engines/llm/translated.ts";
import { noUsage } from "../engines/llm/usage.ts";
import { copiedResponse } from "../http/copied-head.ts";
import type { ResponseHead } from "../http/message.ts";
import type { Exchange, ServeEnvironment, ServeWaiter } from "../pipeline/exchange.ts";
import type { InnerCall, InnerHandler, InnerRequest } from "../pipeline/inner.ts";
import type { Reply } from "../pipeline/reply.ts";
import { forgetLength } from "../pipeline/transforms.ts";
import type { FailureKind, Gateway } from "./gateway.ts";
import { errorReply } from "./replies.ts";
import type { Asked } from "./rules.ts";
import type { Target } from "./target.ts";

export interface Failure {
  readonly target: Target;
  readonly kind: FailureKind;
  /** Seconds; 0 where it has not said. */
  readonly retryAfter: number;
}

/** The visit that an attempt is part of. */
export interface AttemptOwner {
  readonly x: Exchange;
  readonly env: ServeEnvironment;
  readonly gateway: Gateway;
  readonly asked: Asked | null;
  readonly limits: string;
  readonly mayAskAnother: boolean;
  askAnother(failure: Failure): void;
  noteFailure(failure: Failure): void;
  failed(cause: Fault): void;
  answer(reply: Reply): void;
  /** It is over, and what it took is known as well as it will be. */
  settle(attempt: Attempt): void;
}

/** Longest answer that is changed as a whole, and longest error. */
const WHOLE_MAX = 16_777_216;
const ERROR_MAX = 65_536;
/** Of the gateway's account, or for its cookies: nothing that clients are told. */
const WITHHELD: ReadonlySet<string> = new Set(["set-cookie", "openai-organization", "openai-project", "alt-svc"]);
const WITHHELD_BEGIN = /^(?:x-ratelimit-|anthropic-ratelimit-|ratelimit|anthropic-organization)/;

type Mode = "none" | "pass" | "stream" | "whole" | "error";

export class Attempt implements InnerHandler, ServeWaiter {
  readonly target: Target;
  /** When the first piece of the answer came; 0 before. */
  firstAt = 0;
  readonly #owner: AttemptOwner;
  readonly #asked: Asked;
  readonly #api: Api;
  #call: InnerCall | null = null;
  #mode: Mode = "none";
  #meter: Meter | AnswerStream | null = null;
  #whole: Buffer[] = [];
  #wholeBytes = 0;
  /** The response phase waits: what comes meanwhile is kept. */
  #isWaiting = false;
  #pending: Buffer[] = [];
  #isEnded = false;
  #over = false;

  constructor(owner: AttemptOwner, target: Target) {
    const asked = owner.asked!;
    this.target = target;
    this.#owner = owner;
    this.#asked = asked;
    this.#api = target.format === asked.format ? asked.api : asked.api === "chat" ? "messages" : "chat";
  }

  start(request: InnerRequest): void {
    const { env, x } = this.#owner;
    const call = env.send(x, this.target.upstream, request, this);
    if (!this.#over) this.#call = call;
  }

  get #isSame(): boolean {
    return this.#api === this.#asked.api;
  }

  // ——— the head

  head(head: ResponseHead): void {
    const { x } = this.#owner;
    x.upstream = this.#call?.upstream ?? "";
    x.server = this.#call?.server ?? null;
    x.responseAt = turnTime();
    const failure = this.#failureOf(head);
    if (failure !== null) {
      const mayGoOn = this.#owner.gateway.mayFallBack(failure.kind) && this.#owner.mayAskAnother;
      if (mayGoOn) return this.#leave(() => this.#owner.askAnother(failure));
      this.#owner.noteFailure(failure);
    }
    x.fault = null; // of one that was asked before
    const { status } = head;
    if (status >= 200 && status < 300) return this.#begin(head);
    if (status < 400) return this.#leave(() => this.#owner.failed(fault("llm.provider", `status ${status}`)));
    if (this.target.isOurKey && (status === 401 || status === 403 || status === 429))
      return this.#leave(() => this.#refused(status, failure?.retryAfter ?? 0));
    if (this.#isSame) return this.#pass(head);
    this.#mode = "error";
    x.response = this.#copied(head);
  }

  /** What is to be held against the provider; null for nothing. */
  #failureOf(head: ResponseHead): Failure | null {
    const { status } = head;
    const { target } = this;
    // With a key of the client's, it is its own matter.
    const isKey = (status === 401 || status === 403) && target.isOurKey;
    if (status !== 429 && status < 500 && !isKey && (status < 300 || status >= 400)) return null;
    const after = Number(head.header("retry-after") ?? "0");
    const retryAfter = Number.isFinite(after) && after > 0 ? Math.ceil(after) : 0;
    return { target, kind: status === 429 ? "429" : "5xx", retryAfter };
  }

  /** What the provider says of the gateway's key and account is not for clients. */
  #refused(status: number, retryAfter: number): void {
    const { x } = this.#owner;
    const { format } = this.#asked;
    if (status !== 429) return this.#owner.failed(fault("llm.provider", `status ${status}: is its key right?`));
    x.fault = fault("llm.provider", "status 429");
    const message = "the provider has no more for now";
    const more = [["retry-after", String(Math.max(1, retryAfter))]] as const;
    this.#owner.answer(errorReply(429, format, "limited", message, x.requestId, more));
  }

  #begin(head: ResponseHead): void {
    const { rules } = this.#owner.gateway;
    const { api, isStream, wantsUsage } = this.#asked;
    const isEvents = /^text\/event-stream/i.test(head.header("content-type") ?? "");
    const coding = head.header("content-encoding") ?? "identity";
    const isChat = this.#api === "chat" || this.#api === "completions";
    const hidesUsage = isStream && !wantsUsage && (isChat || api === "chat");
    const mustChange = !this.#isSame || rules.answerRedactor !== null;
    if (coding !== "identity" && mustChange)
      return this.#leave(() => this.#owner.failed(fault("llm.provider", "it has encoded its answer")));
    const isChanged = api !== "count" && (mustChange || (hidesUsage && isEvents && coding === "identity"));
    if (!isChanged) {
      if (api !== "count") this.#meter = isEvents ? new StreamMeter(api) : new JsonMeter(api);
      return this.#pass(head);
    }
    const { x } = this.#owner;
    x.response = this.#copied(head);
    if (!isEvents) {
      this.#mode = "whole";
      return;
    }
    this.#mode = "stream";
    this.#meter = this.#streamed(hidesUsage);
    forgetLength(x.response);
    this.#respond();
  }

  #streamed(hidesUsage: boolean): AnswerStream {
    const { gateway } = this.#owner;
    const { api, promptTokens } = this.#asked;
    const plan = {
      from: this.#api,
      to: api,
      hidesUsage,
      redactor: gateway.rules.answerRedactor,
      found: (label: string): void => gateway.redacted("answer", label),
      prompt: promptTokens,
      seconds: gateway.seconds,
    };
    return new AnswerStream(plan, (bytes) => this.#emit(bytes, 0, bytes.length));
  }

  #pass(head: ResponseHead): void {
    this.#mode = "pass";
    this.#owner.x.response = this.#copied(head);
    this.#respond();
  }

  #copied(head: ResponseHead): ResponseHead {
    const copy = copiedResponse(head);
    for (const [name] of copy.headers.entries()) {
      const lower = name.toLowerCase();
      if (WITHHELD.has(lower) || WITHHELD_BEGIN.test(lower)) copy.headers.remove(name);
    }
    const { limits, gateway } = this.#owner;
    if (limits === "") return copy;
    copy.headers.add("ratelimit-policy", gateway.limits.policy);
    copy.headers.add("ratelimit", limits);
    return copy;
  }

  /** The route's response filters see the head; then it leaves. */
  #respond(): void {
    const { x, env } = this.#owner;
    if (env.respond(x, this)) return x.downstream.head(x.response);
    this.#isWaiting = true;
    this.#call?.pause();
  }

  responsePhaseOver(proceed: boolean): void {
    const { x } = this.#owner;
    if (this.#over && !this.#isEnded) return;
    if (!proceed || x.over) return this.gone();
    this.#isWaiting = false;
    x.downstream.head(x.response);
    const pending = this.#pending;
    this.#pending = [];
    for (const bytes of pending) x.downstream.data(bytes, 0, bytes.length);
    if (this.#isEnded) x.downstream.end(null);
    else this.onDrain();
  }

  // ——— the content

  data(bytes: Buffer, from: number, to: number): void {
    if (this.#over) return;
    if (this.firstAt === 0) this.firstAt = turnTime();
    if (this.#mode === "whole" || this.#mode === "error") return this.#collect(bytes, from, to);
    this.#meter?.push(bytes, from, to);
    if (this.#mode === "pass") this.#emit(bytes, from, to);
    else if (this.#isBroken()) this.#cutBroken();
  }

  #isBroken(): boolean {
    return this.#meter instanceof AnswerStream && this.#meter.isBroken;
  }
  #cutBroken(): void {
    this.#cut(fault("llm.provider", "an event is longer or deeper than what can be changed"));
  }

  #emit(bytes: Buffer, from: number, to: number): void {
    const { x } = this.#owner;
    if (this.#over) return;
    if (this.#isWaiting) {
      this.#pending.push(bytes.subarray(from, to));
      return;
    }
    x.downstream.data(bytes, from, to);
    if (x.downstream.full) this.#call?.pause();
  }

  #collect(bytes: Buffer, from: number, to: number): void {
    this.#wholeBytes += to - from;
    const max = this.#mode === "error" ? ERROR_MAX : WHOLE_MAX;
    if (this.#wholeBytes > max)
      return this.#leave(() =>
        this.#owner.failed(fault("llm.provider", "its answer is longer than what can be changed")),
      );
    this.#whole.push(bytes.subarray(from, to));
  }

  end(): void {
    if (this.#over) return;
    if (this.#mode === "whole" || this.#mode === "error") return this.#changeWhole();
    this.#meter?.end();
    if (this.#isBroken()) return this.#cutBroken();
    this.#finish();
  }

  #finish(): void {
    const { x } = this.#owner;
    this.#over = true;
    this.#isEnded = true;
    this.#call = null;
    if (this.#meter !== null) this.#owner.settle(this);
    if (!this.#isWaiting) x.downstream.end(null);
  }

  /** All of it is there, and becomes another one. */
  #changeWhole(): void {
    const { x } = this.#owner;
    const bytes = Buffer.concat(this.#whole);
    this.#whole = [];
    if (this.#mode === "whole") {
      const meter = new JsonMeter(this.#api);
      meter.push(bytes, 0, bytes.length);
      meter.end();
      this.#meter = meter;
    }
    const content = this.#made(bytes);
    if (content === null) {
      this.#owner.settle(this);
      return this.#leave(() => this.#owner.failed(fault("llm.provider", "its answer cannot be read")));
    }
    forgetLength(x.response);
    x.response.body = "length";
    x.response.length = content.length;
    x.response.headers.set("content-type", "application/json");
    x.response.headers.set("content-length", String(content.length));
    this.#respond();
    if (this.#over) return;
    this.#emit(content, 0, content.length);
    this.#finish();
  }

  /** The new content; null where the answer is no JSON, or nested deeper than the stack is. */
  #made(bytes: Buffer): Buffer | null {
    const { rules } = this.#owner.gateway;
    try {
      const value = jsonOf(bytes.toString());
      const made = this.#mode === "error" ? translatedError(this.#asked.format, value) : this.#changed(value);
      if (made !== null && rules.answerRedactor !== null && this.#mode === "whole")
        redactAnswer(made, rules.answerRedactor, (label) => this.#owner.gateway.redacted("answer", label));
      return made === null ? null : Buffer.from(JSON.stringify(made));
    } catch (error) {
      if (error instanceof RangeError) return null;
      throw error;
    }
  }

  #changed(value: unknown): Fields | null {
    if (!isFields(value)) return null;
    if (this.#isSame) return value;
    return this.#asked.api === "chat" ? chatAnswer(value, this.#owner.gateway.seconds) : messageAnswer(value);
  }

  // ——— ends before its time

  failed(cause: Fault): void {
    if (this.#over) return;
    if (this.#mode !== "none") return this.#cut(cause);
    this.#over = true;
    const { gateway, mayAskAnother, x } = this.#owner;
    const { status, retry } = specOf(cause);
    const kind = status === 504 && retry !== "always" ? "timeout" : "connect";
    const failure = { target: this.target, kind, retryAfter: 0 } as const;
    x.upstream = this.#call?.upstream ?? this.target.upstream;
    x.server = this.#call?.server ?? null;
    if (gateway.mayFallBack(kind) && mayAskAnother) return this.#owner.askAnother(failure);
    this.#owner.noteFailure(failure);
    this.#owner.failed(cause);
  }

  /** The answer breaks off: the client sees that, and what has come of it counts. */
  #cut(cause: Fault): void {
    const { x } = this.#owner;
    this.#over = true;
    this.#call?.cancel();
    this.#call = null;
    this.#meter?.end();
    this.#owner.settle(this);
    if (x.over) return;
    if (x.downstream.answered) x.downstream.abort(cause);
    else this.#owner.failed(cause);
  }

  /** Nothing of this provider's answer is wanted. */
  #leave(then: () => void): void {
    this.#over = true;
    this.#call?.cancel();
    this.#call = null;
    then();
  }

  /** The client has left: the provider has read the prompt, and written what has come. */
  gone(): void {
    if (this.#over) return;
    this.#over = true;
    this.#call?.cancel();
    this.#call = null;
    this.#meter?.end();
    this.#owner.settle(this);
  }

  onDrain(): void {
    if (!this.#isWaiting && !this.#owner.x.downstream.full) this.#call?.resume();
  }

  metered(): Metered {
    const prompt = this.#asked.promptTokens;
    return this.#meter?.result(prompt) ?? { usage: { ...noUsage(), input: prompt }, estimated: true };
  }
}
