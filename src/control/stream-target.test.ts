import { describe, expect, test } from "bun:test";
import { FaultError, fault } from "../core/faults.ts";
import type { TcpServer } from "../server/tcp-session.ts";
import type { Connection } from "../transport/connection.ts";
import type { Dial } from "../transport/socket.ts";
import { type Spec, type UpstreamInput, UpstreamRig } from "../upstream/upstream.testing.ts";
import type { Upstream } from "../upstream/upstream.ts";
import { DatagramTarget, StreamTarget } from "./stream-target.ts";

const CLIENT = "192.0.2.1";
const REFUSED = fault("upstream.connect_refused", "a: ECONNREFUSED");
const TIMED_OUT = fault("upstream.connect_timeout", "a: no connection within 2000 ms");

/** A connect that a test ends. */
interface Connect {
  readonly server: string;
  cancelled: boolean;
  readonly settle: PromiseWithResolvers<Connection>;
}

/** An upstream whose servers are connected to when a test says so. */
class Rig extends UpstreamRig {
  readonly connects: Connect[] = [];
  /** What the name `app` stands for; null once it was removed. */
  found: Upstream | null = this.upstream;
  readonly others = new Map<string, Upstream>();
  readonly find = (name: string): Upstream | null => (name === "app" ? this.found : (this.others.get(name) ?? null));
  readonly target = new StreamTarget("app", this.find);

  constructor(specs: readonly Spec[], config: UpstreamInput = {}) {
    super(specs, config);
    this.handle(this.upstream);
  }
  handle(upstream: Upstream): void {
    for (const server of upstream.servers) {
      const reach = (): Dial => {
        const settle = Promise.withResolvers<Connection>();
        const connect: Connect = { server: server.name, cancelled: false, settle };
        this.connects.push(connect);
        const cancel = (): void => {
          connect.cancelled = true;
          settle.reject(new Error("cancelled"));
        };
        return { promise: settle.promise, cancel };
      };
      Object.assign(server, { reach });
    }
  }

  choose(tried: readonly TcpServer[] = []): TcpServer {
    return this.target.choose(CLIENT, tried)!;
  }
  /** A session with a connected server. */
  open(): TcpServer {
    const server = this.choose();
    server.dial();
    server.opened(1);
    return server;
  }
  failing(id: string): boolean {
    return this.server(id).failedUntil > this.now;
  }
}

/** What becomes of a dial: "" while it is under way. */
function fateOf(dial: Dial): { text: string } {
  const fate = { text: "" };
  dial.promise.then(
    () => {
      fate.text = "connected";
    },
    (error: unknown) => {
      fate.text = error instanceof FaultError ? error.fault.code : String(error);
    },
  );
  return fate;
}
/** Promises that are settled have been heard of by then. */
const settled = (): Promise<void> => Bun.sleep(0);

describe("a place at a server", () => {
  test("is held from the choice on, and given back when the session is over", () => {
    const rig = new Rig(["a"]);
    const server = rig.choose();
    expect([server.name, rig.inFlight("a")]).toEqual(["a", 1]);
    server.dial();
    server.opened(1);
    expect([rig.inFlight("a"), rig.server("a").open]).toEqual([1, 1]);
    server.closed(null);
    expect([rig.inFlight("a"), rig.server("a").open]).toEqual([0, 0]);
  });

  for (const cause of [fault("client.gone"), fault("upstream.reset", "a")])
    test(`is given back when the session breaks: ${cause.code}`, () => {
      const rig = new Rig(["a"]);
      rig.open().closed(cause);
      expect([rig.inFlight("a"), rig.failing("a")]).toEqual([0, false]);
    });

  for (const cause of [REFUSED, TIMED_OUT])
    test(`is given back, and the server passed over, after ${cause.code}`, () => {
      const rig = new Rig(["a", "b"]);
      const first = rig.choose();
      first.dial();
      first.failed(cause);
      expect([rig.inFlight("a"), rig.failing("a")]).toEqual([0, true]);
      const second = rig.choose([first]);
      expect([second.name, rig.inFlight("b")]).toEqual(["b", 1]);
      for (let i = 0; i < 3; i += 1) expect(rig.choose().name).toBe("b");
    });

  test("is given back when the trouble is not the server's, which is not passed over", () => {
    const rig = new Rig(["a"]);
    const server = rig.choose();
    server.dial();
    server.failed(fault("proxy.internal", "EMFILE"));
    expect([rig.inFlight("a"), rig.failing("a")]).toEqual([0, false]);
  });

  test("is given back when the client leaves during the connect", async () => {
    const rig = new Rig(["a"]);
    const server = rig.choose();
    const dial = server.dial();
    const fate = fateOf(dial);
    dial.cancel();
    server.withdrawn();
    expect([rig.inFlight("a"), rig.failing("a"), rig.connects[0]!.cancelled]).toEqual([0, false, true]);
    await settled();
    expect(fate.text).toBe("Error: cancelled");
  });

  test("outlives a reload that changes the upstream's settings", () => {
    const rig = new Rig(["a"], { limits: { connections: 1 } });
    const session = rig.open();
    const after = new UpstreamRig([]);
    after.upstream.setMembers(rig.membership(["a"])); // the same slots: it is the same server
    rig.found = after.upstream;
    rig.handle(after.upstream);
    const next = rig.choose();
    expect(rig.inFlight("a")).toBe(2);
    session.closed(null);
    next.withdrawn();
    expect(rig.inFlight("a")).toBe(0);
  });

  test("is given back after its upstream, or its server, was removed", () => {
    for (const what of ["upstream", "server"] as const) {
      const rig = new Rig(["a", "b"]);
      const [connected, connecting] = [rig.open(), rig.choose()];
      connecting.dial();
      if (what === "server") rig.upstream.setMembers(rig.membership([]));
      else {
        rig.found = null;
        rig.upstream.retire();
        expect(rig.target.choose(CLIENT, [])).toBeNull();
        expect(rig.target.attempts).toBe(0);
      }
      connecting.opened(1);
      connecting.closed(null);
      connected.closed(null);
      expect([rig.inFlight("a"), rig.inFlight("b")]).toEqual([0, 0]);
    }
  });
});

describe("a wait for a place", () => {
  const FULL = { limits: { connections: 1, queue: 2, queueTimeout: "1s" } };

  test("ends with the place of a session that is over, in order", async () => {
    const rig = new Rig(["a"], FULL);
    const first = rig.open();
    const [second, third] = [rig.choose(), rig.choose()];
    const fates = [second, third].map((server) => fateOf(server.dial()));
    await settled();
    expect([second.name, third.name, rig.connects.length]).toEqual(["", "", 1]);
    first.closed(null);
    await settled();
    expect([second.name, third.name, rig.connects.length, rig.inFlight("a")]).toEqual(["a", "", 2, 1]);
    rig.connects[1]!.settle.resolve({} as Connection);
    await settled();
    expect(fates.map(({ text }) => text)).toEqual(["connected", ""]);
    second.opened(500);
    second.closed(null);
    await settled();
    expect([third.name, rig.connects.length]).toEqual(["a", 3]);
    third.withdrawn();
    expect(rig.inFlight("a")).toBe(0);
  });

  test("is refused when too many wait", async () => {
    const rig = new Rig(["a"], FULL);
    const first = rig.open();
    const [second, third, fourth] = [rig.choose(), rig.choose(), rig.choose()];
    const fates = [second, third, fourth].map((server) => fateOf(server.dial()));
    await settled();
    expect(fates.map(({ text }) => text)).toEqual(["", "", "upstream.queue_full"]);
    fourth.failed(fault("upstream.queue_full"));
    expect([rig.inFlight("a"), rig.failing("a"), rig.upstream.queue.length]).toEqual([1, false, 2]);
    for (const server of [second, third]) server.withdrawn();
    first.closed(null);
    expect(rig.inFlight("a")).toBe(0);
  });

  test("ends after queueTimeout", async () => {
    const rig = new Rig(["a"], FULL);
    const first = rig.open();
    const second = rig.choose();
    const fate = fateOf(second.dial());
    rig.pass(900);
    await settled();
    expect(fate.text).toBe("");
    rig.pass(400);
    await settled();
    expect(fate.text).toBe("upstream.queue_timeout");
    second.failed(fault("upstream.queue_timeout"));
    expect([rig.inFlight("a"), rig.failing("a")]).toEqual([1, false]);
    first.closed(null);
    expect(rig.inFlight("a")).toBe(0);
  });

  test("of a client that has left is passed over", async () => {
    const rig = new Rig(["a"], FULL);
    const first = rig.open();
    const [second, third] = [rig.choose(), rig.choose()];
    const fate = fateOf(second.dial());
    fateOf(third.dial());
    second.withdrawn();
    first.closed(null);
    await settled();
    expect([second.name, third.name, fate.text, rig.inFlight("a")]).toEqual(["", "a", "", 1]);
  });

  test("of a client that leaves in the moment in which it has got one: it goes to the next", async () => {
    const rig = new Rig(["a"], FULL);
    const first = rig.open();
    const [second, third] = [rig.choose(), rig.choose()];
    const dial = second.dial();
    const fate = fateOf(dial);
    fateOf(third.dial());
    first.closed(null);
    expect(second.name).toBe("a");
    dial.cancel();
    second.withdrawn();
    await settled();
    expect([fate.text, third.name, rig.inFlight("a")]).toEqual(["client.gone", "a", 1]);
    expect(rig.connects.map(({ server }) => server)).toEqual(["a", "a"]); // the first and the third
  });

  test("says nothing of the server's latency", () => {
    const rig = new Rig(["a"], FULL);
    const first = rig.open();
    const second = rig.choose();
    second.dial();
    const told: number[] = [];
    Object.assign(rig.upstream, { streamOpened: (_: unknown, ms: number) => told.push(ms) });
    first.closed(null);
    second.dial();
    second.opened(60_000);
    expect(told[0]).toBeLessThan(1000);
  });
});

describe("the circuit breaker", () => {
  const BREAKER = {
    circuitBreaker: { errorRate: "50%", minRequests: 2, openFor: "1s", probes: 1 },
    retry: false,
  } as const;

  function broken(): Rig {
    const rig = new Rig(["a", "b"], BREAKER);
    for (let i = 0; i < 2; i += 1) {
      const server = rig.choose();
      server.dial();
      server.failed(REFUSED);
    }
    expect(rig.upstream.circuit).toBe("open");
    return rig;
  }

  test("refuses while it is open, and says so", async () => {
    const rig = broken();
    const fate = fateOf(rig.choose().dial());
    await settled();
    expect([fate.text, rig.inFlight("a"), rig.inFlight("b")]).toEqual(["upstream.circuit_open", 0, 0]);
  });

  for (const [how, act] of [
    ["leaves during the connect", (server: TcpServer) => server.withdrawn()],
    ["meets trouble of ours", (server: TcpServer) => server.failed(fault("proxy.internal"))],
  ] as const)
    test(`lets another probe through when a client ${how}`, () => {
      const rig = broken();
      rig.pass(1500);
      for (let i = 0; i < 3; i += 1) {
        const probe = rig.choose();
        expect(probe.name).not.toBe("");
        probe.dial();
        act(probe);
      }
      rig.open();
      expect(rig.upstream.circuit).toBe("closed");
    });
});

describe("failover", () => {
  function pair(main: readonly Spec[], config: UpstreamInput = {}) {
    const rig = new Rig(main, Object.assign({ failover: "spare" }, config));
    const spare = new Rig(["x", "y"]);
    rig.others.set("spare", spare.upstream);
    return { rig, spare };
  }

  test("where there is no server", () => {
    const { rig, spare } = pair([]);
    expect([rig.choose().name, spare.inFlight("x")]).toEqual(["x", 1]);
    rig.others.clear();
    expect(rig.target.choose(CLIENT, [])?.name ?? "").toBe("");
  });

  for (const [name, main, want] of [
    ["where all servers have failed", ["a"], "a x y"],
    ["where all tries have failed", ["a", "b", "c"], "a b x y"],
  ] as const)
    test(name, () => {
      const { rig, spare } = pair(main, { retry: { attempts: 1 } });
      expect(rig.target.attempts).toBe(2 + 3);
      const tried: TcpServer[] = [];
      for (;;) {
        const server = rig.target.choose(CLIENT, tried);
        if (server === null) break;
        server.dial();
        server.failed(REFUSED);
        tried.push(server);
      }
      expect(tried.map((server) => server.name).join(" ")).toBe(want);
      for (const id of main) expect(rig.inFlight(id)).toBe(0);
      for (const id of ["x", "y"]) expect(spare.inFlight(id)).toBe(0);
    });

  test("not where servers are busy", async () => {
    const { rig, spare } = pair(["a"], { limits: { connections: 1, queue: 0 } });
    rig.open();
    const fate = fateOf(rig.choose().dial());
    await settled();
    expect([fate.text, spare.inFlight("x")]).toEqual(["upstream.queue_full", 0]);
  });

  test("comes to an end", () => {
    const rig = new Rig([], { failover: "app" });
    expect(rig.target.choose(CLIENT, [])?.name ?? "").toBe("");
  });
});

describe("datagrams", () => {
  const target = (rig: Rig) => new DatagramTarget("app", rig.find);

  for (const answered of [true, false])
    test(`a session that is over gives its place back, ${answered ? "answered" : "unanswered"}`, () => {
      const rig = new Rig(["a"]);
      const server = target(rig).choose(CLIENT)!;
      expect(rig.inFlight("a")).toBe(1);
      if (answered) server.answered(1);
      server.closed(answered);
      expect(rig.inFlight("a")).toBe(0);
    });

  test("a server that failed is used as before once it has answered", () => {
    const rig = new Rig(["a"]);
    const first = target(rig).choose(CLIENT)!;
    first.failed(REFUSED);
    expect([rig.inFlight("a"), rig.failing("a")]).toEqual([0, true]);
    rig.pass(1500);
    const second = target(rig).choose(CLIENT)!;
    expect(rig.failing("a")).toBe(true); // until this one knows more
    second.answered(1);
    expect([rig.failing("a"), rig.server("a").failures]).toEqual([false, 0]);
  });

  test("nobody waits", () => {
    const rig = new Rig(["a"], { limits: { connections: 1, queue: 10 } });
    const first = target(rig).choose(CLIENT)!;
    expect(target(rig).choose(CLIENT)).toBeNull();
    first.closed(true);
    expect(target(rig).choose(CLIENT)).not.toBeNull();
    expect(rig.upstream.queue.length).toBe(0);
  });

  test("a unix socket takes none", async () => {
    const rig = new Rig([]);
    const [member] = rig.membership(["a"]).members;
    const members = [{ ...member!, address: { kind: "unix", path: "/run/a" } as const }];
    rig.upstream.setMembers({ members, slot: rig.slot, version: 9 });
    const server = target(rig).choose(CLIENT)!;
    const error = await Promise.resolve(server.address()).catch((cause: unknown) => cause);
    expect((error as FaultError).fault).toMatchObject({ code: "upstream.none", detail: "a: datagrams need a port" });
  });

  test("failover, and no upstream at all", () => {
    const rig = new Rig([], { failover: "spare" });
    const spare = new Rig(["x"]);
    expect(target(rig).choose(CLIENT)).toBeNull();
    rig.others.set("spare", spare.upstream);
    expect(target(rig).choose(CLIENT)!.name).toBe("x");
  });
});
