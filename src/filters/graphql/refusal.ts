// Why a request is refused, and how that is told: as clients of GraphQL read it, with the statuses of GraphQL over
// HTTP.
import type { GraphqlConfig } from "../../config/schema-graphql.ts";
import { type FaultCode, fault, specOf } from "../../core/faults.ts";
import type { GraphqlError } from "../../engines/graphql/index.ts";
import { errorReply } from "../../pipeline/error-reply.ts";
import type { Exchange } from "../../pipeline/exchange.ts";
import { type Reply, reply } from "../../pipeline/reply.ts";

interface Reason {
  /** What clients know it by (`extensions.code`). */
  readonly code: string;
  /** Null where it is no mistake. */
  readonly fault: FaultCode | null;
  /** It is about the document, not about HTTP: clients of `application/json` get 200. */
  readonly isOfDocument: boolean;
}

const ofHttp = (code: string, of: FaultCode): Reason => ({ code, fault: of, isOfDocument: false });
const ofDocument = (code: string, of: FaultCode): Reason => ({ code, fault: of, isOfDocument: true });
const ofProtocol = (code: string): Reason => ({ code, fault: null, isOfDocument: true });

export const REASONS = {
  request: ofHttp("BAD_REQUEST", "graphql.request"),
  body: ofHttp("BODY_TOO_LARGE", "request.body_too_large"),
  method: ofHttp("METHOD_NOT_ALLOWED", "graphql.method"),
  type: ofHttp("UNSUPPORTED_MEDIA_TYPE", "graphql.type"),
  preflight: ofHttp("PREFLIGHT_REQUIRED", "graphql.denied"),
  websocket: ofHttp("WEBSOCKET_DENIED", "graphql.denied"),
  batch: ofHttp("BATCH_LIMIT", "graphql.limit"),
  syntax: ofDocument("GRAPHQL_PARSE_FAILED", "graphql.document"),
  invalid: ofDocument("GRAPHQL_VALIDATION_FAILED", "graphql.document"),
  resolution: ofDocument("OPERATION_RESOLUTION_FAILURE", "graphql.document"),
  tokens: ofDocument("TOKEN_LIMIT", "graphql.limit"),
  depth: ofDocument("DEPTH_LIMIT", "graphql.limit"),
  aliases: ofDocument("ALIAS_LIMIT", "graphql.limit"),
  directives: ofDocument("DIRECTIVE_LIMIT", "graphql.limit"),
  cost: ofDocument("COST_LIMIT", "graphql.limit"),
  introspection: ofDocument("INTROSPECTION_DISABLED", "graphql.denied"),
  operation: ofDocument("OPERATION_DENIED", "graphql.denied"),
  field: ofDocument("FIELD_DENIED", "graphql.denied"),
  persisted: ofDocument("PERSISTED_QUERY_REQUIRED", "graphql.denied"),
  // Clients send the document next: to them this is how the protocol goes.
  not_found: ofProtocol("PERSISTED_QUERY_NOT_FOUND"),
  not_supported: ofProtocol("PERSISTED_QUERY_NOT_SUPPORTED"),
} as const satisfies Record<string, Reason>;

export type ReasonName = keyof typeof REASONS;

export interface Refusal {
  readonly reason: ReasonName;
  readonly errors: readonly GraphqlError[];
}

export const refuse = (reason: ReasonName, message: string): Refusal => ({ reason, errors: [{ message }] });

/** Of a batch: what is wrong with each of its operations, null for nothing. */
type Refused = Refusal | readonly (Refusal | null)[];

const NOT_RUN = {
  errors: [{ message: "Another operation of the batch was refused.", extensions: { code: "BATCH_REFUSED" } }],
};

/** The one that decides about the status. */
export function firstOf(refused: Refused): Refusal {
  return "reason" in refused ? refused : (refused.find((each) => each !== null) ?? refuse("request", ""));
}

/** The answer to a request that is refused. */
export function refusalReply(x: Exchange, refused: Refused, { errors: told, methods }: GraphqlConfig): Reply {
  const { form, status } = told;
  const { reason, errors } = firstOf(refused);
  const { fault: code, isOfDocument } = REASONS[reason];
  const accept = x.request.header("accept");
  const cause = code === null ? null : fault(code, `${reason}: ${errors[0]?.message ?? ""}`);
  if (cause !== null) x.fault ??= cause; // for logs and bans
  if (form === "problem" && cause !== null) return problemReply(x, refused, accept);
  const isNew = accept?.includes(RESPONSE_JSON) === true;
  const own = cause === null ? OK : specOf(cause).status;
  const made = reply(isOfDocument && !isNew && status === "negotiated" ? OK : own, textOf(refused), {
    "content-type": `${isNew ? RESPONSE_JSON : "application/json"}; charset=utf-8`,
    "cache-control": "private, no-store",
  });
  if (cause !== null) made.headers.add("proxy-status", `sluice; error=${specOf(cause).proxyStatus}`);
  // RFC 9110 §15.5.6
  if (reason === "method") made.headers.add("allow", methods.filter((each) => each !== x.request.method).join(", "));
  if (reason === "type") made.headers.add("accept", "application/json");
  return made;
}

const RESPONSE_JSON = "application/graphql-response+json";
const OK = 200;

/** The usual answer to what goes wrong, with the list of errors in it. */
function problemReply(x: Exchange, refused: Refused, accept: string | null): Reply {
  const { reason } = firstOf(refused);
  const answer = errorReply(fault(REASONS[reason].fault ?? "graphql.request"), x.requestId, accept);
  if (answer.headers.get("content-type") !== "application/problem+json") return answer;
  const list = "reason" in refused ? [refused] : refused.filter((each) => each !== null);
  const errors = list.flatMap((each) => bodyOf(each).errors);
  const body = { ...(JSON.parse(answer.body.toString()) as object), errors };
  return { ...answer, body: Buffer.from(`${JSON.stringify(body)}\n`) };
}

function textOf(refused: Refused): string {
  const body = "reason" in refused ? bodyOf(refused) : refused.map((each) => (each === null ? NOT_RUN : bodyOf(each)));
  return `${JSON.stringify(body)}\n`;
}

const bodyOf = ({ reason, errors }: Refusal): { readonly errors: readonly object[] } => ({
  errors: errors.map((each) => ({ ...each, extensions: { code: REASONS[reason].code } })),
});
