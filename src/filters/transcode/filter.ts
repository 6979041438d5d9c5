// `transcode`: requests with JSON become gRPC for the server, and its answers JSON again.
import { within } from "../../config/compile-error.ts";
import type { TranscodeConfig } from "../../config/schema-transcode.ts";
import { fault } from "../../core/faults.ts";
import { type RequestProblem, requestFrames } from "../../engines/transcode/request.ts";
import { type Binding, isHttpBody, type Transcoder } from "../../engines/transcode/transcoder.ts";
import { formatTimeout, GRPC, kindOf, NO_GRPC } from "../../http/grpc.ts";
import { normalizePath } from "../../http/path.ts";
import { errorReply } from "../../pipeline/error-reply.ts";
import type { Exchange, Filter, FilterResult, Outcome } from "../../pipeline/exchange.ts";
import { requestBody } from "../../pipeline/held-body.ts";
import type { Held } from "../../pipeline/shared.ts";
import { expectTransform, forgetLength, holdResponse, watchRequest } from "../../pipeline/transforms.ts";
import type { FilterDefinition } from "../definition.ts";
import { AnswerBody, type StreamForm } from "./answer-body.ts";
import { loadTranscoder } from "./load.ts";
import { ReplacedBody } from "./replaced-body.ts";

export const transcode: FilterDefinition = {
  key: "transcode",
  compile({ transcode: config, timeouts }) {
    if (config === undefined) return [];
    const transcoder = within("descriptors", () => loadTranscoder(config));
    const translator = new Translator(config, transcoder, timeouts?.total ?? 0);
    return [
      Object.freeze<Filter>({
        name: "transcode",
        request: (x) => translator.request(x),
        response: (x) => translator.response(x),
      }),
    ];
  },
};

/** What a request was bound to, until its answer comes. */
class Bound implements Held {
  readonly next: Held | null;
  readonly translator: Translator;
  readonly binding: Binding;
  readonly form: StreamForm;

  constructor(translator: Translator, binding: Binding, form: StreamForm, next: Held | null) {
    this.translator = translator;
    this.binding = binding;
    this.form = form;
    this.next = next;
  }
  leave(): void {
    // Nothing is held but the binding itself.
  }
}

/** Fields about the content of the client's message, and about what it takes: none of that is the server's matter. */
const OF_CLIENT = ["accept", "accept-encoding", "content-encoding", "if-none-match", "if-modified-since", "range"];
const JSON_TYPES = "application/json";
const STREAM_TYPES = "application/json, application/x-ndjson";
const NDJSON: ReadonlySet<string> = new Set(["application/x-ndjson", "application/ndjson", "application/jsonl"]);

class Translator {
  readonly #config: TranscodeConfig;
  readonly #transcoder: Transcoder;
  /** What servers are told of the time that there is; 0 for nothing. */
  readonly #totalMs: number;

  constructor(config: TranscodeConfig, transcoder: Transcoder, totalMs: number) {
    this.#config = config;
    this.#transcoder = transcoder;
    this.#totalMs = totalMs;
  }

  request(x: Exchange): FilterResult {
    if (x.grpc !== NO_GRPC) return undefined; // needs no translation
    const target = x.rewrittenTarget === "" ? null : x.rewrittenTarget;
    const mark = target === null ? -1 : target.indexOf("?");
    const path = target === null ? x.request.path : normalizePath(mark < 0 ? target : target.slice(0, mark));
    const query = target === null ? x.request.query : mark < 0 ? "" : target.slice(mark + 1);
    const found = this.#transcoder.find(x.request.method, path ?? "");
    if (found.kind !== "found") return this.#unknown(x, found.kind === "method" ? found.methods : []);
    const { value: binding, segments } = found;
    const { body, headers } = x.request;
    if (body === "none" || binding.body === null) return this.#send(x, binding, segments, query, null);
    const type = typeOf(headers.get("content-type"));
    const accepts = acceptedTypes(binding);
    if (accepts !== "" && type !== "" && !isAccepted(type, binding)) return unsupported(x, "accept", accepts);
    if (headers.get("content-encoding") !== null) return unsupported(x, "accept-encoding", "identity");
    return requestBody(x, this.#config.maxBody).then((bytes) => {
      if (x.over) return undefined;
      if (bytes === null) {
        x.downstream.discardBody();
        return fault("request.body_too_large", `more than ${this.#config.maxBody} bytes`);
      }
      return this.#send(x, binding, segments, query, { bytes, type: type === "" ? JSON_TYPES : type });
    });
  }

  #unknown(x: Exchange, methods: readonly string[]): Outcome | undefined {
    if (this.#config.unknownPaths === "pass") return undefined;
    const cause = fault(methods.length === 0 ? "transcode.path" : "transcode.method", x.request.path ?? "");
    x.fault = cause;
    const answer = errorReply(cause, x.requestId, x.request.header("accept"));
    if (methods.length > 0) answer.headers.set("allow", methods.join(", "));
    return answer;
  }

  #send(
    x: Exchange,
    binding: Binding,
    segments: readonly string[],
    query: string,
    content: { readonly bytes: Buffer; readonly type: string } | null,
  ): Outcome | undefined {
    const frames = requestFrames(this.#transcoder, binding, segments, query, content);
    if (!Buffer.isBuffer(frames)) return refusal(x, frames);
    const form = formOf(x.request.headers.get("accept"), this.#config.streams);
    x.held = new Bound(this, binding, form, x.held);
    expectTransform(x);
    x.rewrittenTarget = binding.target;
    x.rewrittenMethod = "POST";
    x.rpc = binding.streams ? "stream" : "unary";
    const { headers } = x.request;
    for (const name of OF_CLIENT) headers.remove(name);
    headers.set("content-type", "application/grpc");
    headers.set("grpc-accept-encoding", "identity");
    if (this.#totalMs > 0) headers.set("grpc-timeout", formatTimeout(this.#totalMs));
    watchRequest(x, new ReplacedBody(frames));
    forgetLength(x.request);
    return undefined;
  }

  response(x: Exchange): FilterResult {
    const { response } = x;
    const bound = this.#boundOf(x);
    // An answer of Sluice's own, or a server that speaks plain HTTP after all.
    if (bound === null || x.ownBody !== null) return undefined;
    if (kindOf(response.header("content-type")) !== GRPC)
      return response.status === 200 ? fault("transcode.response", "the answer is not gRPC") : undefined;
    const body = new AnswerBody(x, this.#transcoder, bound.binding, bound.form, this.#config.maxMessage);
    forgetLength(response);
    holdResponse(x, body);
    return undefined;
  }

  #boundOf(x: Exchange): Bound | null {
    for (let held = x.held; held !== null; held = held.next)
      if (held instanceof Bound && held.translator === this) return held;
    return null;
  }
}

/** A media type without its parameters, in lower case; "" for none. */
const typeOf = (field: string | null): string => (field ?? "").split(";", 1)[0]!.trim().toLowerCase();

const isRaw = ({ body, method }: Binding): boolean =>
  isHttpBody(body === "*" ? method.input : (body?.message ?? undefined));

/** What the body of a request may be; "" for anything. */
function acceptedTypes(binding: Binding): string {
  if (isRaw(binding)) return "";
  return binding.collects ? STREAM_TYPES : JSON_TYPES;
}

const isAccepted = (type: string, { collects }: Binding): boolean =>
  type === JSON_TYPES || type.endsWith("+json") || (collects && NDJSON.has(type));

/** The form of a stream: what the client names, or else what the route has. */
function formOf(accept: string | null, form: StreamForm): StreamForm {
  if (accept === null) return form;
  if (accept.includes("text/event-stream")) return "sse";
  return accept.includes("ndjson") || accept.includes("application/jsonl") ? "ndjson" : form;
}

/** RFC 9110 §15.5.16 */
function unsupported(x: Exchange, name: string, value: string): Outcome {
  const cause = fault("transcode.type", name);
  x.fault = cause;
  const answer = errorReply(cause, x.requestId, x.request.header("accept"));
  answer.headers.set(name, value);
  return answer;
}

/** Says what is wrong where, as `validate` does. */
function refusal(x: Exchange, problem: RequestProblem): Outcome {
  const cause = fault("transcode.request", `${problem.in} ${problem.path}: ${problem.message}`);
  x.fault = cause;
  const answer = errorReply(cause, x.requestId, x.request.header("accept"));
  if (answer.headers.get("content-type") !== "application/problem+json") return answer;
  const body = { ...(JSON.parse(answer.body.toString()) as object), errors: [problem] };
  return { ...answer, body: Buffer.from(`${JSON.stringify(body)}\n`) };
}
