import { describe, expect, test } from "bun:test";
import zlib from "node:zlib";
import { Rng } from "../../core/fuzz.testing.ts";
import { leavePlace, placesTaken, takePlace } from "../../engines/compression/coders.ts";
import { CODINGS, type Coding } from "../../http/content-codings.ts";
import { HeaderBlock } from "../../http/header-block.ts";
import { EncodedBody } from "./encoded-body.ts";
import { answerOf, feed, Output } from "./output.testing.ts";

const UNDO: Readonly<Record<Coding, (bytes: Buffer) => Buffer>> = {
  gzip: (bytes) => zlib.gunzipSync(bytes),
  br: (bytes) => zlib.brotliDecompressSync(bytes),
  zstd: (bytes) => zlib.zstdDecompressSync(bytes),
};
const text = (length: number): Buffer =>
  Buffer.from("a line of text\n".repeat(Math.ceil(length / 15)).slice(0, length));
const noise = (length: number): Buffer => Buffer.from(crypto.getRandomValues(new Uint8Array(length)));

function scene(length: number, coding: Coding = "gzip", minSize = 0) {
  const x = answerOf({ etag: '"a"' }, length);
  const body = new EncodedBody(x, { coding, level: 4, minSize }, null);
  const out = new Output();
  body.start(out);
  return { x, body, out };
}

test("what somebody has kept of the same content meanwhile is put out in its place", () => {
  const kept = zlib.gzipSync(text(20_000), { level: 9 });
  for (const has of [true, false]) {
    const x = answerOf({}, 20_000);
    const body = new EncodedBody(
      x,
      { coding: "gzip", level: 4, minSize: 0 },
      { use: () => -1, take: () => (has ? kept : null) },
    );
    const out = new Output();
    body.start(out);
    feed(body, text(20_000), 7000, out);
    body.end(null);
    expect([out.bytes.equals(kept), zlib.gunzipSync(out.bytes).equals(text(20_000))]).toEqual([has, true]);
    expect(x.response).toMatchObject({ body: "length", length: out.bytes.length });
    expect(x.coded?.result).toBe(has ? undefined : "encoded"); // who has it counts it
  }
});

for (const coding of CODINGS)
  describe(coding, () => {
    for (const told of [true, false])
      test(`a short body ${told ? "with" : "without"} a length is encoded at once and gets one`, () => {
        const bytes = text(20_000);
        const { x, body, out } = scene(told ? bytes.length : -1, coding);
        feed(body, bytes, 7000, out);
        expect(out.told).toEqual([]);
        body.end(null);
        expect(out.told).toEqual(["data", "end"]);
        expect(UNDO[coding](out.bytes).equals(bytes)).toBe(true);
        expect(x.response).toMatchObject({ body: "length", length: out.bytes.length });
        expect(x.response.headers.entries()).toEqual([
          ["content-encoding", coding],
          ["etag", 'W/"a"'],
        ]);
        expect(x.coded).toEqual({ coding, result: "encoded", bytesIn: 20_000, bytesOut: out.bytes.length });
      });

    test("any body, cut anywhere, is the same when it is decoded", async () => {
      for (let seed = 1; seed <= 40; seed += 1) {
        const rng = new Rng(seed);
        const length = rng.pick([1, 100, 5000, 65_536, 65_537, 300_000]);
        const bytes = rng.oneIn(3) ? noise(length) : text(length);
        const { body, out, x } = scene(rng.oneIn(2) ? length : -1, coding);
        for (let at = 0; at < length; ) {
          const end = Math.min(length, at + 1 + rng.below(rng.pick([10, 5000, 100_000]) + Math.ceil(length / 50)));
          body.push(bytes, at, end);
          at = end;
          if (rng.oneIn(8)) body.onPause(); // as if nothing had come for a while
        }
        body.end(null);
        await out.over();
        expect([seed, out.told.at(-1), UNDO[coding](out.bytes).equals(bytes)]).toEqual([seed, "end", true]);
        expect(x.coded).toMatchObject({ bytesIn: length, bytesOut: out.bytes.length });
      }
      expect(placesTaken()).toBe(0);
    });
  });

test("a body that turns out to be too short is left as it is, its head too", () => {
  const { x, body, out } = scene(-1, "gzip", 1000);
  feed(body, text(999), 500, out);
  body.end(null);
  expect(out.told).toEqual(["head", "data", "end"]);
  expect(out.bytes).toEqual(text(999));
  expect(x.response.body).toBe("chunked");
  expect([x.response.headers.entries(), x.coded]).toEqual([[["etag", '"a"']], null]);
});

test("an empty body stays empty", () => {
  const { x, body, out } = scene(-1);
  body.end(null);
  expect([out.told, x.response.header("content-encoding")]).toEqual([["head", "end"], null]);
});

test("trailers follow, without digests of other bytes", async () => {
  for (const length of [100, 100_000]) {
    const { x, body, out } = scene(-1);
    feed(body, text(length), length, out);
    body.end(HeaderBlock.of(Object.entries({ "content-digest": "x", "x-sum": "5" })));
    await out.over();
    expect([x.response.body, out.trailers?.entries()]).toEqual(["chunked", [["x-sum", "5"]]]);
  }
});

test("a long body is not gathered: the head leaves at once", () => {
  const { x, body, out } = scene(65_537);
  expect(out.told).toEqual(["head"]);
  expect([x.response.body, x.response.header("content-encoding")]).toEqual(["chunked", "gzip"]);
  body.gone();
});

test("a body that pauses goes out, as far as it has come", async () => {
  const { body, out } = scene(-1);
  const readable = (): string => {
    const { bytes } = out;
    // A decoder that does not mind that the end is missing, once the gzip header is there.
    return bytes.length < 10 ? "" : zlib.gunzipSync(bytes, { finishFlush: zlib.constants.Z_SYNC_FLUSH }).toString();
  };
  feed(body, Buffer.from("first"), 5, out);
  await out.until(() => readable() === "first");
  feed(body, Buffer.from(", second"), 3, out);
  await out.until(() => readable() === "first, second");
  expect(out.told).toEqual(["head", "data"]);
  body.gone();
});

test("a head whose body lets itself be waited for leaves", async () => {
  const { body, out } = scene(-1);
  await out.until(() => out.told.includes("head"));
  body.gone();
});

describe("back-pressure", () => {
  test("more than it should have in hand makes it full; later there is room", async () => {
    const { body, out } = scene(-1);
    for (let i = 0; i < 20; i += 1) feed(body, noise(20_000), 20_000, out);
    expect(body.full).toBe(true);
    await out.until(() => out.told.includes("room"));
    expect(body.full).toBe(false);
    body.end(null);
    await out.over();
    expect(zlib.gunzipSync(out.bytes).length).toBe(400_000);
  });
  test("a client that is full gets at most a few pieces more, and the rest when it takes them", async () => {
    const { body, out } = scene(-1);
    out.full = true;
    feed(body, noise(1_000_000), 50_000, out);
    body.end(null);
    await out.until(() => out.pieces.length > 0);
    await Promise.all(Array.from({ length: 20 }, () => new Promise((resolve) => zlib.gzip(noise(100_000), resolve))));
    expect(out.bytes.length).toBeLessThan(200_000);
    expect(body.full).toBe(true);
    body.drain(); // still full: nothing happens
    out.full = false;
    body.drain();
    await out.over();
    expect(zlib.gunzipSync(out.bytes).length).toBe(1_000_000);
  });
});

test("once nobody wants it, nothing comes out, and its place is free", async () => {
  const { body, out } = scene(-1);
  feed(body, noise(200_000), 50_000, out);
  expect(placesTaken()).toBe(1);
  body.gone();
  body.gone();
  expect(placesTaken()).toBe(0);
  const before = out.told.length;
  feed(body, noise(10), 10, out);
  body.end(null);
  body.drain();
  await Promise.all(Array.from({ length: 5 }, () => new Promise((resolve) => zlib.gzip(noise(100_000), resolve))));
  expect(out.told.length).toBe(before);
});

test("a body that is given up while it is gathered is forgotten", () => {
  const { body, out } = scene(-1);
  feed(body, text(100), 50, out);
  body.gone();
  body.onPause();
  body.end(null);
  expect(out.told).toEqual([]);
});

test("without a place for a coder it passes as it is", () => {
  let taken = 0;
  while (takePlace()) taken += 1;
  const { x, body, out } = scene(-1);
  feed(body, text(100_000), 40_000, out);
  body.end(null);
  for (; taken > 0; taken -= 1) leavePlace();
  expect([out.told, out.bytes.equals(text(100_000))]).toEqual([["head", "data", "end"], true]);
  expect(x.response.header("content-encoding")).toBeNull();
  expect(x.coded).toEqual({ coding: "gzip", result: "busy", bytesIn: 0, bytesOut: 0 });
});
