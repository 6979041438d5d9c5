// Who may still look at a chunk once it has been read: what nobody has kept can be freed at once.
import { expect, test } from "bun:test";
import { SPENT_MIN, spent } from "../../core/spent.ts";
import { data, headers, OPEN, POST, SessionRig } from "./session.testing.ts";

const LARGE = 10_000;

/** Takes two streams' requests and what follows in one chunk; says whether the chunk may still be needed. */
function received(content: readonly number[], onContent: (rig: SessionRig, bytes: Buffer) => void, paused = false) {
  const rig = SessionRig.begun("server");
  rig.feed(headers(1, POST, OPEN));
  const { stream } = rig.stream(1);
  if (paused) stream.pause();
  rig.stream(1).onContent = (bytes) => onContent(rig, bytes);
  const frames = content.map((size) => data(1, "x".repeat(size)));
  const bytes = Buffer.concat([...frames, Buffer.alloc(0)]) as Buffer;
  const chunk = Buffer.from(new ArrayBuffer(bytes.length));
  bytes.copy(chunk);
  const pieces: Buffer[] = [];
  const before = rig.stream(1).onContent!;
  rig.stream(1).onContent = (piece, from, to) => {
    pieces.push(piece);
    before(piece, from, to);
  };
  return { isNeeded: rig.session.receive(chunk, rig.now), chunk, pieces, heard: rig.stream(1).bytes };
}

const keeps = (): void => {};
const givesUp = (_rig: SessionRig, bytes: Buffer): void => spent(bytes);

test.each([
  ["large content that is kept", [LARGE, LARGE], keeps, false, true],
  ["large content that is given up", [LARGE, LARGE], givesUp, false, false],
  ["large content for a handler that is paused", [LARGE, LARGE], givesUp, true, true],
  ["small content that is kept", new Array<number>(40).fill(900), keeps, false, false],
  ["small content for a handler that is paused", new Array<number>(40).fill(900), keeps, true, false],
] as const)("%s", (_, content, onContent, paused, isNeeded) => {
  const got = received(content, onContent, paused);
  expect(got.chunk.length).toBeGreaterThan(SPENT_MIN);
  expect([got.isNeeded, got.heard]).toEqual([isNeeded, paused ? 0 : content.reduce((sum, size) => sum + size, 0)]);
  // Small pieces lie in memory of their own, which may be kept.
  for (const piece of got.pieces) expect(piece === got.chunk).toBe(content[0]! === LARGE);
});

test("only one of two that is given up", () => {
  let count = 0;
  const { isNeeded } = received([LARGE, LARGE], (_rig, bytes) => {
    count += 1;
    if (count === 2) spent(bytes);
  });
  expect(isNeeded).toBe(true);
});

test("copies stay as they are", () => {
  const kept: string[] = [];
  const views: Buffer[] = [];
  const rig = SessionRig.begun("server");
  rig.feed(headers(1, POST, OPEN));
  rig.stream(1).onContent = (bytes, from, to) => {
    views.push(bytes.subarray(from, to) as Buffer);
    kept.push(bytes.latin1Slice(from, to));
  };
  rig.feed(...Array.from({ length: 60 }, (_, at) => data(1, String(at).padStart(2, "0").repeat(400))));
  expect(kept.length).toBe(60);
  expect(views.map((view) => view.latin1Slice())).toEqual(kept);
});
