// How requests for what a document does not have are refused.
import { type FaultCode, fault } from "../core/faults.ts";
import { errorReply } from "../pipeline/error-reply.ts";
import type { Exchange } from "../pipeline/exchange.ts";
import type { Reply } from "../pipeline/reply.ts";

/** As `validate` refuses: the message itself is right, so that its connection goes on. */
export function refused(x: Exchange, code: FaultCode): Reply {
  const cause = fault(code);
  x.fault ??= cause; // for logs and bans
  return errorReply(cause, x.requestId, x.request.header("accept"));
}
