// Answers of Sluice's own to gRPC calls: HTTP 200 with a grpc-status in the head and no body ("Trailers-Only"), or,
// once the answer has begun, the trailers that end it.
import { type Fault, specOf } from "../core/faults.ts";
import { encodeGrpcMessage, GRPC, grpcStatusOf, mediaTypeOf, NO_GRPC, receivedKind } from "../http/grpc.ts";
import { reasonOf } from "../http/h1/writer.ts";
import { HeaderBlock } from "../http/header-block.ts";
import { ID } from "../http/header-names.ts";
import { errorReply } from "./error-reply.ts";
import type { Exchange } from "./exchange.ts";
import { grpcStatusOfFault, grpcStatusOfHttp } from "./grpc-status.ts";
import type { Reply } from "./reply.ts";

/** A text of a filter becomes the message up to this length: clients count it among the header fields (8 KB). */
const MESSAGE_BYTES_MAX = 1024;
/** Fields about the content of an answer, which an answer without content does not have. */
const OF_CONTENT = ["content-type", "content-length", "content-encoding", "etag", "last-modified", "vary"];
const NO_BODY = Buffer.alloc(0);

/** The answer to a fault, in the form that suits the client. */
export function faultReply(x: Exchange, cause: Fault): Reply {
  const answer = bareFaultReply(x, cause);
  if (x.errorFields !== null) for (const [name, value] of x.errorFields) answer.headers.add(name, value);
  return answer;
}

function bareFaultReply(x: Exchange, cause: Fault): Reply {
  // Requests that are refused before anybody has looked at them have no kind yet.
  const kind = x.grpc === NO_GRPC ? receivedKind(x.request.headers) : x.grpc;
  if (kind === NO_GRPC) return errorReply(cause, x.requestId, x.request.header("accept"));
  const { proxyStatus, title } = specOf(cause);
  x.grpcStatus = grpcStatusOfFault(cause);
  const headers = new HeaderBlock();
  headers.add("content-type", mediaTypeOf(kind));
  headers.add("grpc-status", String(x.grpcStatus));
  headers.add("grpc-message", encodeGrpcMessage(title));
  headers.add("proxy-status", `sluice; error=${proxyStatus}`);
  headers.add("x-request-id", x.requestId);
  if (cause.retryAfter > 0) headers.add("retry-after", String(cause.retryAfter));
  return { status: 200, headers, body: NO_BODY };
}

/** What a filter or a route answers a gRPC call with: an HTTP error becomes a gRPC one, all else stays. */
export function grpcReply(x: Exchange, answer: Reply): Reply {
  if (answer.status < 400 || answer.headers.has("grpc-status")) return answer;
  const headers = new HeaderBlock();
  headers.add("content-type", mediaTypeOf(x.grpc));
  x.grpcStatus = grpcStatusOfHttp(answer.status);
  headers.add("grpc-status", String(x.grpcStatus));
  headers.add("grpc-message", encodeGrpcMessage(messageOf(answer)));
  answer.headers.forEach((name, value) => {
    if (!OF_CONTENT.includes(name.toLowerCase())) headers.add(name, value);
  });
  return { status: 200, headers, body: NO_BODY };
}

/** What the answer says in plain text, or else what its status means. */
function messageOf({ status, headers, body }: Reply): string {
  const isText = headers.get("content-type")?.startsWith("text/plain") === true;
  const text = isText && body.length <= MESSAGE_BYTES_MAX ? body.toString().trim() : "";
  return text === "" ? reasonOf(status) : text;
}

/**
 * The exchange has failed: tells the client, in an error answer, in the trailers of a gRPC answer that has begun, or
 * by cutting off any other.
 */
export function failExchange(x: Exchange, cause: Fault): void {
  const { downstream } = x;
  x.fault = cause;
  if (!downstream.answered || !x.endsInStatus) return downstream.fail(cause);
  x.grpcStatus = grpcStatusOfFault(cause);
  downstream.discardBody(); // the client may still be in the middle of its own messages
  downstream.end(
    HeaderBlock.of([
      ["grpc-status", String(x.grpcStatus)],
      ["grpc-message", encodeGrpcMessage(specOf(cause).title)],
    ]),
  );
}

/** The head of a server's answer to a gRPC call has come. */
export function noteGrpcHead(x: Exchange): void {
  const { headers, body } = x.response;
  if (headers.received(ID["grpc-status"])) x.grpcStatus = grpcStatusOf(headers);
  // A client of HTTP/1 may take an answer for whole without a look at its trailers, and one of known length has none.
  const trailersTell = x.grpc === GRPC && x.request.version >= 20 && body === "chunked";
  x.endsInStatus = trailersTell && receivedKind(headers) === GRPC;
}

/** The trailers of a server's answer have come. */
export function noteGrpcTrailers(x: Exchange, trailers: HeaderBlock): void {
  if (x.grpc !== NO_GRPC) x.grpcStatus = grpcStatusOf(trailers);
}
