import { expect, test } from "bun:test";
import type { ProxyEvent } from "../pipeline/events.ts";
import { EventHub, type EventKind } from "./events.ts";

const BAN: ProxyEvent = { kind: "ban", route: "r", ip: "192.0.2.1", scope: "route", seconds: 60, why: "w" };
const RELOAD: ProxyEvent = { kind: "reload", ok: true, problems: [] };

class Reader {
  readonly #pieces: AsyncIterator<Uint8Array>;
  constructor(hub: EventHub, kinds: readonly EventKind[] | null = null) {
    this.#pieces = hub.connect(kinds === null ? null : new Set(kinds))![Symbol.asyncIterator]();
  }
  /** The next piece; null at the end. */
  async next(): Promise<string | null> {
    const { value, done } = await this.#pieces.next();
    return done ? null : new TextDecoder().decode(value);
  }
  async leave(): Promise<void> {
    await this.#pieces.return?.();
  }
}

test("all get what they asked for", async () => {
  const hub = new EventHub(() => {});
  const [all, bans] = [new Reader(hub), new Reader(hub, ["ban"])];
  hub.publish(RELOAD);
  hub.publish(BAN);
  expect(await all.next()).toContain("retry: ");
  expect(await all.next()).toMatch(/^event: reload\ndata: \{"time":"[^"]+","ok":true,"problems":\[\]\}\n\n$/);
  expect(await all.next()).toStartWith("event: ban\n");
  expect(await bans.next()).toContain("retry: ");
  expect(await bans.next()).toStartWith("event: ban\n");
  hub.close();
  expect([await all.next(), await bans.next()]).toEqual([null, null]);
});

test("threads are asked for requests while somebody wants to see them", async () => {
  const changes: boolean[] = [];
  const hub = new EventHub((isWatched) => changes.push(isWatched));
  const bans = new Reader(hub, ["ban"]);
  expect(changes).toEqual([]);
  const [one, other] = [new Reader(hub), new Reader(hub, ["request"])];
  await one.leave();
  expect([changes, hub.isWatched]).toEqual([[true], true]);
  await other.leave();
  expect([changes, hub.isWatched]).toEqual([[true, false], false]);
  await bans.leave();
});

test("so many at a time, and a place is free again when one leaves", async () => {
  const hub = new EventHub(() => {});
  const readers = Array.from({ length: 16 }, () => new Reader(hub));
  expect(hub.connect(null)).toBeNull();
  await readers[0]!.leave();
  expect(hub.connect(null)).not.toBeNull();
  hub.close();
});

test("who does not read is left, and takes no memory meanwhile", async () => {
  const hub = new EventHub(() => {});
  const [slow, quick] = [new Reader(hub, ["reload"]), new Reader(hub, ["reload"])];
  await quick.next();
  const long: ProxyEvent = { ...RELOAD, problems: ["x".repeat(100_000)] };
  for (let i = 0; i < 20; i += 1) {
    hub.publish(long);
    expect(await quick.next()).toStartWith("event: reload");
  }
  let pieces = 0;
  while ((await slow.next()) !== null) pieces += 1;
  expect(pieces).toBe(11); // the beginning, and ten that were waiting
  hub.close();
});
