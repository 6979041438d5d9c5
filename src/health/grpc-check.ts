// The check by the gRPC health protocol (grpc.health.v1.Health/Check).
import type { ClientHttp2Stream, IncomingHttpHeaders, OutgoingHttpHeaders } from "node:http2";
import { isFieldName, isFieldValue } from "../http/header-block.ts";
import { decodeHealthResponse, encodeHealthRequest, frameMessage } from "./grpc-message.ts";
import { askOverH2 } from "./h2-ask.ts";
import { USER_AGENT } from "./http-check.ts";
import type { Conversation, Verdict } from "./probe.ts";

export interface GrpcCheckOptions {
  /** Name of the service; "" asks for the server as a whole. */
  readonly service: string;
  readonly headers: Readonly<Record<string, string>>;
  /** Milliseconds; the server is told, so that it does not work for nobody. */
  readonly timeout: number;
}

/** The answer is a frame of 7 bytes; more than this is none. */
const ANSWER_BYTES_MAX = 4096;
const SERVING = 1;
/** ServingStatus of health.proto. */
const SERVING_STATUS: readonly string[] = ["UNKNOWN", "SERVING", "NOT_SERVING", "SERVICE_UNKNOWN"];
/** Names of grpc-status that servers without a healthy health service answer with. */
const GRPC_STATUS: Readonly<Record<string, string>> = {
  "2": "UNKNOWN",
  "4": "DEADLINE_EXCEEDED",
  "5": "NOT_FOUND",
  "7": "PERMISSION_DENIED",
  "8": "RESOURCE_EXHAUSTED",
  "12": "UNIMPLEMENTED",
  "13": "INTERNAL",
  "14": "UNAVAILABLE",
  "16": "UNAUTHENTICATED",
};
/** Fields that the protocol itself sets. */
const OWN_FIELDS = new Set(["host", "te", "content-type", "content-length", "connection", "transfer-encoding"]);

/** Makes the check. Throws RangeError for fields that cannot be sent. */
export function grpcCheck(options: GrpcCheckOptions, host: string): Conversation {
  const fields = requestFields(options, host);
  const message = frameMessage(encodeHealthRequest(options.service));
  return (socket, settle) => askOverH2(socket, settle, fields, message, (stream, fail) => listen(stream, fail, settle));
}

function requestFields({ headers, timeout }: GrpcCheckOptions, host: string): OutgoingHttpHeaders {
  const fields: OutgoingHttpHeaders = {};
  let authority = host;
  for (const [written, value] of Object.entries(headers)) {
    const name = written.toLowerCase();
    if (!isFieldName(name) || !isFieldValue(value)) throw new RangeError(`${written}: not a field that can be sent`);
    if (name === "host") authority = value;
    else if (!OWN_FIELDS.has(name)) fields[name] = value;
  }
  return {
    "user-agent": USER_AGENT,
    ...fields,
    ":method": "POST",
    ":authority": authority,
    ":path": "/grpc.health.v1.Health/Check",
    "content-type": "application/grpc",
    te: "trailers",
    "grpc-timeout": grpcTimeout(timeout),
  };
}

/** TimeoutValue has at most eight digits (gRPC over HTTP/2, Requests). */
function grpcTimeout(ms: number): string {
  return ms < 100_000_000 ? `${ms}m` : `${Math.min(99_999_999, Math.ceil(ms / 1000))}S`;
}

/** Puts the answer together. */
function listen(stream: ClientHttp2Stream, fail: (reason: string) => void, settle: (verdict: Verdict) => void): void {
  const chunks: Buffer[] = [];
  let bytes = 0;
  let grpcStatus: string | null = null;
  const note = (headers: IncomingHttpHeaders) => {
    const value = headers["grpc-status"];
    if (typeof value === "string") grpcStatus = value;
  };
  stream.on("response", (headers) => {
    if (headers[":status"] !== 200) return fail(`status ${headers[":status"]}`);
    note(headers); // an answer of trailers only
  });
  stream.on("trailers", note);
  stream.on("data", (chunk: Buffer) => {
    bytes += chunk.length;
    if (bytes > ANSWER_BYTES_MAX) return fail("grpc: the answer is too long");
    chunks.push(chunk);
  });
  stream.on("close", () => {
    if (grpcStatus === null) fail(bytes === 0 ? "closed before the answer" : "grpc: an answer without grpc-status");
    else settle(verdictOf(grpcStatus, Buffer.concat(chunks)));
  });
}

function verdictOf(grpcStatus: string, body: Buffer): Verdict {
  if (grpcStatus !== "0") {
    const name = GRPC_STATUS[grpcStatus];
    return { ok: false, reason: name === undefined ? `grpc-status ${grpcStatus.slice(0, 8)}` : `grpc: ${name}` };
  }
  const status = decodeHealthResponse(body);
  if (status === null) return { ok: false, reason: "grpc: not a health response" };
  return { ok: status === SERVING, reason: `grpc: ${SERVING_STATUS[status] ?? `status ${status}`}` };
}
