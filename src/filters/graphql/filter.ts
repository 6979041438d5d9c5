// `graphql`: what requests to a GraphQL service may ask for. Each is understood before a server sees it, or refused.
import { isUtf8 } from "node:buffer";
import type { GraphqlConfig } from "../../config/schema-graphql.ts";
import { type Message, memberOf, PersistedDocuments, readMessages } from "../../engines/graphql/index.ts";
import { parseJson } from "../../engines/openapi/json-text.ts";
import type { Exchange, Filter, FilterResult, Outcome } from "../../pipeline/exchange.ts";
import { requestBody } from "../../pipeline/held-body.ts";
import type { Shared } from "../../pipeline/shared.ts";
import { replaceBody } from "../../pipeline/transforms.ts";
import type { FilterDefinition } from "../definition.ts";
import { Judge, type Verdict } from "./judge.ts";
import { load } from "./load.ts";
import { operationsPart } from "./multipart.ts";
import { type Refusal, refuse } from "./refusal.ts";
import { targetWith, withDocuments } from "./replace.ts";
import { Teller } from "./teller.ts";
import { urlMembers } from "./url-members.ts";

export const graphql: FilterDefinition = {
  key: "graphql",
  compile({ graphql: config }, { route, scopeOf, shared }) {
    if (config === undefined) return [];
    const judge = new Judge(config, load(config), persistedOf(config, scopeOf("graphql"), shared));
    const gate = new Gate(config, judge, new Teller(route, config, shared));
    return [Object.freeze<Filter>({ name: "graphql", request: (x) => gate.request(x) })];
  },
};

/** Documents that clients store lie in memory of all threads, for routes with the same settings. */
function persistedOf({ persisted }: GraphqlConfig, scope: string, shared: Shared): PersistedDocuments | null {
  const apq = persisted?.apq ?? false;
  if (apq === false) return null;
  const size = apq === true ? APQ_BYTES : apq.memory;
  return new PersistedDocuments(shared.memory(`graphql ${scope} ${size}`, PersistedDocuments.bytesFor(size)), size);
}

const APQ_BYTES = 4_194_304;

/** What was read, and how it came. */
interface Asked {
  readonly messages: readonly Message[];
  readonly isBatch: boolean;
  /** The JSON that documents may be put into; null where they cannot. */
  readonly json: Buffer | null;
}

class Gate {
  readonly #config: GraphqlConfig;
  readonly #judge: Judge;
  readonly #teller: Teller;

  constructor(config: GraphqlConfig, judge: Judge, teller: Teller) {
    this.#config = config;
    this.#judge = judge;
    this.#teller = teller;
  }

  request(x: Exchange): FilterResult {
    const { method, upgrade } = x.request;
    if (upgrade !== "") return this.#upgrade(x, upgrade);
    if (method === "POST") return this.#post(x);
    if (method === "GET" || method === "HEAD") return this.#get(x);
    // A preflight runs nothing.
    if (method === "OPTIONS" && !hasBody(x)) return undefined;
    return this.#refused(x, refuse("method", "Requests are sent with GET or POST."));
  }

  #refused(x: Exchange, refusal: Refusal): Outcome | undefined {
    return this.#teller.refused(x, refusal, "", "");
  }

  /** What comes behind the answer of a server that agrees is not looked at. */
  #upgrade(x: Exchange, protocol: string): Outcome | undefined {
    const { query, version } = x.request;
    const members = urlMembers(query);
    // A server that does not agree would answer the request itself.
    const isPlain = typeof members !== "string" && members.size === 0 && (version >= 20 || !hasBody(x));
    if (this.#config.websocket && protocol === "websocket" && isPlain) return undefined;
    return this.#refused(x, refuse("websocket", "There are no such connections here."));
  }

  #get(x: Exchange): Outcome | undefined {
    const { methods, preflight } = this.#config;
    if (!methods.includes("GET")) return this.#refused(x, refuse("method", "Requests are sent with POST."));
    if (hasBody(x)) return this.#refused(x, refuse("request", "A GET has no body."));
    const members = urlMembers(x.request.query);
    if (typeof members === "string") return this.#refused(x, refuse("request", members));
    if (members.size === 0) return undefined; // a page about the service, as nothing is asked of it
    if (preflight.get && !this.#isAsked(x)) return this.#refused(x, NO_PREFLIGHT);
    const message = messageOf(members, null);
    if (typeof message === "string") return this.#refused(x, refuse("request", message));
    return this.#judged(x, { messages: [message], isBatch: false, json: null });
  }

  /** Pages of other origins have to ask before they send such fields. */
  #isAsked(x: Exchange): boolean {
    return this.#config.preflight.headers.some((name) => x.request.header(name) !== null);
  }

  #post(x: Exchange): FilterResult {
    const { methods, maxBody, uploads } = this.#config;
    if (!methods.includes("POST")) return this.#refused(x, refuse("method", "Requests are sent with GET."));
    const type = x.request.header("content-type") ?? "";
    const kind = kindOf(type);
    if (kind === "none" || (kind === "multipart" && uploads === undefined))
      return this.#refused(x, refuse("type", "Requests are application/json."));
    const coding = x.request.header("content-encoding");
    if (coding !== null && coding.toLowerCase() !== "identity")
      return this.#refused(x, refuse("type", "A body has no content coding."));
    if (kind === "multipart" && !this.#isAsked(x)) return this.#refused(x, NO_PREFLIGHT);
    const members = urlMembers(x.request.query);
    if (typeof members === "string") return this.#refused(x, refuse("request", members));
    const max = kind === "multipart" ? uploads! : maxBody;
    return requestBody(x, max).then((body) => {
      if (x.over) return undefined;
      const outcome = body === null ? this.#refused(x, tooLong(max)) : this.#read(x, body, kind, type, members);
      if (outcome !== undefined) x.downstream.discardBody();
      return outcome;
    });
  }

  #read(
    x: Exchange,
    body: Buffer,
    kind: Kind,
    type: string,
    members: ReadonlyMap<string, string>,
  ): Outcome | undefined {
    if (kind === "graphql") {
      const message = isUtf8(body) ? messageOf(members, body.toString()) : "A document is text in UTF-8.";
      if (typeof message === "string") return this.#refused(x, refuse("request", message));
      return this.#judged(x, { messages: [message], isBatch: false, json: null });
    }
    let json = body;
    if (kind === "multipart") {
      const part = operationsPart(body, type);
      if (part.problem !== null) return this.#refused(x, refuse("request", part.problem));
      json = part.operations;
    }
    const parsed = parseJson(json);
    if (parsed.problem !== null) return this.#refused(x, refuse("request", `The body ${parsed.problem}.`));
    const read = readMessages(parsed.value, this.#config.maxBatch, this.#config.members);
    if (read.problem !== null) return this.#refused(x, problemOf(read.problem, parsed.value));
    const { messages, isBatch } = read;
    // Some servers believe what the URL says rather than the body; many clients tell the name for logs.
    const name = members.get("operationName") ?? "";
    if (members.size > (name === "" ? 0 : 1) || (name !== "" && messages.some((each) => each.operationName !== name)))
      return this.#refused(x, refuse("request", "The URL says something else than the body."));
    return this.#judged(x, { messages, isBatch, json: kind === "json" ? json : null });
  }

  #judged(x: Exchange, { messages, isBatch, json }: Asked): Outcome | undefined {
    const verdict = this.#judge.judge(x, messages);
    x.operation = verdict.name;
    const { refusals, type, name } = verdict;
    if (refusals !== null) {
      const refused = isBatch ? refusals : (refusals[0] ?? refuse("request", ""));
      const answer = this.#teller.refused(x, refused, type, name);
      if (answer !== undefined) return answer;
    }
    const problem = this.#expand(x, verdict, isBatch, json);
    if (problem !== null) return this.#teller.refused(x, problem, type, name);
    x.points = verdict.cost;
    if (refusals === null) this.#teller.passed(type);
    return undefined;
  }

  /** Puts documents in the place of their names. */
  #expand(x: Exchange, { texts }: Verdict, isBatch: boolean, json: Buffer | null): Refusal | null {
    const [text = null] = texts;
    if (texts.every((each) => each === null)) return null;
    if (json !== null) {
      replaceBody(x, Buffer.from(withDocuments(json.toString(), isBatch, texts)));
      return null;
    }
    const { method, target, queryAt } = x.request;
    if (method === "POST" || text === null) return refuse("request", "Documents have names in application/json alone.");
    const made = targetWith(target, queryAt, text);
    if (made === "") return refuse("request", "The document is too long for GET: use POST.");
    x.rewrittenTarget = made;
    return null;
  }
}

const NO_PREFLIGHT = refuse("preflight", "This needs a field that pages of other origins cannot send by themselves.");
const tooLong = (max: number): Refusal => refuse("body", `A body has at most ${max} bytes.`);

const problemOf = (problem: string, value: unknown): Refusal =>
  refuse(Array.isArray(value) && value.length > 0 && problem.includes("atch") ? "batch" : "request", problem);

const hasBody = ({ request }: Exchange): boolean =>
  request.body !== "none" && !(request.body === "length" && request.length === 0);

type Kind = "json" | "graphql" | "multipart" | "none";

const KINDS: Readonly<Record<string, Kind>> = {
  "application/json": "json",
  "application/graphql": "graphql",
  "multipart/form-data": "multipart",
};

/** What a body is; servers read other charsets than UTF-8 as something else than what is looked at here. */
function kindOf(type: string): Kind {
  const known = KINDS[type];
  if (known !== undefined) return known;
  const [essence = "", ...parameters] = type.toLowerCase().split(";");
  const kind = KINDS[essence.trim()] ?? "none";
  if (kind === "multipart" || kind === "none") return kind;
  return parameters.every((each) => /^ ?charset="?utf-8"?$/.test(each)) ? kind : "none";
}

/** The message that parameters of a URL are; `query` is the body where that is the document. */
function messageOf(members: ReadonlyMap<string, string>, query: string | null): Message | string {
  if (query !== null && (members.has("query") || members.has("id") || members.has("documentId")))
    return "The URL and the body have a document.";
  const fields: Record<string, unknown> = query === null ? {} : { query };
  for (const [name, value] of members) {
    const member = memberOf(name)!;
    if (member !== "variables" && member !== "extensions") fields[member] = value;
    else if (value !== "") {
      const parsed = parseJson(Buffer.from(value));
      if (parsed.problem !== null) return `"${member}" ${parsed.problem}.`;
      fields[member] = parsed.value;
    }
  }
  const read = readMessages(fields, 1, []);
  return read.problem === null ? read.messages[0]! : read.problem;
}
