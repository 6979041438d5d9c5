// Heads out of field sections: what they look like to everybody else, and which are malformed (RFC 9113 §8.2, §8.3).
import { describe, expect, test } from "bun:test";
import { skipSet } from "../header-block.ts";
import { RequestHead, ResponseHead } from "../message.ts";
import { literal } from "./hpack.testing.ts";
import { HpackDecoder } from "./hpack-decoder.ts";
import { HpackEncoder } from "./hpack-encoder.ts";
import { SERVER_DEFAULTS } from "./limits.ts";
import { RequestHeadBuilder } from "./request-head-builder.ts";
import { ResponseHeadBuilder } from "./response-head-builder.ts";
import { block, type Fields, linesOf } from "./session.testing.ts";

const NONE = skipSet();
const LIMITS = SERVER_DEFAULTS.head;
const method = (name: string): Fields[number] => [":method", name];
const path = (text: string): Fields[number] => [":path", text];
const [SCHEME, AUTHORITY] = [
  [":scheme", "https"],
  [":authority", "a.test"],
] as const;
const GET: Fields = [method("GET"), SCHEME, AUTHORITY, path("/")];
const CONNECT: Fields = [method("CONNECT"), [":authority", "a.test:443"]];
const WEBSOCKET: Fields = [method("CONNECT"), [":protocol", "websocket"], SCHEME, AUTHORITY, path("/chat")];

const builder = new RequestHeadBuilder();
function request(
  fields: Fields,
  end = true,
  bytes = block(fields),
): { head: RequestHead; builder: RequestHeadBuilder } {
  const head = new RequestHead();
  builder.begin(head, LIMITS, true, true);
  const problem = new HpackDecoder(4096).decode(bytes, 0, bytes.length, builder);
  if (problem !== "") throw new Error(problem);
  builder.finish(end);
  return { head, builder };
}
/** The head as it would be sent on over HTTP/1.1, if it may be forwarded as it is; else its fields. */
function wireOf(head: RequestHead | ResponseHead): string {
  if (head.lineAt < 0) return linesOf(head.headers);
  const out = Buffer.alloc(head.headers.end - head.lineAt + 64);
  return out.latin1Slice(0, head.headers.writeTo(out, 0, NONE, head.lineAt));
}

describe("requests as HTTP/1.1 would send them", () => {
  const CASES: readonly (readonly [name: string, fields: Fields, want: string])[] = [
    ["the least", GET, "GET / HTTP/1.1\r\nhost: a.test\r\n"],
    [
      "pseudo-header fields in any order",
      [path("/x?y=1"), AUTHORITY, SCHEME, method("PURGE"), ["x-a", "1"]],
      "PURGE /x?y=1 HTTP/1.1\r\nhost: a.test\r\nx-a: 1\r\n",
    ],
    [
      "Host in place of :authority",
      [method("GET"), SCHEME, path("/"), ["host", "b.test"]],
      "GET / HTTP/1.1\r\nhost: b.test\r\n",
    ],
    [
      "Host beside :authority",
      [...GET, ["x", "1"], ["host", "A.test"], ["y", "2"]],
      "GET / HTTP/1.1\r\nhost: a.test\r\nx: 1\r\ny: 2\r\n",
    ],
    ["Host with the scheme's port", [...GET, ["host", "a.test:443"]], "GET / HTTP/1.1\r\nhost: a.test\r\n"],
    ["te: trailers", [...GET, ["te", "trailers"]], "GET / HTTP/1.1\r\nhost: a.test\r\nte: trailers\r\n"],
    ["a name with _ is dropped", [...GET, ["x_a", "1"], ["x-b", "2"]], "GET / HTTP/1.1\r\nhost: a.test\r\nx-b: 2\r\n"],
    ["an empty value", [...GET, ["x", ""]], "GET / HTTP/1.1\r\nhost: a.test\r\nx: \r\n"],
    [
      "crumbs of a cookie",
      [...GET, ["cookie", "a=1"], ["cookie", "b=2"], ["cookie", "c=3"], ["x", "1"]],
      "GET / HTTP/1.1\r\nhost: a.test\r\ncookie: a=1; b=2; c=3\r\nx: 1\r\n",
    ],
    [
      "crumbs with others between them",
      [...GET, ["cookie", "a=1"], ["x", "1"], ["cookie", "b=2"], ["cookie", "c=3"]],
      "GET / HTTP/1.1\r\nhost: a.test\r\nx: 1\r\ncookie: a=1; b=2; c=3\r\n",
    ],
    [
      "empty crumbs",
      [...GET, ["cookie", ""], ["cookie", "a=1"], ["cookie", ""], ["cookie", "b=2"], ["cookie", ""]],
      "GET / HTTP/1.1\r\nhost: a.test\r\ncookie: a=1; b=2\r\n",
    ],
    [
      "empty crumbs with others between them",
      [...GET, ["cookie", ""], ["x", "1"], ["cookie", "a=1"], ["x", "2"], ["cookie", ""]],
      "GET / HTTP/1.1\r\nhost: a.test\r\nx: 1\r\nx: 2\r\ncookie: a=1\r\n",
    ],
    ["an upgrade by extended CONNECT", WEBSOCKET, "GET /chat HTTP/1.1\r\nhost: a.test\r\n"],
    ["all of a server", [method("OPTIONS"), SCHEME, AUTHORITY, path("*")], "host: a.test"],
    ["CONNECT", CONNECT, "host: a.test:443"],
  ];
  for (const [name, fields, want] of CASES)
    test(name, () => {
      const { head, builder: from } = request(fields, fields !== WEBSOCKET);
      expect([from.malformed, from.fault]).toEqual(["", null]);
      expect(wireOf(head)).toBe(want);
      expect(head.version).toBe(20);
    });
});

describe("what is known of a request", () => {
  const facts = ({ head }: { head: RequestHead }): readonly unknown[] => [
    head.method,
    head.form,
    head.target,
    head.path,
    head.query,
    head.authority,
    head.body,
    head.length,
  ];
  const CASES: readonly (readonly [name: string, fields: Fields, end: boolean, want: readonly unknown[]])[] = [
    ["without content", GET, true, ["GET", "origin", "/", "/", "", "a.test", "none", 0]],
    ["of any length", GET, false, ["GET", "origin", "/", "/", "", "a.test", "chunked", 0]],
    [
      "of a known length",
      [...GET, ["content-length", "5"]],
      false,
      ["GET", "origin", "/", "/", "", "a.test", "length", 5],
    ],
    ["of length 0", [...GET, ["content-length", "0"]], false, ["GET", "origin", "/", "/", "", "a.test", "none", 0]],
    [
      "a path to be normalised",
      [method("GET"), SCHEME, [":authority", "A.Test:8443"], path("/a/./b%41?c=%2e")],
      true,
      ["GET", "origin", "/a/./b%41?c=%2e", "/a/bA", "c=%2e", "a.test:8443", "none", 0],
    ],
    [
      "a plain path",
      [method("GET"), SCHEME, AUTHORITY, path("/a/b.c?d")],
      true,
      ["GET", "origin", "/a/b.c?d", "/a/b.c", "d", "a.test", "none", 0],
    ],
    [
      "OPTIONS *",
      [method("OPTIONS"), SCHEME, AUTHORITY, path("*")],
      true,
      ["OPTIONS", "asterisk", "*", "*", "", "a.test", "none", 0],
    ],
    ["CONNECT", CONNECT, false, ["CONNECT", "authority", "a.test:443", "a.test:443", "", "a.test:443", "none", 0]],
    ["extended CONNECT", WEBSOCKET, false, ["GET", "origin", "/chat", "/chat", "", "a.test", "none", 0]],
  ];
  for (const [name, fields, end, want] of CASES)
    test(name, () => {
      const got = request(fields, end);
      expect([got.builder.malformed, got.builder.fault]).toEqual(["", null]);
      expect(facts(got)).toEqual(want);
    });

  test("an expectation, an upgrade and a priority", () => {
    expect(request([...GET, ["expect", "100-Continue"]], false).head.expectContinue).toBe(true);
    expect(request(WEBSOCKET, false).head.upgrade).toBe("websocket");
    expect(request([...GET, ["priority", "u=1, i"]]).builder.priority).toEqual({ urgency: 1, incremental: true });
  });

  test("a field that is never to be indexed stays so, in a joined cookie too", () => {
    const never = [literal(0x10, "x-key", "1"), literal(0, "cookie", "a=1"), literal(0x10, "cookie", "b=2")];
    const bytes = Buffer.concat([block(GET), ...never]) as Buffer;
    const { headers } = request([], true, bytes).head;
    expect([linesOf(headers), headers.secret?.slice(0, 3)]).toEqual([
      "host: a.test, x-key: 1, cookie: a=1; b=2",
      new Uint8Array([0, 1, 1]),
    ]);
  });

  test("a head that outgrows its first buffer is whole", () => {
    const long: Fields = Array.from({ length: 60 }, (_, i) => [`x-${i}`, `${i}`.repeat(40)]);
    const { head } = request([method("GET"), SCHEME, AUTHORITY, path(`/${"p".repeat(100)}`), ...long]);
    const lines = wireOf(head).split("\r\n");
    expect([lines[0], lines[1], lines.length]).toEqual([`GET /${"p".repeat(100)} HTTP/1.1`, "host: a.test", 63]);
    expect([lines[61], head.path?.length, head.header("x-7")]).toEqual([
      `x-59: ${"59".repeat(40)}`,
      101,
      "7".repeat(40),
    ]);
  });

  test("large pseudo-header fields behind large ones", () => {
    const bytes = Buffer.alloc(20_000);
    const encoder = new HpackEncoder();
    encoder.begin(bytes, 0);
    encoder.request("GET", "https", `${"a".repeat(60)}.test`, `/${"p".repeat(7000)}`);
    encoder.field("x", "1");
    const { head } = request([], true, bytes.subarray(0, encoder.at) as Buffer);
    expect(wireOf(head)).toBe(`GET /${"p".repeat(7000)} HTTP/1.1\r\nhost: ${"a".repeat(60)}.test\r\nx: 1\r\n`);
  });
});

describe("malformed requests", () => {
  const without = (name: string): Fields => GET.filter(([field]) => field !== name);
  const CASES: readonly (readonly [section: string, name: string, fields: Fields])[] = [
    ["8.2.1", "an upper-case name", [...GET, ["X-A", "1"]]],
    ["8.2.1", "an empty name", [...GET, ["", "1"]]],
    ["8.2.1", "a space in a name", [...GET, ["x a", "1"]]],
    ["8.2.1", "a colon in a name", [...GET, ["x:a", "1"]]],
    ["8.2.1", "CRLF in a value", [...GET, ["x", "1\r\nhost: b"]]],
    ["8.2.1", "NUL in a value", [...GET, ["x", "1\0"]]],
    ["8.2.1", "a space before a value", [...GET, ["x", " 1"]]],
    ["8.2.1", "a tab behind a value", [...GET, ["x", "1\t"]]],
    ["8.2.1", "CR in :path", [...without(":path"), path("/\r")]],
    ["8.2.2", "Connection", [...GET, ["connection", "close"]]],
    ["8.2.2", "Keep-Alive", [...GET, ["keep-alive", "1"]]],
    ["8.2.2", "Proxy-Connection", [...GET, ["proxy-connection", "x"]]],
    ["8.2.2", "Transfer-Encoding", [...GET, ["transfer-encoding", "chunked"]]],
    ["8.2.2", "Upgrade", [...GET, ["upgrade", "h2c"]]],
    ["8.2.2", "TE of another kind", [...GET, ["te", "gzip"]]],
    ["8.2.2", "TE of more", [...GET, ["te", "trailers, gzip"]]],
    ["8.3", "a pseudo-header field behind others", [...GET.slice(0, 3), ["x", "1"], path("/")]],
    ["8.3", "an unknown one", [...GET, [":what", "1"]]],
    ["8.3", "that of an answer", [...GET, [":status", "200"]]],
    ["8.3.1", "no method", without(":method")],
    ["8.3.1", "no scheme", without(":scheme")],
    ["8.3.1", "no path", without(":path")],
    ["8.3.1", "no authority at all", without(":authority")],
    ["8.3.1", "two methods", [method("GET"), ...GET]],
    ["8.3.1", "two schemes", [SCHEME, ...GET]],
    ["8.3.1", "two authorities", [AUTHORITY, ...GET]],
    ["8.3.1", "two paths", [path("/"), ...GET]],
    ["8.3.1", "an empty path", [...without(":path"), path("")]],
    ["8.3.1", "an empty method", [...without(":method"), method("")]],
    ["8.3.1", "an empty authority", [method("GET"), SCHEME, path("/"), [":authority", ""]]],
    ["8.3.1", "a space in a method", [...without(":method"), method("GET /x")]],
    ["8.3.1", "a space in a path", [...without(":path"), path("/a b")]],
    ["8.3.1", "a fragment", [...without(":path"), path("/a#b")]],
    ["8.3.1", "no slash", [...without(":path"), path("a")]],
    ["8.3.1", "an absolute path", [...without(":path"), path("https://a.test/")]],
    ["8.3.1", "* for GET", [...without(":path"), path("*")]],
    ["8.3.1", "another scheme", [...without(":scheme"), [":scheme", "ftp"]].sort() as Fields],
    ["8.3.1", "user information", [method("GET"), SCHEME, path("/"), [":authority", "u@a.test"]]],
    ["8.3.1", "a slash in the authority", [method("GET"), SCHEME, path("/"), [":authority", "a.test/x"]]],
    ["8.3.1", "another Host", [...GET, ["host", "b.test"]]],
    ["8.3.1", "another port of Host", [...GET, ["host", "a.test:8443"]]],
    ["8.3.1", "two Hosts", [...without(":authority"), ["host", "a.test"], ["host", "a.test"]]],
    ["8.5", "CONNECT with a path", [...CONNECT, path("/")]],
    ["8.5", "CONNECT with a scheme", [...CONNECT, SCHEME]],
    ["8.5", "CONNECT without a port", [method("CONNECT"), AUTHORITY]],
    ["8.5", "CONNECT to nowhere", [method("CONNECT")]],
    ["8.5", "CONNECT with content", [...CONNECT, ["content-length", "5"]]],
    ["8.5", "extended CONNECT with content", [...WEBSOCKET, ["content-length", "5"]]],
    ["8441 4", ":protocol without CONNECT", [[":protocol", "websocket"], ...GET]],
    ["8441 4", "an empty :protocol", [[":protocol", ""], method("CONNECT"), SCHEME, AUTHORITY, path("/")]],
    ["8441 4", "no :path", [[":protocol", "websocket"], method("CONNECT"), SCHEME, AUTHORITY]],
    ["8441 4", "no :authority", [[":protocol", "websocket"], method("CONNECT"), SCHEME, path("/"), ["host", "a.test"]]],
    ["8.1.1", "two lengths", [...GET, ["content-length", "0"], ["content-length", "0"]]],
    ["8.1.1", "a length that is none", [...GET, ["content-length", "+1"]]],
    ["8.1.1", "a list of lengths", [...GET, ["content-length", "0, 0"]]],
    ["8.1.1", "a length and no content", [...GET, ["content-length", "1"]]],
  ];
  for (const [section, name, fields] of CASES)
    test(`${section}: ${name}`, () => expect(request(fields).builder.malformed).not.toBe(""));
});

describe("requests over a limit", () => {
  const CASES: readonly (readonly [name: string, fields: Fields, want: string])[] = [
    ["fields", [...GET, ...Array.from({ length: 128 }, (_, i): Fields[number] => [`x-${i}`, ""])], "h1.head_too_large"],
    [
      "bytes",
      [...GET, ...Array.from({ length: 127 }, (_, i): Fields[number] => [`x-${i}`, "v".repeat(500)])],
      "h1.head_too_large",
    ],
    ["the path", [method("GET"), SCHEME, AUTHORITY, path(`/${"p".repeat(8192)}`)], "h1.request_line_too_long"],
    ["the method", [method("M".repeat(33)), SCHEME, AUTHORITY, path("/")], "h1.method_unknown"],
    ["an expectation", [...GET, ["expect", "more"]], "h1.expectation"],
  ];
  for (const [name, fields, want] of CASES)
    test(name, () => {
      const bytes = Buffer.alloc(200_000);
      const encoder = new HpackEncoder();
      encoder.begin(bytes, 0);
      for (const [field, value] of fields) encoder.field(field, value);
      const { builder: from, head } = request([], true, bytes.subarray(0, encoder.at) as Buffer);
      expect([from.malformed, from.fault?.code]).toEqual(["", want as "h1.expectation"]);
      // The answer and the log know whose request it was.
      if (name !== "the method") expect(head.method).toBe("GET");
    });
});

describe("answers", () => {
  const answers = new ResponseHeadBuilder();
  function answer(fields: Fields, end: boolean, asked: string): ResponseHead {
    const head = new ResponseHead();
    answers.begin(head, LIMITS);
    const bytes = block(fields);
    const problem = new HpackDecoder(4096).decode(bytes, 0, bytes.length, answers);
    if (problem !== "") throw new Error(problem);
    answers.finish(end, asked);
    return head;
  }
  const CASES: readonly (readonly [name: string, fields: Fields, end: boolean, asked: string, want: string])[] = [
    ["the least", [[":status", "200"]], true, "GET", "HTTP/1.1 200 OK\r\n none 0"],
    [
      "with fields",
      [
        [":status", "404"],
        ["x-a", "1"],
      ],
      false,
      "GET",
      "HTTP/1.1 404 Not Found\r\nx-a: 1\r\n chunked 0",
    ],
    ["an unknown status", [[":status", "599"]], true, "GET", "HTTP/1.1 599 \r\n none 0"],
    [
      "a length",
      [
        [":status", "200"],
        ["content-length", "5"],
      ],
      false,
      "GET",
      "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n length 5",
    ],
    [
      "a length of nothing",
      [
        [":status", "200"],
        ["content-length", "0"],
      ],
      false,
      "GET",
      "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n none 0",
    ],
    [
      "to HEAD",
      [
        [":status", "200"],
        ["content-length", "5"],
      ],
      true,
      "HEAD",
      "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n none 5",
    ],
    [
      "early hints",
      [
        [":status", "103"],
        ["link", "</a>"],
      ],
      false,
      "GET",
      "HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n none 0",
    ],
    [
      "names with _ stay",
      [
        [":status", "204"],
        ["x_a", "1"],
      ],
      true,
      "GET",
      "HTTP/1.1 204 No Content\r\nx_a: 1\r\n none 0",
    ],
  ];
  for (const [name, fields, end, asked, want] of CASES)
    test(name, () => {
      const head = answer(fields, end, asked);
      expect([answers.malformed, answers.fault, head.version]).toEqual(["", null, 20]);
      expect(`${wireOf(head)} ${head.body} ${head.length}`).toBe(want);
    });

  const BAD: readonly (readonly [name: string, fields: Fields, end: boolean])[] = [
    ["no status", [["x", "1"]], true],
    ["nothing", [], true],
    [
      "two of them",
      [
        [":status", "200"],
        [":status", "200"],
      ],
      true,
    ],
    [
      "behind a field",
      [
        ["x", "1"],
        [":status", "200"],
      ],
      true,
    ],
    ["four digits", [[":status", "2000"]], true],
    ["no digits", [[":status", "2x0"]], true],
    ["below 100", [[":status", "099"]], true],
    ["above 599", [[":status", "600"]], true],
    ["101", [[":status", "101"]], false],
    ["an interim one that ends", [[":status", "103"]], true],
    [
      "Connection",
      [
        [":status", "200"],
        ["connection", "close"],
      ],
      true,
    ],
    [
      "Transfer-Encoding",
      [
        [":status", "200"],
        ["transfer-encoding", "chunked"],
      ],
      true,
    ],
    [
      "two lengths",
      [
        [":status", "200"],
        ["content-length", "1"],
        ["content-length", "1"],
      ],
      false,
    ],
    [
      "a 204 with content",
      [
        [":status", "204"],
        ["content-length", "1"],
      ],
      false,
    ],
    [
      "a length and no content",
      [
        [":status", "200"],
        ["content-length", "1"],
      ],
      true,
    ],
  ];
  for (const [name, fields, end] of BAD)
    test(`malformed: ${name}`, () => {
      answer(fields, end, "GET");
      expect(answers.malformed).not.toBe("");
    });
});
