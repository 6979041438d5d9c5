import { describe, expect, test } from "bun:test";
import zlib from "node:zlib";
import { encode, leavePlace, placesTaken, takePlace } from "../../engines/compression/coders.ts";
import { CODINGS, type Coding } from "../../http/content-codings.ts";
import { DecodedBody } from "./decoded-body.ts";
import { answerOf, feed, Output } from "./output.testing.ts";

const TEXT = Buffer.from("a line of text\n".repeat(20_000));

function scene(coding: Coding) {
  const x = answerOf({ "content-encoding": coding, etag: '"a"' }, -1);
  const body = new DecodedBody(x, coding);
  const out = new Output();
  body.start(out);
  return { x, body, out };
}

for (const coding of CODINGS)
  describe(coding, () => {
    for (const size of [1, 100, 1_000_000])
      test(`is undone, cut every ${size}`, async () => {
        const bytes = encode(TEXT, coding, 3);
        const { x, body, out } = scene(coding);
        feed(body, bytes, size, out);
        body.end(null);
        await out.over();
        expect(out.bytes.equals(TEXT)).toBe(true);
        expect(x.response.headers.entries()).toEqual([["etag", 'W/"a"']]);
        expect(x.coded).toEqual({ coding, result: "decoded", bytesIn: bytes.length, bytesOut: TEXT.length });
      });
    for (const [name, spoil] of [
      ["cut off", (bytes: Buffer) => bytes.subarray(0, bytes.length - 2)],
      ["broken", (bytes: Buffer) => bytes.fill(0x55, 4)],
    ] as const)
      test(`content that is ${name} never looks complete`, async () => {
        const { body, out } = scene(coding);
        feed(body, spoil(Buffer.from(encode(TEXT, coding, 3))) as Buffer, 1000, out);
        body.end(null);
        await out.over();
        expect(out.told.at(-1)).toBe("fail upstream.bad_response");
      });
    test("a bomb is cut off long before it has gone off", async () => {
      const bomb = encode(Buffer.alloc(100_000_000), coding, coding === "gzip" ? 9 : 3);
      const { body, out, x } = scene(coding);
      feed(body, bomb, 65_536, out);
      body.end(null);
      await out.over();
      expect(out.told.at(-1)).toBe("fail upstream.bad_response");
      expect(x.coded?.bytesOut).toBeLessThan(30_000_000);
    });
  });

test("no content at all is nothing to undo", async () => {
  const { body, out } = scene("gzip");
  body.end(null);
  await out.over();
  expect([out.told, out.bytes.length]).toEqual([["head", "end"], 0]);
});

test("without a place for a coder it passes as it came", () => {
  let taken = 0;
  while (takePlace()) taken += 1;
  const { x, body, out } = scene("gzip");
  feed(body, zlib.gzipSync(TEXT), 100, out);
  body.end(null);
  for (; taken > 0; taken -= 1) leavePlace();
  expect(zlib.gunzipSync(out.bytes).equals(TEXT)).toBe(true);
  expect([x.response.header("content-encoding"), x.coded?.result, body.full]).toEqual(["gzip", "busy", false]);
});

test("places are given back, whatever the end", () => expect(placesTaken()).toBe(0));
