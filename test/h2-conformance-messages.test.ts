// Every MUST of RFC 9113 section 8, and of RFC 8441, that a client can see: which requests are malformed, and what the
// server behind gets of those that are not.
import { expect } from "bun:test";
import { encodeFields, type Fields } from "./support/h2-hpack.ts";
import type { H2Peer } from "./support/h2-peer.ts";
import { conformance, type Row, type Subject } from "./support/h2-table.ts";
import {
  continuation,
  data,
  END_STREAM,
  get,
  headers,
  lastData,
  lastHeaders,
  post,
  requestFields,
  SETTING,
} from "./support/h2-wire.ts";

const MALFORMED = "stream 1 PROTOCOL_ERROR";
const GET = requestFields("GET", "/");

/** A request with these fields and no other. */
const malformed = (name: string, fields: Fields): Row => [name, [lastHeaders(1, fields)], MALFORMED];
/** A GET with these fields besides. */
const withFields = (name: string, more: Fields): Row => malformed(name, [...GET, ...more]);
const without = (name: string): Fields => GET.filter(([each]) => each !== name);
const changed = (name: string, value: string): Fields => GET.map(([each, old]) => [each, each === name ? value : old]);

/** The request goes through, and the server behind gets this of it. */
const forwarded = (name: string, fields: Fields, check: (subject: Subject) => void): Row => [
  name,
  [lastHeaders(1, fields)],
  async (peer, subject) => {
    expect((await peer.answer(1)).status).toBe(200);
    check(subject);
  },
];
const received = (subject: Subject, name: string): string[] => subject.last.all(name);

const CONTROLS = ["\0", "\r", "\n", "\r\nx: y"];
/** Characters that RFC 9113 §8.2.1 names: outside of printable ASCII, upper case; and what is no token. */
const BAD_NAMES = ["", "a b", "a\0", "a\r", "a\n", "a\x7f", "a\x80", "\xff", "a:b", ":", "A", "x-Upper", "a(b", "a\t"];

conformance({
  "9113 8.1": [
    [
      "a request with body and trailers",
      [post(1, "/echo"), data(1, "body"), lastHeaders(1, [["x-sum", "7"]])],
      async (peer, subject) => {
        expect((await peer.answer(1)).body).toBe("body");
        expect(subject.last.trailers).toEqual([["x-sum", "7"]]);
      },
    ],
    ["HEADERS in the middle of a body", [post(1), data(1, "x"), headers(1, [["x", "y"]])], MALFORMED],
    ["HEADERS in the middle, and more DATA", [post(1), headers(1, [["x", "y"]]), lastData(1, "x")], MALFORMED],
    [
      "HEAD has no body",
      [lastHeaders(1, requestFields("HEAD", "/big"))],
      async (peer) => {
        const heard = await peer.answer(1);
        expect([heard.status, heard.body, heard.field("content-length")]).toEqual([200, "", "300000"]);
      },
    ],
    [
      "trailers of an answer",
      [get(1, "/trailers", [["te", "trailers"]])],
      async (peer) => {
        const heard = await peer.answer(1);
        expect([heard.body, heard.trailers]).toEqual(["ok", ["x-sum: 7"]]);
      },
    ],
    [
      "an interim answer",
      [get(1, "/early")],
      async (peer) => {
        const heard = await peer.answer(1);
        expect([heard.statuses, heard.body]).toEqual([[103, 200], "late"]);
      },
    ],
    [
      "an interim answer when it is waited for",
      [
        post(1, "/echo", [
          ["expect", "100-continue"],
          ["content-length", "4"],
        ]),
      ],
      async (peer) => {
        await peer.when(() => peer.heard(1).statuses.includes(100), "100 Continue");
        peer.send(lastData(1, "body"));
        expect((await peer.answer(1)).body).toBe("body");
      },
    ],
    [
      "an answer before the end of the request",
      [post(1, "/respond")],
      async (peer) => {
        await peer.when(() => peer.heard(1).ended, "the answer");
        expect([peer.heard(1).status, peer.heard(1).body]).toEqual([200, "here"]);
        peer.send(lastData(1));
        await peer.settled();
      },
    ],
  ],

  "9113 8.1.1": [
    [
      "less than content-length, in HEADERS",
      [lastHeaders(1, [...requestFields("POST", "/"), ["content-length", "1"]])],
      MALFORMED,
    ],
    ["less than content-length", [post(1, "/", [["content-length", "5"]]), lastData(1, "body")], MALFORMED],
    ["more than content-length", [post(1, "/", [["content-length", "3"]]), lastData(1, "body")], MALFORMED],
    [
      "more than content-length, in pieces",
      [post(1, "/", [["content-length", "3"]]), data(1, "bo"), lastData(1, "dy")],
      MALFORMED,
    ],
    [
      "more than content-length, before the end",
      [post(1, "/held", [["content-length", "3"]]), data(1, "body")],
      MALFORMED,
    ],
    [
      "less than content-length before trailers",
      [post(1, "/", [["content-length", "5"]]), data(1, "body"), lastHeaders(1, [["x", "y"]])],
      MALFORMED,
    ],
    [
      "exactly content-length",
      [post(1, "/", [["content-length", "4"]]), data(1, "bo"), data(1, "dy"), lastData(1)],
      "answer 1 200",
    ],
    ["content-length 0", [lastHeaders(1, [...requestFields("POST", "/"), ["content-length", "0"]])], "answer 1 200"],
    ...["-1", "+4", "4 ", "0x4", "4,5", "", "4.0", "99999999999999999999"].map(
      (value): Row => [
        `content-length ${JSON.stringify(value)}`,
        [post(1, "/", [["content-length", value]]), lastData(1, "body")],
        MALFORMED,
      ],
    ),
    [
      "two content-lengths",
      [
        post(1, "/", [
          ["content-length", "4"],
          ["content-length", "5"],
        ]),
        lastData(1, "body"),
      ],
      MALFORMED,
    ],
    [
      "a malformed request reaches nobody",
      [post(1, "/echo", [["content-length", "9"]]), data(1, "body"), lastData(1)],
      async (peer, subject) => {
        const before = subject.backend.requests.length;
        expect((await peer.answer(1)).reset).toBe("PROTOCOL_ERROR");
        await subject.expectWitness();
        expect(subject.backend.requests).toHaveLength(before + 1);
      },
    ],
    [
      "the table is kept through a malformed block",
      [
        lastHeaders(
          1,
          Buffer.concat([encodeFields([...GET, ["connection", "x"]]), Buffer.from([0x40, 1, 120, 1, 121])]),
        ),
        lastHeaders(3, Buffer.concat([encodeFields(GET), Buffer.from([0x80 | 62])])),
      ],
      async (peer, subject) => {
        expect((await peer.answer(1)).reset).toBe("PROTOCOL_ERROR");
        expect((await peer.answer(3)).status).toBe(200);
        expect(received(subject, "x")).toEqual(["y"]);
      },
    ],
  ],

  "9113 8.2": [
    ...BAD_NAMES.map((name) => withFields(`the name ${JSON.stringify(name)}`, [[name, "value"]])),
    ["an upper-case name in trailers", [post(1), lastHeaders(1, [["X", "y"]])], MALFORMED],
  ],

  "9113 8.2.1": [
    ...CONTROLS.flatMap((text) => [
      withFields(`${JSON.stringify(text)} in a value`, [["x", `a${text}b`]]),
      withFields(`${JSON.stringify(text)} at the end of a value`, [["x", `a${text}`]]),
      malformed(`${JSON.stringify(text)} in :path`, changed(":path", `/a${text}`)),
      malformed(`${JSON.stringify(text)} in :authority`, changed(":authority", `a${text}`)),
      malformed(`${JSON.stringify(text)} in :method`, changed(":method", `GET${text}`)),
    ]),
    ...[" a", "a ", "\ta", "a\t"].map((value) => withFields(`the value ${JSON.stringify(value)}`, [["x", value]])),
    ["NUL in trailers", [post(1), lastHeaders(1, [["x", "a\0"]])], MALFORMED],
    forwarded("an empty value", [...GET, ["x-empty", ""]], (subject) =>
      expect(received(subject, "x-empty")).toEqual([""]),
    ),
    forwarded("bytes above 127 in a value", [...GET, ["x-high", "\xe4\xff"]], (subject) =>
      expect(received(subject, "x-high")).toEqual(["\xe4\xff"]),
    ),
  ],

  "9113 8.2.2": [
    ...(
      [
        ["connection", "keep-alive"],
        ["connection", "close"],
        ["proxy-connection", "keep-alive"],
        ["keep-alive", "timeout=5"],
        ["transfer-encoding", "chunked"],
        ["upgrade", "h2c"],
        ["te", "gzip"],
        ["te", "trailers, deflate"],
        ["te", ""],
      ] as const
    ).map(([name, value]) => withFields(`${name}: ${value}`, [[name, value]])),
    ["te: trailers", [get(1, "/", [["te", "trailers"]])], "answer 1 200"],
    [
      "transfer-encoding with a body",
      [post(1, "/", [["transfer-encoding", "chunked"]]), lastData(1, "0\r\n\r\n")],
      MALFORMED,
    ],
    ["connection in trailers", [post(1), lastHeaders(1, [["connection", "x"]])], MALFORMED],
    [
      "none of them in answers",
      [get(1, "/hop"), get(3, "/trailers")],
      async (peer) => {
        await peer.answer(3);
        const names = [...(await peer.answer(1)).blocks, ...peer.heard(3).blocks].flat().map(({ name }) => name);
        for (const name of ["connection", "x-hop", "keep-alive", "proxy-connection", "transfer-encoding"])
          expect(names).not.toContain(name);
      },
    ],
    [
      "names in answers are lower-case",
      [get(1, "/upper")],
      async (peer) => {
        const heard = await peer.answer(1);
        expect(heard.field("x-upper-case")).toBe("Value");
        expect(heard.blocks.flat().filter(({ name }) => /[A-Z]/.test(name))).toEqual([]);
      },
    ],
  ],

  "9113 8.2.3": [
    forwarded(
      "cookies are one again",
      [...GET, ["cookie", "a=1"], ["x", "y"], ["cookie", "b=2"], ["cookie", "c=3"]],
      (subject) => expect(received(subject, "cookie")).toEqual(["a=1; b=2; c=3"]),
    ),
  ],

  "9113 8.3": [
    withFields("an unknown one", [[":unknown", "x"]]),
    malformed("an unknown one among them", [[":unknown", "x"], ...GET]),
    malformed("one of answers", [...GET, [":status", "200"]]),
    malformed("behind a field", [...GET.slice(0, 3), ["x", "y"], GET[3]!]),
    ["in trailers", [post(1), lastHeaders(1, [[":method", "GET"]])], MALFORMED],
    [
      "of an answer in trailers",
      [
        post(1),
        lastHeaders(1, [
          ["x", "y"],
          [":status", "200"],
        ]),
      ],
      MALFORMED,
    ],
    malformed("an empty name", [...GET, [":", "x"]]),
  ],

  "9113 8.3.1": [
    malformed("no :method", without(":method")),
    malformed("no :scheme", without(":scheme")),
    malformed("no :path", without(":path")),
    malformed("none at all", [["x", "y"]]),
    malformed("no fields", []),
    malformed("two :method", [...GET.slice(0, 1), ...GET]),
    malformed("two :scheme", [GET[0]!, [":scheme", "http"], ...GET.slice(1)]),
    malformed("two :path", [...GET, [":path", "/"]]),
    malformed("two :authority", [...GET, [":authority", "app.example"]]),
    malformed("an empty :path", changed(":path", "")),
    malformed("a :path without /", changed(":path", "a/b")),
    malformed("an absolute :path", changed(":path", "http://app.example/")),
    malformed("* for another method than OPTIONS", changed(":path", "*")),
    malformed("a :path with a blank", changed(":path", "/a b")),
    malformed("a :path with a fragment", changed(":path", "/a#b")),
    malformed("an empty :method", changed(":method", "")),
    malformed(":method with a blank", changed(":method", "GET /evil")),
    malformed("an empty :scheme", changed(":scheme", "")),
    malformed(":scheme with a blank", changed(":scheme", "http ://x")),
    malformed("userinfo in :authority", changed(":authority", "user:pass@app.example")),
    malformed(":authority with a blank", changed(":authority", "app example")),
    malformed(":authority with a path", changed(":authority", "app.example/x")),
    withFields("another host than :authority", [["host", "other.example"]]),
    forwarded("the same host as :authority", [...GET, ["host", "app.example"]], (subject) =>
      expect(received(subject, "host")).toEqual(["app.example"]),
    ),
    forwarded("host alone", [...without(":authority"), ["host", "app.example"]], (subject) =>
      expect(received(subject, "host")).toEqual(["app.example"]),
    ),
    ["two hosts", [lastHeaders(1, [...without(":authority"), ["host", "a"], ["host", "a"]])], MALFORMED],
    forwarded("OPTIONS *", requestFields("OPTIONS", "*"), (subject) =>
      expect(subject.last.first).toStartWith("OPTIONS *"),
    ),
    forwarded("what goes on", requestFields("GET", "/p?q=1"), (subject) => {
      expect([subject.last.first, received(subject, "host")]).toEqual(["GET /p?q=1 HTTP/1.1", ["app.example"]]);
      expect(subject.last.fields.filter(([name]) => name.startsWith(":"))).toEqual([]);
    }),
  ],

  "9113 8.5": [
    ["CONNECT with :path", [lastHeaders(1, requestFields("CONNECT", "/"))], MALFORMED],
    malformed("CONNECT with :scheme", [
      [":method", "CONNECT"],
      [":authority", "a:1"],
      [":scheme", "http"],
    ]),
    malformed("CONNECT without :authority", [[":method", "CONNECT"]]),
    [
      "CONNECT as it should be is refused",
      [
        headers(1, [
          [":method", "CONNECT"],
          [":authority", "a.example:443"],
        ]),
      ],
      async (peer) => {
        expect((await peer.head(1)).status).toBe(405);
      },
    ],
  ],

  "8441 4": [
    malformed(":protocol without CONNECT", [...GET, [":protocol", "websocket"]]),
    malformed(":protocol without :path", [
      [":method", "CONNECT"],
      [":protocol", "websocket"],
      [":scheme", "http"],
      [":authority", "a"],
    ]),
    malformed(":protocol without :scheme", [
      [":method", "CONNECT"],
      [":protocol", "websocket"],
      [":path", "/"],
      [":authority", "a"],
    ]),
    malformed("two :protocol", [
      ...requestFields("CONNECT", "/"),
      [":protocol", "websocket"],
      [":protocol", "websocket"],
    ]),
    [
      "the server says that it may be asked",
      [],
      async (peer) => {
        await peer.settled();
        expect(peer.settings.get(SETTING.ENABLE_CONNECT_PROTOCOL)).toBe(1);
      },
    ],
    [
      "a protocol that nobody knows",
      [headers(1, [...requestFields("CONNECT", "/"), [":protocol", "unknown"]])],
      async (peer) => {
        expect((await peer.head(1)).status).toBeOneOf([400, 404, 501]);
      },
    ],
  ],

  "9113 10.3": [
    [
      "a body that is another request",
      [
        headers(1, requestFields("POST", "/echo", [["content-length", "38"]])),
        lastData(1, "GET /evil HTTP/1.1\r\nHost: app.example\r\n\r\n".slice(0, 38)),
      ],
      async (peer, subject) => {
        expect((await peer.answer(1)).status).toBe(200);
        await subject.expectWitness();
        expect(subject.backend.requests.map(({ target }) => target)).not.toContain("/evil");
      },
    ],
    withFields("Transfer-Encoding beside content-length", [
      ["content-length", "0"],
      ["transfer-encoding", "chunked"],
    ]),
  ],
});

const status =
  (want: number) =>
  async (peer: H2Peer): Promise<void> => {
    const heard = await peer.head(1);
    expect([heard.status, peer.goaway]).toEqual([want, null]);
  };

conformance({
  "9113 10.5 (limits)": [
    [
      "more fields than allowed: 431",
      [
        get(
          1,
          "/",
          Array.from({ length: 150 }, (_, index) => [`x-${index}`, "y"]),
        ),
      ],
      status(431),
    ],
    [
      "a larger head than allowed: 431",
      [headers(1, [...GET, ["x", "v".repeat(10_000)]], END_STREAM), ...more(4)],
      status(431),
    ],
    ["a longer path than allowed: 414", [get(1, `/${"p".repeat(9000)}`)], status(414)],
  ],
});

/** CONTINUATIONs of 10 KB each. */
function more(count: number): Buffer[] {
  const block = encodeFields([["y", "v".repeat(10_000)]]);
  return Array.from({ length: count }, (_, index) => continuation(1, block, index === count - 1 ? 4 : 0));
}
