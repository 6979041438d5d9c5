// Every MUST of RFC 9113 and RFC 7541 that a server can break towards us: the client gets a 502 (or a cut, once the
// answer has begun), the server is told why, and nobody else notices.
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import { encodeFields, type Fields, indexed, literal, tableSize } from "./support/h2-hpack.ts";
import { answerH2, H2Peer, type H2Request, H2Server } from "./support/h2-peer.ts";
import {
  ACK,
  continuation,
  data,
  dependency,
  END_HEADERS,
  END_STREAM,
  frame,
  get,
  headers,
  lastData,
  lastHeaders,
  PADDED,
  PRIORITISED,
  ping,
  priority,
  requestFields,
  respond,
  rst,
  SETTING,
  type SettingName,
  settings,
  uint32,
  windowUpdate,
} from "./support/h2-wire.ts";
import { proxyTo, type TestProxy } from "./support/proxy.ts";

/** What the server sends for a request for `/broken`. */
let misbehave: (request: H2Request) => Buffer;
let server: H2Server;
let proxy: TestProxy;
let client: H2Peer;
/** The server's side of the answer to `/held`, which stays open. */
let held: H2Request;

beforeAll(async () => {
  server = await H2Server.start({
    serve(request) {
      const { peer, stream, path } = request;
      if (path === "/broken") peer.send(misbehave(request));
      else if (path !== "/held") peer.send(answerH2(stream, 200, path));
      else {
        held = request;
        peer.send(respond(stream, 200));
      }
    },
  });
  proxy = await proxyTo("app", {
    listener: { h2c: true },
    upstreams: { app: { servers: [`h2c://127.0.0.1:${server.port}`], retry: false, outlier: false } },
  });
});
afterAll(async () => {
  await proxy[Symbol.asyncDispose]();
  await server[Symbol.asyncDispose]();
});
beforeEach(async () => {
  client = await H2Peer.connect(proxy.port);
});
afterEach(async () => {
  await client[Symbol.asyncDispose]();
});

/** What a server sends on the stream of a request. */
type Bytes = (stream: number) => Buffer;
/** The client's part: a status, or `cut` once the answer had begun. */
type Told = number | "cut";
type Row = readonly [name: string, bytes: Bytes, code: string, told?: Told, method?: string];
type Sections = Readonly<Record<string, readonly Row[]>>;

/** Asks for `/broken` while the answer to `/held` is under way on the same connection. */
async function ask(bytes: Bytes, method = "GET"): Promise<void> {
  misbehave = ({ stream }) => bytes(stream);
  client.send(get(1, "/held"));
  await client.head(1);
  client.send(lastHeaders(3, requestFields(method, "/broken")));
}

async function expectTold(told: Told): Promise<void> {
  await client.when(() => client.heard(3).ended || client.heard(3).reset !== null, "what the client is told");
  const { ended, reset, status } = client.heard(3);
  expect(reset !== null && !ended ? "cut" : status).toBe(told);
}

async function expectNext(): Promise<void> {
  expect((await client.get(5, "/next")).body).toBe("/next");
}

/** Makes tests of a table: each row is asked for, and `check` looks at the rest. */
function conformance(sections: Sections, check: (code: string) => Promise<void>): void {
  for (const [section, rows] of Object.entries(sections))
    describe(`RFC ${section}`, () => {
      for (const [name, bytes, code, told = 502, method] of rows)
        test(name, async () => {
          await ask(bytes, method);
          await expectTold(told);
          await check(code);
        });
    });
}

/** The server breaks the whole connection: it is told so, and the next request takes another one. */
const connectionErrors = (sections: Sections): void =>
  conformance(sections, async (code) => {
    await held.peer.peer.end();
    expect(code.split("|")).toContain(String(held.peer.goaway?.code));
    expect((await client.answer(1)).reset).not.toBe(null);
    await expectNext();
  });

/** The server breaks one answer: what else is under way on the connection goes on. */
const streamErrors = (sections: Sections): void =>
  conformance(sections, async (code) => {
    const { peer, stream } = held;
    const broken = () => [...peer.streams.values()].findLast((heard) => heard.id > stream);
    if (code !== "") await peer.when(() => broken()?.reset !== null || peer.goaway !== null, code);
    expect([String(broken()?.reset ?? ""), peer.goaway]).toEqual([code, null]);
    peer.send(lastData(stream, "went on"));
    expect((await client.answer(1)).body).toBe("went on");
    await expectNext();
    expect(peer.peer.ended).toBe(false);
  });

const join = (...parts: readonly Buffer[]): Buffer => Buffer.concat(parts);
const many = (bytes: Buffer): Buffer => Buffer.alloc(bytes.length * 300, bytes);
const OK: Fields = [[":status", "200"]];
const status = (value: string): Fields => [[":status", value]];
/** A block of a head that lacks its end. */
const openBlock = (stream: number): Buffer => headers(stream, OK, END_STREAM);
const INTRUDERS: readonly (readonly [type: string, bytes: Bytes])[] = [
  ["DATA", (stream) => data(stream, "x")],
  ["HEADERS", (stream) => lastHeaders(stream, OK)],
  ["PRIORITY", (stream) => priority(stream)],
  ["RST_STREAM", (stream) => rst(stream)],
  ["SETTINGS", () => settings()],
  ["PING", () => ping()],
  ["GOAWAY", () => frame("GOAWAY", 0, 0, Buffer.alloc(8))],
  ["WINDOW_UPDATE", () => windowUpdate(0, 1)],
  ["CONTINUATION of another stream", (stream) => continuation(stream + 2, [])],
  ["an unknown frame", () => frame(0x16, 0)],
];
const BAD_SETTINGS: readonly (readonly [name: SettingName, value: number, code: string])[] = [
  ["ENABLE_PUSH", 1, "PROTOCOL_ERROR"],
  ["ENABLE_PUSH", 2, "PROTOCOL_ERROR"],
  ["INITIAL_WINDOW_SIZE", 0x8000_0000, "FLOW_CONTROL_ERROR"],
  ["MAX_FRAME_SIZE", 16_383, "PROTOCOL_ERROR"],
  ["MAX_FRAME_SIZE", 16_777_216, "PROTOCOL_ERROR"],
  ["ENABLE_CONNECT_PROTOCOL", 2, "PROTOCOL_ERROR"],
];
const SIZES: readonly (readonly [what: string, bytes: Bytes])[] = [
  ["HEADERS of 2^24 - 1 bytes", (stream) => frame("HEADERS", stream, 5, "", 0xff_ffff)],
  ["SETTINGS of 2^24 - 1 bytes", () => frame("SETTINGS", 0, 0, "", 0xff_ffff)],
  ["RST_STREAM of 3 bytes", (stream) => frame("RST_STREAM", stream, 0, "123")],
  ["SETTINGS of 5 bytes", () => frame("SETTINGS", 0, 0, "12345")],
  ["an acknowledgement with content", () => frame("SETTINGS", 0, ACK, "123456")],
  ["PING of 7 bytes", () => frame("PING", 0, 0, "1234567")],
  ["GOAWAY of 7 bytes", () => frame("GOAWAY", 0, 0, "1234567")],
  ["WINDOW_UPDATE of 5 bytes", () => frame("WINDOW_UPDATE", 0, 0, "12345")],
];

connectionErrors({
  "9113 4.2": SIZES.map(([what, bytes]): Row => [what, bytes, "FRAME_SIZE_ERROR"]),
  "9113 4.3": [
    ["a block that cannot be decoded", (stream) => lastHeaders(stream, Buffer.from([0x40])), "COMPRESSION_ERROR"],
    [
      "trailers that cannot be decoded",
      (stream) => join(respond(stream, 200), lastHeaders(stream, indexed(70))),
      "COMPRESSION_ERROR",
      "cut",
    ],
    ...INTRUDERS.map(
      ([type, bytes]): Row => [
        `${type} within a block`,
        (stream) => join(openBlock(stream), bytes(stream)),
        "PROTOCOL_ERROR",
      ],
    ),
  ],
  "9113 5.1": [
    ["DATA on an idle stream", (stream) => data(stream + 2, "x"), "PROTOCOL_ERROR"],
    ["HEADERS on an idle stream", (stream) => lastHeaders(stream + 2, OK), "PROTOCOL_ERROR"],
    ["RST_STREAM on an idle stream", (stream) => rst(stream + 2), "PROTOCOL_ERROR"],
    ["WINDOW_UPDATE on an idle stream", (stream) => windowUpdate(stream + 2, 1), "PROTOCOL_ERROR"],
    ["CONTINUATION without a block", (stream) => continuation(stream, OK), "PROTOCOL_ERROR"],
    ["HEADERS on a stream of its own", () => lastHeaders(2, OK), "PROTOCOL_ERROR"],
    ["DATA on a stream of its own", () => data(2, "x"), "PROTOCOL_ERROR"],
    ["WINDOW_UPDATE on a stream of its own", () => windowUpdate(2, 1), "PROTOCOL_ERROR"],
    ["RST_STREAM on a stream of its own", () => rst(2), "PROTOCOL_ERROR"],
  ],
  "9113 6": [
    ["DATA on the connection", () => data(0, "x"), "PROTOCOL_ERROR"],
    ["HEADERS on the connection", () => lastHeaders(0, OK), "PROTOCOL_ERROR"],
    ["PRIORITY on the connection", () => priority(0), "PROTOCOL_ERROR"],
    ["RST_STREAM on the connection", () => rst(0), "PROTOCOL_ERROR"],
    ["SETTINGS on a stream", (stream) => frame("SETTINGS", stream), "PROTOCOL_ERROR"],
    ["PING on a stream", (stream) => frame("PING", stream, 0, "12345678"), "PROTOCOL_ERROR"],
    ["GOAWAY on a stream", (stream) => frame("GOAWAY", stream, 0, "12345678"), "PROTOCOL_ERROR"],
    ["more padding than DATA", (s) => join(respond(s, 200), data(s, [9, 1], PADDED)), "PROTOCOL_ERROR", "cut"],
    ["more padding than HEADERS", (s) => frame("HEADERS", s, 5 | PADDED, [9, 0x88]), "PROTOCOL_ERROR"],
    ["a priority that stops", (s) => frame("HEADERS", s, 5 | PRIORITISED, [0, 0]), "FRAME_SIZE_ERROR|PROTOCOL_ERROR"],
  ],
  "9113 6.5.2": BAD_SETTINGS.map(
    ([name, value, code]): Row => [`${name} ${value}`, () => settings([[SETTING[name], value]]), code],
  ),
  "9113 6.6": [
    [
      "a push, which we never allow",
      (s) => frame("PUSH_PROMISE", s, END_HEADERS, join(uint32(2), encodeFields(requestFields("GET", "/")))),
      "PROTOCOL_ERROR",
    ],
  ],
  "9113 6.9": [
    ["0 on the connection", () => windowUpdate(0, 0), "PROTOCOL_ERROR"],
    ["too much on the connection", () => windowUpdate(0, 0x7fff_ffff), "FLOW_CONTROL_ERROR"],
  ],
  "7541 2.3.3": [["an index behind the tables", (s) => lastHeaders(s, indexed(90)), "COMPRESSION_ERROR"]],
  "7541 4.2": [
    [
      "a change of size behind fields",
      (s) => lastHeaders(s, join(encodeFields(OK), tableSize(0))),
      "COMPRESSION_ERROR",
    ],
  ],
  "9113 10.5": [
    ["SETTINGS by the hundred", () => many(settings({ MAX_FRAME_SIZE: 16_384 })), "ENHANCE_YOUR_CALM"],
    ["PING by the hundred", () => many(ping()), "ENHANCE_YOUR_CALM"],
    ["unknown frames by the hundred", () => many(frame(0x77, 0)), "ENHANCE_YOUR_CALM"],
    ["empty DATA by the hundred", (s) => join(respond(s, 200), many(data(s))), "ENHANCE_YOUR_CALM", "cut"],
    ["CONTINUATION by the hundred", (s) => join(openBlock(s), many(continuation(s, [], 0))), "ENHANCE_YOUR_CALM"],
    [
      "a head of 700 KB out of 16 KB",
      (s) => join(lastHeaders(s, Buffer.concat([encodeFields(OK), Buffer.alloc(16_000, 0x80 | 15)]))),
      "ENHANCE_YOUR_CALM",
    ],
    [
      "a head of 450 KB",
      (s) =>
        join(
          headers(s, OK, END_STREAM),
          ...Array.from({ length: 30 }, (_, i) => continuation(s, [[`x-${i}`, "v".repeat(15_000)]], i < 29 ? 0 : 4)),
        ),
      "ENHANCE_YOUR_CALM",
    ],
  ],
  "7541 6.3": [
    [
      "a table larger than allowed",
      (s) => lastHeaders(s, join(tableSize(4097), encodeFields(OK))),
      "COMPRESSION_ERROR",
    ],
  ],
});

const malformed = (name: string, fields: Fields): Row => [name, (s) => lastHeaders(s, fields), "PROTOCOL_ERROR"];
const withField = (name: string, value: string): Row =>
  malformed(`${JSON.stringify(name)}: ${JSON.stringify(value)}`, [...OK, [name, value]]);

streamErrors({
  "9113 5.1": [
    ["DATA before HEADERS", (s) => lastData(s, "x"), "PROTOCOL_ERROR"],
    ["the server ends the stream", (s) => rst(s, "INTERNAL_ERROR"), ""],
    ["the server ends the stream in the middle", (s) => join(respond(s, 200), data(s, "x"), rst(s)), "", "cut"],
    ["the server ends the stream without an error", (s) => rst(s, "NO_ERROR"), ""],
  ],
  "9113 6.3": [["PRIORITY of 4 bytes", (s) => frame("PRIORITY", s, 0, "1234"), "FRAME_SIZE_ERROR"]],
  "9113 6.9": [
    ["0 on a stream", (s) => windowUpdate(s, 0), "PROTOCOL_ERROR"],
    ["too much on a stream", (s) => windowUpdate(s, 0x7fff_ffff), "FLOW_CONTROL_ERROR"],
  ],
  "9113 8.1": [
    ["HEADERS in the middle", (s) => join(respond(s, 200), data(s, "x"), respond(s, 200)), "PROTOCOL_ERROR", "cut"],
    ["an interim answer that ends", (s) => lastHeaders(s, status("103")), "PROTOCOL_ERROR"],
    ["DATA behind an interim answer", (s) => join(respond(s, 103), lastData(s, "x")), "PROTOCOL_ERROR"],
    ["fields of trailers first", (s) => lastHeaders(s, [["x", "y"]]), "PROTOCOL_ERROR"],
    [
      "trailers that do not end",
      (s) => join(respond(s, 200), data(s, "x"), headers(s, [["x", "y"]])),
      "PROTOCOL_ERROR",
      "cut",
    ],
  ],
  "9113 10.5": [
    ["interim answers without end", (s) => join(...Array.from({ length: 50 }, () => respond(s, 103))), "CANCEL"],
  ],
  "9113 8.1.1": [
    ["less than content-length", (s) => answerH2(s, 200, "body", [["content-length", "5"]]), "PROTOCOL_ERROR", "cut"],
    ["more than content-length", (s) => answerH2(s, 200, "body", [["content-length", "3"]]), "PROTOCOL_ERROR", "cut"],
    ["no body, but a length", (s) => lastHeaders(s, [...OK, ["content-length", "3"]]), "PROTOCOL_ERROR"],
    [
      "two lengths",
      (s) =>
        answerH2(s, 200, "b", [
          ["content-length", "1"],
          ["content-length", "2"],
        ]),
      "PROTOCOL_ERROR",
    ],
    ["no length", (s) => answerH2(s, 200, "b", [["content-length", "x"]]), "PROTOCOL_ERROR"],
    ["a body of HEAD", (s) => answerH2(s, 200, "b"), "PROTOCOL_ERROR", 200, "HEAD"],
    ["a body of 204", (s) => answerH2(s, 204, "b"), "PROTOCOL_ERROR", 204],
    ["a body of 304", (s) => answerH2(s, 304, "b"), "PROTOCOL_ERROR", 304],
  ],
  "9113 8.2": [
    withField("X-Upper", "value"),
    withField("", "value"),
    withField("a b", "value"),
    withField("a\r", "value"),
    withField("a:b", "value"),
    withField("x", "a\0b"),
    withField("x", "a\r\nb: c"),
    withField("x", " a"),
    withField("x", "a\t"),
    [
      "an upper-case name in trailers",
      (s) => join(respond(s, 200), lastHeaders(s, [["X", "y"]])),
      "PROTOCOL_ERROR",
      "cut",
    ],
  ],
  "9113 8.2.2": [
    withField("connection", "close"),
    withField("proxy-connection", "close"),
    withField("keep-alive", "timeout=5"),
    withField("transfer-encoding", "chunked"),
    withField("upgrade", "h2c"),
  ],
  "9113 8.3": [
    malformed("an unknown one", [...OK, [":unknown", "x"]]),
    malformed("one of requests", [...OK, [":path", "/"]]),
    malformed("behind a field", [["x", "y"], ...OK]),
    ["in trailers", (s) => join(respond(s, 200), lastHeaders(s, [[":status", "200"]])), "PROTOCOL_ERROR", "cut"],
  ],
  "9113 8.3.2": [
    malformed("no :status", [["x", "y"]]),
    malformed("no fields at all", []),
    malformed("two :status", [...OK, ...OK]),
    ...["", "20", "2000", "2x0", "99", "600", " 200", "-20"].map((value) =>
      malformed(`:status ${JSON.stringify(value)}`, status(value)),
    ),
  ],
  "9113 8.6": [["101", (s) => headers(s, status("101")), "PROTOCOL_ERROR"]],
});

// What servers may do, however odd.
streamErrors({
  "9113 (what is allowed)": [
    ["a whole answer in one frame", (s) => lastHeaders(s, OK), "", 200],
    [
      "padding everywhere",
      (s) =>
        join(
          frame("HEADERS", s, 0xc, join(Buffer.from([3]), encodeFields(OK), Buffer.alloc(3))),
          data(s, [2, 65, 0, 0], PADDED | END_STREAM),
        ),
      "",
      200,
    ],
    ["a priority", (s) => headers(s, join(dependency(0), encodeFields(OK)), 0x25), "", 200],
    ["CONTINUATION", (s) => join(headers(s, OK, END_STREAM), continuation(s, [["x", "y"]])), "", 200],
    ["interim answers", (s) => join(respond(s, 103), respond(s, 103), answerH2(s, 200, "x")), "", 200],
    ["trailers", (s) => join(respond(s, 200), data(s, "x"), lastHeaders(s, [["x", "y"]])), "", 200],
    ["unknown frames", (s) => join(frame(0x77, 0), frame(0x77, s), frame(0x77, s + 2), answerH2(s, 200)), "", 200],
    ["unknown settings", (s) => join(settings([[0x7777, 1]]), answerH2(s, 200)), "", 200],
    [
      "a window of nothing",
      (s) => join(settings({ INITIAL_WINDOW_SIZE: 0 }), settings({ INITIAL_WINDOW_SIZE: 65_535 }), answerH2(s, 200)),
      "",
      200,
    ],
    ["PING", (s) => join(ping(), answerH2(s, 200)), "", 200],
    ["an unasked answer to PING", (s) => join(ping("nobody..", ACK), answerH2(s, 200)), "", 200],
    ["a length without a body to HEAD", (s) => lastHeaders(s, [...OK, ["content-length", "3"]]), "", 200, "HEAD"],
    [
      "a length without a body of 304",
      (s) =>
        lastHeaders(s, [
          [":status", "304"],
          ["content-length", "3"],
        ]),
      "",
      304,
    ],
    ["empty DATA to HEAD", (s) => answerH2(s, 200, ""), "", 200, "HEAD"],
    [
      "fields added to the table",
      (s) => join(lastHeaders(s, join(encodeFields(OK), literal("x", "y", "incremental")))),
      "",
      200,
    ],
    [
      "a window of the last stream",
      (s) => join(answerH2(s, 200), windowUpdate(s, 1), rst(s, "NO_ERROR"), priority(s)),
      "",
      200,
    ],
    ["a code that nobody knows", (s) => join(respond(s, 299), lastData(s, "x")), "", 299],
  ],
});
