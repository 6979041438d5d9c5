import { describe, expect, test } from "bun:test";
import {
  BAD_TIMEOUT,
  encodeGrpcMessage,
  formatTimeout,
  GRPC,
  GRPC_WEB,
  GRPC_WEB_TEXT,
  type GrpcKind,
  grpcStatusOf,
  isServerFailure,
  kindOf,
  mediaTypeOf,
  NO_GRPC,
  NO_TIMEOUT,
  receivedKind,
  receivedTimeout,
  suffixOf,
} from "./grpc.ts";
import { HeaderBlock } from "./header-block.ts";
import { idOf } from "./header-names.ts";

/** Fields as if they had come off the wire. */
function received(...fields: readonly (readonly [name: string, value: string])[]): HeaderBlock {
  const block = new HeaderBlock();
  block.reset(Buffer.from(fields.map(([name, value]) => `${name}: ${value}\r\n`).join(""), "latin1"));
  let at = 0;
  for (const [name, value] of fields) {
    const valueAt = at + name.length + 2;
    const end = valueAt + value.length + 2;
    block.push(idOf(name.toLowerCase()), at, at + name.length, valueAt, end - 2, end);
    at = end;
  }
  return block;
}

const KINDS: readonly (readonly [type: string, kind: GrpcKind, suffix: string])[] = [
  ["application/grpc", GRPC, ""],
  ["application/grpc+proto", GRPC, "+proto"],
  ["Application/GRPC+JSON", GRPC, "+json"],
  ["application/grpc;charset=utf-8", GRPC, ""],
  ["application/grpc ; a=b+c", GRPC, ""],
  ["application/grpc-web", GRPC_WEB, ""],
  ["application/grpc-web+proto", GRPC_WEB, "+proto"],
  ["application/grpc-web;a=b", GRPC_WEB, ""],
  ["APPLICATION/grpc-WEB-text", GRPC_WEB_TEXT, ""],
  ["application/grpc-web-text+proto", GRPC_WEB_TEXT, "+proto"],
  ["application/grpc-web-text+proto;a", GRPC_WEB_TEXT, "+proto"],
  ["application/grpc-web-texts", NO_GRPC, ""],
  ["application/grpc-webs", NO_GRPC, ""],
  ["application/grpc-json", NO_GRPC, ""],
  ["application/grpcs", NO_GRPC, ""],
  ["application/grp", NO_GRPC, ""],
  ["text/application/grpc", NO_GRPC, ""],
  ["", NO_GRPC, ""],
];

describe("the kind of a call", () => {
  for (const [type, kind, suffix] of KINDS)
    test(JSON.stringify(type), () => {
      expect(kindOf(type)).toBe(kind);
      expect(receivedKind(received(["Content-Type", type]))).toBe(kind);
      expect(suffixOf(type)).toBe(suffix);
    });
  test("no Content-Type", () => {
    expect(kindOf(null)).toBe(NO_GRPC);
    expect(receivedKind(received())).toBe(NO_GRPC);
  });
  test("what answers say", () => {
    expect(([GRPC, GRPC_WEB, GRPC_WEB_TEXT] as const).map((kind) => mediaTypeOf(kind))).toEqual([
      "application/grpc",
      "application/grpc-web+proto",
      "application/grpc-web-text+proto",
    ]);
    expect(mediaTypeOf(GRPC_WEB, "+json")).toBe("application/grpc-web+json");
  });
});

const TIMEOUTS: readonly (readonly [value: string, ms: number])[] = [
  ["1H", 3_600_000],
  ["2M", 120_000],
  ["10S", 10_000],
  ["250m", 250],
  ["1500u", 1.5],
  ["1n", 0.000_001],
  ["0n", 0],
  ["00000001S", 1000],
  ["99999999H", 99_999_999 * 3_600_000],
  ["", BAD_TIMEOUT],
  ["S", BAD_TIMEOUT],
  ["1", BAD_TIMEOUT],
  ["100000000n", BAD_TIMEOUT],
  ["1s", BAD_TIMEOUT],
  ["1h", BAD_TIMEOUT],
  ["1U", BAD_TIMEOUT],
  ["1ms", BAD_TIMEOUT],
  ["-1S", BAD_TIMEOUT],
  ["+1S", BAD_TIMEOUT],
  ["1.5S", BAD_TIMEOUT],
  ["1 S", BAD_TIMEOUT],
  ["0x1S", BAD_TIMEOUT],
  ["1S, 2S", BAD_TIMEOUT],
];

describe("grpc-timeout", () => {
  for (const [value, ms] of TIMEOUTS)
    test(JSON.stringify(value), () => expect(receivedTimeout(received(["grpc-timeout", value]))).toBeCloseTo(ms, 9));
  test("absent", () => expect(receivedTimeout(received(["te", "trailers"]))).toBe(NO_TIMEOUT));
  test("twice", () =>
    expect(receivedTimeout(received(["grpc-timeout", "1S"], ["grpc-timeout", "1S"]))).toBe(BAD_TIMEOUT));

  for (const [ms, text] of [
    [-5, "0m"],
    [0, "0m"],
    [0.2, "1m"],
    [250, "250m"],
    [99_999_999, "99999999m"],
    [100_000_000, "100000S"],
    [1e15, "99999999S"],
  ] as const)
    test(`${ms} ms is written ${text}`, () => {
      expect(formatTimeout(ms)).toBe(text);
      if (ms > 0 && ms < 1e15) expect(receivedTimeout(received(["grpc-timeout", text]))).toBeGreaterThanOrEqual(ms);
    });
});

const STATUSES: readonly (readonly [value: string | null, status: number])[] = [
  ["0", 0],
  ["14", 14],
  ["07", 7],
  ["99", 99],
  [null, -1],
  ["", -1],
  ["100", -1],
  ["-1", -1],
  ["1x", -1],
  [" 1", -1],
];

describe("grpc-status", () => {
  test("which ones a server is to blame for", () => {
    const all = Array.from({ length: 19 }, (_, at) => at - 1);
    expect(all.filter(isServerFailure)).toEqual([-1, 2, 13, 14, 15]);
  });
  for (const [value, status] of STATUSES)
    test(JSON.stringify(value), () => {
      const fields = value === null ? [] : [["grpc-status", value] as const];
      expect(grpcStatusOf(received(...fields))).toBe(status);
      expect(grpcStatusOf(HeaderBlock.of(fields))).toBe(status);
    });
});

describe("grpc-message", () => {
  for (const [text, encoded] of [
    ["", ""],
    ["all well ~!", "all well ~!"],
    ["100%", "100%25"],
    ["a\r\nb\0", "a%0D%0Ab%00"],
    ["grün €", "gr%C3%BCn %E2%82%AC"],
  ] as const)
    test(JSON.stringify(text), () => {
      expect(encodeGrpcMessage(text)).toBe(encoded);
      expect(decodeURIComponent(encoded)).toBe(text);
    });
});
