// What only HTTP/3 has of field sections; the rest is held to HTTP/2 by section.fuzz.ts.
import { describe, expect, test } from "bun:test";
import type { HeadLimits } from "../h1/limits.ts";
import { linesOf } from "../h2/session.testing.ts";
import { RequestHead } from "../message.ts";
import type { FieldMap } from "./field-map.ts";
import { RUNTIME_BYTES_MAX, RUNTIME_LINES_MAX, readRequest, readTrailers } from "./section.ts";

const LIMITS: HeadLimits = { startLine: 8192, section: 131_072, fields: 1000 };
const GET: FieldMap = { ":method": "GET", ":scheme": "https", ":path": "/", ":authority": "a.test" };

function read(fields: FieldMap, limits = LIMITS): { head: RequestHead; malformed: string; code: string } {
  const head = new RequestHead();
  const { malformed, fault } = readRequest(fields, head, limits, true, true, true);
  return { head, malformed, code: fault?.code ?? "" };
}

describe("requests", () => {
  test("are laid out as HTTP/1.1 would send them", () => {
    const { head, malformed, code } = read({ ...GET, "x-a": ["1", "2"], cookie: ["a=1", "b=2"] });
    expect([malformed, code, head.version, head.method, head.target, head.body]).toEqual([
      "",
      "",
      30,
      "GET",
      "/",
      "none",
    ]);
    const { headers } = head;
    expect(headers.bytes.latin1Slice(head.lineAt, headers.end)).toBe(
      "GET / HTTP/1.1\r\nhost: a.test\r\nx-a: 1\r\nx-a: 2\r\ncookie: a=1; b=2\r\n",
    );
  });
  test("may have names that objects keep before all others", () => {
    const { head, malformed } = read({ ...GET, "7": "x", "0": ["a", "b"] });
    expect([malformed, linesOf(head.headers)]).toEqual(["", "host: a.test, 0: a, 0: b, 7: x"]);
  });
  test("with a pseudo-header field behind a field are malformed", () => {
    expect(read({ ...GET, "x-a": "1", ":protocol": "websocket" }).malformed).toBe("pseudo-header field behind a field");
  });
  test("whose names are those of objects are nothing special", () => {
    const fields = Object.assign(Object.create(null) as FieldMap, GET);
    // As a field of its own, not as the prototype.
    Object.defineProperty(fields, "__proto__", { value: "1", enumerable: true });
    Object.defineProperty(fields, "constructor", { value: "2", enumerable: true });
    const { head, malformed } = read(fields);
    expect([malformed, head.headers.get("constructor")]).toEqual(["", "2"]);
  });
  test("of which the runtime may have dropped a part are refused", () => {
    const lines = Object.fromEntries(Array.from({ length: RUNTIME_LINES_MAX }, (_, n) => [`x${n}`, "v"]));
    expect(read({ ...GET, ...lines }, { ...LIMITS, fields: 5000 }).code).toBe("h1.head_too_large");
    const long = { "x-a": ["a", "b", "c"].map((letter) => letter.repeat(RUNTIME_BYTES_MAX / 4)) };
    expect(read({ ...GET, ...long }, { ...LIMITS, section: 1_000_000 }).code).toBe("h1.head_too_large");
    expect(read({ ...GET, "x-a": "a".repeat(60_000) }).code).toBe("");
  });
});

describe("trailers", () => {
  const CASES: readonly (readonly [fields: FieldMap, malformed: string, lines: string | null])[] = [
    [{ "x-t": ["1", "2"] }, "", "x-t: 1, x-t: 2"],
    [{ "content-type": "text/plain", "x-t": "1" }, "", "x-t: 1"],
    [{ authorization: "x" }, "", null],
    [{ ":path": "/" }, "pseudo-header field in trailers", null],
    [{ "x-t": "a\r\nb" }, "invalid field value", null],
    [{ "X-T": "1" }, "invalid field name", null],
    [{ connection: "close" }, "connection-specific field", null],
  ];
  for (const [fields, malformed, lines] of CASES) {
    test(JSON.stringify(fields), () => {
      const result = readTrailers(fields, true);
      expect(result.malformed).toBe(malformed);
      if (malformed === "") expect(result.fields === null ? null : linesOf(result.fields)).toBe(lines);
    });
  }
});
