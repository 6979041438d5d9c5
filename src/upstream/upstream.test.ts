import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { HEALTH_DOWN } from "./board.ts";
import type { Server } from "./pool.ts";
import { type TestWant, UpstreamRig } from "./upstream.testing.ts";

describe("places", () => {
  test("each server has so many; then requests wait, and go where one is given back", () => {
    const rig = new UpstreamRig(["a", "b"], { limits: { connections: 2, queue: 2 } });
    const wants = ["1", "2", "3", "4", "5", "6", "7"].map((name) => rig.ask(name));
    expect(wants.map(({ fate }) => fate)).toEqual(["a", "b", "a", "b", "", "", "upstream.queue_full"]);
    expect([rig.inFlight("a"), rig.inFlight("b")]).toEqual([2, 2]);
    rig.leave(wants[1]!);
    expect(wants[4]!.fate).toBe("b");
    rig.leave(wants[0]!);
    expect(wants[5]!.fate).toBe("a");
    for (const at of [2, 3, 4, 5]) rig.leave(wants[at]!);
    expect([rig.inFlight("a"), rig.inFlight("b")]).toEqual([0, 0]);
  });

  test("who is not patient does not wait, but takes what is there before those who do", () => {
    const rig = new UpstreamRig(["a"], { limits: { connections: 1 } });
    const first = rig.ask("first");
    expect(rig.ask("hasty", { patient: false }).fate).toBe("upstream.queue_full");
    const waiting = rig.ask("waiting");
    rig.leave(first);
    expect(waiting.fate).toBe("a");
  });

  test("a place that is found although the first choice is busy", () => {
    const rig = new UpstreamRig(["a", "b", "c"], { limits: { connections: 1 } });
    const all = [rig.ask("1"), rig.ask("2"), rig.ask("3")];
    rig.leave(all[2]!);
    expect(rig.ask("4").fate).toBe("c");
  });

  test("…among more servers than are asked one by one", () => {
    const ids = Array.from({ length: 30 }, (_, i) => `s${i}`);
    const rig = new UpstreamRig(ids, { limits: { connections: 1 }, balance: { hash: "path" } });
    const all = ids.map((id) => rig.ask(id, { key: 12345 }));
    expect(new Set(all.map(({ fate }) => fate)).size).toBe(30);
    rig.leave(all[17]!);
    expect(rig.ask("again", { key: 12345 }).fate).toBe(all[17]!.fate);
  });

  test("a burst does not spill over to servers that are left out, nor to backups", () => {
    const rig = new UpstreamRig(["a", "b", { id: "c", backup: true }], { limits: { connections: 1, queue: 0 } });
    rig.board.eject(rig.slotOf("b"), rig.now + 5000, 0);
    expect([rig.ask("1").fate, rig.ask("2").fate]).toEqual(["a", "upstream.queue_full"]);
  });

  test("…but to another zone", () => {
    const servers = [
      { id: "a", zone: "near" },
      { id: "b", zone: "far" },
    ];
    const rig = new UpstreamRig(servers, { limits: { connections: 1, queue: 0 }, preferZone: "near" });
    expect([rig.ask("1").fate, rig.ask("2").fate, rig.ask("3").fate]).toEqual(["a", "b", "upstream.queue_full"]);
  });

  test("nobody at all", () => {
    expect(new UpstreamRig([]).ask("x").fault).toMatchObject({
      code: "upstream.none",
      detail: "app: no servers are known",
    });
    const rig = new UpstreamRig(["a"]);
    rig.board.setHealth(rig.slotOf("a"), HEALTH_DOWN);
    expect(rig.ask("x").fate).toBe("upstream.none");
    expect(rig.inFlight("a")).toBe(0);
  });
});

describe("a further try", () => {
  test("goes to none of those that were tried", () => {
    const rig = new UpstreamRig(["a", "b", "c"]);
    for (let i = 0; i < 6; i += 1) expect(rig.ask("x", { tried: [rig.server("a"), rig.server("c")] }).fate).toBe("b");
  });

  test("goes to one that is left out rather than nowhere", () => {
    const rig = new UpstreamRig(["a", "b"]);
    rig.board.eject(rig.slotOf("b"), rig.now + 5000, 0);
    expect(rig.ask("x", { tried: [rig.server("a")] }).fate).toBe("b");
    expect(rig.upstream.hasOther(null, rig.server("a"))).toBe(true);
    expect(rig.upstream.hasOther([rig.server("b")], rig.server("a"))).toBe(false);
  });

  test("waits for a server that was not tried, and keeps nobody else from the others", () => {
    const rig = new UpstreamRig(["a", "b"], { limits: { connections: 1, queue: 1 } });
    const [atA, atB] = [rig.ask("1"), rig.ask("2")];
    const again = rig.ask("again", { tried: [atA.server!] });
    expect(again.fate).toBe("");
    rig.leave(atA);
    expect(rig.ask("new").fate).toBe("a");
    rig.leave(atB);
    expect(again.fate).toBe("b");
  });

  test("a tried server that has left is no server of this upstream", () => {
    const rig = new UpstreamRig(["a", "b"]);
    const gone = rig.server("b");
    rig.upstream.setMembers(rig.membership(["a"]));
    expect(rig.ask("x", { tried: [gone] }).fate).toBe("a");
  });
});

describe("a client that belongs to a server", () => {
  const pinned = (rig: UpstreamRig, id: string): { pinned: Server } => ({ pinned: rig.server(id) });

  test("goes there, and waits there while others pass", () => {
    const rig = new UpstreamRig(["a", "b"], { limits: { connections: 1, queue: 1 } });
    const first = rig.ask("1", pinned(rig, "b"));
    const second = rig.ask("2", pinned(rig, "b"));
    expect([first.fate, second.fate, rig.ask("3").fate]).toEqual(["b", "", "a"]);
    rig.leave(first);
    expect(second.fate).toBe("b");
  });

  test("goes elsewhere when that one may not be used or has left", () => {
    const rig = new UpstreamRig(["a", "b"]);
    const b = pinned(rig, "b");
    rig.board.setHealth(rig.slotOf("b"), HEALTH_DOWN);
    expect(rig.ask("1", b).fate).toBe("a");
    rig.upstream.setMembers(rig.membership(["a"]));
    expect(rig.ask("2", b).fate).toBe("a");
  });

  test("stays at a server that is drained but for its clients", () => {
    const rig = new UpstreamRig(["a", { id: "b", mode: "drain-sticky" }]);
    expect([rig.ask("1", pinned(rig, "b")).fate, rig.ask("2").fate]).toEqual(["b", "a"]);
  });
});

describe("servers that cannot be reached", () => {
  /** What requests get now; each is over at once. */
  const next = (rig: UpstreamRig, count: number): string => {
    const wants = Array.from({ length: count }, (_, i) => rig.ask(String(i)));
    for (const want of wants) rig.leave(want);
    return wants.map(({ fate }) => fate).join("");
  };

  test("are passed over for a time that doubles; one request finds out when it is over", () => {
    const rig = new UpstreamRig(["a", "b"]);
    const { upstream } = rig;
    upstream.serverFailed(rig.server("a"));
    for (const ms of [1000, 2000, 4000, 8000, 16_000, 30_000, 30_000]) {
      expect(next(rig, 4)).toBe("bbbb");
      rig.pass(ms - 100);
      expect(next(rig, 4)).toBe("bbbb");
      rig.pass(100);
      const seen = next(rig, 4);
      expect([...seen].sort().join("")).toBe("abbb"); // one, and only one
      upstream.serverFailed(rig.server("a"));
    }
    rig.pass(30_000);
    expect(next(rig, 2)).toContain("a");
    upstream.serverConnected(rig.server("a"));
    expect(next(rig, 4)).toMatch(/^(ab)+$|^(ba)+$/);
    expect(rig.server("a").failures).toBe(0);
  });

  test("fail once for all that were on their way together", () => {
    const rig = new UpstreamRig(["a", "b"]);
    for (let i = 0; i < 20; i += 1) rig.upstream.serverFailed(rig.server("a"));
    expect(rig.server("a").failedUntil).toBe(rig.now + 1000);
  });

  test("are asked all the same when there is nobody else, each time", () => {
    const rig = new UpstreamRig(["a"]);
    for (let i = 0; i < 5; i += 1) {
      rig.upstream.serverFailed(rig.server("a"));
      expect(next(rig, 2)).toBe("aa");
    }
  });

  test("a probe that nobody hears of again is followed by another", () => {
    const rig = new UpstreamRig(["a", "b"], { timeouts: { connect: "2s" } });
    rig.upstream.serverFailed(rig.server("a"));
    rig.pass(1000);
    expect(next(rig, 4)).toContain("a");
    expect(next(rig, 4)).toBe("bbbb");
    rig.pass(2000);
    expect(next(rig, 4)).toContain("a");
  });
});

describe("outcomes", () => {
  test("errors in a row eject a server; 501 and 505 are none", () => {
    const rig = new UpstreamRig(["a", "b"]);
    const a = rig.server("a");
    for (const status of [500, 503, 200, 500, 0, 501, 500, 503, 500, 505]) rig.upstream.outcome(a, status, 1);
    expect(rig.ejections).toEqual([]);
    for (const status of [500, 502, 503, 504, 0]) rig.upstream.outcome(a, status, 1);
    expect(rig.ejections).toEqual(["a 5"]);
    expect(rig.ask("x").fate).toBe("b");
  });

  test("the only server is never ejected", () => {
    const rig = new UpstreamRig(["a"]);
    for (let i = 0; i < 50; i += 1) rig.upstream.outcome(rig.server("a"), 500, 1);
    expect([rig.ejections, rig.ask("x").fate]).toEqual([[], "a"]);
  });

  test("one of a server that has left harms nobody", () => {
    const rig = new UpstreamRig(["a", "b"], { balance: "peak-ewma" });
    const want = rig.ask("1");
    const { server } = want;
    rig.upstream.setMembers(rig.membership(["c"]));
    rig.upstream.outcome(server!, 200, 5);
    rig.upstream.unreachable(server!);
    rig.leave(want);
    expect([rig.inFlight("a"), rig.inFlight("b")]).toEqual([0, 0]);
    expect(rig.ask("2").fate).toBe("c");
  });
});

test("members that stay keep what is known of them, wherever they stand in the list", () => {
  const rig = new UpstreamRig(["a", "b", "c"], { limits: { connections: 1 } });
  const [a, b] = [rig.server("a"), rig.server("b")];
  rig.upstream.serverFailed(a);
  const held = rig.ask("1", { pinned: b });
  rig.upstream.setMembers(rig.membership(["c", "d", "b", "a"]));
  expect([rig.server("a"), rig.server("b")]).toEqual([a, b]);
  expect([rig.ask("2").fate, rig.ask("3").fate].sort()).toEqual(["c", "d"]); // a cannot be reached, b is busy
  rig.leave(held);
  expect(rig.inFlight("b")).toBe(0);
});

test("those who wait go to servers that have just been added", () => {
  const rig = new UpstreamRig(["a"], { limits: { connections: 1 } });
  rig.ask("1");
  const waiting = rig.ask("2");
  rig.upstream.setMembers(rig.membership(["a", "b"]));
  expect(waiting.fate).toBe("b");
});

describe("the circuit breaker", () => {
  const BREAKER = { circuitBreaker: { minRequests: 4, openFor: "10s", probes: 2 } } as const;
  const opened = (more: object = {}): UpstreamRig => {
    const rig = new UpstreamRig(["a"], { ...BREAKER, outlier: false, ...more });
    for (let i = 0; i < 4; i += 1) {
      const want = rig.ask("x");
      rig.upstream.outcome(want.server!, 500, 1);
      rig.leave(want);
    }
    expect(rig.upstream.circuit).toBe("open");
    expect(rig.ask("x").fate).toBe("upstream.circuit_open");
    return rig;
  };
  const END: Readonly<Record<string, (rig: UpstreamRig, want: TestWant) => void>> = {
    answered: (rig, want) => {
      rig.upstream.outcome(want.server!, 200, 1);
      rig.leave(want);
    },
    cancelled: (rig, want) => {
      rig.upstream.cancelled(want.server!);
      rig.leave(want);
    },
    "gone before it was connected": (rig, want) => {
      rig.upstream.withdrawn();
      rig.leave(want);
    },
  };

  for (const [how, end] of Object.entries(END))
    test(`lets a probe through for each that was ${how}`, () => {
      const rig = opened();
      rig.pass(10_100);
      for (let i = 0; i < 2; i += 1) {
        const probe = rig.ask("probe");
        expect(probe.fate).toBe("a");
        end(rig, probe);
      }
      if (how === "answered") expect(rig.upstream.circuit).toBe("closed");
      else expect(rig.ask("probe").fate).toBe("a");
    });

  test("is given back what found no place, waited too long, or left the queue", () => {
    const rig = opened({ limits: { connections: 1, queue: 1, queueTimeout: "200ms" } });
    rig.board.enter(rig.slotOf("a"), 1); // another thread's
    rig.pass(10_100);
    for (let i = 0; i < 3; i += 1) {
      const waits = rig.ask("waits");
      expect(waits.fate).toBe("");
      expect(rig.ask("too many").fate).toBe("upstream.queue_full");
      if (i === 1) waits.withdrawn = true;
      rig.pass(500);
      expect(waits.told).toBe(i === 1 ? 0 : 1);
    }
    rig.board.leave(rig.slotOf("a"));
    expect(rig.ask("probe").fate).toBe("a"); // openFor has not passed again
  });
});

test("property: every want is told once unless it is withdrawn, and every place is given back", () => {
  const step = fc.oneof(
    fc.record({
      kind: fc.constant("ask" as const),
      lane: fc.nat(7),
      patient: fc.boolean(),
      pinned: fc.integer({ min: -1, max: 3 }),
      tried: fc.array(fc.nat(3), { maxLength: 2 }),
    }),
    fc.record({ kind: fc.constant("leave" as const), which: fc.nat(20) }),
    fc.record({ kind: fc.constant("withdraw" as const), which: fc.nat(20) }),
    fc.record({ kind: fc.constant("members" as const), ids: fc.subarray(["a", "b", "c", "d"]) }),
    fc.record({ kind: fc.constant("pass" as const), ms: fc.constantFrom(100, 300, 1500) }),
    fc.record({ kind: fc.constant("fail" as const), which: fc.nat(3) }),
    fc.record({ kind: fc.constant("health" as const), which: fc.nat(3), health: fc.constantFrom(1, 2) }),
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), fc.nat(4), (steps, queue) => {
      const rig = new UpstreamRig(["a", "b", "c", "d"], {
        limits: { connections: 2, queue, queueTimeout: "1s" },
        circuitBreaker: { minRequests: 2 },
      });
      const known = rig.upstream.servers;
      const wants: TestWant[] = [];
      const placed = (): TestWant[] => wants.filter(({ server, withdrawn }) => server !== null && !withdrawn);
      for (const each of steps) {
        if (each.kind === "ask") {
          const tried = each.tried.map((at) => known[at]!);
          wants.push(
            rig.ask(String(wants.length), {
              lane: each.lane,
              patient: each.patient,
              pinned: known[each.pinned] ?? null,
              tried: tried.length === 0 ? null : tried,
            }),
          );
        } else if (each.kind === "leave") {
          const want = placed()[each.which];
          if (want === undefined) continue;
          want.withdrawn = true; // it is over
          rig.leave(want);
        } else if (each.kind === "withdraw") {
          const want = wants.filter(({ told, withdrawn }) => told === 0 && !withdrawn)[each.which];
          if (want !== undefined) want.withdrawn = true;
        } else if (each.kind === "members") rig.upstream.setMembers(rig.membership(each.ids));
        else if (each.kind === "pass") rig.pass(each.ms);
        else if (each.kind === "fail") rig.upstream.serverFailed(known[each.which]!);
        else rig.board.setHealth(rig.slotOf("abcd"[each.which]!), each.health);
        for (const id of "abcd") expect(rig.inFlight(id)).toBeLessThanOrEqual(2);
        expect(rig.upstream.queue.length).toBeLessThanOrEqual(queue);
      }
      rig.pass(2000);
      for (const { told, withdrawn } of wants) {
        if (withdrawn) expect(told).toBeLessThanOrEqual(1);
        else expect(told).toBe(1);
      }
      for (const want of placed()) rig.leave(want);
      expect([..."abcd"].map((id) => rig.inFlight(id))).toEqual([0, 0, 0, 0]);
      expect(rig.upstream.queue.length).toBe(0);
    }),
    { numRuns: 200 },
  );
});
