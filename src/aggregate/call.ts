// One request of an `aggregate` under way: its answer is collected within bounds, and read as JSON.
import { type Fault, fault, specOf } from "../core/faults.ts";
import { valueAt, valuesAt } from "../engines/transform/edits.ts";
import { type JsonDocument, readJson } from "../engines/transform/json-document.ts";
import { JsonNode } from "../engines/transform/json-node.ts";
import { isSingle } from "../engines/transform/json-path.ts";
import type { ResponseHead } from "../http/message.ts";
import type { InnerCall, InnerHandler } from "../pipeline/inner.ts";
import type { Call } from "./plan.ts";
import { NULL } from "./values.ts";

/** Why there is no answer. */
export interface Failure {
  /** In a word, for clients. */
  readonly reason: "status" | "timeout" | "unreachable" | "content" | "value";
  /** What the server has answered; 0 where that does not matter. */
  readonly status: number;
  /** What the client gets where the whole fails of it. */
  readonly cause: Fault;
}

/** Who is told what becomes of a call. */
export interface CallOwner {
  answered(at: number, value: JsonNode, document: JsonDocument | null): void;
  failed(at: number, failure: Failure): void;
  /** The server's refusal is the client's answer. */
  refused(at: number, status: number, type: string | null, content: Buffer): void;
  /** Whether there is room for so many bytes more, which are taken. */
  take(bytes: number): boolean;
}

const GATEWAY_TIMEOUT = 504;

/** A failure whose cause is that of forwarding: a client sees what it would see without the others. */
export const unreachable = (name: string, { code, detail, retryAfter }: Fault): Failure => {
  const cause = fault(code, `${name}: ${detail}`, retryAfter);
  return { reason: specOf(cause).status === GATEWAY_TIMEOUT ? "timeout" : "unreachable", status: 0, cause };
};

export const contentFailure = (name: string, why: string): Failure => ({
  reason: "content",
  status: 0,
  cause: fault("aggregate.failed", `${name}: ${why}`),
});

export class RunningCall implements InnerHandler {
  /** Null until it is under way. */
  inner: InnerCall | null = null;
  readonly #at: number;
  readonly #call: Call;
  readonly #owner: CallOwner;
  readonly #max: number;
  readonly #pieces: Buffer[] = [];
  #length = 0;
  /** The server's status where its answer is passed on; else 0. */
  #refusal = 0;
  #type: string | null = null;

  constructor(at: number, call: Call, owner: CallOwner, max: number) {
    this.#at = at;
    this.#call = call;
    this.#owner = owner;
    this.#max = max;
  }

  head(head: ResponseHead): void {
    const { status, headers } = head;
    const { name, statuses, pass } = this.#call;
    if (pass.includes(status)) {
      this.#refusal = status;
      this.#type = headers.get("content-type");
    } else if (!statuses.has(status)) {
      const cause = fault("aggregate.failed", `${name}: status ${status}`);
      return this.#give({ reason: "status", status, cause });
    }
    const coding = headers.get("content-encoding");
    if (coding !== null && coding.toLowerCase() !== "identity")
      return this.#give(contentFailure(name, "its content is encoded, though that was not asked for"));
    if (head.body === "length" && head.length > this.#max) return this.#tooLong();
    if (this.#refusal === 0 && head.body !== "none" && !isJson(headers.get("content-type")))
      this.#give(contentFailure(name, "its content is no JSON by its type"));
  }

  data(bytes: Buffer, from: number, to: number): void {
    this.#length += to - from;
    if (this.#length > this.#max || !this.#owner.take(to - from)) return this.#tooLong();
    this.#pieces.push(bytes.subarray(from, to) as Buffer);
  }

  end(): void {
    const content = this.#pieces.length === 1 ? this.#pieces[0]! : Buffer.concat(this.#pieces);
    if (this.#refusal > 0) return this.#owner.refused(this.#at, this.#refusal, this.#type, content);
    if (content.length === 0) return this.#owner.answered(this.#at, NULL, null);
    const { document, problem } = readJson(content);
    if (problem !== null) return this.#give(contentFailure(this.#call.name, `its content ${problem}`));
    const value = this.#selected(JsonNode.read(document));
    if (value === null) return this.#give(contentFailure(this.#call.name, "what is selected is not there"));
    this.#owner.answered(this.#at, value, document);
  }

  #selected(root: JsonNode): JsonNode | null {
    const { select } = this.#call;
    if (select === null) return root;
    return isSingle(select) ? valueAt(root, select) : JsonNode.list(valuesAt(root, select));
  }

  failed(cause: Fault): void {
    this.#owner.failed(this.#at, unreachable(this.#call.name, cause));
  }

  #tooLong(): void {
    this.#give(contentFailure(this.#call.name, "its content is longer than what is taken"));
  }

  #give(failure: Failure): void {
    this.inner?.cancel();
    this.#owner.failed(this.#at, failure);
  }
}

/** `application/json`, and types that say so behind a `+`. */
function isJson(type: string | null): boolean {
  if (type === null) return false;
  const semicolon = type.indexOf(";");
  const name = (semicolon < 0 ? type : type.slice(0, semicolon)).trim().toLowerCase();
  return name === "application/json" || name.endsWith("+json");
}
