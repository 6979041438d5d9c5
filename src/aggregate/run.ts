// The `aggregate` action: makes its calls for one request, side by side where they need not wait for others, and one
// answer of what they bring.
import { type Fault, fault } from "../core/faults.ts";
import { Timer } from "../core/timers.ts";
import { type JsonDocument, readJson } from "../engines/transform/json-document.ts";
import { JsonNode } from "../engines/transform/json-node.ts";
import { writeJson } from "../engines/transform/json-writer.ts";
import { HeaderBlock } from "../http/header-block.ts";
import { hasDotSegment, withOneSlash } from "../http/path.ts";
import { errorReply } from "../pipeline/error-reply.ts";
import type { Exchange, RequestSink, ServeEnvironment } from "../pipeline/exchange.ts";
import { requestBody } from "../pipeline/held-body.ts";
import type { Held, Shared } from "../pipeline/shared.ts";
import { type CallOwner, contentFailure, type Failure, RunningCall, unreachable } from "./call.ts";
import { merged } from "./merge.ts";
import type { AggregatePlan, Call } from "./plan.ts";
import { lacking, lookAt, NULL, type Values } from "./values.ts";

/** A call that has failed and is stood in for. */
interface Missing {
  readonly call: string;
  readonly reason: string;
  readonly status?: number;
}

/** Values of an answer may be many: no server takes longer targets and fields than these. */
const TARGET_MAX = 32_768;
const FIELD_MAX = 32_768;
const NO_BODY = Buffer.alloc(0);
/** What a condition says that does not hold. */
const FALSE: ReadonlySet<string> = new Set(["", "0", "false", "null"]);

export class Run implements CallOwner, Values, Held, RequestSink {
  readonly results: (JsonNode | null)[];
  body: JsonNode | null = null;
  readonly next: Held | null;
  readonly #x: Exchange;
  readonly #env: ServeEnvironment;
  readonly #plan: AggregatePlan;
  readonly #shared: Shared;
  readonly #running: (RunningCall | null)[];
  /** How many calls each one still waits for. */
  readonly #waiting: number[];
  readonly #documents: JsonDocument[] = [];
  readonly #missing: Missing[] = [];
  readonly #timer: Timer = new Timer(() => this.#late());
  #sent: Buffer = NO_BODY;
  #left: number;
  #bytes = 0;
  #isLate = false;
  #over = false;

  /** Answers the exchange. */
  static start(x: Exchange, env: ServeEnvironment, plan: AggregatePlan, shared: Shared): void {
    const run = new Run(x, env, plan, shared);
    x.held = run;
    x.sink = run;
    env.wheel.arm(run.#timer, plan.timeoutMs);
    if (plan.readsBody === "no") return run.#begin();
    requestBody(x, plan.bodyMax)
      .then((body) => run.#read(body))
      .catch((error: unknown) => run.#answer(fault("proxy.internal", String(error))));
  }

  private constructor(x: Exchange, env: ServeEnvironment, plan: AggregatePlan, shared: Shared) {
    this.#x = x;
    this.#env = env;
    this.#plan = plan;
    this.#shared = shared;
    this.next = x.held;
    this.results = plan.calls.map(() => null);
    this.#running = plan.calls.map(() => null);
    this.#waiting = plan.calls.map(({ needs }) => needs.length);
    this.#left = plan.calls.length;
  }

  /** The client's content is there; null when it is too long, or the client has gone. */
  #read(body: Buffer | null): void {
    if (this.#over) return;
    if (body === null) return this.#answer(fault("request.body_too_large", `more than ${this.#plan.bodyMax} bytes`));
    this.#bytes += body.length;
    this.#sent = body;
    if (this.#plan.readsBody === "json" && body.length > 0) {
      const { document, problem } = readJson(body);
      if (problem !== null) return this.#refuse(fault("aggregate.request", `the body ${problem}`));
      this.#documents.push(document);
      this.body = JsonNode.read(document);
    }
    this.#begin();
  }

  #begin(): void {
    // From here on it is heard when the client leaves; of what it sends nothing is wanted any more.
    this.#x.downstream.readBody(this);
    for (let at = 0; at < this.#waiting.length && !this.#over; at += 1)
      if (this.#plan.calls[at]!.needs.length === 0) this.#make(at);
  }

  // ——— calls

  #make(at: number): void {
    const call = this.#plan.calls[at]!;
    if (this.#isLate) return this.failed(at, this.#lateness(call));
    lookAt(this);
    if (call.when !== null && FALSE.has(call.when.render(this.#x))) return this.#done(at, call.fallback ?? NULL);
    lookAt(this);
    const target = withOneSlash(call.path.render(this.#x));
    const content = this.#contentOf(call);
    const fields = this.#fieldsOf(call, content);
    if (lacking() !== "") return this.failed(at, valueFailure(call, `there is no value for ${lacking()}`));
    if (call.body !== null && content === null)
      return this.failed(at, valueFailure(call, "its content came out too long"));
    if (target.length > TARGET_MAX || fields.some(([, value]) => value.length > FIELD_MAX))
      return this.failed(at, valueFailure(call, "its path or a field came out too long"));
    const query = target.indexOf("?");
    if (hasDotSegment(query < 0 ? target : target.slice(0, query)))
      return this.failed(at, valueFailure(call, "its path came out with a dot segment"));
    const running = new RunningCall(at, call, this, this.#plan.bodyMax);
    this.#running[at] = running;
    const totalMs = call.timeoutMs > 0 ? call.timeoutMs : this.#plan.timeoutMs;
    const { method, upstream } = call;
    const request = { method, target, fields, host: "", body: content, headMs: 0, totalMs };
    running.inner = this.#env.send(this.#x, upstream, request, running);
  }

  #contentOf({ body }: Call): Buffer | null {
    if (body === null) return null;
    return body === "request" ? this.#sent : writeJson(body(this.#x), this.#plan.totalMax);
  }

  #fieldsOf(call: Call, content: Buffer | null): [string, string][] {
    const { headers } = this.#x.request;
    const fields: [string, string][] = [];
    const set = call.fields.map(({ name }) => name.toLowerCase());
    if (!set.includes("accept")) fields.push(["Accept", "application/json"]);
    fields.push(["Accept-Encoding", "identity"]);
    for (const name of call.passHeaders) {
      const value = set.includes(name) ? null : headers.get(name);
      if (value !== null) fields.push([name, value]);
    }
    if (content !== null && !set.includes("content-type")) {
      const type = call.body === "request" ? headers.get("content-type") : "application/json";
      if (type !== null) fields.push(["Content-Type", type]);
    }
    for (const { name, value } of call.fields) {
      const text = value.render(this.#x);
      if (text !== "") fields.push([name, text]);
    }
    return fields;
  }

  take(bytes: number): boolean {
    this.#bytes += bytes;
    return this.#bytes <= this.#plan.totalMax;
  }

  answered(at: number, value: JsonNode, document: JsonDocument | null): void {
    if (document !== null) this.#documents.push(document);
    this.#done(at, value);
  }

  failed(at: number, failure: Failure): void {
    if (this.#over) return;
    const { name, fallback } = this.#plan.calls[at]!;
    const result = fallback === null ? "failed" : "default";
    this.#shared.count("sluice_aggregate_failures_total", [this.#plan.route, name, result]);
    if (fallback === null) return this.#answer(failure.cause);
    const { reason, status } = failure;
    this.#missing.push(status > 0 ? { call: name, reason, status } : { call: name, reason });
    this.#done(at, fallback);
  }

  refused(_at: number, status: number, type: string | null, content: Buffer): void {
    if (this.#over) return;
    const headers = HeaderBlock.of([["cache-control", "no-store"]]);
    if (type !== null && content.length > 0) headers.add("content-type", type);
    this.#close();
    this.#env.answer(this.#x, { status, headers, body: content });
  }

  #done(at: number, value: JsonNode): void {
    if (this.#over) return;
    this.results[at] = value;
    this.#running[at] = null;
    this.#left -= 1;
    if (this.#left === 0) return this.#finish();
    for (const next of this.#plan.calls[at]!.neededBy) {
      this.#waiting[next] = this.#waiting[next]! - 1;
      if (this.#waiting[next] === 0) this.#make(next);
      if (this.#over) return;
    }
  }

  /** The time of the whole is over: calls that are under way have failed, and so have those that were to come. */
  #late(): void {
    this.#isLate = true;
    for (const [at, running] of [...this.#running.entries()]) {
      if (running === null) continue;
      running.inner?.cancel();
      this.failed(at, this.#lateness(this.#plan.calls[at]!));
    }
    // The client has not sent its content to the end.
    if (!this.#over) this.#answer(fault("aggregate.timeout", `not within ${this.#plan.timeoutMs} ms`));
  }

  #lateness({ name }: Call): Failure {
    return unreachable(name, fault("aggregate.timeout", `not within ${this.#plan.timeoutMs} ms`));
  }

  // ——— the answer

  #finish(): void {
    const plan = this.#plan;
    lookAt(this);
    const node = merged(plan, this.results, this.#x);
    if (plan.missing !== "" && this.#missing.length > 0) setMember(node, plan.missing, JSON.stringify(this.#missing));
    const body = writeJson(node, plan.totalMax);
    if (body === null) return this.#answer(contentFailure("all together", "longer than what is taken").cause);
    const headers = HeaderBlock.of([["content-type", "application/json"]]);
    for (const { name, value } of plan.fields) {
      const text = value.render(this.#x);
      if (text !== "") headers.set(name, text);
    }
    if (this.#missing.length > 0) {
      headers.set("x-missing", this.#missing.map(({ call }) => call).join(", "));
      headers.set("cache-control", "no-store"); // the next answer may have all of it
    }
    for (const document of this.#documents) document.release();
    this.#close();
    this.#env.answer(this.#x, { status: plan.status, headers, body });
  }

  #answer(cause: Fault): void {
    if (this.#over) return;
    this.#close();
    this.#env.answer(this.#x, cause);
  }

  /** The client's connection is in order all the same. */
  #refuse(cause: Fault): void {
    this.#close();
    this.#x.fault = cause;
    this.#env.answer(this.#x, errorReply(cause, this.#x.requestId, this.#x.request.header("accept")));
  }

  #close(): void {
    this.#over = true;
    this.#env.wheel.drop(this.#timer);
    for (const running of this.#running) running?.inner?.cancel();
  }

  /** The exchange has ended. */
  leave(): void {
    if (!this.#over) this.#close();
  }

  // ——— RequestSink: what the client still sends is of no use

  onRequestData(): void {}
  onRequestEnd(): void {}
  onDownstreamDrain(): void {}
  onDownstreamGone(): void {
    this.leave();
  }
}

const valueFailure = ({ name }: Call, why: string): Failure => ({
  reason: "value",
  status: 0,
  cause: fault("aggregate.failed", `${name}: ${why}`),
});

function setMember(node: JsonNode, name: string, text: string): void {
  if (!node.openObject()) return;
  for (let at = node.items.length - 1; at >= 0; at -= 1) if (node.nameAt(at) === name) node.removeAt(at);
  node.add(name, JsonNode.of(text));
}
