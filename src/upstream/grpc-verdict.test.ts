import { describe, expect, test } from "bun:test";
import { GRPC, type GrpcKind, NO_GRPC } from "../http/grpc.ts";
import { HeaderBlock } from "../http/header-block.ts";
import { ResponseHead } from "../http/message.ts";
import { exchangeOf } from "../pipeline/exchange.fixture.ts";
import { judge } from "./grpc-verdict.ts";
import type { Server } from "./pool.ts";

const SERVER = { name: "a" } as Server;

/** An answer with these fields, as received, to a call of that kind. */
function answered(status: number, fields: Readonly<Record<string, string>>, kind: GrpcKind = GRPC) {
  const told: [number, number, boolean][] = [];
  const upstream = {
    outcome(server: Server, code: number, ms: number, failed = false): void {
      expect(server).toBe(SERVER);
      told.push([code, ms, failed]);
    },
  };
  const x = exchangeOf();
  x.grpc = kind;
  const head = new ResponseHead();
  head.status = status;
  Object.assign(head, { headers: exchangeOf({ headers: Object.entries(fields) }).request.headers });
  return { told, verdict: judge(upstream, SERVER, x, head, 7) };
}

const TYPE = { "content-type": "application/grpc" };

describe("what the head tells", () => {
  type Row = readonly [
    name: string,
    status: number,
    fields: Readonly<Record<string, string>>,
    kind: GrpcKind,
    is: boolean,
  ];
  const ROWS: readonly Row[] = [
    ["no gRPC", 200, TYPE, NO_GRPC, false],
    ["an error of HTTP", 503, TYPE, GRPC, false],
    ["a page", 200, { "content-type": "text/html" }, GRPC, false],
    ["gRPC-Web of the server's own", 200, { "content-type": "application/grpc-web" }, GRPC, false],
    ["a status that is the call's matter", 200, { ...TYPE, "grpc-status": "5" }, GRPC, false],
    ["a status that is the server's", 200, { ...TYPE, "grpc-status": "14" }, GRPC, true],
  ];
  for (const [name, status, fields, kind, failed] of ROWS)
    test(name, () => {
      const { told, verdict } = answered(status, fields, kind);
      expect([told, verdict]).toEqual([[[status, 7, failed]], null]);
    });
});

describe("what comes last tells", () => {
  const trailers = (status: string) => HeaderBlock.of([["grpc-status", status]]);
  test.each([
    ["0", false],
    ["3", false],
    ["13", true],
    ["x", true],
  ])("trailers with %p", (status, failed) => {
    const { told, verdict } = answered(200, TYPE);
    expect(told).toEqual([]);
    verdict?.ended(trailers(status));
    verdict?.cutShort();
    expect(told).toEqual([[200, 7, failed]]);
  });
  test("no trailers", () => {
    const { told, verdict } = answered(200, TYPE);
    verdict?.ended(null);
    expect(told).toEqual([[200, 7, true]]);
  });
  test("an answer that breaks, once", () => {
    const { told, verdict } = answered(200, TYPE);
    verdict?.broken();
    verdict?.cutShort();
    expect(told).toEqual([[200, 7, true]]);
  });
  test("a client that leaves", () => {
    const { told, verdict } = answered(200, TYPE);
    verdict?.cutShort();
    expect(told).toEqual([[200, 7, false]]);
  });
});

test("a call that was made of another request counts like any other", () => {
  const told: boolean[] = [];
  const upstream = { outcome: (_server: Server, _code: number, _ms: number, failed = false) => void told.push(failed) };
  const x = exchangeOf();
  const head = new ResponseHead();
  Object.assign(head, { headers: exchangeOf({ headers: Object.entries(TYPE) }).request.headers });
  expect(judge(upstream, SERVER, x, head, 7)).toBeNull();
  x.rpc = "unary";
  judge(upstream, SERVER, x, head, 7)!.ended(HeaderBlock.of([["grpc-status", "14"]]));
  expect(told).toEqual([false, true]);
});
