// What plugins leave behind, looked at before it reaches the wire: their code may set any field of an exchange, from
// text of clients even, and no line end may come through (RFC 9112 §11.1).
import { FAULTS } from "../core/faults.ts";
import { TARGET_BYTE } from "../http/grammar.ts";
import { HeaderBlock, isFieldName, isFieldValue } from "../http/header-block.ts";
import type { Exchange, Outcome } from "./exchange.ts";

/** What heads have room for (upstream/h1-request.ts). */
const REQUEST_ID_LENGTH_MAX = 128;

const isFinal = (status: unknown): boolean =>
  Number.isInteger(status) && Number(status) >= 200 && Number(status) <= 599;

/** Whether a filter's result is one that can be sent; plugins need not be type-checked. */
export function isOutcome(result: unknown): result is Outcome {
  if (typeof result !== "object" || result === null) return false;
  if ("code" in result) return typeof result.code === "string" && Object.hasOwn(FAULTS, result.code);
  if (!("status" in result && "headers" in result && "body" in result)) return false;
  return isFinal(result.status) && result.headers instanceof HeaderBlock && Buffer.isBuffer(result.body);
}

function isTarget(target: string, form: string): boolean {
  if (form === "asterisk" ? target !== "*" : !target.startsWith("/")) return false;
  for (let i = 0; i < target.length; i += 1) if (TARGET_BYTE[target.charCodeAt(i)] !== 1) return false;
  return true;
}

/** Why this request cannot be written, "" when it can. Only for routes with plugins. */
export function requestProblem(x: Exchange): string {
  const { request, rewrittenTarget, requestId } = x;
  if (!isFieldName(request.method)) return "not a method";
  if (!isTarget(request.target, request.form)) return "not a request target";
  if (rewrittenTarget !== "" && !isTarget(rewrittenTarget, rewrittenTarget === "*" ? request.form : "origin"))
    return "not a rewritten target";
  return requestId.length <= REQUEST_ID_LENGTH_MAX && isFieldValue(requestId) ? "" : "not a request id";
}

/** Why this answer cannot be written, "" when it can. Only for routes with plugins. */
export function responseProblem({ response }: Exchange): string {
  if (!isFinal(response.status)) return "not a final status";
  return isFieldValue(response.reason) ? "" : "not a reason";
}
