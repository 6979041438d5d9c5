import { describe, expect, test } from "bun:test";
import { fromJson, type JsonValue, toBinary } from "@bufbuild/protobuf";
import { type Rng, tryLaw } from "../../core/fuzz.testing.ts";
import { echoTranscoder } from "../../engines/transcode/descriptors.testing.ts";
import { HeaderBlock } from "../../http/header-block.ts";
import { ResponseHead } from "../../http/message.ts";
import { cuts, feed, type Output } from "../../pipeline/body.testing.ts";
import { exchangeOf } from "../../pipeline/exchange.fixture.ts";
import type { Exchange } from "../../pipeline/exchange.ts";
import { AnswerBody, type StreamForm } from "./answer-body.ts";

const transcoder = echoTranscoder();

function bindingOf(method: string, path: string) {
  const found = transcoder.find(method, path);
  if (found.kind !== "found") throw new Error(path);
  return found.value;
}
const UNARY = bindingOf("POST", "/v1/messages");
const STREAM = bindingOf("GET", "/v1/stream/x");

function frame(bytes: Uint8Array, flags = 0): Buffer {
  const head = Buffer.alloc(5);
  head[0] = flags;
  head.writeUInt32BE(bytes.length, 1);
  return Buffer.concat([head, bytes]);
}
const message = (value: JsonValue): Buffer => frame(toBinary(UNARY.method.input, fromJson(UNARY.method.input, value)));

const trailersOf = (status: string, more: readonly [string, string][] = []): HeaderBlock =>
  HeaderBlock.of([["grpc-status", status], ...more]);
const OK = trailersOf("0", [["x-tail", "t"]]);

interface Told {
  readonly out: Output;
  readonly head: ResponseHead;
}

function told(
  binding: typeof UNARY,
  pieces: readonly Buffer[],
  trailers: HeaderBlock | null,
  form: StreamForm = "ndjson",
): Told {
  const x: Exchange = exchangeOf();
  x.response = new ResponseHead(HeaderBlock.of([["content-type", "application/grpc"]]));
  const body = new AnswerBody(x, transcoder, binding, form, 1000);
  const out = feed(body, pieces, trailers);
  // What is held back stays so until it is known.
  if (out.pieces.length > 0) expect(body.holding).toBe(false);
  return { out, head: x.response };
}

describe("at every cut", () => {
  const a = { name: "a" };
  const b = { big: "5" };
  const CASES: readonly (readonly [
    name: string,
    binding: typeof UNARY,
    body: Buffer,
    form: StreamForm,
    text: string,
  ])[] = [
    ["one message", UNARY, message(a), "ndjson", '{"name":"a"}'],
    ["one without anything in it", UNARY, message({}), "ndjson", "{}"],
    ["lines", STREAM, Buffer.concat([message(a), message(b)]), "ndjson", '{"name":"a"}\n{"big":"5"}\n'],
    ["a list", STREAM, Buffer.concat([message(a), message(b)]), "array", '[{"name":"a"},{"big":"5"}]'],
  ];
  for (const [name, binding, body, form, text] of CASES)
    test(name, () => {
      for (const pieces of cuts(body)) {
        const { out, head } = told(binding, pieces, OK, form);
        expect([out.bytes.toString(), out.trailers, head.status]).toEqual([text, null, 200]);
        expect(head.header("x-tail")).toBe(binding === UNARY ? "t" : null);
        expect(head.header("grpc-status")).toBeNull();
      }
    });
});

test("bodies of any type, one behind the other", () => {
  const raw = { ...bindingOf("POST", "/v1/raw"), streams: true };
  const one = (contentType: string, data: string): Buffer =>
    frame(toBinary(raw.method.output, fromJson(raw.method.output, { contentType, data: btoa(data) })));
  for (const form of ["array", "sse", "ndjson"] as const) {
    const { out, head } = told(raw, [one("text/csv", "a,b\n"), one("", ""), one("", "c,d\n")], OK, form);
    expect([out.bytes.toString(), head.header("content-type")]).toEqual(["a,b\nc,d\n", "text/csv"]);
  }
  expect(told(raw, [one("a\r\nb", "x")], OK).head.header("content-type")).toBe("application/octet-stream");
});

describe("what is no answer", () => {
  const one = message({ name: "a" });
  const CASES: readonly (readonly [name: string, body: Buffer, trailers: HeaderBlock | null])[] = [
    ["no message", Buffer.alloc(0), OK],
    ["two messages", Buffer.concat([one, one]), OK],
    ["half a message", one.subarray(0, 6) as Buffer, OK],
    ["half a head", one.subarray(0, 3) as Buffer, OK],
    ["compressed", frame(one, 1), OK],
    ["too long", frame(Buffer.alloc(1001)), OK],
    ["no message of that type", frame(Buffer.from([0x0a, 0xff])), OK],
  ];
  for (const [name, body, trailers] of CASES)
    test(name, () => expect(told(UNARY, [body], trailers).out.fault).toBe("transcode.response"));

  test("statuses", () => {
    const failed = told(UNARY, [one], trailersOf("5", [["grpc-message", "no %22x%22"]]));
    expect([failed.head.status, failed.out.bytes.toString()]).toEqual([404, '{"code":5,"message":"no \\"x\\""}\n']);
    expect(told(UNARY, [one], null).head.status).toBe(500);
    expect(told(UNARY, [], trailersOf("99")).head.status).toBe(500);
  });
});

test("fuzz: any bytes", () => {
  const source = Buffer.concat([message({ name: "abc", tags: ["x"] }), message({ inner: { id: "1" } })]);
  const law = (rng: Rng): void => {
    const body = Buffer.from(source.subarray(0, rng.below(source.length + 1)));
    for (let left = rng.below(4); left > 0 && body.length > 0; left -= 1) body[rng.below(body.length)] = rng.below(256);
    const cut = rng.below(body.length + 1);
    const binding = rng.pick([UNARY, STREAM]);
    const trailers = rng.pick([OK, trailersOf("5"), trailersOf("x"), null]);
    const whole = told(binding, body.length === 0 ? [] : [body], trailers);
    const pieces = [body.subarray(0, cut), body.subarray(cut)].filter((piece) => piece.length > 0) as Buffer[];
    const halves = told(binding, pieces, trailers);
    if (whole.out.fault !== halves.out.fault || whole.head.status !== halves.head.status) throw new Error("by the cut");
    if (whole.out.fault === "" && !whole.out.bytes.equals(halves.out.bytes)) throw new Error("other bytes by the cut");
  };
  expect(tryLaw("answers", law, 1, 5000)).toBe(5000);
}, 30_000);
