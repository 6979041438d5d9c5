// What a client can do to cost an HTTP/2 server more than itself, as bytes: for tests, which look at how it ends, and
// for the bench, which looks at what others notice of it meanwhile.
import { encodeFields, type Fields, indexed, literal } from "./h2-hpack.ts";
import {
  continuation,
  data,
  dependency,
  END_HEADERS,
  END_STREAM,
  frame,
  get,
  headers,
  lastHeaders,
  PADDED,
  PREFACE,
  padded,
  ping,
  post,
  priority,
  requestFields,
  rst,
  type Settings,
  settings,
  uint32,
  windowUpdate,
} from "./h2-wire.ts";

/**
 * How it must end:
 * - `calm`: GOAWAY with ENHANCE_YOUR_CALM, at once;
 * - `late`: the connection, or all of its streams, once their time is over;
 * - `answers`: not at all, as each costs no more than what is answered. They come at the rate of a fast network.
 */
export type End = "calm" | "late" | "answers";

export interface Attack {
  readonly name: string;
  readonly end: End;
  /** What the connection sends, in bursts counted from 0; null when it has nothing more to say. */
  readonly burst: (number: number) => Buffer | null;
  /** Between bursts, in milliseconds; 0: as fast as they are taken. */
  readonly pauseMs?: number;
  /** The first bytes; the preface and `settings` unless it says otherwise. */
  readonly hello?: Buffer;
  readonly settings?: Settings;
  /** Reads nothing of what comes. */
  readonly deaf?: boolean;
}

/** Frames, or groups of them, in one burst. */
const BURST = 250;

const repeat = (bytes: Buffer, times = BURST): Buffer => Buffer.alloc(bytes.length * times, bytes);

/** Goes on with new streams, each of which gets these bytes. */
const onStreams =
  (bytes: (stream: number) => Buffer, first = 1, times = BURST) =>
  (burst: number): Buffer =>
    Buffer.concat(Array.from({ length: times }, (_, index) => bytes(first + 2 * (burst * times + index))));

/** Begins once, then repeats. */
const after =
  (begin: Buffer, again: Buffer) =>
  (burst: number): Buffer =>
    burst === 0 ? begin : again;

const once =
  (bytes: Buffer) =>
  (burst: number): Buffer | null =>
    burst === 0 ? bytes : null;

/** One byte of it at a time. */
const byteByByte =
  (bytes: Buffer) =>
  (burst: number): Buffer | null =>
    burst < bytes.length ? bytes.subarray(burst, burst + 1) : null;

const GET = requestFields("GET", "/held");
const BLOCK = encodeFields(GET);
/** A request that stays open, and what makes the server reset it. */
const madeToReset = (name: string, how: (stream: number) => Buffer): Attack => ({
  name: `made to reset: ${name}`,
  end: "calm",
  burst: onStreams((stream) => Buffer.concat([get(stream, "/held"), how(stream)])),
});
const malformed = (name: string, more: Fields): Attack => ({
  name: `made to reset: ${name}`,
  end: "calm",
  burst: onStreams((stream) => get(stream, "/held", more)),
});
const flood = (name: string, again: Buffer, begin: Buffer = get(1, "/held")): Attack => ({
  name: `${name} flood`,
  end: "calm",
  burst: after(begin, repeat(again)),
});

const PIECE_BYTES = 16_384;
/** A request with these fields besides, in as few frames as can be. */
function large(stream: number, block: Buffer): Buffer {
  const frames = [headers(stream, requestFields("GET", "/attack"), END_STREAM)];
  for (let at = 0; at < block.length; at += PIECE_BYTES) {
    const isLast = at + PIECE_BYTES >= block.length;
    frames.push(continuation(stream, block.subarray(at, at + PIECE_BYTES), isLast ? END_HEADERS : 0));
  }
  return Buffer.concat(frames);
}

/** Bursts of 200 to 300 KB: 100 Mbit/s on each connection. */
const ANSWERS_PAUSE_MS = 20;
const STREAMS = 100;
const WINDOW_MAX = 0x7fff_ffff;
const bigAnswers = onStreams((stream) => get(stream, "/big"), 1, STREAMS)(0);

export const ATTACKS: readonly Attack[] = [
  // CVE-2023-44487.
  { name: "rapid reset", end: "calm", burst: onStreams((id) => Buffer.concat([get(id, "/held"), rst(id)])) },
  {
    name: "rapid reset of uploads",
    end: "calm",
    burst: onStreams((id) => Buffer.concat([post(id, "/held"), data(id, "x"), rst(id)])),
  },
  // CVE-2025-8671.
  madeToReset("WINDOW_UPDATE of 0", (stream) => windowUpdate(stream, 0)),
  madeToReset("a window too large", (stream) => windowUpdate(stream, WINDOW_MAX)),
  madeToReset("DATA behind the end", (stream) => data(stream, "x")),
  madeToReset("HEADERS behind the end", (stream) => lastHeaders(stream, BLOCK)),
  madeToReset("a short PRIORITY", (stream) => frame("PRIORITY", stream, 0, "1234")),
  madeToReset("a stream that depends on itself", (stream) => frame("PRIORITY", stream, 0, dependency(stream))),
  malformed("an upper-case name", [["A", "b"]]),
  malformed("a field of HTTP/1.1", [["connection", "close"]]),
  {
    name: "made to reset: more than content-length",
    end: "calm",
    burst: onStreams((id) => Buffer.concat([post(id, "/held", [["content-length", "1"]]), data(id, "xy")])),
  },
  {
    name: "streams above the limit",
    end: "calm",
    burst: onStreams((stream) => post(stream, "/held")),
  },

  // CVE-2024-27316 and its kind.
  {
    name: "CONTINUATION flood",
    end: "calm",
    burst: after(headers(1, BLOCK, END_STREAM), repeat(continuation(1, [["x-field", "value"]], 0))),
  },
  {
    name: "CONTINUATION flood, 16 KB each",
    end: "calm",
    burst: after(headers(1, BLOCK, END_STREAM), repeat(continuation(1, [["x", "v".repeat(16_000)]], 0), 10)),
  },
  {
    name: "empty CONTINUATION flood",
    end: "calm",
    burst: after(headers(1, BLOCK, END_STREAM), repeat(continuation(1, [], 0))),
  },
  {
    name: "CONTINUATION flood on trailers",
    end: "calm",
    burst: after(
      Buffer.concat([post(1, "/held"), headers(1, [["x", "y"]], END_STREAM)]),
      repeat(continuation(1, [["x-field", "value"]], 0)),
    ),
  },

  // Heads that grow: by bytes, by count, out of the table (CVE-2016-6581, CVE-2026-49975).
  {
    name: "heads of 1000 fields",
    end: "answers",
    pauseMs: ANSWERS_PAUSE_MS,
    burst: onStreams((stream) => large(stream, repeat(encodeFields([["a", "b"]]), 1000)), 1, 8),
  },
  {
    name: "heads of 60 KB",
    end: "answers",
    pauseMs: ANSWERS_PAUSE_MS,
    burst: onStreams((stream) => large(stream, encodeFields([["a", "b".repeat(60_000)]])), 1, 4),
  },
  {
    name: "a head of 1 MB",
    end: "calm",
    burst: once(large(1, repeat(encodeFields([["a", "b".repeat(15_000)]]), 66))),
  },
  {
    name: "HPACK bomb: 64 MB out of 16 KB",
    end: "calm",
    burst: once(
      Buffer.concat([
        lastHeaders(1, Buffer.concat([BLOCK, literal("a", "b".repeat(4000), "incremental")])),
        large(3, repeat(indexed(62), 16_384)),
      ]),
    ),
  },
  {
    name: "HPACK bomb: 16,384 empty fields",
    end: "calm",
    burst: once(large(1, repeat(indexed(15), 16_384))),
  },
  {
    name: "HPACK bomb: 16,384 cookie crumbs",
    end: "calm",
    burst: once(large(1, repeat(indexed(32), 16_384))),
  },
  {
    name: "HPACK table churn",
    end: "answers",
    pauseMs: ANSWERS_PAUSE_MS,
    burst: onStreams((stream) => large(stream, repeat(literal("a", "b".repeat(1000), "incremental"), 25)), 1, 8),
  },

  // CVE-2019-9511 to 9518.
  flood("SETTINGS", settings({ MAX_FRAME_SIZE: 16_384 })),
  flood("window SETTINGS", Buffer.concat([settings({ INITIAL_WINDOW_SIZE: 1 }), settings({ INITIAL_WINDOW_SIZE: 0 })])),
  flood("large SETTINGS", settings(Array.from({ length: 2730 }, (_, index) => [0x100 + index, 1]))),
  flood("PING", ping()),
  flood("PRIORITY", priority(1, 0, 9)),
  flood("PRIORITY of idle streams", priority(77, 0, 9)),
  flood("PRIORITY_UPDATE", frame(0x10, 0, 0, Buffer.concat([uint32(1), Buffer.from("u=1")]))),
  flood("empty DATA", data(1), post(1, "/held")),
  flood("padding", data(1, padded("", 255), PADDED), post(1, "/held")),
  flood("tiny WINDOW_UPDATE", windowUpdate(0, 1)),
  flood("tiny WINDOW_UPDATE on a stream", windowUpdate(1, 1)),
  flood("unknown frame", frame(0x77, 0, 0, "x")),
  flood("PING answer", ping("nobody..", 1)),
  flood("SETTINGS answer", frame("SETTINGS", 0, 1)),
  flood("closed stream", windowUpdate(1, 1), Buffer.concat([get(1, "/held"), rst(1)])),
  flood("RST_STREAM", rst(1), Buffer.concat([get(1, "/held"), rst(1)])),
  { ...flood("unread PING", ping()), deaf: true },
  { ...flood("unread SETTINGS", settings({ MAX_FRAME_SIZE: 16_384 })), deaf: true },
  {
    name: "empty HEADERS",
    end: "calm",
    burst: onStreams((stream) => headers(stream, [], END_HEADERS | END_STREAM)),
  },

  // Slowloris, and those who ask for much and take nothing.
  { name: "a preface byte by byte", end: "late", hello: Buffer.alloc(0), burst: byteByByte(PREFACE), pauseMs: 50 },
  { name: "nothing behind the preface", end: "late", burst: () => null },
  {
    name: "HEADERS byte by byte",
    end: "late",
    burst: byteByByte(lastHeaders(1, [...GET, ["x", "y".repeat(500)]])),
    pauseMs: 50,
  },
  {
    name: "CONTINUATION by and by",
    end: "late",
    burst: after(headers(1, BLOCK, END_STREAM), continuation(1, [["x", "y"]], 0)),
    pauseMs: 50,
  },
  { name: "a body that stops", end: "late", burst: once(post(1, "/echo", [["content-length", "9"]])) },
  { name: "no window", end: "late", settings: { INITIAL_WINDOW_SIZE: 0 }, burst: once(bigAnswers) },
  {
    name: "a window of 1 byte now and then",
    end: "late",
    settings: { INITIAL_WINDOW_SIZE: 0 },
    burst: after(bigAnswers, windowUpdate(1, 1)),
    pauseMs: 50,
  },
  {
    name: "no reading",
    end: "late",
    settings: { INITIAL_WINDOW_SIZE: WINDOW_MAX },
    burst: once(Buffer.concat([windowUpdate(0, WINDOW_MAX - 65_535), bigAnswers])),
    deaf: true,
  },
];
