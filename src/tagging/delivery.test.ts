import { afterEach, beforeEach, expect, test } from "bun:test";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Delivery, type DeliveryClock, DONE, type Sender, type Sent } from "./delivery.ts";
import { Queue, type Queued } from "./queue.ts";

let folder = "";
let queue: Queue;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "delivery-"));
  queue = new Queue({ path: join(folder, "q.db"), bytesMax: 1e6, whenFull: "oldest", sync: false });
});
afterEach(async () => {
  queue.close();
  await rm(folder, { recursive: true });
});

/** Time that passes when it is told to. */
class Clock implements DeliveryClock {
  ms = 0;
  readonly #due: { at: number; then: () => void }[] = [];
  now = (): number => this.ms;
  random = (): number => 1;
  after(ms: number, then: () => void): () => void {
    const entry = { at: this.ms + ms, then };
    this.#due.push(entry);
    return () => this.#due.splice(this.#due.indexOf(entry), 1);
  }
  async pass(ms: number): Promise<void> {
    this.ms += ms;
    for (const entry of this.#due.filter(({ at }) => at <= this.ms)) {
      this.#due.splice(this.#due.indexOf(entry), 1);
      entry.then();
    }
    await settled();
  }
}

/** All that follows without waiting has happened. */
const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

class Vendor implements Sender {
  readonly name = "v";
  readonly batch = 4;
  readonly parallel = 2;
  readonly lingerMs = 100;
  readonly got: string[][] = [];
  /** What it says to a batch. */
  answer: (bodies: readonly string[]) => Sent = () => DONE;
  send(events: readonly Queued[]): Promise<Sent> {
    const bodies = events.map(({ body }) => body);
    const sent = this.answer(bodies);
    if (sent.kind === "done") this.got.push(bodies);
    return Promise.resolve(sent);
  }
}

function begin(): { vendor: Vendor; clock: Clock; delivery: Delivery; add(...bodies: string[]): Promise<void> } {
  const vendor = new Vendor();
  const clock = new Clock();
  const delivery = new Delivery(queue, vendor, clock);
  const add = (...bodies: string[]): Promise<void> => {
    queue.append(bodies, clock.ms);
    delivery.wake();
    return settled();
  };
  return { vendor, clock, delivery, add };
}

const LATER: Sent = { kind: "later", afterMs: 0, why: "503" };

test("full batches leave at once, others wait a little for more", async () => {
  const { vendor, clock, delivery, add } = begin();
  await add("a", "b", "c", "d", "e");
  expect(vendor.got).toEqual([["a", "b", "c", "d"]]);
  await add("f");
  expect(vendor.got.length).toBe(1);
  await clock.pass(100);
  expect(vendor.got).toEqual([
    ["a", "b", "c", "d"],
    ["e", "f"],
  ]);
  expect(delivery.counts.sent).toBe(6);
  expect(queue.waiting("v")).toBe(0);
});

test("what fails is tried again, later each time, and nothing is lost or overtaken", async () => {
  const { vendor, clock, delivery, add } = begin();
  vendor.answer = () => LATER;
  await add("a", "b", "c", "d");
  expect(delivery.trouble).toBe("503");
  let tries = 1;
  vendor.answer = () => {
    tries += 1;
    return LATER;
  };
  for (const ms of [1000, 2000, 4000, 8000]) {
    await clock.pass(ms - 1);
    const before = tries;
    await clock.pass(1);
    expect(tries).toBe(before + 1);
  }
  await add("e", "f", "g", "h");
  expect(queue.waiting("v")).toBe(8);
  vendor.answer = () => DONE;
  await clock.pass(16_000);
  expect(vendor.got.flat()).toEqual(["a", "b", "c", "d", "e", "f", "g", "h"]);
  expect(queue.waiting("v")).toBe(0);
  expect(delivery.trouble).toBe("");
});

test("batches that fail together wait no longer than one, and all go when the vendor is back", async () => {
  const { vendor, clock, delivery, add } = begin();
  const draws = [1, 1, 1, 0];
  clock.random = () => draws.shift() ?? 1;
  vendor.answer = () => LATER;
  await add("a", "b", "c", "d", "e", "f", "g", "h");
  await clock.pass(1000);
  expect(delivery.counts.retried).toBe(16); // both once more; the second is due in one second, the first in two
  vendor.answer = () => DONE;
  await clock.pass(1000);
  await settled();
  expect(vendor.got.flat().sort()).toEqual(["a", "b", "c", "d", "e", "f", "g", "h"]);
  expect(delivery.counts.sent).toBe(8);
});

test("a vendor that says when is asked then", async () => {
  const { vendor, clock, add } = begin();
  vendor.answer = () => ({ kind: "later", afterMs: 30_000, why: "429" });
  await add("a", "b", "c", "d");
  vendor.answer = () => DONE;
  await clock.pass(29_999);
  expect(vendor.got).toEqual([]);
  await clock.pass(1);
  expect(vendor.got.length).toBe(1);
});

test("one event that is not taken is found out and buried, the others arrive", async () => {
  const { vendor, delivery, add } = begin();
  vendor.answer = (bodies) => (bodies.includes("bad") ? { kind: "never", why: "400" } : DONE);
  await add("a", "b", "bad", "d");
  await settled();
  expect(vendor.got.flat()).toEqual(["a", "b", "d"]);
  expect(queue.deadLetters("v", 0, 9).map(({ body, why }) => [body, why])).toEqual([["bad", "400"]]);
  expect(delivery.counts).toMatchObject({ sent: 3, buried: 1 });
  expect(queue.waiting("v")).toBe(0);
});

test("a batch that is slow holds up its place, not those beside it", async () => {
  const { vendor, add } = begin();
  const slow = Promise.withResolvers<Sent>();
  const plain = vendor.send.bind(vendor);
  vendor.send = (events) => (events[0]!.body === "a" ? slow.promise : plain(events));
  await add("a", "b", "c", "d", "e", "f", "g", "h");
  expect(vendor.got).toEqual([["e", "f", "g", "h"]]);
  expect(queue.waiting("v")).toBe(8);
  slow.resolve(DONE);
  await settled();
  expect(queue.waiting("v")).toBe(0);
});

test("what was under way at the end is sent again by the next", async () => {
  const first = begin();
  first.vendor.send = () => new Promise<Sent>(() => {});
  await first.add("a", "b", "c", "d");
  first.delivery.close();
  const second = begin();
  second.delivery.wake();
  await settled();
  expect(second.vendor.got).toEqual([["a", "b", "c", "d"]]);
});
