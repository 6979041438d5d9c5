// What frames that break a rule come to, by section of RFC 9113, in both roles. The same is played against the whole
// program in test/h2-conformance*.test.ts; here are the rows for what only a session shows, and all of the client's role.
import { describe, expect, test } from "bun:test";
import { frame, uint32 } from "./frame-reader.testing.ts";
import { PREFACE, SETTING, TYPE, WINDOW_MAX } from "./frames.ts";
import { answer, block, data, type Fields, GET, headers, OK, OPEN, POST, SessionRig } from "./session.testing.ts";

/** `connection CODE`, `stream ID CODE`, or what the driver hears. */
type Want = string | readonly string[];
type Row = readonly [name: string, frames: readonly Buffer[], want: Want];

const setting = (id: number, value: number): Buffer =>
  Buffer.concat([Buffer.from([id >> 8, id & 255]), uint32(value)]) as Buffer;
const settings = (...pairs: readonly (readonly [id: number, value: number])[]): Buffer =>
  frame(TYPE.settings, 0, 0, Buffer.concat(pairs.map(([id, value]) => setting(id, value))));
const windowUpdate = (id: number, by: number): Buffer => frame(TYPE.windowUpdate, 0, id, uint32(by));
const reset = (id: number, code: number): Buffer => frame(TYPE.rstStream, 0, id, uint32(code));
const ping = frame(TYPE.ping, 0, 0, "12345678");
const get = headers(1, GET);
const post = headers(1, POST, OPEN);
const served = ["1 request GET / end"];

/** What has come of it, in the words of `Want`. */
function verdict(rig: SessionRig, want: Want): Want {
  const ends = rig.written().filter((line) => line.startsWith("GOAWAY") || line.startsWith("RST_STREAM"));
  if (typeof want !== "string") return ends.length > 0 ? ends : rig.heard;
  const [first, second = ""] = ends;
  if (first === undefined) return rig.heard;
  const [kind, id, code] = first.split(" ");
  if (kind === "RST_STREAM") return `stream ${id} ${code}`;
  if (!rig.session.broken || rig.fault === null || second !== "") return [first, "without its consequences"];
  return `connection ${code}`;
}

function play(role: "server" | "client", sections: Readonly<Record<string, readonly Row[]>>): void {
  for (const [section, rows] of Object.entries(sections))
    describe(`RFC ${section}, ${role}`, () => {
      for (const [name, frames, want] of rows)
        test(name, () => {
          const rig = SessionRig.begun(role);
          if (role === "client") {
            rig.request();
            rig.request([], false, "POST");
            rig.request([], true, "HEAD");
            rig.request([], false, "CONNECT");
            rig.written();
          }
          rig.feed(...frames);
          expect(verdict(rig, want)).toEqual(typeof want === "string" ? want : [...want]);
          if (rig.session.broken) return;
          rig.feed(ping);
          expect(rig.written()).toEqual(["PING ack"]);
        });
    });
}

play("server", {
  "9113 4.2": [
    ["a frame that is too large", [frame(TYPE.data, 0, 1, "", 16_385)], "connection frameSize"],
    ["an unknown frame that is too large", [frame(0x99, 0, 1, "", 0xff_ffff)], "connection frameSize"],
  ],
  "9113 4.3": [
    [
      "a block that cannot be decoded",
      [frame(TYPE.headers, 5, 1, "\xff\xff\xff\xff\xff\xff")],
      "connection compression",
    ],
    [
      "trailers that cannot be decoded",
      [post, frame(TYPE.headers, 5, 1, Buffer.from([0x80]))],
      "connection compression",
    ],
    [
      "a block for a stream that was refused",
      [headers(1, [[":method", "GET"]]), frame(TYPE.headers, 5, 1, Buffer.from([0x80]))],
      "stream 1 protocol",
    ],
  ],
  "9113 5.1 idle": [
    ["DATA", [data(1, "x")], "connection protocol"],
    ["RST_STREAM", [reset(1, 8)], "connection protocol"],
    ["WINDOW_UPDATE", [windowUpdate(1, 1)], "connection protocol"],
    ["CONTINUATION", [frame(TYPE.continuation, 4, 1)], "connection protocol"],
  ],
  "9113 5.1 half-closed (remote)": [
    ["DATA", [get, data(1, "x")], "stream 1 streamClosed"],
    ["HEADERS", [get, get], "stream 1 streamClosed"],
    ["WINDOW_UPDATE", [get, windowUpdate(1, 1)], served],
    ["RST_STREAM", [get, reset(1, 8)], [...served, "1 reset cancel by peer", "1 gone"]],
  ],
  "9113 5.1 closed": [
    ["DATA behind RST_STREAM", [post, reset(1, 8), data(1, "x")], "connection streamClosed"],
    ["HEADERS behind RST_STREAM", [post, reset(1, 8), get], "connection streamClosed"],
    ["DATA on a stream that was left out", [headers(5, GET), data(3, "x")], "connection protocol"],
  ],
  "9113 5.1.1": [
    ["an even id", [headers(2, GET)], "connection protocol"],
    ["id 0", [headers(0, GET)], "connection protocol"],
    ["an id below others", [headers(5, GET), headers(3, GET)], "connection protocol"],
  ],
  "9113 6.1": [
    ["DATA on stream 0", [data(0, "x")], "connection protocol"],
    ["too much padding", [post, frame(TYPE.data, 8, 1, "\x05abc")], "connection protocol"],
    ["without its padding length", [post, frame(TYPE.data, 8, 1)], "connection frameSize"],
  ],
  "9113 6.2": [
    ["too much padding", [frame(TYPE.headers, 13, 1, "\x40abc")], "connection protocol"],
    ["without its padding length", [frame(TYPE.headers, 13, 1)], "connection frameSize"],
    ["without its priority", [frame(TYPE.headers, 0x25, 1, "abcd")], "connection frameSize"],
    [
      "a stream that depends on itself",
      [frame(TYPE.headers, 0x25, 1, Buffer.concat([uint32(1), Buffer.from([1]), block(GET)]))],
      "stream 1 protocol",
    ],
  ],
  "9113 6.3": [
    ["PRIORITY on stream 0", [frame(TYPE.priority, 0, 0, "12345")], "connection protocol"],
    ["of a wrong length", [get, frame(TYPE.priority, 0, 1, "1234")], "stream 1 frameSize"],
    ["of a wrong length, idle", [frame(TYPE.priority, 0, 1, "1234")], "connection frameSize"],
    ["of a stream on itself", [get, frame(TYPE.priority, 0, 1, "\0\0\0\x01\x05")], "stream 1 protocol"],
    ["before its stream", [frame(TYPE.priority, 0, 1, "\0\0\0\x05\x05"), get], served],
  ],
  "9113 6.4": [
    ["RST_STREAM on stream 0", [reset(0, 8)], "connection protocol"],
    ["of a wrong length", [get, frame(TYPE.rstStream, 0, 1, "123")], "connection frameSize"],
  ],
  "9113 6.5": [
    ["on a stream", [frame(TYPE.settings, 0, 1)], "connection protocol"],
    ["of a wrong length", [frame(TYPE.settings, 0, 0, "12345")], "connection frameSize"],
    ["an acknowledgement with content", [frame(TYPE.settings, 1, 0, "123456")], "connection frameSize"],
    ["ENABLE_PUSH of 2", [settings([SETTING.enablePush, 2])], "connection protocol"],
    ["a window above 2^31-1", [settings([SETTING.initialWindowSize, WINDOW_MAX + 1])], "connection flowControl"],
    ["MAX_FRAME_SIZE of 16,383", [settings([SETTING.maxFrameSize, 16_383])], "connection protocol"],
    ["MAX_FRAME_SIZE of 2^24", [settings([SETTING.maxFrameSize, 0x100_0000])], "connection protocol"],
    ["unknown ones", [settings([0xfa, 1], [0, 2])], []],
    ["ENABLE_CONNECT_PROTOCOL of 2", [settings([8, 2])], "connection protocol"],
    ["ENABLE_CONNECT_PROTOCOL taken back", [settings([8, 1]), settings([8, 0])], "connection protocol"],
    ["NO_RFC7540_PRIORITIES changed", [settings([9, 1])], "connection protocol"],
    [
      "a window that makes a stream's too large",
      [get, windowUpdate(1, WINDOW_MAX - 65_535), settings([SETTING.initialWindowSize, 65_536])],
      "connection flowControl",
    ],
  ],
  "9113 6.6": [["PUSH_PROMISE", [get, frame(TYPE.pushPromise, 4, 1, uint32(2))], "connection protocol"]],
  "9113 6.7": [
    ["PING on a stream", [frame(TYPE.ping, 0, 1, "12345678")], "connection protocol"],
    ["of a wrong length", [frame(TYPE.ping, 0, 0, "1234567")], "connection frameSize"],
  ],
  "9113 6.8": [
    ["GOAWAY on a stream", [frame(TYPE.goaway, 0, 1, uint32(0, 0))], "connection protocol"],
    ["of a wrong length", [frame(TYPE.goaway, 0, 0, "1234567")], "connection frameSize"],
    ["of a client", [frame(TYPE.goaway, 0, 0, uint32(0, 0))], ["goaway none"]],
  ],
  "9113 6.9": [
    ["of a wrong length", [frame(TYPE.windowUpdate, 0, 0, "123")], "connection frameSize"],
    ["by nothing, connection", [windowUpdate(0, 0)], "connection protocol"],
    ["by nothing, stream", [get, windowUpdate(1, 0)], "stream 1 protocol"],
    ["too much, connection", [windowUpdate(0, WINDOW_MAX)], "connection flowControl"],
    ["too much, stream", [get, windowUpdate(1, WINDOW_MAX)], "stream 1 flowControl"],
    ["as much as can be", [get, windowUpdate(0, WINDOW_MAX - 65_535), windowUpdate(1, WINDOW_MAX - 65_535)], served],
  ],
  "9113 6.10": [
    ["another frame in a block", [headers(1, GET, 0), ping], "connection protocol"],
    ["another stream's", [headers(1, GET, 0), frame(TYPE.continuation, 4, 3)], "connection protocol"],
    ["an unknown frame in a block", [headers(1, GET, 0), frame(0x77, 0, 1)], "connection protocol"],
    ["behind the end of a block", [get, frame(TYPE.continuation, 4, 1)], "connection protocol"],
    [
      "a block in pieces",
      [
        frame(TYPE.headers, 1, 1, block(GET).subarray(0, 7)),
        frame(TYPE.continuation, 0, 1, block(GET).subarray(7, 20)),
        frame(TYPE.continuation, 4, 1, block(GET).subarray(20)),
      ],
      served,
    ],
  ],
  "9113 8.1": [
    ["trailers without END_STREAM", [post, headers(1, [["x", "1"]], OPEN)], "stream 1 protocol"],
    [
      "trailers",
      [post, data(1, "ab"), headers(1, [["x-sum", "1"]])],
      ["1 request POST /", "1 data 2", "1 end x-sum: 1"],
    ],
    [
      "trailers that no trailers may be",
      [
        post,
        headers(1, [
          ["host", "b"],
          ["x", "1"],
        ]),
      ],
      ["1 request POST /", "1 end x: 1"],
    ],
    ["a pseudo-header field in trailers", [post, headers(1, [[":path", "/"]])], "stream 1 protocol"],
    ["a connection field in trailers", [post, headers(1, [["connection", "x"]])], "stream 1 protocol"],
  ],
  "9113 8.1.1": [
    [
      "less content than announced",
      [headers(1, [...POST, ["content-length", "3"]], OPEN), data(1, "ab", true)],
      "stream 1 protocol",
    ],
    [
      "more content than announced",
      [headers(1, [...POST, ["content-length", "3"]], OPEN), data(1, "abcd")],
      "stream 1 protocol",
    ],
    ["none of what was announced", [headers(1, [...POST, ["content-length", "3"]])], "stream 1 protocol"],
    [
      "trailers before all content",
      [headers(1, [...POST, ["content-length", "3"]], OPEN), data(1, "ab"), headers(1, [["x", "1"]])],
      "stream 1 protocol",
    ],
    [
      "as much as announced",
      [headers(1, [...POST, ["content-length", "3"]], OPEN), data(1, "ab"), data(1, "c", true)],
      ["1 request POST /", "1 data 2", "1 data 1", "1 end"],
    ],
  ],
  "9113 8.5": [
    [
      "trailers in a tunnel",
      [
        headers(
          1,
          [
            [":method", "CONNECT"],
            [":authority", "a.test:443"],
          ],
          OPEN,
        ),
        headers(1, [["x", "1"]]),
      ],
      "stream 1 protocol",
    ],
  ],
  "9218 7.1": [
    ["PRIORITY_UPDATE on a stream", [frame(TYPE.priorityUpdate, 0, 1, uint32(1))], "connection protocol"],
    ["of a wrong length", [frame(TYPE.priorityUpdate, 0, 0, "123")], "connection frameSize"],
    ["for stream 0", [frame(TYPE.priorityUpdate, 0, 0, uint32(0))], "connection protocol"],
    ["for a push that was not made", [frame(TYPE.priorityUpdate, 0, 0, uint32(2))], "connection protocol"],
    [
      "for a stream to come",
      [frame(TYPE.priorityUpdate, 0, 0, Buffer.concat([uint32(1), Buffer.from("u=1")])), get],
      served,
    ],
    [
      "that cannot be read",
      [get, frame(TYPE.priorityUpdate, 0, 0, Buffer.concat([uint32(1), Buffer.from("%")]))],
      served,
    ],
  ],
});

const answered = (...fields: Fields): Fields => [...OK, ...fields];

play("client", {
  "9113 4.3": [["a block that cannot be decoded", [frame(TYPE.headers, 5, 1, "\x80")], "connection compression"]],
  "9113 5.1": [
    ["HEADERS on a stream of nobody", [headers(9, OK)], "connection protocol"],
    ["HEADERS on a stream of the server", [headers(2, OK)], "connection protocol"],
    ["DATA on a stream of nobody", [data(9, "x")], "connection protocol"],
    ["DATA behind the end", [headers(1, OK), data(1, "x")], "connection streamClosed"],
    ["HEADERS behind the end", [headers(1, OK), headers(1, OK)], "connection streamClosed"],
    [
      "DATA behind the end of an answer to an unfinished request",
      [headers(3, OK), data(3, "x")],
      "stream 3 streamClosed",
    ],
  ],
  "9113 6.5": [
    ["a server that pushes", [settings([SETTING.enablePush, 1])], "connection protocol"],
    ["NO_RFC7540_PRIORITIES changed", [settings([9, 1])], "connection protocol"],
  ],
  "9113 6.6": [["PUSH_PROMISE", [frame(TYPE.pushPromise, 4, 1, uint32(2))], "connection protocol"]],
  "9218 7.1": [["PRIORITY_UPDATE", [frame(TYPE.priorityUpdate, 0, 0, uint32(1))], "connection protocol"]],
  "9113 8.1": [
    ["an answer", [headers(1, OK, OPEN), data(1, "ab", true)], ["1 head 200", "1 data 2", "1 end", "1 gone"]],
    ["an answer without content", [headers(1, OK)], ["1 head 200", "1 end", "1 gone"]],
    ["DATA before the head", [data(1, "x")], "stream 1 protocol"],
    [
      "interim answers",
      [
        headers(
          1,
          [
            [":status", "103"],
            ["link", "</a>"],
          ],
          OPEN,
        ),
        headers(1, OK),
      ],
      ["1 head 103 link: </a>", "1 head 200", "1 end", "1 gone"],
    ],
    ["an interim answer that ends", [headers(1, [[":status", "103"]])], "stream 1 protocol"],
    ["DATA behind an interim answer", [headers(1, [[":status", "100"]], OPEN), data(1, "x")], "stream 1 protocol"],
    ["a second final head", [headers(1, OK, OPEN), headers(1, OK, OPEN)], "stream 1 protocol"],
    ["a head of trailers", [headers(1, OK, OPEN), headers(1, OK)], "stream 1 protocol"],
    [
      "trailers",
      [headers(1, OK, OPEN), headers(1, [["grpc-status", "0"]])],
      ["1 head 200", "1 end grpc-status: 0", "1 gone"],
    ],
  ],
  "9113 8.1.1": [
    [
      "less content than announced",
      [headers(1, answered(["content-length", "3"]), OPEN), data(1, "ab", true)],
      "stream 1 protocol",
    ],
    [
      "more content than announced",
      [headers(1, answered(["content-length", "3"]), OPEN), data(1, "abcd")],
      "stream 1 protocol",
    ],
    ["none of what was announced", [headers(1, answered(["content-length", "3"]))], "stream 1 protocol"],
    [
      "an answer to HEAD",
      [headers(5, answered(["content-length", "3"]))],
      ["5 head 200 content-length: 3", "5 end", "5 gone"],
    ],
    ["content of an answer to HEAD", [headers(5, OK, OPEN), data(5, "x")], "stream 5 protocol"],
    ["content of a 304", [headers(1, [[":status", "304"]], OPEN), data(1, "x")], "stream 1 protocol"],
    [
      "a 304 about content",
      [
        headers(1, [
          [":status", "304"],
          ["content-length", "7"],
        ]),
      ],
      ["1 head 304 content-length: 7", "1 end", "1 gone"],
    ],
    [
      "a 204 with content announced",
      [
        headers(1, [
          [":status", "204"],
          ["content-length", "7"],
        ]),
      ],
      "stream 1 protocol",
    ],
  ],
  "9113 8.3.2": [
    ["no status", [headers(1, [["x", "1"]])], "stream 1 protocol"],
    ["status 101", [headers(1, [[":status", "101"]], OPEN)], "stream 1 protocol"],
    ["status 99", [headers(1, [[":status", "099"]])], "stream 1 protocol"],
    ["status 2000", [headers(1, [[":status", "2000"]])], "stream 1 protocol"],
    ["a field of requests", [headers(1, [[":path", "/"], ...OK])], "stream 1 protocol"],
  ],
  "9113 8.5": [
    [
      "a tunnel's Content-Length means nothing",
      [headers(7, answered(["content-length", "1"]), OPEN), data(7, "abc")],
      ["7 head 200 content-length: 1", "7 data 3"],
    ],
    ["trailers in a tunnel", [headers(7, OK, OPEN), headers(7, [["x", "1"]])], "stream 7 protocol"],
  ],
});

describe("RFC 9113 3.4: what comes first", () => {
  const BAD: readonly (readonly [name: string, role: "server" | "client", bytes: Buffer])[] = [
    ["another preface", "server", Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\rx")],
    ["HTTP/1.1", "server", Buffer.from("GET / HTTP/1.1\r\n\r\n")],
    ["no SETTINGS behind the preface", "server", Buffer.concat([PREFACE, get]) as Buffer],
    ["an acknowledgement behind the preface", "server", Buffer.concat([PREFACE, frame(TYPE.settings, 1, 0)]) as Buffer],
    ["no SETTINGS of the server", "client", frame(TYPE.ping, 0, 0, "12345678")],
  ];
  for (const [name, role, bytes] of BAD)
    test(name, () => {
      for (const isWhole of [true, false]) {
        const rig = new SessionRig(role);
        rig.session.start();
        if (isWhole) rig.feed(bytes);
        else for (const byte of bytes) rig.feed(Buffer.from([byte]));
        expect(rig.written().at(-1)).toBe("GOAWAY 0 protocol");
        expect(rig.fault?.code).toBe(role === "server" ? "h2.protocol" : "upstream.bad_response");
      }
    });

  test("a server begins with SETTINGS and its window", () => {
    const rig = new SessionRig("server");
    rig.session.start();
    expect(rig.written()).toEqual(["SETTINGS", "WINDOW_UPDATE 0 196609"]);
    expect(rig.session.awaitingSettings).toBe(true);
    rig.feed(PREFACE, frame(TYPE.settings, 0, 0), frame(TYPE.settings, 1, 0));
    expect(rig.written()).toEqual(["SETTINGS ack"]);
    expect([rig.session.awaitingSettings, rig.settings, rig.session.peer.received]).toEqual([false, 1, true]);
  });

  test("a client begins with the preface", () => {
    const rig = new SessionRig("client");
    rig.session.start();
    expect(rig.written()).toEqual(["preface", "SETTINGS", "WINDOW_UPDATE 0 196609"]);
  });
});

describe("streams that we have reset", () => {
  test("what was on its way to them is dropped, and its window given back", () => {
    const rig = SessionRig.begun("server");
    rig.serve = ({ stream }) => stream.reset(8);
    rig.feed(post);
    expect(rig.written()).toEqual(["RST_STREAM 1 cancel"]);
    const content = Buffer.alloc(16_384);
    rig.feed(...Array.from({ length: 8 }, () => data(1, content)), headers(1, [["x", "1"]]));
    expect(rig.written().filter((line) => !line.startsWith("PING"))).toEqual(["WINDOW_UPDATE 0 131072"]);
    expect(rig.heard).toEqual(["1 request POST /", "1 gone"]);
  });

  test("a block for them still changes the table", () => {
    const rig = SessionRig.begun("server");
    rig.serve = ({ stream }) => stream.reset(8);
    rig.feed(post);
    const field = Buffer.concat([Buffer.from([0x40, 1]), Buffer.from("x"), Buffer.from([1]), Buffer.from("7")]);
    rig.feed(frame(TYPE.headers, 5, 1, field));
    rig.serve = () => {};
    rig.feed(frame(TYPE.headers, 5, 3, Buffer.concat([block(GET), Buffer.from([0x80 | 62])])));
    expect(rig.stream(3).head?.header("x")).toBe("7");
  });

  test("our error goes to the driver, and the stream counts until it is released", () => {
    const rig = SessionRig.begun("server");
    rig.feed(post, data(1, "x"));
    const { stream } = rig.stream(1);
    rig.releases = false;
    rig.feed(windowUpdate(1, 0));
    expect([rig.heard.at(-1), rig.session.openStreams, stream.closed]).toEqual(["1 reset protocol", 1, true]);
    stream.release();
    expect([rig.heard.at(-1), rig.session.openStreams]).toEqual(["1 gone", 0]);
  });
});

test("whoever answers has the stream closed behind the end of both", () => {
  const rig = SessionRig.begun("server");
  rig.serve = ({ stream }) => answer(stream, 204, [], true);
  rig.feed(get);
  expect(rig.written()).toEqual(["HEADERS 1 end :status: 204"]);
  expect(rig.heard).toEqual(["1 request GET / end", "1 gone"]);
});
