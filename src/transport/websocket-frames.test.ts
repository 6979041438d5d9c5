import { expect, test } from "bun:test";
import { Rng } from "../core/fuzz.testing.ts";
import { closeFrame, WebSocketFrames } from "./websocket-frames.ts";

/** A frame with this payload; `length` says how its length is written at least. */
function frame(payload: number, masked = false, form: 7 | 16 | 64 = 7): Buffer {
  const mask = masked ? [1, 2, 3, 4] : [];
  const bit = masked ? 0x80 : 0;
  const head = Buffer.alloc(10);
  head[0] = 0x82;
  let used = 2;
  if (form === 7 && payload < 126) head[1] = bit | payload;
  else if (form !== 64 && payload < 65_536) {
    head[1] = bit | 126;
    used = head.writeUInt16BE(payload, 2);
  } else {
    head[1] = bit | 127;
    used = head.writeUIntBE(payload, 4, 6);
  }
  return Buffer.concat([head.subarray(0, used), Buffer.from(mask), Buffer.alloc(payload, 0x82)]);
}

test("however it is cut, the ends of frames are found where they are", () => {
  for (let seed = 1; seed < 300; seed += 1) {
    const rng = new Rng(seed);
    const all = Array.from({ length: 1 + rng.below(6) }, () =>
      frame(rng.pick([0, 1, 125, 126, 300, 70_000]), rng.oneIn(2), rng.pick([7, 16, 64] as const)),
    );
    const wire = Buffer.concat(all);
    const ends = new Set(all.map((_, i) => all.slice(0, i + 1).reduce((sum, { length }) => sum + length, 0)));
    const frames = new WebSocketFrames();
    for (let at = 0; at < wire.length; ) {
      const to = Math.min(wire.length, at + 1 + rng.below(rng.pick([2, 40, 90_000])));
      const stop = rng.oneIn(2);
      const passed = frames.pass(wire.subarray(at, to), stop);
      at += passed;
      expect([seed, at, frames.isBetween]).toEqual([seed, at, ends.has(at)]);
      if (!stop) expect(at).toBe(to);
    }
  }
});

test("a close frame says why", () => expect([...closeFrame(1008)]).toEqual([0x88, 2, 0x03, 0xf0]));
