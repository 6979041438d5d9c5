import { expect, test } from "bun:test";
import { fault } from "../core/faults.ts";
import { tryLaw } from "../core/fuzz.testing.ts";
import { bodyLaw } from "./body.fuzz.ts";
import { Body, type BodyReader, type BodySource } from "./body.ts";

test("all readers get all of it, in a window too", () => {
  tryLaw("body", bodyLaw, 1, 150);
});

class Log implements BodySource, BodyReader {
  readonly said: string[] = [];
  offset = 0;
  onRoom(): void {
    this.said.push("room");
  }
  onLeft(): void {
    this.said.push("left");
  }
  onMore(): void {
    this.said.push("more");
  }
}

const piece = Buffer.alloc(200_000);

test("a window is full when its slowest reader is behind, and says when it is not any more", () => {
  const log = new Log();
  const body = new Body(-1, log);
  const slow = new Log();
  const fast = new Log();
  body.follow(slow);
  body.follow(fast);
  body.openWindow();
  body.append(piece, 0, piece.length);
  expect(body.full).toBe(false);
  body.append(piece, 0, piece.length);
  expect([body.full, slow.said]).toEqual([true, ["more", "more"]]);
  fast.offset = 400_000;
  body.taken();
  expect([body.full, log.said]).toEqual([true, []]);
  slow.offset = 300_000;
  body.taken();
  expect([body.full, log.said]).toEqual([false, ["room"]]);
  expect(body.firstOffset).toBeGreaterThan(0);
});

test("a window without readers is nobody's; what is stored needs none", () => {
  const log = new Log();
  const body = new Body(-1, log);
  const reader = new Log();
  body.follow(reader);
  body.leave(reader);
  expect(log.said).toEqual([]);
  body.openWindow();
  expect(log.said).toEqual(["left"]);
});

test("readers hear of the end and of a break", () => {
  const reader = new Log();
  const body = new Body(-1, null);
  body.follow(reader);
  body.break(fault("upstream.incomplete"));
  expect([reader.said, body.fault?.code]).toEqual([["more"], "upstream.incomplete"]);
});

test("what is told beforehand takes one piece, and what is not gives back what it does not need", () => {
  const told = new Body(1000, null);
  told.append(piece, 0, 400);
  told.append(piece, 0, 600);
  expect([told.pieces, told.bytes]).toEqual([1, 1000]);
  const untold = new Body(-1, null);
  untold.append(piece, 0, 1000);
  untold.finish(null);
  expect([untold.bytes, untold.total, untold.filled(0)]).toEqual([1000, 1000, 1000]);
});
