import { describe, expect, test } from "bun:test";
import { GRPC, GRPC_WEB, GRPC_WEB_TEXT, type GrpcKind, receivedKind } from "../../http/grpc.ts";
import { ResponseHead } from "../../http/message.ts";
import { exchangeOf } from "../../pipeline/exchange.fixture.ts";
import type { Exchange, Filter } from "../../pipeline/exchange.ts";
import { contextOf } from "../context.testing.ts";
import { grpcWeb } from "./filter.ts";

const [filter] = grpcWeb.compile({ grpcWeb: true }, contextOf()) as [Filter];

function call(contentType: string, accept: string | null = null): Exchange {
  const fields: [string, string][] = [
    ["Content-Type", contentType],
    ["Content-Length", "5"],
  ];
  if (accept !== null) fields.push(["Accept", accept]);
  const x = exchangeOf({ method: "POST", headers: fields });
  x.request.body = "length";
  x.request.length = 5;
  x.grpc = receivedKind(x.request.headers);
  return x;
}

/** `x` once a server has answered it. */
function answered(x: Exchange, contentType: string | null, body: ResponseHead["body"] = "chunked"): Exchange {
  x.response = new ResponseHead();
  x.response.body = body;
  if (contentType !== null) x.response.setHeader("content-type", contentType);
  expect(filter.response?.(x)).toBeUndefined();
  return x;
}

test("off without the policy", () => expect(grpcWeb.compile({}, contextOf())).toEqual([]));

describe("the request", () => {
  type Row = readonly [type: string, accept: string | null, sent: string, body: string, answer: GrpcKind];
  const ROWS: readonly Row[] = [
    ["application/grpc-web", null, "application/grpc", "length", GRPC_WEB],
    ["application/grpc-web+proto", "*/*", "application/grpc+proto", "length", GRPC_WEB],
    ["application/grpc-web+json;a=b", null, "application/grpc+json", "length", GRPC_WEB],
    ["application/grpc-web-text", null, "application/grpc", "chunked", GRPC_WEB_TEXT],
    [
      "application/grpc-web-text+proto",
      "application/grpc-web-text, */*",
      "application/grpc+proto",
      "chunked",
      GRPC_WEB_TEXT,
    ],
    ["application/grpc-web", "application/grpc-web-text+proto", "application/grpc", "length", GRPC_WEB_TEXT],
    ["application/grpc-web-text", "application/grpc-web+proto", "application/grpc", "chunked", GRPC_WEB],
    ["application/grpc", "application/grpc-web", "application/grpc", "length", GRPC],
    ["application/json", "application/grpc-web", "application/json", "length", 0],
  ];
  for (const [type, accept, sent, body, answer] of ROWS)
    test(`${type}, accepts ${accept}`, () => {
      const x = call(type, accept);
      const { downstream } = x;
      expect(filter.request?.(x)).toBeUndefined();
      expect([x.request.header("content-type"), x.request.body, x.grpc]).toEqual([sent, body as never, answer]);
      // Binary messages pass as they are, and so does their length.
      expect(x.downstream === downstream).toBe(body === "length");
      expect(x.request.header("content-length")).toBe(body === "length" ? "5" : null);
    });
});

describe("the answer", () => {
  type Row = readonly [asked: string, type: string | null, told: string | null];
  const ROWS: readonly Row[] = [
    ["application/grpc-web", "application/grpc", "application/grpc-web+proto"],
    ["application/grpc-web", "application/grpc+json", "application/grpc-web+json"],
    ["application/grpc-web-text", "application/grpc+proto", "application/grpc-web-text+proto"],
    ["application/grpc-web", "application/grpc-web+proto", "application/grpc-web+proto"],
    ["application/grpc-web", "text/html", "text/html"],
    ["application/grpc-web", null, null],
    ["application/grpc", "application/grpc", "application/grpc"],
  ];
  for (const [asked, type, told] of ROWS)
    test(`${type} to ${asked}`, () => {
      const x = call(asked);
      const { downstream } = x;
      answered(x, type);
      expect(x.response.header("content-type")).toBe(told);
      expect([x.endsInStatus, x.downstream !== downstream]).toEqual([told !== type, told !== type]);
    });
  test("a status in the head stays there", () => {
    const x = call("application/grpc-web-text");
    const { downstream } = x;
    answered(x, "application/grpc", "none");
    expect(x.response.header("content-type")).toBe("application/grpc-web-text+proto");
    expect([x.downstream === downstream, x.endsInStatus]).toEqual([true, false]);
  });
});
