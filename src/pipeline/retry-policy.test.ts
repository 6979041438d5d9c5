import { describe, expect, test } from "bun:test";
import { FAULTS, type FaultCode, fault } from "../core/faults.ts";
import { ID } from "../http/header-names.ts";
import { ResponseHead } from "../http/message.ts";
import { hedgePolicy, isIdempotent, NO_RETRY, RetryPolicy, type RetryRules } from "./retry-policy.ts";

const policy = (rules: Partial<RetryRules> = {}): RetryPolicy =>
  new RetryPolicy({
    attempts: 2,
    on: ["connect", "reset", "502", "503", "504"],
    unsafeMethods: false,
    backoff: 25,
    body: 65_536,
    ...rules,
  });

test.each([
  ["GET", true],
  ["HEAD", true],
  ["OPTIONS", true],
  ["TRACE", true],
  ["PUT", true],
  ["DELETE", true],
  ["POST", false],
  ["PATCH", false],
  ["CONNECT", false],
  ["get", false], // methods are case-sensitive (RFC 9110 §9.1)
  ["WHATEVER", false],
])("%s may be sent twice: %p", (method, may) => {
  expect(isIdempotent(method)).toBe(may);
});

describe("what is tried again", () => {
  const NEVER = "never";
  const CASES: readonly (readonly [FaultCode, on: string, whenRepeatable: boolean, otherwise: boolean])[] = [
    // Nothing was sent.
    ["upstream.connect_refused", "connect", true, true],
    ["upstream.connect_timeout", "connect", true, true],
    ["upstream.dns", "connect", true, true],
    // Something was.
    ["upstream.reset", "reset", true, false],
    ["upstream.reset_on_reuse", "reset", true, false],
    ["upstream.down", "reset", true, false],
    ["upstream.response_timeout", "504", true, false],
    ["upstream.bad_response", "502", true, false],
    ["upstream.head_too_large", "502", true, false],
    // The answer has begun, or nobody is there to ask.
    ["upstream.incomplete", NEVER, false, false],
    ["upstream.upgrade", NEVER, false, false],
    ["upstream.none", NEVER, false, false],
    ["upstream.circuit_open", NEVER, false, false],
    ["upstream.queue_full", NEVER, false, false],
    ["upstream.queue_timeout", NEVER, false, false],
    ["upstream.deadline", NEVER, false, false],
    ["client.gone", NEVER, false, false],
    ["request.body_too_large", NEVER, false, false],
  ];
  for (const [code, on, whenRepeatable, otherwise] of CASES)
    test(code, () => {
      const cause = fault(code);
      expect([policy().onFault(cause, true), policy().onFault(cause, false)]).toEqual([whenRepeatable, otherwise]);
      const all = ["connect", "reset", "500", "502", "503", "504", "429"];
      expect(policy({ on: all.filter((each) => each !== on) }).onFault(cause, true)).toBe(false);
      if (on !== NEVER) expect(policy({ on: [on] }).onFault(cause, true)).toBe(true);
      expect(NO_RETRY.onFault(cause, true)).toBe(false);
    });

  test("nothing that the client or Sluice itself did", () => {
    for (const [code, { side }] of Object.entries(FAULTS)) {
      if (side === "upstream") continue;
      expect([code, policy().onFault(fault(code as FaultCode), true)]).toEqual([code, false]);
    }
  });

  test("statuses that are named", () => {
    const statuses = [200, 429, 500, 502, 503, 504];
    expect(statuses.filter((status) => policy().onStatus(status))).toEqual([502, 503, 504]);
    expect(statuses.filter((status) => policy({ on: ["reset", "429"] }).onStatus(status))).toEqual([429]);
    expect(statuses.filter((status) => NO_RETRY.onStatus(status))).toEqual([]);
  });

  const GRPC = [1, 4, 8, 13, 14];
  const answered = (status: number, grpcStatus: number | null): ResponseHead => {
    const head = new ResponseHead();
    head.status = status;
    const line = grpcStatus === null ? "" : `grpc-status: ${grpcStatus}\r\n`;
    head.headers.reset(Buffer.from(line));
    if (line !== "") head.headers.push(ID["grpc-status"], 0, 11, 13, line.length - 2, line.length);
    return head;
  };
  test("codes of gRPC that are named", () => {
    const words = ["grpc-cancelled", "grpc-deadline-exceeded", "grpc-resource-exhausted", "grpc-internal"];
    const on = [...words, "grpc-unavailable"];
    const all = Array.from({ length: 17 }, (_, code) => code);
    expect(all.filter((code) => policy({ on }).onAnswer(answered(200, code)))).toEqual(GRPC);
    for (const [at, word] of on.entries())
      expect(all.filter((code) => policy({ on: [word] }).onAnswer(answered(200, code)))).toEqual([GRPC[at]!]);
    expect(all.filter((code) => policy().onAnswer(answered(200, code)))).toEqual([]);
    expect(policy({ on }).onAnswer(answered(200, null))).toBe(false);
    expect([policy({ on }).onAnswer(answered(503, 14)), policy().onAnswer(answered(503, null))]).toEqual([false, true]);
  });

  test("a server that is down is left only where resets count", () => {
    expect([policy().moves, policy({ on: ["connect", "503"] }).moves, NO_RETRY.moves]).toEqual([true, false, false]);
  });
});

test.each([
  [1, 0.9, 0],
  [2, 0, 0],
  [2, 0.5, 13],
  [2, 0.999, 25],
  [3, 0.999, 50],
  [5, 0.5, 100],
])("before retry %d, by chance %d: %d ms", (retry, random, ms) => {
  expect(policy().pauseMs(retry, random)).toBe(ms);
});

test("a time for each try counts only where a late answer is tried again", () => {
  expect(policy({ perTry: 200 }).perTryMs).toBe(200);
  expect(policy({ perTry: 200, on: ["connect", "reset"] }).perTryMs).toBe(0);
  expect(policy().perTryMs).toBe(0);
});

test.each([
  ["p95", { max: 1, afterMs: 0, quantile: 0.95 }],
  ["p99.9", { max: 1, afterMs: 0, quantile: 0.9990000000000001 }],
  [250, { max: 1, afterMs: 250, quantile: 0 }],
])("hedging after %p", (after, expected) => {
  const made = hedgePolicy({ after, max: 1 });
  expect([made.max, made.afterMs]).toEqual([expected.max, expected.afterMs]);
  expect(made.quantile).toBeCloseTo(expected.quantile, 10);
});
