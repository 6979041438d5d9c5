import { describe, expect, test } from "bun:test";
import { fault } from "../core/faults.ts";
import { GRPC, GRPC_WEB, GRPC_WEB_TEXT, type GrpcKind } from "../http/grpc.ts";
import { HeaderBlock } from "../http/header-block.ts";
import { exchangeOf } from "./exchange.fixture.ts";
import type { Downstream, Exchange } from "./exchange.ts";
import { failExchange, faultReply, grpcReply, noteGrpcHead, noteGrpcTrailers } from "./grpc-reply.ts";
import { reply } from "./reply.ts";

const call = (contentType: string): Exchange => exchangeOf({ headers: [["content-type", contentType]] });

describe("the answer to a fault", () => {
  for (const [asked, told] of [
    ["application/grpc", "application/grpc"],
    ["application/grpc+proto", "application/grpc"],
    ["application/grpc-web", "application/grpc-web+proto"],
    ["application/grpc-web-text+proto", "application/grpc-web-text+proto"],
  ] as const)
    test(`to ${asked}`, () => {
      const x = call(asked);
      const { status, headers, body } = faultReply(x, fault("upstream.response_timeout", "inside"));
      expect([status, body.length]).toEqual([200, 0]);
      expect(headers.entries()).toEqual([
        ["content-type", told],
        ["grpc-status", "4"],
        ["grpc-message", "The server did not answer in time."],
        ["proxy-status", "sluice; error=http_response_timeout"],
        ["x-request-id", "id-1"],
      ]);
      expect(x.grpcStatus).toBe(4);
    });

  test("to a call that a filter has translated", () => {
    const x = call("application/grpc-web-text");
    x.request.headers.set("content-type", "application/grpc");
    x.grpc = GRPC_WEB_TEXT;
    expect(faultReply(x, fault("route.none")).headers.get("content-type")).toBe("application/grpc-web-text+proto");
  });

  test("to anything else", () => {
    const x = call("application/json");
    const { status, headers } = faultReply(x, fault("upstream.response_timeout"));
    expect([status, headers.get("content-type"), x.grpcStatus]).toEqual([504, "application/problem+json", -1]);
  });
});

describe("what a filter answers", () => {
  const FIELDS = { "www-authenticate": "Bearer", "content-type": "text/plain", vary: "accept" };
  const TYPES: readonly (readonly [kind: GrpcKind, type: string])[] = [
    [GRPC, "application/grpc"],
    [GRPC_WEB, "application/grpc-web+proto"],
  ];
  for (const [kind, type] of TYPES)
    test(`an error becomes one of gRPC: ${type}`, () => {
      const x = call(type);
      x.grpc = kind;
      const { status, headers, body } = grpcReply(x, reply(401, "Wer da? 100%\n", FIELDS));
      expect([status, body.length, x.grpcStatus]).toEqual([200, 0, 16]);
      expect(headers.entries()).toEqual([
        ["content-type", type],
        ["grpc-status", "16"],
        ["grpc-message", "Wer da? 100%25"],
        ["www-authenticate", "Bearer"],
      ]);
    });
  test("without a text, or with a page or a long one, the reason is the message", () => {
    const x = call("application/grpc");
    x.grpc = GRPC;
    const pages = [reply(403), reply(403, "<p>", { "content-type": "text/html" }), reply(403, "x".repeat(1025))];
    for (const page of pages) expect(grpcReply(x, page).headers.get("grpc-message")).toBe("Forbidden");
  });
  test("all else stays", () => {
    const x = call("application/grpc");
    x.grpc = GRPC;
    const own = reply(500, "", { "grpc-status": "3" });
    for (const answer of [reply(204), reply(302, "", { location: "/" }), own])
      expect(grpcReply(x, answer)).toBe(answer);
  });
});

/** What a client's side is told. */
function listening(x: Exchange, answered: boolean): string[] {
  const told: string[] = [];
  const downstream: Partial<Downstream> = {
    answered,
    fail: ({ code }) => void told.push(`fail ${code}`),
    discardBody: () => void told.push("discard"),
    end: (trailers) => void told.push(`end ${trailers?.entries().map((field) => field.join("="))}`),
  };
  x.downstream = downstream as Downstream;
  return told;
}

describe("a failed exchange", () => {
  const cause = fault("upstream.incomplete");
  const END = "end grpc-status=14,grpc-message=The server's answer ended too early.";
  const ROWS: readonly (readonly [
    answered: boolean,
    endsInStatus: boolean,
    told: readonly string[],
    status: number,
  ])[] = [
    [false, false, ["fail upstream.incomplete"], -1],
    [false, true, ["fail upstream.incomplete"], -1],
    [true, false, ["fail upstream.incomplete"], -1],
    [true, true, ["discard", END], 14],
  ];
  for (const [answered, endsInStatus, told, status] of ROWS)
    test(`answered: ${answered}, ends in a status: ${endsInStatus}`, () => {
      const x = call("application/grpc");
      const heard = listening(x, answered);
      x.endsInStatus = endsInStatus;
      failExchange(x, cause);
      expect(heard).toEqual([...told]);
      expect([x.fault, x.grpcStatus]).toEqual([cause, status]);
    });
});

describe("a server's answer", () => {
  const answered = (
    contentType: string,
    more: Partial<Exchange> & { version?: 11 | 20; body?: "chunked" | "length" },
  ) => {
    const x = call("application/grpc");
    x.grpc = more.grpc ?? GRPC;
    x.request.version = more.version ?? 20;
    const head = exchangeOf({
      headers: [
        ["content-type", contentType],
        ["grpc-status", "5"],
      ],
    }).request.headers;
    Object.assign(x.response, { headers: head, body: more.body ?? "chunked" });
    noteGrpcHead(x);
    return x;
  };
  test("its status is noted, from the head or the trailers", () => {
    const x = answered("application/grpc", {});
    expect(x.grpcStatus).toBe(5);
    noteGrpcTrailers(x, HeaderBlock.of([["grpc-status", "7"]]));
    expect(x.grpcStatus).toBe(7);
    noteGrpcTrailers(x, HeaderBlock.of([]));
    expect(x.grpcStatus).toBe(-1);
  });
  test("trailers of other exchanges are not looked at", () => {
    const x = exchangeOf();
    noteGrpcTrailers(x, HeaderBlock.of([["grpc-status", "7"]]));
    expect(x.grpcStatus).toBe(-1);
  });
  test("ends in a status where trailers reach the client", () => {
    expect(answered("application/grpc+proto", {}).endsInStatus).toBe(true);
    expect(answered("application/grpc", { version: 11 }).endsInStatus).toBe(false);
    expect(answered("application/grpc", { body: "length" }).endsInStatus).toBe(false);
    expect(answered("application/grpc", { grpc: GRPC_WEB }).endsInStatus).toBe(false);
    expect(answered("text/html", {}).endsInStatus).toBe(false);
  });
});
