import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { Timer, TimerWheel } from "./timers.ts";

const TICK = 100;
const TURN_MS = 102_400; // 1024 slots

/** A wheel whose clock only moves when it is told to, turning at every tick as the interval would. */
class Rig {
  now: number;
  readonly wheel: TimerWheel;
  readonly log: string[] = [];

  constructor(startMs = 12_345) {
    this.now = startMs;
    this.wheel = new TimerWheel(() => this.now);
  }

  /** A timer that notes its name and the milliseconds since `from`. */
  timer(name: string, from = this.now): Timer {
    return new Timer(() => this.log.push(`${name}@${this.now - from}`));
  }

  /** Lets the clock run; the interval may come at any time within a tick. */
  run(ms: number, stepMs = TICK): void {
    const until = this.now + ms;
    while (this.now < until) {
      this.now = Math.min(until, this.now + stepMs);
      this.wheel.turn();
    }
  }

  /** The process sleeps: no interval fires for that long. */
  sleep(ms: number): void {
    this.now += ms;
    this.wheel.turn();
  }
}

const firedAt = (rig: Rig): number[] => rig.log.map((entry) => Number(entry.split("@")[1]));

describe("precision", () => {
  for (const ms of [0, 1, 50, 99, 100, 101, 999, 1000, 10_000, TURN_MS - TICK, TURN_MS, TURN_MS + 1, 3 * TURN_MS])
    for (const start of [0, 1, 99, 100, 12_345])
      test(`${ms} ms from ${start}: never early, at most two ticks late`, () => {
        const rig = new Rig(start);
        rig.wheel.arm(rig.timer("t"), ms);
        rig.run(ms + 1000, 10);
        expect(rig.log).toHaveLength(1);
        expect(firedAt(rig)[0]).toBeGreaterThanOrEqual(ms);
        expect(firedAt(rig)[0]).toBeLessThanOrEqual(ms + 2 * TICK);
      });

  test("armed between two ticks it is not early", () => {
    for (let offset = 0; offset < TICK; offset += 7) {
      const rig = new Rig(0);
      rig.run(TICK);
      rig.now += offset; // the wheel's own `now` lies back
      rig.wheel.arm(rig.timer("t"), 300);
      rig.now += TICK - offset;
      rig.wheel.turn();
      rig.run(1000);
      expect(firedAt(rig)[0]).toBeGreaterThanOrEqual(300);
      expect(firedAt(rig)[0]).toBeLessThanOrEqual(300 + 2 * TICK);
    }
  });

  test("it fires once, and can be armed again, from inside itself too", () => {
    const rig = new Rig(0);
    let left = 3;
    const timer: Timer = new Timer(() => {
      rig.log.push(`t@${rig.now}`);
      left -= 1;
      if (left > 0) rig.wheel.arm(timer, 500);
    });
    rig.wheel.arm(timer, 500);
    rig.run(10_000);
    expect(firedAt(rig)).toEqual([600, 1200, 1800]);
  });
});

describe("armed anew", () => {
  test("later: only the last time counts, however often", () => {
    const rig = new Rig(0);
    const timer = rig.timer("t", 0);
    for (let i = 0; i < 50; i += 1) {
      rig.wheel.arm(timer, 1000);
      rig.run(TICK);
    }
    expect(rig.log).toEqual([]);
    rig.run(5000);
    expect(rig.log).toEqual(["t@6000"]);
  });
  test("earlier: it does not wait for its old slot", () => {
    const rig = new Rig(0);
    const timer = rig.timer("t", 0);
    rig.wheel.arm(timer, 60_000);
    rig.wheel.arm(timer, 200);
    rig.run(100_000);
    expect(rig.log).toEqual(["t@300"]);
  });
  test("earlier and later again", () => {
    const rig = new Rig(0);
    const timer = rig.timer("t", 0);
    rig.wheel.arm(timer, 1000);
    rig.wheel.arm(timer, 200);
    rig.wheel.arm(timer, 2 * TURN_MS);
    rig.run(3 * TURN_MS);
    expect(rig.log).toEqual([`t@${2 * TURN_MS + TICK}`]);
  });
});

describe("disarmed and dropped", () => {
  for (const off of ["disarm", "drop"] as const) {
    test(`${off}: it never fires, and may be armed again`, () => {
      const rig = new Rig(0);
      const timer = rig.timer("t", 0);
      rig.wheel.arm(timer, 500);
      rig.wheel[off](timer);
      rig.wheel[off](timer);
      rig.run(2 * TURN_MS);
      expect(rig.log).toEqual([]);
      rig.wheel.arm(timer, 500);
      rig.run(1000);
      expect(rig.log).toHaveLength(1);
    });
    test(`${off} by a timer of the same tick, whichever comes first`, () => {
      for (const order of [0, 1]) {
        const rig = new Rig(0);
        const timers: Timer[] = [];
        const other = (i: number): Timer => timers[1 - i]!;
        for (const i of [0, 1]) {
          timers.push(
            new Timer(() => {
              rig.log.push(String(i));
              rig.wheel[off](other(i));
            }),
          );
        }
        for (const i of [order, 1 - order]) rig.wheel.arm(timers[i]!, 500);
        rig.run(5000);
        expect(rig.log).toHaveLength(1);
      }
    });
  }
  test("a dropped timer is in no slot, whatever stood beside it", () => {
    const rig = new Rig(0);
    const timers = [0, 1, 2, 3, 4].map((i) => rig.timer(String(i), 0));
    for (const timer of timers) rig.wheel.arm(timer, 500);
    for (const i of [2, 0, 4]) {
      rig.wheel.drop(timers[i]!);
      expect(timers[i]).toMatchObject({ tick: -1, next: null, previous: null });
    }
    rig.run(1000);
    expect(rig.log.sort()).toEqual(["1@600", "3@600"]);
  });
  test("armed by a timer of the same tick: not fired in the same turn", () => {
    const rig = new Rig(0);
    const second = rig.timer("second", 0);
    rig.wheel.arm(second, 500);
    const first = new Timer(() => rig.wheel.arm(second, 500));
    rig.wheel.arm(first, 500);
    rig.run(5000);
    // Either it had fired before, or the new time counts: never both in one turn.
    expect(["second@600", "second@1200"]).toContain(rig.log[0]!);
    expect(new Set(firedAt(rig)).size).toBe(rig.log.length);
  });
});

describe("long sleeps", () => {
  for (const ms of [5000, TURN_MS - TICK, TURN_MS, TURN_MS + TICK, 10 * TURN_MS + 37])
    test(`${ms} ms without a turn: what is due fires at once, what is not waits`, () => {
      const rig = new Rig(777);
      rig.wheel.arm(rig.timer("soon"), 1000);
      rig.wheel.arm(rig.timer("due"), ms - 2 * TICK);
      rig.wheel.arm(rig.timer("later"), ms + 5000);
      rig.sleep(ms);
      expect(rig.log.sort()).toEqual([`due@${ms}`, `soon@${ms}`]);
      rig.run(10_000);
      expect(rig.log).toHaveLength(3);
      expect(firedAt(rig)[2]! - ms).toBeGreaterThanOrEqual(5000);
      expect(firedAt(rig)[2]! - ms).toBeLessThanOrEqual(5000 + 2 * TICK);
    });
});

test("any sequence of arming, dropping and sleeping: each timer fires exactly when a plain list of deadlines says", () => {
  const command = fc.oneof(
    { weight: 4, arbitrary: fc.record({ kind: fc.constant("arm" as const), at: fc.nat(4), ms: fc.nat(250_000) }) },
    { weight: 3, arbitrary: fc.record({ kind: fc.constant("arm" as const), at: fc.nat(4), ms: fc.nat(1000) }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant("drop" as const), at: fc.nat(4), ms: fc.constant(0) }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant("disarm" as const), at: fc.nat(4), ms: fc.constant(0) }) },
    { weight: 4, arbitrary: fc.record({ kind: fc.constant("run" as const), at: fc.constant(0), ms: fc.nat(3000) }) },
    {
      weight: 1,
      arbitrary: fc.record({ kind: fc.constant("sleep" as const), at: fc.constant(0), ms: fc.nat(250_000) }),
    },
  );
  fc.assert(
    fc.property(fc.array(command, { maxLength: 40 }), (commands) => {
      const rig = new Rig(0);
      const due = [0, 0, 0, 0, 0].map(() => Number.POSITIVE_INFINITY);
      const timers = due.map((_, i) => {
        const timer: Timer = new Timer(() => {
          if (rig.now < due[i]!) throw new Error(`timer ${i} fired ${due[i]! - rig.now} ms early`);
          due[i] = Number.POSITIVE_INFINITY;
        });
        return timer;
      });
      for (const { kind, at, ms } of [...commands, { kind: "run" as const, at: 0, ms: 1000 }]) {
        if (kind === "run") rig.run(ms);
        else if (kind === "sleep") rig.sleep(ms);
        else if (kind === "arm") {
          rig.wheel.arm(timers[at]!, ms);
          due[at] = rig.now + ms;
        } else {
          rig.wheel[kind](timers[at]!);
          due[at] = Number.POSITIVE_INFINITY;
        }
        if (kind === "run" || kind === "sleep")
          due.forEach((deadline, i) => {
            if (deadline + 2 * TICK < rig.now) throw new Error(`timer ${i} is ${rig.now - deadline} ms late`);
          });
      }
    }),
    { numRuns: 300 },
  );
});

test("started, it runs by itself, and stopped it does not", async () => {
  const wheel = new TimerWheel();
  const { promise, resolve } = Promise.withResolvers<number>();
  const from = performance.now();
  const timer = new Timer(() => resolve(performance.now() - from));
  wheel.start();
  wheel.start();
  wheel.arm(timer, 100);
  expect(await promise).toBeGreaterThanOrEqual(100);
  wheel.stop();
  const before = wheel.now;
  await Bun.sleep(250);
  expect(wheel.now).toBe(before);
});
