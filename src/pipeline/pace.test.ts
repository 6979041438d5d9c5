import { describe, expect, test } from "bun:test";
import { TimerWheel } from "../core/timers.ts";
import { Pace } from "./pace.ts";

const KB = 1024;
const MB = KB * KB;

/** A source that always has more, and a wheel on a clock of its own. */
class Stream {
  readonly wheel: TimerWheel;
  readonly pace: Pace;
  now = 12_345.6;
  passed = 0;
  resumed = 0;
  readonly #piece: number;

  constructor(rate: number, piece: number) {
    this.wheel = new TimerWheel(() => this.now);
    this.pace = new Pace(
      rate,
      this.wheel,
      () => {
        this.resumed += 1;
        this.#flow();
      },
      () => this.now,
    );
    this.#piece = piece;
  }

  start(): void {
    this.#flow();
  }

  #flow(): void {
    do this.passed += this.#piece;
    while (this.pace.take(this.#piece));
  }

  /** Lets time pass in ticks that come late by up to `jitterMs`, differently each time. */
  run(ms: number, jitterMs = 0): void {
    const end = this.now + ms;
    for (let tick = Math.ceil(this.now / 100) * 100; tick <= end; tick += 100) {
      const late = (tick * 7919) % (jitterMs + 1);
      this.now = Math.min(end, Math.max(this.now, tick + late));
      this.wheel.turn();
    }
    this.now = end;
  }
}

describe("keeps the rate within 5 % over the first second and every one behind it", () => {
  for (const [name, rate, piece] of [
    ["1 KB/s", KB, 16],
    ["100 KB/s", 100 * KB, KB],
    ["1 MB/s", MB, 4 * KB],
    ["10 MB/s", 10 * MB, 16 * KB],
    ["1 GB/s", KB * MB, 512 * KB],
  ] as const)
    for (const jitter of [0, 9])
      test(`${name} in pieces of ${piece}, ticks up to ${jitter} ms late`, () => {
        const stream = new Stream(rate, piece);
        stream.start();
        for (let second = 1; second <= 5; second += 1) {
          const before = stream.passed;
          stream.run(1000, jitter);
          const late = jitter / 1000 + piece / rate;
          const least = 0.95 - late;
          if (second === 1) expect(stream.passed / rate).toBeWithin(least, 1.05 + late);
          else expect((stream.passed - before) / rate).toBeWithin(0.9 - late, 1.1 + late);
          expect(stream.passed / rate / second).toBeWithin(1 - (0.05 + late) / second, 1 + (0.05 + late) / second);
        }
      });
});

test("a piece larger than a second's worth is paid for before the next one", () => {
  const stream = new Stream(64 * KB, 512 * KB); // 8 s each
  stream.start();
  expect(stream.passed).toBe(512 * KB);
  stream.run(7800);
  expect(stream.passed).toBe(512 * KB);
  stream.run(400);
  expect(stream.passed).toBe(1024 * KB);
  stream.run(32_000);
  expect(stream.passed / (64 * KB) / 40.2).toBeWithin(0.95, 1.2);
});

test("a slow stream never waits", () => {
  const stream = new Stream(MB, KB);
  for (let at = 0; at < 100; at += 1) {
    expect(stream.pace.take(50 * KB)).toBe(true);
    stream.run(100);
  }
  expect(stream.resumed).toBe(0);
});

test("a pause is not saved up", () => {
  const stream = new Stream(MB, KB);
  stream.run(60_000);
  stream.start();
  expect(stream.passed / MB).toBeLessThan(0.16); // what is saved and what may be ahead
});

test("what comes while the stream should wait is paid for too, and does not let it go on", () => {
  const stream = new Stream(MB, KB);
  stream.start();
  expect(stream.pace.waiting).toBe(true);
  stream.now += 99;
  expect(stream.pace.take(1)).toBe(false);
  stream.pace.take(2 * MB);
  stream.run(1900);
  expect(stream.resumed).toBe(0);
  stream.run(400);
  expect(stream.resumed).toBeGreaterThan(0);
});

test("nothing is told after the end", () => {
  const stream = new Stream(KB, KB);
  stream.start();
  stream.pace.stop();
  expect(stream.pace.waiting).toBe(false);
  stream.run(10_000);
  expect(stream.resumed).toBe(0);
});
