// RFC 9113 §5.2, §6.9: what may be sent, what is given back, and what waits.
import { describe, expect, test } from "bun:test";
import { HeaderBlock } from "../header-block.ts";
import { ReceiveWindow } from "./flow.ts";
import { frame, uint32 } from "./frame-reader.testing.ts";
import { SETTING, TYPE } from "./frames.ts";
import { answer, data, GET, headers, OPEN, POST, SessionRig, type StreamLog } from "./session.testing.ts";

const settings = (id: number, value: number): Buffer =>
  frame(TYPE.settings, 0, 0, Buffer.concat([Buffer.from([0, id]), uint32(value)]));
const windowUpdate = (id: number, by: number): Buffer => frame(TYPE.windowUpdate, 0, id, uint32(by));
const CONTENT = Buffer.alloc(300_000, "c");
const PIECE = Buffer.alloc(16_384);

/** A server with streams that have been asked for and answered with a head. */
function answering(...ids: readonly number[]): { rig: SessionRig; logs: StreamLog[] } {
  const rig = SessionRig.begun("server");
  rig.feed(...ids.map((id) => headers(id, GET)));
  const logs = ids.map((id) => rig.stream(id));
  for (const { stream } of logs) answer(stream, 200, []);
  rig.written();
  return { rig, logs };
}
/** Bytes of content by stream in what has been written. */
function sent(rig: SessionRig): Record<string, number> {
  const bytes: Record<string, number> = {};
  for (const line of rig.written()) {
    const [kind, id, length] = line.split(" ");
    if (kind === "DATA") bytes[id!] = (bytes[id!] ?? 0) + Number(length);
  }
  return bytes;
}

describe("what is sent", () => {
  test("no more than the stream's window, and the rest as it grows", () => {
    const { rig, logs } = answering(1);
    const { stream } = logs[0]!;
    rig.feed(windowUpdate(0, 1_000_000));
    stream.sendData(CONTENT, 0, 100_000, true);
    expect([sent(rig), stream.queued, stream.full, stream.localEnded]).toEqual([{ 1: 65_535 }, 34_465, false, true]);
    rig.feed(windowUpdate(1, 1));
    expect(rig.written()).toEqual(["DATA 1 1"]);
    rig.feed(windowUpdate(1, 50_000));
    expect(rig.written()).toEqual(["DATA 1 16384", "DATA 1 16384", "DATA 1 1696 end"]);
    expect(rig.heard.at(-1)).toBe("1 gone");
  });

  test("no more than the connection's window", () => {
    const { rig, logs } = answering(1, 3);
    for (const { stream } of logs) stream.sendData(CONTENT, 0, 40_000);
    expect(sent(rig)).toEqual({ 1: 40_000, 3: 25_535 });
    rig.feed(windowUpdate(0, 10_000));
    expect(sent(rig)).toEqual({ 3: 10_000 });
    rig.feed(windowUpdate(0, 10_000));
    expect(sent(rig)).toEqual({ 3: 4465 });
  });

  test("INITIAL_WINDOW_SIZE moves open windows, also below zero", () => {
    const { rig, logs } = answering(1);
    const { stream } = logs[0]!;
    stream.sendData(CONTENT, 0, 1000);
    rig.feed(settings(SETTING.initialWindowSize, 0));
    expect(stream.sendWindow).toBe(-1000);
    stream.sendData(CONTENT, 0, 100);
    rig.feed(windowUpdate(1, 1000));
    expect(sent(rig)).toEqual({ 1: 1000 });
    rig.feed(windowUpdate(1, 1));
    expect(sent(rig)).toEqual({ 1: 1 });
    rig.feed(settings(SETTING.initialWindowSize, 10), headers(3, GET));
    expect([sent(rig), rig.stream(3).stream.sendWindow]).toEqual([{ 1: 10 }, 10]);
  });

  test("a driver is told to stop and to go on", () => {
    const { rig, logs } = answering(1);
    const [log] = logs as [StreamLog];
    const { stream } = log;
    stream.sendData(CONTENT, 0, 65_535 + 65_536);
    expect(stream.full).toBe(false);
    stream.sendData(CONTENT, 0, 1);
    expect(stream.full).toBe(true);
    rig.feed(windowUpdate(0, 1_000_000), windowUpdate(1, 49_152));
    expect([stream.full, stream.queued, log.heard]).toEqual([true, 16_385, []]);
    rig.feed(windowUpdate(1, 1));
    expect([stream.full, log.heard]).toEqual([false, ["drain"]]);
  });

  test("a full output holds content, but no heads", () => {
    const { rig, logs } = answering(1, 3);
    const [first, second] = logs as [StreamLog, StreamLog];
    rig.out.full = true;
    first.stream.sendData(CONTENT, 0, 10);
    first.stream.sendEnd(HeaderBlock.of([["x", "1"]]));
    second.stream.sendEnd(HeaderBlock.of([["y", "1"]]));
    expect(rig.written()).toEqual(["HEADERS 3 end y: 1"]);
    rig.out.full = false;
    rig.session.writable();
    expect(rig.written()).toEqual(["DATA 1 10", "HEADERS 1 end x: 1"]);
  });

  test("trailers that wait are a copy", () => {
    const { rig, logs } = answering(1);
    const { stream } = logs[0]!;
    stream.sendData(CONTENT, 0, 65_536);
    const trailers = HeaderBlock.of([["x", "1"]]);
    stream.sendEnd(trailers);
    trailers.set("x", "2");
    rig.written();
    rig.feed(windowUpdate(0, 1), windowUpdate(1, 1));
    expect(rig.written()).toEqual(["DATA 1 1", "HEADERS 1 end x: 1"]);
  });

  test("what waits for a stream that is reset is dropped", () => {
    const { rig, logs } = answering(1, 3);
    for (const { stream } of logs) stream.sendData(CONTENT, 0, 65_535, true);
    expect(sent(rig)).toEqual({ 1: 65_535 });
    logs[1]!.stream.reset(8);
    expect([logs[1]!.stream.queued, rig.written()]).toEqual([0, ["RST_STREAM 3 cancel"]]);
    rig.feed(windowUpdate(0, 100_000), windowUpdate(3, 100_000));
    expect(rig.written()).toEqual([]);
  });
});

describe("what is given back", () => {
  /** A server with an upload under way. */
  function receiving(options = {}): { rig: SessionRig; log: StreamLog } {
    const rig = SessionRig.begun("server", options);
    rig.feed(headers(1, POST, OPEN));
    return { rig, log: rig.stream(1) };
  }
  const pingless = (rig: SessionRig): string[] => rig.written().filter((line) => line !== "PING");

  test("in halves", () => {
    const { rig } = receiving();
    rig.feed(data(1, PIECE));
    expect(pingless(rig)).toEqual([]);
    rig.feed(data(1, PIECE));
    expect(pingless(rig)).toEqual(["WINDOW_UPDATE 1 32768"]);
    for (let i = 0; i < 6; i += 1) rig.feed(data(1, PIECE));
    expect(pingless(rig)).toEqual([
      "WINDOW_UPDATE 1 32768",
      "WINDOW_UPDATE 1 32768",
      "WINDOW_UPDATE 0 131072",
      "WINDOW_UPDATE 1 32768",
    ]);
  });

  test("padding at once, as nobody takes it", () => {
    const { rig, log } = receiving();
    log.stream.pause();
    const padded = frame(TYPE.data, 8, 1, Buffer.concat([Buffer.from([254]), Buffer.alloc(255)]));
    for (let i = 0; i < 129; i += 1) rig.feed(padded);
    expect(pingless(rig)).toEqual([`WINDOW_UPDATE 1 ${129 * 255}`]);
  });

  test("not while a handler is paused; the peer may send its window and no more", () => {
    const { rig, log } = receiving();
    const { stream } = log;
    stream.pause();
    for (let i = 0; i < 4; i += 1) rig.feed(data(1, PIECE));
    expect([pingless(rig), log.bytes]).toEqual([[], 0]);
    rig.feed(data(1, "x"));
    expect(pingless(rig)).toEqual(["RST_STREAM 1 flowControl"]);
  });

  test("when it goes on", () => {
    const { rig, log } = receiving();
    const { stream } = log;
    stream.pause();
    rig.feed(data(1, PIECE), data(1, "abc"), headers(1, [["x", "1"]]));
    expect(log.heard).toEqual([]);
    stream.resume();
    expect(log.heard).toEqual(["data 16384", "data 3", "end x: 1"]);
    expect(stream.remoteEnded).toBe(true);
  });

  test("a handler that pauses again gets the rest later", () => {
    const { rig, log } = receiving();
    const { stream } = log;
    stream.pause();
    for (let i = 0; i < 3; i += 1) rig.feed(data(1, PIECE));
    rig.feed(data(1, "end", true));
    log.onContent = () => stream.pause();
    stream.resume();
    expect(log.heard).toEqual(["data 16384"]);
    stream.resume();
    stream.resume();
    expect(log.heard).toEqual(["data 16384", "data 16384", "data 16384"]);
    stream.resume();
    expect(log.heard.slice(3)).toEqual(["data 3"]);
    stream.resume();
    expect(log.heard.slice(4)).toEqual(["end"]);
  });

  test("what was held is given back to the connection when the stream is reset", () => {
    const { rig, log } = receiving({ connectionWindow: 65_536, connectionWindowMax: 65_536 });
    log.stream.pause();
    for (let i = 0; i < 4; i += 1) rig.feed(data(1, PIECE));
    expect(pingless(rig)).toEqual([]);
    log.stream.reset(8);
    expect(pingless(rig)).toEqual(["RST_STREAM 1 cancel", "WINDOW_UPDATE 0 65536"]);
  });

  test("the connection's window is one for all, and more than it ends the connection", () => {
    const rig = SessionRig.begun("server", { connectionWindow: 65_536, connectionWindowMax: 65_536 });
    rig.serve = ({ stream }) => stream.pause();
    rig.feed(headers(1, POST, OPEN), headers(3, POST, OPEN));
    for (let i = 0; i < 2; i += 1) rig.feed(data(1, PIECE), data(3, PIECE));
    rig.feed(data(3, "x"));
    expect(rig.written()).toEqual(["GOAWAY 3 flowControl"]);
  });

  test("slow streams do not take the connection's window from others before it is as large as it may be", () => {
    const rig = SessionRig.begun("server", { connectionWindow: 65_536, connectionWindowMax: 262_144 });
    rig.serve = ({ stream }) => stream.pause();
    rig.feed(headers(1, POST, OPEN), headers(3, POST, OPEN), headers(5, POST, OPEN), headers(7, POST, OPEN));
    const updates: string[] = [];
    for (const id of [1, 3, 5, 7]) {
      for (let i = 0; i < 4; i += 1) rig.feed(data(id, PIECE));
      updates.push(...rig.written());
    }
    expect(updates).toEqual(["WINDOW_UPDATE 0 65536", "WINDOW_UPDATE 0 131072"]);
    rig.feed(data(1, "x"));
    expect(rig.written()).toEqual(["GOAWAY 7 flowControl"]);
  });

  test("nothing is given back to a stream that has ended, and no window to a peer that does not read", () => {
    const { rig } = receiving();
    rig.out.full = true;
    rig.feed(data(1, PIECE), data(1, PIECE));
    expect(rig.written()).toEqual([]);
    rig.out.full = false;
    rig.session.writable();
    expect(pingless(rig)).toEqual(["WINDOW_UPDATE 1 32768"]);
    rig.feed(data(1, PIECE), data(1, PIECE, true));
    expect(pingless(rig)).toEqual(["WINDOW_UPDATE 1 32768"]);
  });

  test("a smaller window than the default counts from the acknowledgement of our settings on", () => {
    const rig = new SessionRig("client", { streamWindow: 1000 });
    rig.session.start();
    rig.feed(frame(TYPE.settings, 0, 0));
    const { stream } = rig.request();
    stream.pause();
    rig.written();
    rig.feed(headers(1, [[":status", "200"]], OPEN), data(1, Buffer.alloc(1000)));
    for (let i = 0; i < 4; i += 1) rig.feed(data(1, Buffer.alloc(16_000)));
    expect([stream.receiveWindow?.left, rig.session.broken]).toEqual([535, false]);
    rig.feed(frame(TYPE.settings, 1, 0));
    expect(stream.receiveWindow?.left).toBe(535 - 64_535);
    stream.resume();
    expect(pingless(rig)).toEqual(["WINDOW_UPDATE 1 1000", ...Array(4).fill("WINDOW_UPDATE 1 16000")]);
    expect(stream.receiveWindow?.left).toBe(1000);
  });
});

describe("windows that grow", () => {
  const CASES: readonly (readonly [name: string, after: number, rtt: number, size: number, want: readonly number[]])[] =
    [
      ["used up within a round trip", 20, 20, 100, [150, 200]],
      ["a fast peer that is near", 1, 0, 100, [150, 200]],
      ["slower than that", 21, 20, 100, [50, 100]],
      ["an unknown round trip", 1, -1, 100, [50, 100]],
      ["up to the limit", 1, 20, 300, [250, 400]],
      ["no further", 1, 20, 400, [200, 400]],
    ];
  for (const [name, after, rtt, size, [increment, then]] of CASES)
    test(name, () => {
      const window = new ReceiveWindow(size, 400, 1000);
      window.left -= size / 2;
      window.owed = size / 2 - 1;
      expect(window.due).toBe(false);
      window.owed += 1;
      expect(window.due).toBe(true);
      expect([window.announce(1000 + after, rtt), window.size, window.left, window.owed]).toEqual([
        increment!,
        then!,
        then!,
        0,
      ]);
    });

  test("of a session: a fast upload has its windows as large as they may be", () => {
    const rig = SessionRig.begun("server");
    rig.feed(headers(1, POST, OPEN));
    const { stream } = rig.stream(1);
    for (let i = 0; i < 400; i += 1) {
      rig.now += 1;
      rig.feed(data(1, PIECE));
      const bytes = rig.out.take();
      rig.text.read(bytes);
      const at = bytes.indexOf(Buffer.from([0, 0, 8, TYPE.ping, 0]));
      rig.now += 4;
      if (at >= 0) rig.feed(frame(TYPE.ping, 1, 0, bytes.subarray(at + 9, at + 17)));
    }
    // 16 KB in 5 ms: half of the window comes within a round trip (4 ms) at no size above 16 KB.
    expect(stream.receiveWindow?.size).toBe(65_536);
    for (let i = 0; i < 400; i += 1) {
      if (i % 16 === 0) rig.now += 1;
      rig.feed(data(1, PIECE));
    }
    expect(stream.receiveWindow?.size).toBe(1_048_576);
    expect(rig.session.broken).toBe(false);
  });
});

describe("who goes first (RFC 9218 §10)", () => {
  const update = (id: number, text: string): Buffer =>
    frame(TYPE.priorityUpdate, 0, 0, Buffer.concat([uint32(id), Buffer.from(text)]));
  /** The order of DATA frames of streams with 40,000 bytes each. */
  function order(...frames: readonly Buffer[]): string {
    const { rig, logs } = answering(1, 3, 5);
    rig.out.full = true;
    for (const { stream } of logs) stream.sendData(CONTENT, 0, 20_000);
    rig.feed(...frames);
    rig.out.full = false;
    rig.session.writable();
    return rig
      .written()
      .map((line) => line.split(" ")[1])
      .join("");
  }
  test("without the scheme all in turn", () => expect(order()).toBe("135135"));
  test("by urgency", () => expect(order(update(5, "u=0"), update(1, "u=7"))).toBe("553311"));
  test("those that are not incremental first, by id", () =>
    expect(order(update(3, "u=3"), update(5, "u=3"))).toBe("335511"));
  test("what is out of range is the default", () =>
    expect(order(update(5, "u=9"), update(1, "u=2, i"))).toBe("115533"));
  test("a Priority field, and an update that came first", () => {
    const rig = SessionRig.begun("server");
    rig.feed(update(3, "u=1"), headers(1, [...GET, ["priority", "u=5, i"]]), headers(3, [...GET, ["priority", "u=6"]]));
    const [first, second] = [rig.stream(1).stream, rig.stream(3).stream];
    expect([first.urgency, first.incremental, second.urgency, second.incremental]).toEqual([5, true, 1, false]);
  });
  test("as the driver says", () => {
    const { rig, logs } = answering(1, 3);
    rig.out.full = true;
    for (const { stream } of logs) stream.sendData(CONTENT, 0, 100);
    logs[1]!.stream.reprioritise(0, false);
    rig.out.full = false;
    rig.session.writable();
    expect(rig.written()).toEqual(["DATA 3 100", "DATA 1 100"]);
  });
});
