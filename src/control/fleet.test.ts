import { afterEach, describe, expect, test } from "bun:test";
import { answer } from "../../test/support/message.ts";
import { RawBackend } from "../../test/support/raw-backend.ts";
import { until } from "../../test/support/wait.ts";
import { HEALTH_DOWN, SLOTS_MAX } from "../upstream/board.ts";
import { type FleetUnderTest, fleetOf, type Upstreams } from "./fleet.testing.ts";
import { serverId } from "./fleet.ts";
import type { ServerChanges } from "./server-changes.ts";

const A = "127.0.0.1:1";
const B = "127.0.0.1:2";
const C = "127.0.0.1:3";
const TWO: Upstreams = { app: { servers: [A, { url: `http://${B}`, weight: 5, backup: true, zone: "z" }] } };

let running: FleetUnderTest[] = [];
afterEach(() => {
  for (const { fleet } of running) fleet.stop();
  running = [];
});
function start(upstreams: Upstreams, changes?: ServerChanges): FleetUnderTest {
  const started = fleetOf(upstreams, changes);
  running.push(started);
  return started;
}
const ids = ({ fleet }: FleetUnderTest, upstream = "app") =>
  fleet
    .report()
    .get(upstream)
    ?.map(({ id }) => id);

test("ids of servers", () => {
  expect(serverId({ kind: "tcp", host: "::1", port: 80 })).toBe("[::1]:80");
  expect(serverId({ kind: "tcp", host: "app.internal", port: 80 })).toBe("app.internal:80");
  expect(serverId({ kind: "unix", path: "/run/a.sock" })).toBe("unix:/run/a.sock");
});

test("what is configured is there, once", () => {
  const { fleet, told } = start({ app: { servers: [A, `http://${A}`, { url: B, weight: 5, zone: "z" }] } });
  expect(fleet.report().get("app")).toMatchObject([
    { id: A, weight: 1, backup: false, zone: "", mode: "ready", origin: "config", usable: true, inFlight: 0 },
    { id: B, weight: 5, zone: "z" },
  ]);
  expect([fleet.has("app"), fleet.has("other"), fleet.member("app", C)]).toEqual([true, false, null]);
  expect(told).toEqual([]); // the workers get them with the configuration
});

describe("changes", () => {
  test("lie over the configuration, value by value, and workers are told", () => {
    const under = start(TWO);
    under.fleet.change("app", B, { weight: 7, mode: "drain" }, false);
    expect(under.fleet.member("app", B)).toMatchObject({ weight: 7, mode: "drain", backup: true, zone: "z" });
    expect(under.fleet.report().get("app")![1]!.usable).toBe(false);
    under.fleet.change("app", B, null, false);
    expect(under.fleet.member("app", B)).toMatchObject({ weight: 5, mode: "ready" });
    expect(under.told.map(([name, { members }]) => [name, members.find(({ id }) => id === B)?.weight])).toEqual([
      ["app", 7],
      ["app", 5],
    ]);
    expect(under.told[1]![1].version).toBeGreaterThan(under.told[0]![1].version);
  });

  test("that change nothing are not told", () => {
    const under = start(TWO);
    under.fleet.change("app", A, { weight: 1 }, false);
    expect(under.told).toEqual([]);
  });

  test("add servers, and remove those and configured ones", () => {
    const under = start(TWO);
    under.fleet.change("app", C, { url: `http://${C}`, weight: 2 }, false);
    expect(under.fleet.member("app", C)).toMatchObject({ origin: "api", weight: 2, mode: "ready" });
    expect(ids(under)).toEqual([A, B, C]);
    under.fleet.remove("app", C, false);
    under.fleet.remove("app", B, false);
    expect(ids(under)).toEqual([A]);
    expect([...under.fleet.changes.of("app")]).toEqual([[B, { removed: true }]]);
    under.fleet.change("app", B, null, false);
    expect(under.fleet.member("app", B)).toMatchObject({ weight: 5, backup: true, origin: "config" });
  });

  test("outlive a reload, for servers that come and go with it too", () => {
    const under = start(TWO);
    const { slot } = under.fleet.member("app", A)!;
    under.fleet.change("app", A, { mode: "drain" }, false);
    under.fleet.change("app", C, { url: C }, false);
    under.use({ app: { servers: [B] } });
    expect(ids(under)).toEqual([B, C]);
    under.use({ app: { servers: [B, A], balance: "random" }, other: { servers: [A] } });
    expect(under.fleet.member("app", A)).toMatchObject({ mode: "drain" });
    expect(under.fleet.member("other", A)).toMatchObject({ mode: "ready" });
    expect(under.fleet.member("app", A)!.slot).not.toBe(slot); // it may be in use by old requests still
    under.use({ other: { servers: [A] } });
    expect(under.fleet.has("app")).toBe(false);
  });

  test("between preparing and committing a reload are in it", () => {
    const under = start(TWO);
    const { checked, compiled } = under.read({ app: { servers: [A, B] } });
    const prepared = under.fleet.prepare(checked, compiled);
    under.fleet.change("app", C, { url: C }, false);
    prepared.commit();
    expect(ids(under)).toEqual([A, B, C]);
    expect(under.told.at(-1)![1].members.map(({ id }) => id)).toEqual([A, B, C]);
  });

  test("a new upstream's places are its own, even when others change before the commit", () => {
    const under = start(TWO);
    const { checked, compiled } = under.read({ ...TWO, more: { servers: [C] } });
    const prepared = under.fleet.prepare(checked, compiled);
    under.fleet.change("app", A, { mode: "disabled" }, false); // gives back what nobody has committed
    prepared.commit();
    const slots = [...under.fleet.memberships().values()].flatMap(({ members }) => members.map(({ slot }) => slot));
    expect(new Set(slots).size).toBe(3);
    const told = under.told.findLast(([name]) => name === "more");
    const { slot } = under.fleet.member("more", C)!;
    expect((told?.[1] ?? prepared.memberships.get("more")!).members[0]!.slot).toBe(slot);
    under.fleet.change("app", "127.0.0.1:9", { url: "127.0.0.1:9" }, false);
    expect(under.fleet.member("app", "127.0.0.1:9")!.slot).not.toBe(slot);
  });

  test("to what a reload replaces do not outlive it", () => {
    const under = start({ app: { servers: [A, B] } });
    const { checked, compiled } = under.read({ app: { servers: [A] } });
    const prepared = under.fleet.prepare(checked, compiled);
    under.fleet.change("app", B, { mode: "drain" }, false);
    prepared.commit();
    // Threads use the newest of what was prepared and what they were told.
    const all = [prepared.memberships.get("app")!, ...under.told.map(([, membership]) => membership)];
    const newest = all.reduce((a, b) => (a.version > b.version ? a : b));
    expect(newest.members.map(({ id }) => id)).toEqual([A]);
  });

  test("do not take what is prepared its places, of upstreams without servers neither", () => {
    const under = start(TWO);
    const more: Upstreams = { ...TWO, late: { discover: { dns: "late.invalid" } } };
    const slotOf = () => {
      const { checked, compiled } = under.read(more);
      const prepared = under.fleet.prepare(checked, compiled);
      under.fleet.change("app", A, { weight: under.told.length + 2 }, false);
      return { prepared, slot: prepared.memberships.get("late")!.slot };
    };
    const { prepared, slot } = slotOf();
    prepared.commit();
    expect(under.fleet.memberships().get("late")!.slot).toBe(slot);
    expect(slotOf().slot).toBe(slot);
  });

  test("that are one too many change nothing", () => {
    const under = start({ app: { servers: [A] } });
    const left = SLOTS_MAX - under.fleet.member("app", A)!.slot - 1;
    // The first half takes places, the second finds none.
    const add = (i: number) => under.fleet.change(`app`, `h${i}:1`, { url: `h${i}:1` }, false);
    under.use({ app: { servers: [A, ...Array.from({ length: left }, (_, i) => `s${i}:1`)] } });
    expect(() => add(0)).toThrow(RangeError);
    expect(under.fleet.changes.of("app").size).toBe(0);
    under.fleet.change("app", A, { weight: 3 }, false);
    expect(under.fleet.member("app", A)!.weight).toBe(3);
  });
});

test("a configuration that is refused leaves nothing taken", () => {
  const under = start({ app: { servers: [A] } });
  const servers = (host: string) => Array.from({ length: SLOTS_MAX / 2 }, (_, i) => `${host}-${i}:1`);
  const first = under.read({ app: { servers: [A] }, one: { servers: servers("first") } });
  under.fleet.prepare(first.checked, first.compiled).discard();
  const { checked, compiled } = under.read({ one: { servers: servers("a") }, two: { servers: servers("b") } });
  expect(() => under.fleet.prepare(checked, compiled)).toThrow(RangeError);
  under.fleet.change("app", B, { url: B }, false);
  expect(ids(under)).toEqual([A, B]);
});

describe("ejection", () => {
  const JUDGED = { outlier: { interval: "100ms", minRequests: 10, consecutiveErrors: 0 } } as const;
  const failing = ({ fleet }: FleetUnderTest, upstream: string) => {
    const { slot } = fleet.member(upstream, A)!;
    for (let i = 0; i < 100; i += 1) fleet.board.count(slot, true, 1);
    return { slot, counted: () => fleet.board.ints[fleet.board.base(slot) + 3] };
  };

  test("what servers did while they were alone or disabled is forgotten", async () => {
    const under = start({ alone: { servers: [A], ...JUDGED }, app: { servers: [A, B], ...JUDGED } });
    under.fleet.change("app", A, { mode: "disabled" }, false);
    const both = [failing(under, "alone"), failing(under, "app")];
    await until(() => both.every(({ counted }) => counted() === 0), "what they did is forgotten");
    for (const { slot } of both) expect(under.fleet.board.ejectedUntil(slot)).toBe(0);
  });

  test("what servers did before anybody judged them is forgotten", () => {
    const under = start({ app: { servers: [A, B], outlier: false } });
    const { counted } = failing(under, "app");
    under.use({ app: { servers: [A, B], ...JUDGED } });
    expect(counted()).toBe(0);
  });

  test("ends when a reload turns it off", () => {
    const under = start({ app: { servers: [A, B] } });
    const { slot } = under.fleet.member("app", A)!;
    under.fleet.board.eject(slot, under.fleet.board.now + 60_000, 0);
    under.use({ app: { servers: [A, B], outlier: { ejectFor: "1m" } } });
    expect(under.fleet.report().get("app")![0]!.ejectedFor).toBeGreaterThan(0);
    under.use({ app: { servers: [A, B], outlier: false } });
    expect(under.fleet.report().get("app")![0]).toMatchObject({ ejectedFor: 0, usable: true });
  });
});

describe("health", () => {
  const CHECKED = { health: { path: "/healthz", interval: "100ms", healthy: 1, unhealthy: 1 } } as const;

  test("one that joins others is not used before its first good check", async () => {
    let status = 503;
    await using backend = await RawBackend.answering(() => answer(status));
    await using first = await RawBackend.answering(() => answer(200));
    const id = `127.0.0.1:${backend.port}`;
    const under = start({ app: { servers: [first.url], ...CHECKED } });
    under.fleet.change("app", id, { url: backend.url }, false);
    const server = () =>
      under.fleet
        .report()
        .get("app")!
        .find((each) => each.id === id)!;
    expect(server()).toMatchObject({ health: "awaited", usable: false, lastCheck: null });
    await until(() => server().lastCheck !== null, "the first check");
    expect([server().usable, server().lastCheck?.ok]).toEqual([false, false]);
    status = 200;
    await until(() => server().health === "up", "a good check");
    expect(server()).toMatchObject({ usable: true, lastCheck: { ok: true } });
  });

  test("those that take the place of all others are used at once", () => {
    const under = start({ app: { servers: [A], ...CHECKED } });
    under.use({ app: { servers: [B], ...CHECKED } });
    expect(under.fleet.report().get("app")).toMatchObject([{ id: B, health: "unknown", usable: true }]);
    under.fleet.change("app", B, { mode: "disabled" }, false);
    under.fleet.change("app", C, { url: C }, false);
    expect(under.fleet.report().get("app")![1]).toMatchObject({ id: C, health: "unknown", usable: true });
  });

  test("one that is disabled is not checked, and must pass a check to be used again beside others", async () => {
    await using backend = await RawBackend.answering(() => answer(200));
    const id = `127.0.0.1:${backend.port}`;
    const under = start({ app: { servers: [backend.url], ...CHECKED } });
    const server = () => under.fleet.report().get("app")![0]!;
    await until(() => server().health === "up", "the first check");
    under.fleet.change("app", id, { mode: "disabled" }, false);
    expect(server()).toMatchObject({ health: "unknown", usable: false, lastCheck: null });
    under.fleet.change("app", id, null, false);
    expect(server()).toMatchObject({ health: "awaited", usable: false });
    await until(() => server().health === "up", "checks to go on");
  });

  test("the only one is used at once, and what is ejected or weighs nothing is not", () => {
    const under = start({ app: { servers: [A], ...CHECKED } });
    const { slot } = under.fleet.member("app", A)!;
    const server = () => under.fleet.report().get("app")![0]!;
    expect(server()).toMatchObject({ health: "unknown", usable: true });
    under.fleet.board.eject(slot, under.fleet.board.now + 5000, 0);
    expect(server()).toMatchObject({ usable: false });
    expect(server().ejectedFor).toBeGreaterThan(1000);
    under.fleet.board.takeBack(slot);
    under.fleet.change("app", A, { weight: 0 }, false);
    expect(server().usable).toBe(false);
    under.fleet.change("app", A, null, false);
    under.fleet.board.setHealth(slot, HEALTH_DOWN);
    expect(server()).toMatchObject({ health: "down", usable: false });
  });
});

test("requests in flight are everybody's", () => {
  const { fleet } = start(TWO);
  const { slot } = fleet.member("app", A)!;
  fleet.board.enter(slot, 10);
  fleet.board.enter(slot, 10);
  expect(fleet.report().get("app")![0]!.inFlight).toBe(2);
});
