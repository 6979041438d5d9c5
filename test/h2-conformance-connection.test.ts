// Every MUST of RFC 9113 sections 6.5 to 6.10 that a client can see: settings, pings, windows and the end of a connection.
import { expect } from "bun:test";
import { encodeFields } from "./support/h2-hpack.ts";
import type { H2Peer } from "./support/h2-peer.ts";
import { conformance, type Row } from "./support/h2-table.ts";
import {
  ACK,
  continuation,
  data,
  END_HEADERS,
  END_STREAM,
  frame,
  get,
  goaway,
  headers,
  lastData,
  PADDED,
  padded,
  ping,
  post,
  requestFields,
  SETTING,
  type Settings,
  settings,
  uint32,
  windowUpdate,
} from "./support/h2-wire.ts";

const GET = requestFields("GET", "/");
const WINDOW_MAX = 0x7fff_ffff;

const setting = (id: number, value: number): Buffer => settings([[id, value]]);
const SETTINGS: readonly (readonly [name: keyof Settings, value: number, code: string])[] = [
  ["ENABLE_PUSH", 0, ""],
  ["ENABLE_PUSH", 1, ""],
  ["ENABLE_PUSH", 2, "PROTOCOL_ERROR"],
  ["ENABLE_PUSH", 0xffff_ffff, "PROTOCOL_ERROR"],
  ["INITIAL_WINDOW_SIZE", 100, ""],
  ["INITIAL_WINDOW_SIZE", WINDOW_MAX, ""],
  ["INITIAL_WINDOW_SIZE", 0x8000_0000, "FLOW_CONTROL_ERROR"],
  ["INITIAL_WINDOW_SIZE", 0xffff_ffff, "FLOW_CONTROL_ERROR"],
  ["MAX_FRAME_SIZE", 16_383, "PROTOCOL_ERROR"],
  ["MAX_FRAME_SIZE", 0, "PROTOCOL_ERROR"],
  ["MAX_FRAME_SIZE", 16_384, ""],
  ["MAX_FRAME_SIZE", 16_777_215, ""],
  ["MAX_FRAME_SIZE", 16_777_216, "PROTOCOL_ERROR"],
  ["HEADER_TABLE_SIZE", 0, ""],
  ["HEADER_TABLE_SIZE", 0xffff_ffff, ""],
  ["MAX_CONCURRENT_STREAMS", 0, ""],
  ["MAX_CONCURRENT_STREAMS", 0xffff_ffff, ""],
  ["MAX_HEADER_LIST_SIZE", 0xffff_ffff, ""],
  // RFC 8441 §3 and RFC 9218 §2.1.
  ["ENABLE_CONNECT_PROTOCOL", 2, "PROTOCOL_ERROR"],
  ["NO_RFC7540_PRIORITIES", 2, "PROTOCOL_ERROR"],
];

/** How many SETTINGS of ours have been acknowledged. */
const acknowledged = (peer: H2Peer): number =>
  peer.frames.filter(({ type, flags }) => type === "SETTINGS" && (flags & ACK) !== 0).length;

/** Waits for so many bytes of the body, and a PING later there are no more. */
async function expectBody(peer: H2Peer, stream: number, bytes: number): Promise<void> {
  await peer.when(() => peer.heard(stream).body.length >= bytes, `${bytes} bytes`);
  await peer.settled();
  expect(peer.heard(stream).body.length).toBe(bytes);
}

/** Resets streams by bad requests and sends as much DATA behind them as the connection's window lets it. */
async function sendToClosed(peer: H2Peer): Promise<void> {
  await peer.settled();
  const most = peer.window(0);
  for (let [stream, sent] = [1, 0]; sent < most; stream += 2) {
    peer.send(post(stream, "/", [["connection", "x"]]));
    const left = Math.min(most - sent, 48_000);
    for (let part = 0; part < left; part += 16_000)
      peer.send(data(stream, Buffer.alloc(Math.min(16_000, left - part))));
    sent += left;
  }
  await peer.when(() => peer.window(0) > most + most / 2, "the window of what was dropped");
}

/** Sends four windows of padding. */
async function sendPadding(peer: H2Peer): Promise<void> {
  await peer.settled();
  peer.send(post(1));
  const piece = data(1, padded("x", 255), PADDED);
  for (let sent = 0; sent < 4 * 65_535; sent += 257) {
    await peer.when(() => Math.min(peer.window(0), peer.window(1)) >= sent + 257, "the window of padding");
    peer.send(piece);
  }
  peer.send(lastData(1));
}

/** Sends much more than it may to a server that takes nothing. */
async function overrun(peer: H2Peer): Promise<void> {
  const piece = data(1, Buffer.alloc(16_384));
  for (let i = 0; i < 1000 && !peer.peer.ended; i += 1) peer.send(piece);
}

const STINGY = { stingy: true } as const;
const windowOf = (INITIAL_WINDOW_SIZE: number) => ({ stingy: true, settings: { INITIAL_WINDOW_SIZE } }) as const;

conformance({
  "9113 6.5": [
    ["an acknowledgement with content", [frame("SETTINGS", 0, ACK, "123456")], "connection FRAME_SIZE_ERROR"],
    ["5 bytes", [frame("SETTINGS", 0, 0, "12345")], "connection FRAME_SIZE_ERROR"],
    ["7 bytes", [frame("SETTINGS", 0, 0, "1234567")], "connection FRAME_SIZE_ERROR"],
    ["none", [settings()], "nothing"],
    [
      "one twice",
      [
        settings([
          [4, 0],
          [4, 70_000],
        ]),
      ],
      "nothing",
    ],
  ],

  "9113 6.5.2": [
    ...SETTINGS.map(
      ([name, value, code]): Row => [
        `${name} ${value}`,
        [setting(SETTING[name], value)],
        code === "" ? "nothing" : (`connection ${code}` as Row[2]),
      ],
    ),
    ["unknown ones", [setting(0x99, 1), setting(0, 0)], "nothing"],
    [
      "at least 100 streams are allowed",
      [],
      async (peer) => {
        await peer.settled();
        expect(peer.settings.get(SETTING.MAX_CONCURRENT_STREAMS)).toBeGreaterThanOrEqual(100);
      },
    ],
    [
      "the server enables no push and announces sizes that may be",
      [],
      async (peer) => {
        await peer.settled();
        expect(peer.settings.get(SETTING.ENABLE_PUSH) ?? 0).toBe(0);
        expect(peer.settings.get(SETTING.INITIAL_WINDOW_SIZE) ?? 0).toBeLessThanOrEqual(WINDOW_MAX);
        const size = peer.settings.get(SETTING.MAX_FRAME_SIZE) ?? 16_384;
        expect(size >= 16_384 && size <= 16_777_215).toBe(true);
      },
    ],
    [
      "a table of 0 bytes is not used",
      [settings({ HEADER_TABLE_SIZE: 0 }), get(1), get(3)],
      async (peer) => {
        await Promise.all([peer.answer(1), peer.answer(3)]);
        const late = await peer.get(5);
        expect(late.blocks.flat().filter(({ as }) => as === "incremental")).toEqual([]);
      },
    ],
  ],

  "9113 6.5.3": [
    [
      "each is acknowledged",
      [settings(), settings({ MAX_FRAME_SIZE: 20_000 }), settings([[0x99, 1]])],
      async (peer) => {
        await peer.when(() => acknowledged(peer) === 4, "four acknowledgements");
        await peer.settled();
        expect(acknowledged(peer)).toBe(4);
      },
    ],
    [
      "values count in their order",
      [
        settings([
          [4, 100],
          [4, 1],
        ]),
        get(1, "/big"),
      ],
      (peer) => expectBody(peer, 1, 1),
      STINGY,
    ],
    [
      "the acknowledgement comes before what follows from them",
      [get(1, "/big"), (peer) => expectBody(peer, 1, 10), settings({ INITIAL_WINDOW_SIZE: 15 })],
      async (peer) => {
        await expectBody(peer, 1, 15);
        const types = peer.frames.map(({ type, flags }) => (type === "SETTINGS" && (flags & ACK) !== 0 ? "ACK" : type));
        expect(types.lastIndexOf("ACK")).toBeLessThan(types.lastIndexOf("DATA"));
      },
      windowOf(10),
    ],
    ["an acknowledgement too many", [frame("SETTINGS", 0, ACK), frame("SETTINGS", 0, ACK)], "nothing"],
  ],

  "9113 6.6": [
    [
      "PUSH_PROMISE from a client",
      [get(1, "/held"), frame("PUSH_PROMISE", 1, END_HEADERS, Buffer.concat([uint32(2), encodeFields(GET)]))],
      "connection PROTOCOL_ERROR",
    ],
  ],

  "9113 6.7": [
    [
      "the answer has the same content",
      [ping("\0\x01\xff.text")],
      async (peer) => {
        await peer.when(() => peer.frames.some(({ type }) => type === "PING"), "PING");
        const answer = peer.frames.find(({ type, flags }) => type === "PING" && (flags & ACK) !== 0)!;
        expect([answer.flags, answer.payload.latin1Slice()]).toEqual([ACK, "\0\x01\xff.text"]);
      },
    ],
    ["an answer that nobody asked for", [ping("unasked.", ACK)], "nothing"],
  ],

  "9113 6.8": [
    [
      "what is open goes on",
      [get(1, "/big"), post(3, "/echo"), goaway(0)],
      async (peer) => {
        peer.send(lastData(3, "still here"));
        expect((await peer.answer(1)).body.length).toBe(300_000);
        expect((await peer.answer(3)).body).toBe("still here");
      },
    ],
    [
      "with debug data",
      [get(1, "/big"), goaway(0, "NO_ERROR", "x".repeat(1000))],
      async (peer) => {
        expect((await peer.answer(1)).body.length).toBe(300_000);
      },
    ],
  ],

  "9113 6.9": [
    ["0 on the connection", [windowUpdate(0, 0)], "connection PROTOCOL_ERROR"],
    ["0 on a stream", [get(1, "/held"), windowUpdate(1, 0)], "stream 1 PROTOCOL_ERROR"],
    ["the reserved bit", [get(1, "/held"), windowUpdate(0, 0x8000_0001), windowUpdate(1, 0x8000_0001)], "nothing"],
    ["0 and the reserved bit", [windowUpdate(0, 0x8000_0000)], "connection PROTOCOL_ERROR"],
    [
      "DATA on streams that were reset is given back",
      [sendToClosed],
      async (peer) => expect((await peer.get(1001)).status).toBe(200),
    ],
    ["padding is given back", [sendPadding], "answer 1 200"],
  ],

  "9113 6.9.1": [
    ["a window of 1", [get(1, "/big")], (peer) => expectBody(peer, 1, 1), windowOf(1)],
    [
      "what is given, and no more",
      [get(1, "/big"), (peer) => expectBody(peer, 1, 3), windowUpdate(1, 4), (peer) => expectBody(peer, 1, 7)],
      async (peer) => {
        peer.send(windowUpdate(1, 100), windowUpdate(1, 1));
        await expectBody(peer, 1, 108);
      },
      windowOf(3),
    ],
    [
      "the window of the connection",
      [get(1, "/big"), get(3, "/big")],
      async (peer) => {
        const all = () => peer.heard(1).body.length + peer.heard(3).body.length;
        await peer.when(() => all() >= 65_535, "the whole window");
        await peer.settled();
        expect(all()).toBe(65_535);
        peer.send(windowUpdate(0, 100));
        await peer.when(() => all() >= 65_635, "what was given");
        await peer.settled();
        expect(all()).toBe(65_635);
      },
      windowOf(WINDOW_MAX),
    ],
    [
      "an answer without a body needs no window",
      [get(1, "/empty"), get(3, "/no-content"), get(5, "/held")],
      async (peer) => {
        expect([(await peer.answer(1)).status, (await peer.answer(3)).status]).toEqual([200, 204]);
      },
      windowOf(0),
    ],
    ["too much on the connection", [windowUpdate(0, WINDOW_MAX)], "connection FLOW_CONTROL_ERROR"],
    [
      "too much on the connection, bit by bit",
      [windowUpdate(0, 0x4000_0000), windowUpdate(0, 0x4000_0000)],
      "connection FLOW_CONTROL_ERROR",
    ],
    ["too much on a stream", [get(1, "/held"), windowUpdate(1, WINDOW_MAX)], "stream 1 FLOW_CONTROL_ERROR"],
    [
      "as much as may be",
      [get(1, "/held"), windowUpdate(0, WINDOW_MAX - 65_535), windowUpdate(1, WINDOW_MAX - 65_535)],
      "nothing",
    ],
    [
      "more than was given is an error",
      [post(1, "/stuck"), overrun],
      async (peer) => {
        await peer.when(() => peer.goaway !== null || peer.heard(1).reset !== null, "an error");
        expect([peer.goaway?.code, peer.heard(1).reset]).toContain("FLOW_CONTROL_ERROR");
      },
    ],
  ],

  "9113 6.9.2": [
    [
      "a window that grows while a body waits",
      [get(1, "/big"), (peer) => peer.head(1), settings({ INITIAL_WINDOW_SIZE: 1 })],
      (peer) => expectBody(peer, 1, 1),
      windowOf(0),
    ],
    [
      "a window that becomes negative",
      [
        get(1, "/big"),
        (peer) => expectBody(peer, 1, 3),
        settings({ INITIAL_WINDOW_SIZE: 2 }),
        windowUpdate(1, 1),
        (peer) => expectBody(peer, 1, 3),
        windowUpdate(1, 1),
      ],
      (peer) => expectBody(peer, 1, 4),
      windowOf(3),
    ],
    [
      "the window of the connection stays",
      [settings({ INITIAL_WINDOW_SIZE: WINDOW_MAX }), get(1, "/big")],
      (peer) => expectBody(peer, 1, 65_535),
      STINGY,
    ],
    [
      "too much for a stream that has more",
      [get(1, "/held"), windowUpdate(1, 1), settings({ INITIAL_WINDOW_SIZE: WINDOW_MAX })],
      "connection FLOW_CONTROL_ERROR",
    ],
  ],

  "9113 6.10": [
    ["one", [headers(1, GET, END_STREAM), continuation(1, [["x", "y"]])], "answer 1 200"],
    [
      "several",
      [headers(1, GET.slice(0, 2), END_STREAM), continuation(1, GET.slice(2), 0), continuation(1, [["x", "y"]])],
      "answer 1 200",
    ],
    ["an empty one", [headers(1, GET, END_STREAM), continuation(1, [])], "answer 1 200"],
    ["of trailers", [post(1), headers(1, [["x", "y"]], END_STREAM), continuation(1, [["z", "y"]])], "answer 1 200"],
    [
      "behind a whole block",
      [get(1, "/held"), continuation(1, [["x", "y"]])],
      "connection PROTOCOL_ERROR|STREAM_CLOSED",
    ],
    [
      "behind the last of a block",
      [post(1, "/held").fill(0, 4, 5), continuation(1, []), continuation(1, [["x", "y"]])],
      "connection PROTOCOL_ERROR",
    ],
    ["behind DATA", [post(1, "/held"), data(1, "x"), continuation(1, [["x", "y"]])], "connection PROTOCOL_ERROR"],
    ["first of all", [continuation(1, GET)], "connection PROTOCOL_ERROR"],
    [
      "on the connection, within a block",
      [headers(1, GET, END_STREAM), continuation(0, [])],
      "connection PROTOCOL_ERROR",
    ],
  ],
});
