// What a fault or an HTTP status is in the words of gRPC.
import { type Fault, type FaultCode, specOf } from "../core/faults.ts";
import { GRPC_STATUS } from "../http/grpc.ts";

const S = GRPC_STATUS;

/** gRPC's http-grpc-status-mapping.md, and the statuses of Sluice's own that it says nothing of. */
const BY_HTTP: Readonly<Record<number, number>> = {
  400: S.internal,
  401: S.unauthenticated,
  403: S.permissionDenied,
  404: S.unimplemented,
  405: S.unimplemented,
  408: S.deadlineExceeded,
  413: S.resourceExhausted,
  414: S.resourceExhausted,
  415: S.internal,
  417: S.internal,
  421: S.unavailable,
  425: S.unavailable,
  429: S.unavailable,
  431: S.resourceExhausted,
  499: S.cancelled,
  500: S.internal,
  501: S.unimplemented,
  502: S.unavailable,
  503: S.unavailable,
  504: S.unavailable,
  505: S.unimplemented,
  508: S.internal,
};

/**
 * Where more is known than the status says. Above all: a call that ran out of time must not look like one that never
 * reached a server, or clients send it again.
 */
const BY_CODE: Partial<Readonly<Record<FaultCode, number>>> = {
  "version.sunset": S.unimplemented,
  "upstream.deadline": S.deadlineExceeded,
  "upstream.response_timeout": S.deadlineExceeded,
  "upstream.bad_response": S.internal,
  "upstream.head_too_large": S.resourceExhausted,
  "upstream.upgrade": S.internal,
};

/** The grpc-status for an HTTP status from 400 on. */
export const grpcStatusOfHttp = (status: number): number => BY_HTTP[status] ?? S.unknown;

/** The grpc-status for a fault. */
export const grpcStatusOfFault = (cause: Fault): number =>
  BY_CODE[cause.code] ?? grpcStatusOfHttp(specOf(cause).status);
