// A cache of one address, as small as can be: what the engine's parts come to when they are put together. Tests run
// their cases through it, with a clock of their own.
import { HeaderBlock } from "../../http/header-block.ts";
import { idOf } from "../../http/header-names.ts";
import { formatHttpDate } from "../../http/http-date.ts";
import { RequestHead, ResponseHead } from "../../http/message.ts";
import { ageSeconds } from "./age.ts";
import { isForServer, type Serving, type StoredValidators, serving, validatorsOf } from "./conditional.ts";
import { type CachePolicy, DEFAULT_POLICY } from "./policy.ts";
import { reuse, wantsOf, withoutStored } from "./reuse.ts";
import { type StoredHead, storedHead } from "./stored-head.ts";
import { type Admission, admit } from "./storing.ts";
import { selectVariant, type Variant, variantOf } from "./vary.ts";

/** When the first request of a case is made: a Monday, at noon. */
export const START = Date.UTC(2026, 10, 23, 12);

/** `Name: value | Name: value`; `{-10}` is the date of ten seconds before START. */
function fields(text: string): [string, string][] {
  if (text.trim() === "") return [];
  return text.split(" | ").map((line) => {
    const colon = line.indexOf(":");
    const value = line.slice(colon + 1).trim();
    const dated = value.replace(/\{(-?\d+)\}/g, (_, seconds) => formatHttpDate(START + Number(seconds) * 1000));
    return [line.slice(0, colon).trim(), dated];
  });
}

export function requestHead(text: string, target = "/", method = "GET"): RequestHead {
  const head = new RequestHead();
  head.method = method;
  head.target = target;
  head.queryAt = target.indexOf("?");
  head.authority = "example.com";
  receive(head.headers, fields(text));
  return head;
}

export function responseHead(text: string, status = 200): ResponseHead {
  const head = new ResponseHead();
  head.status = status;
  head.reason = status === 200 ? "OK" : "";
  receive(head.headers, fields(text));
  return head;
}

export function block(text: string): HeaderBlock {
  const headers = new HeaderBlock();
  receive(headers, fields(text));
  return headers;
}

/** Fills the block as a reader does: with bytes and marks. */
function receive(headers: HeaderBlock, pairs: readonly (readonly [string, string])[]): void {
  headers.reset(Buffer.from(pairs.map(([name, value]) => `${name}: ${value}\r\n`).join(""), "latin1"));
  let at = 0;
  for (const [name, value] of pairs) {
    const valueAt = at + name.length + 2;
    const end = valueAt + value.length;
    headers.push(idOf(name.toLowerCase()), at, at + name.length, valueAt, end, end + 2);
    at = end + 2;
  }
}

interface Entry {
  readonly admission: Admission;
  readonly head: StoredHead;
  readonly validators: StoredValidators;
  readonly length: number;
}

/** What the cache did: a way of reuse.ts, or why it went to the server, or why it did not store. */
export type Deed = string;

export class ModelCache {
  readonly #policy: CachePolicy;
  readonly #variants: Variant[] = [];
  readonly #entries: Entry[] = [];

  constructor(policy: Partial<CachePolicy> = {}) {
    this.#policy = { ...DEFAULT_POLICY, ...policy };
  }

  /** A request that went to the server came back; `sent` and `came` are seconds after START. */
  store(request: RequestHead, response: ResponseHead, length: number, sent = 0, came = sent): Deed {
    const responseTime = START + came * 1000;
    const admission = admit(request, response, START + sent * 1000, responseTime, this.#policy);
    if ("refusal" in admission) return admission.refusal;
    const head = storedHead(response, admission.withheld, length, responseTime);
    this.#variants.push(variantOf(admission.vary, request.headers, head.headers));
    this.#entries.push({ admission, head, validators: validatorsOf(head.headers, responseTime), length });
    return "stored";
  }

  /** What is done with a request `seconds` after START. */
  ask(request: RequestHead, seconds: number): Deed {
    const wants = wantsOf(request.headers, this.#policy);
    const at = selectVariant(this.#variants, request.headers);
    if (at >= 0) return reuse(this.#entries[at]!.admission.times, wants, START + seconds * 1000);
    if (withoutStored(wants) === "unavailable") return "unavailable";
    return this.#entries.length > 0 ? "vary-miss" : "uri-miss";
  }

  /** The answer to a request that may be answered from what was stored last. */
  serve(request: RequestHead, seconds: number): Serving | "server" {
    if (isForServer(request.headers)) return "server";
    const { head, validators, length } = this.#entries.at(-1)!;
    return serving(request.method, request.headers, head.status, validators, length, START + seconds * 1000);
  }

  get last(): Entry {
    return this.#entries.at(-1)!;
  }

  /** The Age of what was stored last. */
  age(seconds: number): number {
    return ageSeconds(this.last.admission.times.bornAt, START + seconds * 1000);
  }
}
