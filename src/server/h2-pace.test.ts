import { describe, expect, test } from "bun:test";
import { TimerWheel } from "../core/timers.ts";
import { H2Pace } from "./h2-pace.ts";
import type { ListenerContext } from "./listener.ts";

const BODY_MS = 1000;
const RATE = 100; // bytes per second
const NEVER = Number.POSITIVE_INFINITY;

class Rig {
  time = 5000;
  readonly wheel = new TimerWheel(() => this.time);
  readonly pace = new H2Pace({
    wheel: this.wheel,
    options: { timeouts: { body: BODY_MS }, limits: { bodyRate: RATE } },
  } as unknown as ListenerContext);
  pass(ms: number): void {
    this.time += ms;
    this.wheel.turn();
  }
}

describe("a request's body", () => {
  test("is awaited from its start on, and anew with each piece", () => {
    const { pace, pass } = rig();
    expect(pace.deadline).toBe(NEVER);
    pace.startBody();
    expect(pace.deadline).toBe(5000 + BODY_MS);
    pass(900);
    expect(pace.bodyOverdue).toBe(false);
    expect(pace.received(1)).toBe(true);
    pass(900);
    expect(pace.bodyOverdue).toBe(false);
    pass(100);
    expect(pace.bodyOverdue).toBe(true);
  });

  test("is not awaited while nobody reads it, nor judged by that time", () => {
    const { pace, pass } = rig();
    pace.startBody();
    pace.stopBody();
    pass(60_000);
    expect([pace.deadline, pace.bodyOverdue]).toEqual([NEVER, false]);
    pace.startBody();
    pass(900);
    expect(pace.received(1)).toBe(true);
  });

  test("must not stay below its rate once the grace is over", () => {
    for (const [each, fine] of [
      [RATE, true],
      [RATE - 1, false],
    ] as const) {
      const { pace, pass } = rig();
      pace.startBody();
      const seen: boolean[] = [];
      for (let second = 0; second < 6; second += 1) {
        pass(1000);
        seen.push(pace.received(each));
      }
      expect(seen).toEqual([true, true, true, true, true, fine]);
    }
  });
});

describe("an answer that waits", () => {
  // What has left in a body time-out, of this stream and of all; whether it has a window; whether it is stalled.
  const ROWS: readonly (readonly [name: string, own: number, all: number, windowless: boolean, stalled: boolean])[] = [
    ["moves", RATE, RATE, false, false],
    ["moves, and has used up its window", RATE, RATE, true, false],
    ["waits for other streams", 0, 10_000, false, false],
    ["has no window", 0, 10_000, true, true],
    ["waits for a connection on which nothing moves", 0, 0, false, true],
    ["is given a byte now and then", RATE - 1, RATE - 1, false, true],
  ];
  for (const [name, own, all, windowless, stalled] of ROWS)
    test(name, () => {
      const { pace, pass } = rig();
      pace.watch(1000, 5000);
      pass(BODY_MS - 1);
      expect(pace.writeDue).toBe(false);
      pace.watch(9999, 9999); // it is watched already
      pass(1);
      expect(pace.writeDue).toBe(true);
      expect(pace.stalled(1000 + own, 5000 + all, windowless)).toBe(stalled);
      expect(pace.deadline).toBe(5000 + 2 * BODY_MS);
    });

  test("is watched no more once it has left", () => {
    const { pace, pass } = rig();
    pace.watch(0, 0);
    pace.stopWatch();
    pass(BODY_MS);
    expect([pace.writeDue, pace.deadline]).toEqual([false, NEVER]);
  });
});

function rig(): { pace: H2Pace; pass: (ms: number) => void } {
  const made = new Rig();
  return { pace: made.pace, pass: (ms) => made.pass(ms) };
}

describe("a stream of messages", () => {
  const SILENCE_MS = 60_000;
  test("may be slow, and silent for as long as either side breaks the silence in time", () => {
    const { pace, pass } = rig();
    pace.startMessages(SILENCE_MS);
    for (const speak of [() => pace.received(1), () => pace.answered()]) {
      pass(SILENCE_MS - 1000);
      expect(speak()).not.toBe(false);
      pass(2000);
      expect(pace.bodyOverdue).toBe(false);
    }
    pass(SILENCE_MS);
    expect(pace.bodyOverdue).toBe(true);
  });
  test("answers give an ordinary body no more time", () => {
    const { pace, pass } = rig();
    pace.startBody();
    pass(BODY_MS - 100);
    pace.answered();
    pass(200);
    expect(pace.bodyOverdue).toBe(true);
  });
  test("is not awaited once it is there, whatever is answered", () => {
    const { pace, pass } = rig();
    pace.startMessages(SILENCE_MS);
    pace.stopBody();
    pace.answered();
    pass(2 * SILENCE_MS);
    expect([pace.deadline, pace.bodyOverdue]).toEqual([NEVER, false]);
  });
});
