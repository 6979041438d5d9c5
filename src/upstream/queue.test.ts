// What the queue does for an upstream is in upstream.test.ts; here it is what several threads see of one another.
import { describe, expect, test } from "bun:test";
import { TimerWheel } from "../core/timers.ts";
import { Board } from "./board.ts";
import type { Server } from "./pool.ts";
import { FULL, type NOBODY, PlaceQueue } from "./queue.ts";
import { MEMORY, TestWant, takeSlots } from "./upstream.testing.ts";

const SERVER = { name: "server" } as Server;
/** The queue looks by itself every 100 ms; what comes well before that was told. */
const TOLD_MS = 80;

/** Two threads that share one server of `limit` places. */
class Threads {
  readonly #server = takeSlots(1);
  readonly #slot = takeSlots(1);
  readonly #limit: number;
  readonly boards = [new Board(MEMORY, 0), new Board(MEMORY, 1)] as const;
  readonly queues: readonly PlaceQueue[];
  now = 1000;
  readonly wheel = new TimerWheel(() => this.now);
  readonly left: string[] = [];
  tries = 0;
  /** Stands in for the server that can be used. */
  answer: typeof NOBODY | null = null;

  constructor(limit: number, queue = 10) {
    this.#limit = limit;
    this.queues = this.boards.map(
      (board) =>
        new PlaceQueue(
          board,
          this.#slot,
          this.wheel,
          { queue, queueTimeout: 1000 },
          {
            place: ({ tried }) => {
              this.tries += 1;
              if (tried?.includes(SERVER) === true) return FULL;
              return this.answer ?? (board.enter(this.#server, this.#limit) ? SERVER : FULL);
            },
            give: (want, server) => want.onServer(server),
            leave: (want) => this.left.push((want as TestWant).name),
          },
        ),
    );
  }

  enter(thread: 0 | 1): boolean {
    return this.boards[thread].enter(this.#server, this.#limit);
  }
  free(thread: 0 | 1): void {
    this.slip(thread);
    this.queues[thread]!.freed(SERVER);
  }
  /** Frees a place without a word, as a thread does that ends. */
  slip(thread: 0 | 1): void {
    this.boards[thread].leave(this.#server);
  }
  wait(thread: 0 | 1, name: string, more: Partial<TestWant> = {}): TestWant {
    const want = new TestWant(name, more);
    this.queues[thread]!.add(want, want.lane);
    return want;
  }
  /** How many threads have somebody waiting. */
  get waiting(): number {
    return this.boards[0].inFlight(this.#slot);
  }
  pass(ms: number): void {
    for (const end = this.now + ms; this.now < end; ) {
      this.now += 100;
      this.wheel.turn();
    }
  }
}

/** Whether it is told anything within so many milliseconds. */
async function toldWithin(want: TestWant, ms: number): Promise<boolean> {
  const deadline = performance.now() + ms;
  while (want.told === 0 && performance.now() < deadline) await Bun.sleep(2);
  return want.told > 0;
}

test("a place that another thread frees is told, not found by looking", async () => {
  for (let i = 0; i < 5; i += 1) {
    const threads = new Threads(1);
    threads.enter(0);
    const want = threads.wait(1, "w");
    threads.free(0);
    expect(await toldWithin(want, TOLD_MS)).toBe(true);
    expect(threads.waiting).toBe(0);
  }
});

test("each place that is freed is worth one request, however many threads wait", async () => {
  const threads = new Threads(2);
  threads.enter(0);
  threads.enter(1);
  const wants = [threads.wait(0, "a"), threads.wait(1, "b"), threads.wait(0, "c"), threads.wait(1, "d")];
  expect(threads.waiting).toBe(2);
  for (let freed = 1; freed <= 4; freed += 1) {
    threads.free((freed % 2) as 0 | 1);
    const deadline = performance.now() + 1000;
    while (wants.filter(({ told }) => told > 0).length < freed && performance.now() < deadline) await Bun.sleep(2);
    expect(wants.filter(({ told }) => told > 0).length).toBe(freed);
  }
  expect(threads.waiting).toBe(0);
});

test("a place that was freed just before anybody could know that somebody waits is not lost", () => {
  const threads = new Threads(1);
  // The other thread was asked for a place, had none, and is about to wait: only now is it freed.
  expect(threads.wait(1, "w").fate).toBe("server");
});

test("a place that nobody here can use is somebody's in another thread", async () => {
  const threads = new Threads(1);
  threads.enter(0);
  const [mine, theirs] = [threads.wait(0, "mine", { tried: [SERVER] }), threads.wait(1, "theirs")];
  threads.free(0);
  expect(await toldWithin(theirs, TOLD_MS)).toBe(true);
  expect(mine.told).toBe(0);
});

test("a thread that nobody tells anything looks by itself", async () => {
  const threads = new Threads(1);
  threads.enter(0);
  const want = threads.wait(1, "w");
  threads.slip(0);
  expect(await toldWithin(want, 2000)).toBe(true);
});

test("who has waited long enough is turned away, and the board says that nobody waits", async () => {
  const threads = new Threads(1);
  threads.enter(0);
  const want = threads.wait(1, "w");
  expect(threads.waiting).toBe(1);
  threads.pass(1300);
  expect(want.fault?.code).toBe("upstream.queue_timeout");
  expect(threads.left).toEqual(["w"]);
  const deadline = performance.now() + 2000;
  while (threads.waiting > 0 && performance.now() < deadline) await Bun.sleep(5);
  expect(threads.waiting).toBe(0);
});

test("who is late is turned away before that", async () => {
  const threads = new Threads(1);
  threads.enter(0);
  const [late, other] = [threads.wait(1, "late"), threads.wait(1, "other")];
  late.late = true;
  expect(await toldWithin(late, 2000)).toBe(true);
  expect([late.fate, other.fate, threads.left.join()]).toEqual(["upstream.queue_timeout", "", "late"]);
});

test("the withdrawn leave without a word, and are told of once", () => {
  const threads = new Threads(1);
  threads.enter(0);
  const [gone, next] = [threads.wait(0, "gone"), threads.wait(0, "next")];
  gone.withdrawn = true;
  threads.free(0);
  threads.pass(1300);
  expect([gone.told, next.fate, threads.left.join()]).toEqual([0, "server", "gone"]);
});

describe("who comes while others wait", () => {
  const CASES: readonly (readonly [string, Partial<TestWant>, boolean])[] = [
    ["stands behind one who would go anywhere", {}, true],
    ["need not wait for one who belongs to a server", { pinned: SERVER }, false],
    ["need not wait for one who was at a server already", { tried: [{ name: "other" } as Server] }, false],
  ];
  for (const [name, more, occupied] of CASES)
    test(name, () => {
      const threads = new Threads(1);
      threads.enter(0);
      const waits = threads.wait(0, "w", more);
      expect(threads.queues[0]!.occupied).toBe(occupied);
      threads.queues[0]!.serve();
      expect(threads.queues[0]!.occupied).toBe(occupied);
      threads.free(0);
      expect([waits.fate, threads.queues[0]!.occupied]).toEqual(["server", false]);
    });

  test("a full house is asked once for a place, however many wait", () => {
    const threads = new Threads(1, 100);
    threads.enter(0);
    for (let i = 0; i < 100; i += 1) threads.wait(0, String(i));
    threads.tries = 0;
    threads.queues[0]!.serve();
    expect(threads.tries).toBe(1);
  });
});
