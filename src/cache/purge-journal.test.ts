// The journal of purges, with a store in memory: who hears of what, and who has to forget everything.
import { expect, test } from "bun:test";
import type { SharedMap } from "../state/shared-map.ts";
import type { Lock, SharedState } from "../state/shared-state.ts";
import type { Purge } from "./purge.ts";
import { type Position, PurgeJournal } from "./purge-journal.ts";

const purgeOf = (value: string): Purge => ({ kind: "tag", value, soft: false });

/** A store that can be out of reach. */
class MemoryState implements SharedState {
  readonly counters = null;
  readonly values = new Map<string, string>();
  readonly listeners = new Set<(message: string) => void>();
  isDown = false;
  isLocked = false;

  #check(): void {
    if (this.isDown) throw new Error("out of reach");
  }
  async get(key: string): Promise<string | null> {
    this.#check();
    return this.values.get(key) ?? null;
  }
  async set(key: string, value: string): Promise<void> {
    this.#check();
    this.values.set(key, value);
  }
  async delete(key: string): Promise<void> {
    this.values.delete(key);
  }
  async list(): Promise<string[]> {
    return [];
  }
  async lock(): Promise<Lock | null> {
    this.#check();
    if (this.isLocked) return null;
    this.isLocked = true;
    const release = async (): Promise<void> => {
      this.isLocked = false;
    };
    return { token: 1, renew: async () => true, release };
  }
  async publish(): Promise<void> {
    this.#check();
    for (const listener of this.listeners) listener("");
  }
  async subscribe(_topic: string, listener: (message: string) => void) {
    this.#check();
    this.listeners.add(listener);
    return async () => {
      this.listeners.delete(listener);
    };
  }
  map(): SharedMap {
    throw new Error("the journal has no map");
  }
  async close(): Promise<void> {}
}

class Machine {
  readonly done: string[] = [];
  readonly journal: PurgeJournal;
  readonly troubles: string[] = [];
  position: Position | null;

  constructor(state: SharedState, position: Position | null) {
    this.position = position;
    this.journal = new PurgeJournal({
      state,
      position,
      apply: async ({ kind, value }) => this.done.push(kind === "all" ? "all" : value),
      onPosition: (next) => {
        this.position = next;
      },
      onTrouble: ({ message }) => this.troubles.push(message),
      onSuccess() {},
    });
  }
  static async start(state: SharedState): Promise<Machine> {
    return new Machine(state, await PurgeJournal.end(state));
  }
}

test("a purge reaches the others once, and not the one that it comes from", async () => {
  const state = new MemoryState();
  const [a, b] = [await Machine.start(state), await Machine.start(state)];
  await b.journal.follow();
  expect(await a.journal.add(purgeOf("1"))).toBe(true);
  await b.journal.look();
  await a.journal.look();
  expect(await b.journal.add(purgeOf("2"))).toBe(true);
  for (const each of [a, b]) for (let i = 0; i < 3; i += 1) await each.journal.look();
  expect([a.done, b.done]).toEqual([["2"], ["1"]]);
});

test("who was away hears of all that it missed, in their order", async () => {
  const state = new MemoryState();
  const [a, b] = [await Machine.start(state), await Machine.start(state)];
  for (let i = 0; i < 900; i += 1) await a.journal.add(purgeOf(`${i}`));
  await b.journal.look();
  expect(b.done).toEqual(Array.from({ length: 900 }, (_, i) => `${i}`));
});

test("who comes back after a restart goes on where it stood; one that never stood anywhere forgets everything", async () => {
  const state = new MemoryState();
  const [a, b] = [await Machine.start(state), await Machine.start(state)];
  await a.journal.add(purgeOf("1"));
  await b.journal.look();
  await a.journal.add(purgeOf("2"));
  const again = new Machine(state, b.position);
  const unknown = new Machine(state, null);
  const later = await Machine.start(state);
  for (const each of [again, unknown, later]) await each.journal.look();
  expect([again.done, unknown.done, later.done]).toEqual([["2"], ["all"], []]);
});

const TOO_MANY: readonly (readonly [name: string, count: number, chars: number])[] = [
  ["purges", 1001, 1],
  ["characters", 60, 5000],
];
for (const [name, count, chars] of TOO_MANY)
  test(`who missed more ${name} than are kept forgets everything`, async () => {
    const state = new MemoryState();
    const [a, b] = [await Machine.start(state), await Machine.start(state)];
    await a.journal.add(purgeOf("first"));
    await b.journal.look();
    for (let i = 0; i < count; i += 1) await a.journal.add(purgeOf("x".repeat(chars)));
    await b.journal.look();
    expect(b.done).toEqual(["first", "all"]);
    await a.journal.add(purgeOf("last"));
    await b.journal.look();
    expect(b.done).toEqual(["first", "all", "last"]);
    for (const value of state.values.values()) expect(value.length).toBeLessThan(300_000);
  });

test("a store that lost what it had begins a new journal, and nobody misses a purge", async () => {
  const state = new MemoryState();
  const [a, b] = [await Machine.start(state), await Machine.start(state)];
  await a.journal.add(purgeOf("1"));
  await b.journal.look();
  state.values.clear();
  await a.journal.add(purgeOf("2"));
  await b.journal.look();
  // What was told between its last look and the loss cannot be known.
  expect(b.done).toEqual(["1", "all"]);
});

test("what cannot be told is told later, in its order", async () => {
  const state = new MemoryState();
  const [a, b] = [await Machine.start(state), await Machine.start(state)];
  state.isDown = true;
  expect(await a.journal.add(purgeOf("1"))).toBe(false);
  expect(await a.journal.add(purgeOf("2"))).toBe(false);
  expect(a.troubles).toEqual(["out of reach", "out of reach"]);
  state.isDown = false;
  await a.journal.look();
  await b.journal.look();
  expect(b.done).toEqual(["1", "2"]);
});

test("what is in the store and no journal counts as none", async () => {
  for (const value of ["", "{", "[]", '{"journal":"a","first":1,"purges":[{"by":"a","purge":{"kind":"odd"}}]}']) {
    const state = new MemoryState();
    const machine = await Machine.start(state);
    state.values.set("cache/purges", value);
    state.values.set("cache/purges/last", "a 7");
    await machine.journal.look();
    expect(machine.done).toEqual(["all"]);
    expect(await machine.journal.add(purgeOf("1"))).toBe(true);
  }
});
