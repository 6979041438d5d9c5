// `transform.response`: other answers than servers give.
import { within } from "../../config/compile-error.ts";
import type { ResponseTransform } from "../../config/schema-transform.ts";
import { fault } from "../../core/faults.ts";
import { codingOf, markEncoded, matchTag } from "../../engines/compression/eligible.ts";
import { CODINGS, type Coding } from "../../http/content-codings.ts";
import { ID } from "../../http/header-names.ts";
import type { ResponseHead } from "../../http/message.ts";
import { varyBy } from "../../http/vary.ts";
import type { Exchange, Outcome } from "../../pipeline/exchange.ts";
import { forgetLength } from "../../pipeline/transforms.ts";
import { BodyChange, type Changed } from "./body-change.ts";
import { type AnswerChange, HeldAnswer } from "./held-answer.ts";
import { type BodyType, bodyTypeOf, isUtf8Type, prefersXml } from "./media.ts";

/** Answers without content of their own, parts of one, and about another (RFC 9110 §15): their status says how. */
const BOUND = [204, 205, 206, 304];
const STATUS_END = 600;

export class ResponseChange {
  readonly #change: BodyChange;
  readonly #negotiates: boolean;
  readonly #maxBody: number;
  /** By status: 1 for those that this is for, and what clients get in its place. */
  readonly #for: Uint8Array;
  readonly #statuses: Uint16Array;

  /** Throws CompileError for what cannot work. */
  constructor(config: ResponseTransform, params: readonly string[]) {
    const { jsonToXml, status, maxBody } = config;
    this.#change = new BodyChange(config, maxBody, params);
    this.#negotiates = typeof jsonToXml === "object" && jsonToXml.negotiate;
    this.#maxBody = maxBody;
    this.#for = new Uint8Array(STATUS_END);
    for (const each of config.for ?? ["2xx", "3xx", "4xx", "5xx"])
      for (const one of statusesOf(String(each))) this.#for[one] = 1;
    this.#statuses = within("status", () => compileStatuses(status));
  }

  isFor(status: number): boolean {
    return this.#for[status] === 1;
  }
  /** Bodies are changed, not statuses alone. */
  get changesBodies(): boolean {
    return !this.#change.isEmpty;
  }
  /** What is made of an answer depends on who asks for it. */
  get isPersonal(): boolean {
    return !this.#change.isFixed;
  }

  apply(x: Exchange): Outcome | undefined {
    const { response, request } = x;
    const received = response.status;
    const contentType = response.headers.getById(ID["content-type"]);
    const type = bodyTypeOf(contentType);
    const isXmlAsked = !this.#negotiates || prefersXml(request.header("accept"));
    if (this.#negotiates && type !== "other") varyBy(response.headers, ["Accept"]);
    if (received === 304) this.#unmodified(x);
    else if (this.#change.takes(type, isXmlAsked) && contentType !== null && !isEmpty(x)) {
      if (!isUtf8Type(contentType)) return fault("transform.response", `the body is not in UTF-8: ${contentType}`);
      const outcome = this.#body(x, type, isXmlAsked);
      if (outcome !== undefined) return outcome;
    }
    this.#mapStatus(response);
    return undefined;
  }

  #mapStatus(response: ResponseHead): void {
    const status = this.#statuses[response.status]!;
    if (status === 0 || BOUND.includes(response.status)) return;
    response.status = status;
    response.reason = "";
    response.lineAt = -1;
  }

  /** What the client has stored has the tag that was made of the server's. */
  #unmodified({ request, response }: Exchange): void {
    if (this.#change.isEmpty) return;
    if (this.isPersonal) response.headers.remove("etag");
    else matchTag(request.headers, response.headers);
  }

  #body(x: Exchange, type: BodyType, isXmlAsked: boolean): Outcome | undefined {
    const { response, request } = x;
    const { headers } = response;
    if (response.status === 206 || headers.has("content-range"))
      return fault("transform.response", "a part of a body cannot be changed");
    const coding = codingOf(headers);
    const decoded = CODINGS.find((each) => each === coding) ?? null;
    if (coding !== "" && decoded === null)
      return fault("transform.response", `the content coding ${coding} is unknown`);
    this.#mark(x, type, isXmlAsked);
    const status = response.status; // placeholders speak of that of the server
    const change = (of: Exchange, body: Buffer): Changed => this.#made(of, body, type, isXmlAsked, status);
    if (x.ownBody !== null) return ownAnswer(x, x.ownBody, decoded, change);
    if (request.method === "HEAD") {
      response.body = "none"; // its length would be that of the body as the server has it
      return undefined;
    }
    forgetLength(response);
    const how = { bytesMax: this.#maxBody, change, stream: () => this.#change.stream(type) };
    return HeldAnswer.start(x, how, decoded) ?? undefined;
  }

  #made(x: Exchange, body: Buffer, type: BodyType, isXmlAsked: boolean, status: number): Changed {
    if (body.length === 0) return { bytes: body, problem: null };
    const shown = x.response.status;
    x.response.status = status;
    const made = this.#change.apply(x, body, type, isXmlAsked, false, null);
    x.response.status = shown;
    return made;
  }

  /** The head of an answer with another body. */
  #mark({ response }: Exchange, type: BodyType, isXmlAsked: boolean): void {
    const { headers } = response;
    markEncoded(headers, "");
    const contentType = this.#change.typeOf(type, isXmlAsked);
    if (contentType !== null) headers.set("content-type", contentType);
    if (this.isPersonal) {
      headers.remove("etag");
      headers.remove("last-modified");
    }
  }
}

/** A body that is none stays none; that of an answer to HEAD is only not sent. */
function isEmpty({ response, request, ownBody }: Exchange): boolean {
  const { status, upgrade, body, length } = response;
  if (status === 204 || status === 205 || upgrade !== "") return true;
  if (ownBody !== null || request.method === "HEAD") return false;
  return body === "none" || (body === "length" && length === 0);
}

function ownAnswer(
  x: Exchange,
  body: Buffer,
  coding: Coding | null,
  change: AnswerChange["change"],
): Outcome | undefined {
  if (coding !== null) return fault("transform.response", "an answer of our own is encoded");
  const made = change(x, body);
  if (made.problem !== null) return fault("transform.response", made.problem);
  x.ownBody = made.bytes;
  return undefined;
}

function compileStatuses(config: Readonly<Record<string, number>>): Uint16Array {
  const statuses = new Uint16Array(STATUS_END);
  // What names one status comes before what names a hundred.
  for (const [from, to] of Object.entries(config).sort(
    ([a], [b]) => Number(!a.endsWith("x")) - Number(!b.endsWith("x")),
  )) {
    if (BOUND.includes(to) || BOUND.includes(Number(from)))
      within(from, () => refuseStatus(BOUND.includes(to) ? String(to) : from));
    for (const status of statusesOf(from)) statuses[status] = to;
  }
  return statuses;
}

function refuseStatus(status: string): never {
  throw new RangeError(`${status} says whether there is a body: it cannot be exchanged`);
}

/** `404`, or all of `4xx`. */
function statusesOf(text: string): number[] {
  if (!text.endsWith("xx")) return [Number(text)];
  return Array.from({ length: 100 }, (_, at) => Number(text[0]) * 100 + at);
}
