import { describe, expect, test } from "bun:test";
import { FAULTS, type FaultCode, fault } from "../core/faults.ts";
import { grpcStatusOfFault, grpcStatusOfHttp } from "./grpc-status.ts";

/** Every row of the table of faults: a new one needs a decision here. docs/grpc.md shows the same. */
const BY_FAULT: Readonly<Record<string, number>> = {
  "h1.bad_request": 13,
  "h1.request_line_too_long": 8,
  "h1.head_too_large": 8,
  "h1.method_unknown": 12,
  "h1.coding_unknown": 12,
  "h1.version_unsupported": 12,
  "h1.expectation": 13,
  "h2.protocol": 13,
  "h2.abuse": 14,
  "request.path": 13,
  "request.connect": 12,
  "request.misdirected": 14,
  "request.protocol": 12,
  "request.timeout": 4,
  "request.body_too_large": 8,
  "request.body_ahead": 14,
  "request.uri_too_long": 8,
  "request.headers_too_large": 8,
  "request.grpc_timeout": 13,
  "request.grpc_web": 13,
  "client.gone": 1,
  "route.none": 12,
  "file.none": 12,
  "file.denied": 7,
  "file.failed": 13,
  "file.changed": 13,
  "cache.not_stored": 14,
  "waf.blocked": 7,
  "validate.request": 13,
  "validate.path": 12,
  "validate.method": 12,
  "validate.type": 13,
  "validate.response": 14,
  "access.denied": 7,
  "access.method": 12,
  "bot.denied": 7,
  "bot.challenge": 7,
  "auth.required": 16,
  "auth.refused": 16,
  "auth.forbidden": 7,
  "auth.certificate": 7,
  "auth.ended": 16,
  "auth.unavailable": 14,
  "cors.denied": 7,
  "redirect.denied": 13,
  "limit.rate": 14,
  "limit.quota": 14,
  "limit.concurrent": 14,
  "limit.failures": 14,
  "limit.busy": 14,
  "proxy.loop": 13,
  "proxy.plugin": 13,
  "proxy.internal": 13,
  "proxy.shutdown": 14,
  "upstream.none": 14,
  "upstream.dns": 14,
  "upstream.queue_full": 14,
  "upstream.queue_timeout": 14,
  "upstream.connect_refused": 14,
  "upstream.connect_timeout": 14,
  "upstream.tls": 14,
  "upstream.certificate": 14,
  "upstream.reset_on_reuse": 14,
  "upstream.reset": 14,
  "upstream.refused": 14,
  "upstream.down": 14,
  "upstream.circuit_open": 14,
  "upstream.deadline": 4,
  "upstream.response_timeout": 4,
  "upstream.bad_response": 13,
  "upstream.protocol": 13,
  "upstream.head_too_large": 8,
  "upstream.incomplete": 14,
  "upstream.upgrade": 13,
};

describe("the status of every fault", () => {
  for (const code of Object.keys(FAULTS) as FaultCode[])
    test(code, () => expect<number | undefined>(grpcStatusOfFault(fault(code))).toBe(BY_FAULT[code]));
});

/** gRPC's http-grpc-status-mapping.md. */
const BY_HTTP: readonly (readonly [http: number, grpc: number])[] = [
  [400, 13],
  [401, 16],
  [403, 7],
  [404, 12],
  [429, 14],
  [502, 14],
  [503, 14],
  [504, 14],
  [418, 2],
  [599, 2],
];

describe("the status for one of HTTP", () => {
  for (const [http, grpc] of BY_HTTP) test(`${http}`, () => expect(grpcStatusOfHttp(http)).toBe(grpc));
});
