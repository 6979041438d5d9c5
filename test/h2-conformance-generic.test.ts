// What every client does, in all the forms that the RFCs allow it, and the cases of RFC 7540 that are still looked for.
import { expect } from "bun:test";
import { bitsOf, encodeFields, huffmanBits, indexed, integer, literal, tableSize, text } from "./support/h2-hpack.ts";
import type { H2Peer } from "./support/h2-peer.ts";
import { conformance, type Row } from "./support/h2-table.ts";
import {
  ACK,
  continuation,
  data,
  dependency,
  END_HEADERS,
  END_STREAM,
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
  settings,
  uint32,
  windowUpdate,
} from "./support/h2-wire.ts";

const GET = requestFields("GET", "/");
const BLOCK = encodeFields(GET);
const answered = (stream: number) => (peer: H2Peer) => peer.answer(stream);
const PRIORITY_UPDATE = 0x10;
const priorityUpdate = (stream: number, value: string, on = 0): Buffer =>
  frame(PRIORITY_UPDATE, on, 0, Buffer.concat([uint32(stream), Buffer.from(value)]));

/** A block with all pseudo-header fields but the authority from the static table, and these bytes. */
const blockWith = (...parts: readonly (Buffer | readonly number[])[]): Buffer =>
  Buffer.concat([
    indexed(2),
    indexed(6),
    indexed(4),
    literal(1, "app.example"),
    ...parts.map((part) => Buffer.from([...part])),
  ]);
/** The first byte of a literal, with the index of a name in front of its value, or a name of its own. */
const LITERALS: readonly (readonly [kind: string, first: number, bits: number])[] = [
  ["incremental indexing", 0x40, 6],
  ["no indexing", 0x00, 4],
  ["never indexing", 0x10, 4],
];

/** Opens as many streams without an end as the server allows, and one more. */
async function openTooMany(peer: H2Peer): Promise<void> {
  await peer.when(() => peer.settings.size > 0, "SETTINGS");
  const most = peer.settings.get(SETTING.MAX_CONCURRENT_STREAMS)!;
  peer.send(...Array.from({ length: most + 1 }, (_, index) => post(2 * index + 1, "/held")));
  await peer.when(() => peer.heard(2 * most + 1).reset !== null, "RST_STREAM");
}

conformance({
  "9113 3.4 (what is no preface)": [
    ["other bytes", [], "closed", { hello: Buffer.from("INVALID CONNECTION PREFACE\r\n\r\n") }],
    ["a preface with another version", [], "closed", { hello: Buffer.from("PRI * HTTP/1.0\r\n\r\nSM\r\n\r\n") }],
    ["SETTINGS alone", [], "closed", { hello: Buffer.concat([settings(), Buffer.from("\r\n\r\n")]) }],
    ["GOAWAY first", [], "connection PROTOCOL_ERROR", { hello: Buffer.concat([PREFACE, goaway(0)]) }],
    ["WINDOW_UPDATE first", [], "connection PROTOCOL_ERROR", { hello: Buffer.concat([PREFACE, windowUpdate(0, 1)]) }],
    ["an unknown frame first", [], "connection PROTOCOL_ERROR", { hello: Buffer.concat([PREFACE, frame(0x33, 0)]) }],
    [
      "a request in the same packet",
      [],
      "answer 1 200",
      { hello: Buffer.concat([PREFACE, settings({ MAX_FRAME_SIZE: 30_000 }), get(1)]) },
    ],
  ],

  "9113 5.1 (streams)": [
    ["PRIORITY on an idle stream", [priority(1), get(3)], "answer 3 200"],
    ["WINDOW_UPDATE on a half-closed stream", [get(1), windowUpdate(1, 100)], "answer 1 200"],
    ["PRIORITY on a half-closed stream", [get(1), priority(1)], "answer 1 200"],
    ["RST_STREAM on a half-closed stream", [get(1, "/held"), rst(1), get(3)], "answer 3 200"],
    ["PRIORITY on a closed stream", [get(1), answered(1), priority(1), get(3)], "answer 3 200"],
    ["RST_STREAM twice", [get(1, "/held"), rst(1), rst(1), get(3)], "answer 3 200"],
    ["WINDOW_UPDATE after RST_STREAM", [get(1, "/held"), rst(1), windowUpdate(1, 9), get(3)], "answer 3 200"],
    ["an unknown frame on a closed stream", [get(1), answered(1), frame(0x77, 1, 255, "x"), get(3)], "answer 3 200"],
    ["DATA on a stream whose block is refused", [post(1, "/", [["A", "b"]]), data(1, "x")], "stream 1 PROTOCOL_ERROR"],
    ["DATA on a stream left out", [get(9, "/held"), data(5, "x")], "connection STREAM_CLOSED|PROTOCOL_ERROR"],
    ["HEADERS on a stream left out", [get(9, "/held"), get(5)], "connection STREAM_CLOSED|PROTOCOL_ERROR"],
    ["RST_STREAM on a stream left out", [get(9, "/held"), rst(5), get(11)], (peer) => wellOr(peer, 11)],
    ["HEADERS of the server's", [lastHeaders(2, [[":status", "200"]])], "connection PROTOCOL_ERROR"],
    ["stream 0x7ffffffe", [get(0x7fff_fffe)], "connection PROTOCOL_ERROR"],
  ],
  "9113 5.1.2 (open requests)": [
    [
      "one more than announced",
      [openTooMany],
      async (peer) => {
        const over = 2 * peer.settings.get(SETTING.MAX_CONCURRENT_STREAMS)! + 1;
        expect(peer.heard(over).reset).toBeOneOf(["REFUSED_STREAM", "PROTOCOL_ERROR"]);
        // What belongs to the refused stream was on its way, and breaks nothing.
        peer.send(data(over, "x"), windowUpdate(over, 1), lastHeaders(over, [["x", "y"]]), rst(over));
        await peer.settled();
        expect(peer.goaway).toBe(null);
      },
    ],
  ],

  "9113 6.1 (DATA)": [
    ["one frame", [post(1, "/echo"), lastData(1, "test")], "answer 1 200"],
    ["several frames", [post(1, "/echo"), data(1, "te"), data(1, "s"), lastData(1, "t")], "answer 1 200"],
    ["padding", [post(1, "/echo"), data(1, padded("test", 6), PADDED | END_STREAM)], "answer 1 200"],
    [
      "padding need not be zeros",
      [post(1, "/echo"), data(1, Buffer.from("\x03testxyz", "latin1"), PADDED | END_STREAM)],
      async (peer) => expect((await peer.answer(1)).body).toBeOneOf(["test", ""]),
    ],
    ["a frame of nothing, then one of something", [post(1), data(1), data(1, "x"), lastData(1)], "answer 1 200"],
  ],
  "9113 6.2 (HEADERS)": [
    ["one frame", [get(1)], "answer 1 200"],
    ["padding", [frame("HEADERS", 1, END_HEADERS | END_STREAM | PADDED, padded(BLOCK, 6))], "answer 1 200"],
    [
      "a priority",
      [headers(1, Buffer.concat([dependency(0, 255), BLOCK]), END_HEADERS | END_STREAM | PRIORITISED)],
      "answer 1 200",
    ],
    [
      "a priority, exclusive, on a stream that does not exist",
      [headers(1, Buffer.concat([dependency(77, 0, true), BLOCK]), END_HEADERS | END_STREAM | PRIORITISED)],
      "answer 1 200",
    ],
    ["padding as long as the rest", [frame("HEADERS", 1, 5 | PADDED, padded("", 40))], "stream 1 PROTOCOL_ERROR"],
    ["no END_HEADERS, then PRIORITY", [headers(1, BLOCK, END_STREAM), priority(1)], "connection PROTOCOL_ERROR"],
  ],
  "9113 6.3 (PRIORITY)": [
    ["the least weight", [priority(1, 0, 0), get(1)], "answer 1 200"],
    ["the most weight", [priority(1, 0, 255), get(1)], "answer 1 200"],
    ["on another stream", [priority(1, 0), priority(3, 1), get(3)], "answer 3 200"],
    ["exclusive", [frame("PRIORITY", 3, 0, dependency(1, 9, true)), get(3)], "answer 3 200"],
    ["on an idle stream", [priority(1, 7), get(1)], "answer 1 200"],
    ["on an idle stream below the last", [get(5), answered(5), priority(3), get(7)], "answer 7 200"],
  ],
  "9113 6.5 (SETTINGS)": [
    [
      "all of them",
      [
        settings({
          HEADER_TABLE_SIZE: 4096,
          ENABLE_PUSH: 0,
          MAX_CONCURRENT_STREAMS: 100,
          INITIAL_WINDOW_SIZE: 65_535,
          MAX_FRAME_SIZE: 16_384,
          MAX_HEADER_LIST_SIZE: 100_000,
        }),
        get(1),
      ],
      "answer 1 200",
    ],
    ["ACK on a stream", [get(1, "/held"), frame("SETTINGS", 1, ACK)], "connection PROTOCOL_ERROR"],
    ["ACK with a whole setting", [frame("SETTINGS", 0, ACK, Buffer.alloc(6))], "connection FRAME_SIZE_ERROR"],
    ["one and a half", [frame("SETTINGS", 0, 0, Buffer.alloc(9))], "connection FRAME_SIZE_ERROR"],
  ],
  "9113 6.7 (PING)": [
    [
      "only the question is answered",
      [ping("unasked.", ACK), ping("question")],
      async (peer) => {
        await peer.settled();
        const pings = peer.frames.filter(({ type, flags }) => type === "PING" && (flags & ACK) !== 0);
        expect(pings.map(({ payload }) => payload.latin1Slice()).filter((each) => !each.startsWith("done"))).toEqual([
          "question",
        ]);
      },
    ],
    ["ACK on a stream", [get(1, "/held"), frame("PING", 1, ACK, "12345678")], "connection PROTOCOL_ERROR"],
    ["an empty one", [frame("PING", 0, 0, "")], "connection FRAME_SIZE_ERROR"],
    ["within a request", [post(1, "/echo"), ping(), data(1, "x"), ping(), lastData(1)], "answer 1 200"],
  ],
  "9113 6.8 (GOAWAY)": [
    ["then PING", [goaway(0, "NO_ERROR", "bye"), ping()], (peer) => pongOrEnd(peer)],
    ["with an unknown code, then PING", [goaway(0, 0xff), ping()], (peer) => pongOrEnd(peer)],
    [
      "a request after it",
      [get(1, "/big"), goaway(0), get(3)],
      async (peer) => expect((await peer.answer(1)).status).toBe(200),
    ],
    ["a longer one on a stream", [frame("GOAWAY", 1, 0, Buffer.alloc(20))], "connection PROTOCOL_ERROR"],
  ],
  "9113 6.9 (WINDOW_UPDATE)": [
    ["on the connection", [windowUpdate(0, 100), get(1)], "answer 1 200"],
    ["on a stream", [post(1), windowUpdate(1, 100), lastData(1)], "answer 1 200"],
    [
      "more than windows can be, in many steps, on a stream",
      [get(1, "/held"), ...Array.from({ length: 4 }, () => windowUpdate(1, 0x3fff_ffff))],
      "stream 1 FLOW_CONTROL_ERROR",
    ],
    [
      "more than windows can be, in many steps, on the connection",
      Array.from({ length: 4 }, () => windowUpdate(0, 0x3fff_ffff)),
      "connection FLOW_CONTROL_ERROR",
    ],
    [
      "0 on a stream that is closed",
      [get(1), answered(1), windowUpdate(1, 0), get(3)],
      (peer) => wellOr(peer, 3, "PROTOCOL_ERROR"),
    ],
  ],
  "9113 6.10 (CONTINUATION)": [
    ["one", [headers(1, GET, END_STREAM), continuation(1, [["x-a", "b"]])], "answer 1 200"],
    [
      "several",
      [
        headers(1, GET, END_STREAM),
        continuation(1, [["x-a", "b"]], 0),
        continuation(1, [["x-b", "b"]], 0),
        continuation(1, [["x-c", "b"]]),
      ],
      "answer 1 200",
    ],
    [
      "a block byte by byte",
      [
        headers(1, BLOCK.subarray(0, 1), END_STREAM),
        ...[...BLOCK.subarray(1, 50)].map((byte) => continuation(1, Buffer.from([byte]), 0)),
        continuation(1, BLOCK.subarray(50)),
      ],
      "answer 1 200",
    ],
    ["HEADERS without a byte", [headers(1, [], END_STREAM), continuation(1, GET)], "answer 1 200"],
  ],

  "9113 8.1 (requests)": [
    ["GET", [get(1)], "answer 1 200"],
    ["HEAD", [lastHeaders(1, requestFields("HEAD", "/"))], "answer 1 200"],
    ["POST", [post(1, "/echo", [["content-length", "4"]]), lastData(1, "test")], "answer 1 200"],
    ["POST with trailers", [post(1, "/echo"), data(1, "test"), lastHeaders(1, [["x-t", "1"]])], "answer 1 200"],
    [
      "a trailer that was announced",
      [post(1, "/echo", [["trailer", "x-t"]]), data(1, "test"), lastHeaders(1, [["x-t", "1"]])],
      "answer 1 200",
    ],
    [
      "all of it in one packet",
      [Buffer.concat([post(1, "/echo"), data(1, "te"), data(1, "st"), lastHeaders(1, [["x-t", "1"]])])],
      async (peer, subject) => {
        expect((await peer.answer(1)).body).toBe("test");
        expect(subject.last.trailers).toEqual([["x-t", "1"]]);
      },
    ],
    [
      "two at a time, their bodies frame by frame",
      [Buffer.concat([post(1, "/echo"), post(3, "/echo"), data(1, "a"), data(3, "b"), lastData(1, "c"), lastData(3)])],
      async (peer) => expect([(await peer.answer(1)).body, (await peer.answer(3)).body]).toEqual(["ac", "b"]),
    ],
    ["trailers without END_STREAM", [post(1), data(1, "x"), headers(1, [["x-t", "1"]])], "stream 1 PROTOCOL_ERROR"],
    ["a method that nobody knows", [lastHeaders(1, requestFields("FROB", "/"))], "answer 1 200"],
  ],
  "9113 8.4": [
    [
      "PUSH_PROMISE from a client, whatever it says",
      [get(1, "/held"), frame("PUSH_PROMISE", 1, END_HEADERS, Buffer.concat([uint32(4), BLOCK]))],
      "connection PROTOCOL_ERROR",
    ],
    [
      "PUSH_PROMISE on a stream that is closed",
      [get(1), answered(1), frame("PUSH_PROMISE", 1, END_HEADERS, Buffer.concat([uint32(2), BLOCK]))],
      "connection PROTOCOL_ERROR|STREAM_CLOSED",
    ],
  ],

  "9218 5": [
    ["a Priority field", [get(1, "/", [["priority", "u=1, i"]])], "answer 1 200"],
    ["a Priority field that makes no sense", [get(1, "/", [["priority", "u=99, ;;"]])], "answer 1 200"],
  ],
  "9218 7.1": [
    ["of an open stream", [get(1, "/held"), priorityUpdate(1, "u=7, i"), get(3)], "answer 3 200"],
    ["of an idle stream", [priorityUpdate(1, "u=0"), get(1)], "answer 1 200"],
    ["of a closed stream", [get(1), answered(1), priorityUpdate(1, "u=0"), get(3)], "answer 3 200"],
    ["without a value", [priorityUpdate(1, ""), get(1)], "answer 1 200"],
    ["with a value that is none", [priorityUpdate(1, "((("), get(1)], (peer) => wellOr(peer, 1, "PROTOCOL_ERROR")],
    ["on a stream", [get(1, "/held"), priorityUpdate(1, "u=1", 1)], "connection PROTOCOL_ERROR"],
    ["of stream 0", [priorityUpdate(0, "u=1")], "connection PROTOCOL_ERROR"],
    ["of a stream of the server's", [priorityUpdate(2, "u=1")], "connection PROTOCOL_ERROR"],
    ["of 3 bytes", [frame(PRIORITY_UPDATE, 0, 0, "123")], "connection FRAME_SIZE_ERROR"],
    ["within a block", [headers(1, GET, END_STREAM), priorityUpdate(1, "u=1")], "connection PROTOCOL_ERROR"],
  ],

  "7541 6 (representations)": [
    ["indexed fields", [lastHeaders(1, blockWith(indexed(16)))], "answer 1 200"],
    ...LITERALS.flatMap(([kind, first, bits]): Row[] => [
      [
        `${kind}, an indexed name`,
        [lastHeaders(1, blockWith(integer(58, bits, first), text("agent")))],
        "answer 1 200",
      ],
      [
        `${kind}, an indexed name, Huffman codes`,
        [lastHeaders(1, blockWith(integer(58, bits, first), text("agent", true)))],
        "answer 1 200",
      ],
      [`${kind}, a new name`, [lastHeaders(1, blockWith([first], text("x-test"), text("value")))], "answer 1 200"],
      [
        `${kind}, a new name, Huffman codes`,
        [lastHeaders(1, blockWith([first], text("x-test", true), text("value", true)))],
        "answer 1 200",
      ],
      [
        `${kind}, padding of zeros in a name`,
        [lastHeaders(1, blockWith([first], zeroPadded("x"), text("value")))],
        "connection COMPRESSION_ERROR",
      ],
      [
        `${kind}, an index behind the tables`,
        [lastHeaders(1, blockWith(integer(70, bits, first), text("value")))],
        "connection COMPRESSION_ERROR",
      ],
    ]),
    ["a change of size", [lastHeaders(1, Buffer.concat([tableSize(128), BLOCK]))], "answer 1 200"],
    [
      "changes of size",
      [lastHeaders(1, Buffer.concat([tableSize(128), tableSize(4096), BLOCK])), lastHeaders(3, BLOCK)],
      "answer 3 200",
    ],
  ],
});

/** A string of Huffman codes whose last byte is filled with zeros, not with the start of EOS. */
function zeroPadded(value: string): number[] {
  const bytes = bitsOf(huffmanBits(value), "0");
  return [...integer(bytes.length, 7, 0x80), ...bytes];
}

/** A PING is answered, or the connection ends in order. */
async function pongOrEnd(peer: H2Peer): Promise<void> {
  const ponged = () => peer.frames.some(({ type, flags }) => type === "PING" && (flags & ACK) !== 0);
  await peer.peer.when(() => ponged() || peer.peer.ended, "an answer to PING, or the end");
  expect([undefined, "NO_ERROR"]).toContain(peer.goaway?.code as "NO_ERROR" | undefined);
}

/** The request on that stream is answered, or, with a code, it or the connection ends with that. */
async function wellOr(peer: H2Peer, stream: number, code = ""): Promise<void> {
  const heard = peer.heard(stream);
  await peer.peer.when(() => heard.ended || heard.reset !== null || peer.peer.ended, "an answer, or the end");
  if (peer.peer.ended) expect(String(peer.goaway?.code)).toBe(code);
  else expect(String(heard.reset ?? heard.status)).toBeOneOf(["200", code]);
}
