// Every MUST of RFC 9113 sections 3 to 7 that a client can see: what it sends, and what must come of it.
import { expect } from "bun:test";
import { encodeFields, type Fields, literal } from "./support/h2-hpack.ts";
import type { H2Peer } from "./support/h2-peer.ts";
import { conformance, type Row } from "./support/h2-table.ts";
import {
  ACK,
  continuation,
  data,
  dependency,
  END_HEADERS,
  END_STREAM,
  type FrameType,
  frame,
  get,
  goaway,
  headers,
  lastData,
  lastHeaders,
  PADDED,
  PREFACE,
  PRIORITISED,
  padded,
  ping,
  post,
  priority,
  requestFields,
  rst,
  SETTING,
  SETTINGS_ACK,
  settings,
  uint32,
  windowUpdate,
} from "./support/h2-wire.ts";

const GET = requestFields("GET", "/");
const HELD = requestFields("GET", "/held");
/** A block that lacks its end. */
const OPEN_BLOCK = headers(1, GET, END_STREAM);
/** One frame of each type, none of which may come into a block. */
const INTRUDERS: readonly (readonly [type: string, bytes: Buffer])[] = [
  ["DATA", data(1, "x")],
  ["HEADERS on another stream", get(3)],
  ["HEADERS on the same stream", get(1)],
  ["PRIORITY", priority(1)],
  ["RST_STREAM", rst(1)],
  ["SETTINGS", settings()],
  ["PUSH_PROMISE", frame("PUSH_PROMISE", 1, END_HEADERS, uint32(2))],
  ["PING", ping()],
  ["GOAWAY", goaway(0)],
  ["WINDOW_UPDATE", windowUpdate(0, 1)],
  ["CONTINUATION of another stream", continuation(3, [])],
  ["an unknown frame", frame(0x16, 1, 0, "x")],
];
const answered = (stream: number) => (peer: H2Peer) => peer.answer(stream);
const settled = (peer: H2Peer) => peer.settled();

/** Opens so many streams that are not answered as the server allows, and `more`. */
const openAll =
  (more: number) =>
  async (peer: H2Peer): Promise<void> => {
    await peer.when(() => peer.settings.size > 0, "SETTINGS");
    const most = peer.settings.get(SETTING.MAX_CONCURRENT_STREAMS)!;
    peer.send(...Array.from({ length: most + more }, (_, index) => get(2 * index + 1, "/held")));
  };

conformance({
  "9113 3.4": [
    ["a whole preface", [get(1)], "answer 1 200"],
    [
      "the server's preface is SETTINGS",
      [],
      async (peer) => {
        await peer.settled();
        expect([peer.frames[0]?.type, peer.frames[0]!.flags & ACK]).toEqual(["SETTINGS", 0]);
      },
    ],
    ["a preface that goes wrong late", [], "closed", { hello: Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\rx........") }],
    ["no SETTINGS behind it", [], "connection PROTOCOL_ERROR", { hello: Buffer.concat([PREFACE, ping()]) }],
    ["a request before SETTINGS", [], "connection PROTOCOL_ERROR", { hello: Buffer.concat([PREFACE, get(1)]) }],
    [
      "an acknowledgement before SETTINGS",
      [],
      "connection PROTOCOL_ERROR",
      { hello: Buffer.concat([PREFACE, SETTINGS_ACK]) },
    ],
    ["a second preface", [PREFACE], "connection FRAME_SIZE_ERROR|PROTOCOL_ERROR"],
  ],

  "9113 4.1": [
    ["unknown type of frame", [frame(0x16, 0, 0, "what"), frame(0xff, 77, 0xff, "what")], "nothing"],
    ["unknown flags on PING", [frame("PING", 0, 0xfe, "12345678")], "nothing"],
    ["unknown flags on DATA", [post(1), data(1, "x", 0xf6 & ~PADDED), lastData(1)], "answer 1 200"],
    ["unknown flags on SETTINGS", [frame("SETTINGS", 0, 0xfe)], "nothing"],
    ["unknown flags on RST_STREAM", [get(1, "/held"), frame("RST_STREAM", 1, 0xff, uint32(8))], "nothing"],
    ["unknown flags on WINDOW_UPDATE", [frame("WINDOW_UPDATE", 0, 0xff, uint32(1))], "nothing"],
    ["unknown flags on PRIORITY", [frame("PRIORITY", 1, 0xff, dependency(0))], "nothing"],
    ["unknown flags on HEADERS", [frame("HEADERS", 1, 0xd7 & ~PADDED, encodeFields(GET))], "answer 1 200"],
    ["the reserved bit of a stream", [frame("HEADERS", 0x8000_0001, 5, encodeFields(GET))], "answer 1 200"],
    ["the reserved bit of the connection", [frame("PING", 0x8000_0000, 0, "12345678")], "nothing"],
  ],

  "9113 4.2": [
    ["DATA of 16,384 bytes", [post(1), lastData(1, "x".repeat(16_384))], "answer 1 200"],
    ["DATA of 16,385 bytes", [post(1), lastData(1, "x".repeat(16_385))], "either 1 FRAME_SIZE_ERROR"],
    [
      "HEADERS of 16,384 bytes",
      [frame("HEADERS", 1, 5 | PADDED, padded(encodeFields([...GET, ["x", "v".repeat(16_000)]]), 200))],
      "answer 1 200",
    ],
    ["HEADERS of 16,385 bytes", [frame("HEADERS", 1, 5, Buffer.alloc(16_385, 0x82))], "connection FRAME_SIZE_ERROR"],
    [
      "CONTINUATION of 16,385 bytes",
      [OPEN_BLOCK, frame("CONTINUATION", 1, 4, Buffer.alloc(16_385))],
      "connection FRAME_SIZE_ERROR",
    ],
    ["SETTINGS of 16,386 bytes", [frame("SETTINGS", 0, 0, Buffer.alloc(16_386))], "connection FRAME_SIZE_ERROR"],
    ["PING of 2^24 - 1 bytes", [frame("PING", 0, 0, "", 0xff_ffff)], "connection FRAME_SIZE_ERROR"],
    ["an unknown frame of 2^24 - 1 bytes", [frame(0x16, 0, 0, "", 0xff_ffff)], "connection FRAME_SIZE_ERROR"],
    [
      "the server keeps to 16,384 bytes as well",
      [get(1, "/big"), get(3, "/fields")],
      async (peer) => {
        const [big, fields] = [await peer.answer(1), await peer.answer(3)];
        expect([big.body.length, fields.status]).toEqual([300_000, 200]);
        expect(Math.max(...peer.frames.map(({ payload }) => payload.length))).toBeLessThanOrEqual(16_384);
        expect(peer.frames.some(({ type }) => type === "CONTINUATION")).toBe(true);
      },
    ],
  ],

  "9113 4.3": [
    ["a block that cannot be decoded", [lastHeaders(1, Buffer.from([0x40]))], "connection COMPRESSION_ERROR"],
    [
      "trailers that cannot be decoded",
      [post(1), lastHeaders(1, Buffer.from([0xff, 0xff]))],
      "connection COMPRESSION_ERROR",
    ],
    [
      "a block on a closed stream that cannot be decoded",
      [post(1), rst(1), lastHeaders(1, Buffer.from([0x40]))],
      "connection COMPRESSION_ERROR|STREAM_CLOSED",
    ],
    ...INTRUDERS.map(
      ([type, bytes]): Row => [`${type} within a block`, [OPEN_BLOCK, bytes], "connection PROTOCOL_ERROR"],
    ),
    ...INTRUDERS.slice(0, 10).map(
      ([type, bytes]): Row => [
        `${type} between CONTINUATIONs`,
        [OPEN_BLOCK, continuation(1, [["x", "y"]], 0), bytes],
        "connection PROTOCOL_ERROR",
      ],
    ),
    [
      "a block cut anywhere",
      [
        frame("HEADERS", 1, END_STREAM, encodeFields(GET).subarray(0, 3)),
        continuation(1, encodeFields(GET).subarray(3, 4), 0),
        continuation(1, encodeFields(GET).subarray(4)),
      ],
      "answer 1 200",
    ],
  ],

  "9113 5.1 idle": [
    ["DATA", [data(1, "x")], "connection PROTOCOL_ERROR"],
    ["RST_STREAM", [rst(1)], "connection PROTOCOL_ERROR"],
    ["WINDOW_UPDATE", [windowUpdate(1, 1)], "connection PROTOCOL_ERROR"],
    ["CONTINUATION", [continuation(1, GET)], "connection PROTOCOL_ERROR"],
    ["DATA on a stream of the server's", [data(2, "x")], "connection PROTOCOL_ERROR"],
    ["RST_STREAM on a stream of the server's", [rst(2)], "connection PROTOCOL_ERROR"],
    ["WINDOW_UPDATE on a stream of the server's", [windowUpdate(2, 1)], "connection PROTOCOL_ERROR"],
    ["DATA above the last stream", [get(1), data(3, "x")], "connection PROTOCOL_ERROR"],
    ["PRIORITY", [priority(1), priority(77), get(1)], "answer 1 200"],
  ],

  "9113 5.1 half-closed (remote)": [
    ["DATA", [get(1, "/held"), data(1, "x")], "stream 1 STREAM_CLOSED"],
    ["empty DATA", [get(1, "/held"), lastData(1)], "stream 1 STREAM_CLOSED"],
    ["HEADERS", [get(1, "/held"), lastHeaders(1, HELD)], "either 1 STREAM_CLOSED"],
    ["trailers", [get(1, "/held"), lastHeaders(1, [["x", "y"]])], "either 1 STREAM_CLOSED"],
    ["CONTINUATION", [get(1, "/held"), continuation(1, [["x", "y"]])], "connection PROTOCOL_ERROR|STREAM_CLOSED"],
    ["WINDOW_UPDATE", [get(1, "/held"), windowUpdate(1, 1)], "nothing"],
    ["PRIORITY", [get(1, "/held"), priority(1)], "nothing"],
    ["RST_STREAM", [get(1, "/held"), rst(1)], "nothing"],
    ["DATA after a body", [post(1, "/held"), lastData(1, "x"), data(1, "y")], "stream 1 STREAM_CLOSED"],
    ["DATA after trailers", [post(1, "/held"), lastHeaders(1, [["x", "y"]]), data(1)], "stream 1 STREAM_CLOSED"],
  ],

  "9113 5.1 closed": [
    ["DATA after RST_STREAM", [post(1, "/held"), rst(1), data(1, "x")], "either 1 STREAM_CLOSED"],
    ["HEADERS after RST_STREAM", [post(1, "/held"), rst(1), lastHeaders(1, GET)], "either 1 STREAM_CLOSED"],
    [
      "CONTINUATION after RST_STREAM",
      [post(1, "/held"), rst(1), continuation(1, [["x", "y"]])],
      "connection PROTOCOL_ERROR|STREAM_CLOSED",
    ],
    ["PRIORITY after RST_STREAM", [post(1, "/held"), rst(1), priority(1)], "nothing"],
    ["DATA after both ends", [get(1), answered(1), data(1, "x")], "either 1 STREAM_CLOSED"],
    ["HEADERS after both ends", [get(1), answered(1), lastHeaders(1, GET)], "either 1 STREAM_CLOSED"],
    [
      "CONTINUATION after both ends",
      [get(1), answered(1), continuation(1, [["x", "y"]])],
      "connection PROTOCOL_ERROR|STREAM_CLOSED",
    ],
    ["WINDOW_UPDATE after both ends", [get(1), answered(1), windowUpdate(1, 1)], "nothing"],
    ["RST_STREAM after both ends", [get(1), answered(1), rst(1)], "nothing"],
    ["PRIORITY after both ends", [get(1), answered(1), priority(1)], "nothing"],
    [
      "what comes late on a stream that the server has reset",
      [
        post(1, "/", [["connection", "x"]]),
        data(1, "x"),
        windowUpdate(1, 5),
        priority(1),
        lastHeaders(1, [["x", "y"]]),
      ],
      "stream 1 PROTOCOL_ERROR",
    ],
    [
      "RST_STREAM on a stream that the server has reset",
      [post(1, "/", [["connection", "x"]]), rst(1)],
      "stream 1 PROTOCOL_ERROR",
    ],
  ],

  "9113 5.1.1": [
    ["an even number", [get(2)], "connection PROTOCOL_ERROR"],
    ["a lower number than before", [get(5), answered(5), get(3)], "connection PROTOCOL_ERROR"],
    ["a number that was left out is no idle stream", [get(5), data(3, "x")], "connection PROTOCOL_ERROR|STREAM_CLOSED"],
    ["numbers left out", [get(1), get(7), get(99)], "answer 99 200"],
    [
      "the highest number",
      [get(0x7fff_ffff)],
      async (peer) => expect((await peer.answer(0x7fff_ffff)).status).toBe(200),
    ],
  ],

  "9113 5.1.2": [
    [
      "more streams than announced",
      [openAll(1)],
      async (peer) => {
        const over = 2 * peer.settings.get(SETTING.MAX_CONCURRENT_STREAMS)! + 1;
        const heard = await peer.answer(over);
        expect([heard.reset, peer.goaway]).toEqual(["REFUSED_STREAM", null]);
        expect([...peer.streams.values()].filter(({ reset }) => reset !== null)).toHaveLength(1);
        peer.send(rst(1));
        expect((await peer.get(over + 2)).status).toBe(200);
      },
    ],
    ["as many streams as announced", [openAll(0), settled, rst(1)], "nothing"],
    [
      "fields of a stream that is refused stay in the table",
      [openAll(0)],
      async (peer) => {
        const over = 2 * peer.settings.get(SETTING.MAX_CONCURRENT_STREAMS)! + 1;
        const kept = Buffer.concat([encodeFields(GET), literal("x-kept", "yes", "incremental")]);
        peer.send(lastHeaders(over, kept));
        expect((await peer.answer(over)).reset).toBe("REFUSED_STREAM");
        peer.send(rst(1), lastHeaders(over + 2, Buffer.concat([encodeFields(GET), Buffer.from([0x80 | 62])])));
        expect((await peer.answer(over + 2)).status).toBe(200);
      },
    ],
  ],

  // RFC 9113 has dropped dependencies between streams; that none depends on itself is still looked for by others' tests.
  "7540 5.3.1": [
    [
      "HEADERS that depend on their own stream",
      [headers(1, Buffer.concat([dependency(1), encodeFields(GET)]), END_HEADERS | END_STREAM | PRIORITISED)],
      "either 1 PROTOCOL_ERROR",
    ],
    ["PRIORITY that depends on its own stream", [get(1, "/held"), priority(1, 1)], "either 1 PROTOCOL_ERROR"],
  ],

  "9113 5.4": [
    [
      "GOAWAY tells the last stream that was taken",
      [get(1), answered(1), get(3, "/held"), settled, frame("PING", 0, 0, "short")],
      async (peer) => {
        await peer.peer.end();
        expect(peer.goaway).toMatchObject({ last: 3, code: "FRAME_SIZE_ERROR" });
      },
    ],
    ["no RST_STREAM answers RST_STREAM", [post(1, "/held"), settled, rst(1)], "nothing"],
    ["a stream error is not the connection's", [get(1, "/", [["te", "gzip"]]), get(3)], "stream 1 PROTOCOL_ERROR"],
  ],

  "9113 5.5": [
    [
      "unknown settings",
      [
        settings([
          [0x7777, 1],
          [0xffff, 0xffff_ffff],
        ]),
      ],
      "nothing",
    ],
    ["unknown frames on streams of all states", [frame(0x20, 1), get(3), frame(0x20, 3), frame(0x20, 2)], "nothing"],
  ],
});

const EMPTY: Fields = [];
const SIZES: readonly (readonly [type: FrameType, stream: number, right: number])[] = [
  ["RST_STREAM", 1, 4],
  ["PING", 0, 8],
  ["WINDOW_UPDATE", 0, 4],
  ["WINDOW_UPDATE", 1, 4],
];
const ON_A_STREAM: readonly FrameType[] = ["SETTINGS", "PING", "GOAWAY"];
const ON_NO_STREAM: readonly (readonly [type: FrameType, bytes: Buffer])[] = [
  ["DATA", data(0, "x")],
  ["HEADERS", headers(0, GET)],
  ["PRIORITY", priority(0)],
  ["RST_STREAM", rst(0)],
  ["PUSH_PROMISE", frame("PUSH_PROMISE", 0, END_HEADERS, uint32(2))],
  ["CONTINUATION", continuation(0, EMPTY)],
];

conformance({
  "9113 6 (streams)": [
    ...ON_NO_STREAM.map(
      ([type, bytes]): Row => [`${type} on the connection`, [get(1, "/held"), bytes], "connection PROTOCOL_ERROR"],
    ),
    ...ON_A_STREAM.map(
      (type): Row => [
        `${type} on a stream`,
        [get(1, "/held"), frame(type, 1, 0, type === "SETTINGS" ? "" : "12345678")],
        "connection PROTOCOL_ERROR",
      ],
    ),
  ],
  "9113 6 (sizes)": [
    ...SIZES.flatMap(([type, stream, right]) =>
      [0, right - 1, right + 1, 2 * right].map(
        (length): Row => [
          `${type} of ${length} bytes on ${stream === 0 ? "the connection" : "a stream"}`,
          [get(1, "/held"), frame(type, stream, 0, Buffer.alloc(length, 1))],
          "connection FRAME_SIZE_ERROR",
        ],
      ),
    ),
    ["GOAWAY of 7 bytes", [frame("GOAWAY", 0, 0, Buffer.alloc(7))], "connection FRAME_SIZE_ERROR"],
    ...[0, 4, 6].map(
      (length): Row => [
        `PRIORITY of ${length} bytes`,
        [get(1, "/held"), frame("PRIORITY", 1, 0, Buffer.alloc(length))],
        "stream 1 FRAME_SIZE_ERROR",
      ],
    ),
  ],

  "9113 6.1": [
    ["padding", [post(1), data(1, padded("body", 9), PADDED), lastData(1)], "answer 1 200"],
    ["nothing but padding", [post(1), data(1, padded("", 255), PADDED), lastData(1)], "answer 1 200"],
    ["padding of no bytes", [post(1), data(1, padded("x", 0), PADDED | END_STREAM)], "answer 1 200"],
    ["as much padding as payload", [post(1), data(1, [5, 0, 0, 0, 0], PADDED)], "connection PROTOCOL_ERROR"],
    ["more padding than payload", [post(1), data(1, [255, 1, 2], PADDED)], "connection PROTOCOL_ERROR"],
    ["padded, but without the length", [post(1), data(1, "", PADDED)], "connection FRAME_SIZE_ERROR|PROTOCOL_ERROR"],
    ["empty DATA at the end", [post(1), data(1, "x"), lastData(1)], "answer 1 200"],
    [
      "padding is no part of the body",
      [post(1, "/echo"), data(1, padded("one", 100), PADDED), data(1, padded("two", 1), PADDED | END_STREAM)],
      async (peer) => expect((await peer.answer(1)).body).toBe("onetwo"),
    ],
  ],

  "9113 6.2": [
    ["padding", [frame("HEADERS", 1, 5 | PADDED, padded(encodeFields(GET), 9))], "answer 1 200"],
    ["more padding than payload", [frame("HEADERS", 1, 5 | PADDED, [9, 0x82])], "connection PROTOCOL_ERROR"],
    ["padded, but without the length", [frame("HEADERS", 1, 5 | PADDED)], "connection FRAME_SIZE_ERROR|PROTOCOL_ERROR"],
    [
      "a priority",
      [frame("HEADERS", 1, 5 | PRIORITISED, Buffer.concat([dependency(0, 255, true), encodeFields(GET)]))],
      "answer 1 200",
    ],
    [
      "a priority and padding",
      [frame("HEADERS", 1, 0x2d, padded(Buffer.concat([dependency(3), encodeFields(GET)]), 4))],
      "answer 1 200",
    ],
    [
      "a priority that stops",
      [frame("HEADERS", 1, 5 | PRIORITISED, Buffer.alloc(4))],
      "connection FRAME_SIZE_ERROR|PROTOCOL_ERROR",
    ],
    [
      "padding that reaches into the priority",
      [frame("HEADERS", 1, 0x2d, [3, 0, 0, 0, 0, 0, 0, 0])],
      "connection PROTOCOL_ERROR|FRAME_SIZE_ERROR",
    ],
  ],

  "9113 6.3": [
    ["any weight", [priority(1, 0, 0), priority(1, 0, 255), priority(3, 1), get(5)], "answer 5 200"],
    ["an idle stream, then a lower one", [priority(9), get(1)], "answer 1 200"],
    ["a stream of the server's", [priority(2), get(1)], "answer 1 200"],
  ],

  "9113 6.4": [
    [
      "every code",
      [0, 1, 2, 5, 8, 13].flatMap((code) => [get(code * 2 + 1, "/held"), rst(code * 2 + 1, code)]),
      "nothing",
    ],
    [
      "nothing more comes on a stream that was reset",
      [get(1, "/big"), (peer) => peer.head(1), rst(1), settled],
      async (peer) => {
        const before = peer.heard(1).pieces.length;
        expect((await peer.get(3)).status).toBe(200);
        expect([peer.heard(1).pieces.length, peer.heard(1).ended]).toEqual([before, false]);
      },
      { settings: { INITIAL_WINDOW_SIZE: 1000 } },
    ],
  ],

  "9113 7": [
    ["RST_STREAM with an unknown code", [get(1, "/held"), rst(1, 0xdead_beef)], "nothing"],
    [
      "GOAWAY with an unknown code",
      [get(1), goaway(0, 0xdead_beef, "bye")],
      async (peer) => expect((await peer.answer(1)).status).toBe(200),
    ],
  ],
});
