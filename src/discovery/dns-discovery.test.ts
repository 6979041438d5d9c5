import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test";
import { createSocket } from "node:dgram";
import { DnsServer, type DnsService } from "../../test/support/dns-server.ts";
import { until } from "../../test/support/wait.ts";
import { millis } from "../core/units.ts";
import { createLog } from "../observe/log.ts";
import { type DiscoverConfig, type DiscoveredServer, DnsDiscovery } from "./dns-discovery.ts";

let server: DnsServer;
let unique = 0;
const running: DnsDiscovery[] = [];

beforeAll(async () => {
  server = await DnsServer.start();
});
afterEach(() => {
  for (const each of running.splice(0)) each.stop();
});
afterAll(() => server.close());

/** Timers that go off when the test says so. */
class Time {
  now = 1_000_000;
  readonly timers = new Set<{ readonly at: number; readonly run: () => void }>();

  readonly schedule = (run: () => void, afterMs: number) => {
    const timer = { at: this.now + afterMs, run };
    this.timers.add(timer);
    return () => void this.timers.delete(timer);
  };

  /** Lets the earliest timer go off, and returns how long that took. */
  skip(): number {
    const [first] = [...this.timers].sort((a, b) => a.at - b.at);
    if (first === undefined) throw new Error("no timer is set");
    const passed = first.at - this.now;
    this.now = first.at;
    this.timers.delete(first);
    first.run();
    return Math.round(passed);
  }
}

interface Options {
  readonly servers?: readonly string[];
  readonly minTtl?: number;
  readonly maxTtl?: number;
  readonly random?: () => number;
}

/** A discovery that asks the test's server about a name of its own. */
function make(options: Options = {}) {
  const time = new Time();
  const changes: string[] = [];
  const lines: string[] = [];
  const discovery = new DnsDiscovery({
    servers: options.servers ?? [server.address],
    minTtl: options.minTtl ?? 1000,
    maxTtl: options.maxTtl ?? 300_000,
    now: () => time.now,
    random: options.random ?? (() => 0.5),
    schedule: time.schedule,
    log: createLog("debug", { format: "json", write: (line) => void lines.push((JSON.parse(line) as Line).message) }),
    onChange: (upstream, servers) => void changes.push(`${upstream}: ${show(servers)}`),
  });
  running.push(discovery);
  const name = `app-${(unique += 1)}.test`;
  /** Waits until no look-up is under way. */
  const settled = () => until(() => discovery.states().every((each) => each.nextAt !== null), "look-ups end");
  /** To the next look-up and its end; how long the pause was. */
  const next = async () => {
    const pause = time.skip();
    await settled();
    return pause;
  };
  const watch = (...sources: DiscoverConfig[]) => discovery.update([{ upstream: "app", sources }]);
  const servers = () => show(discovery.current("app"));
  return { discovery, time, changes, lines, name, settled, next, watch, servers };
}

interface Line {
  readonly message: string;
}

const source = (dns: string, type: DiscoverConfig["type"] = "A", refresh = 10_000): DiscoverConfig => {
  return { dns, type, refresh: millis(refresh) };
};
/** `id`, its weight where it is not 1, and a star for a backup. */
const show = (servers: readonly DiscoveredServer[]): string =>
  servers.map((each) => `${each.id}${each.weight === 1 ? "" : `=${each.weight}`}${each.backup ? "*" : ""}`).join(" ");
const services = (...all: readonly (readonly [priority: number, weight: number, port: number, target: string])[]) => {
  const records = all.map(([priority, weight, port, target]): DnsService => ({ priority, weight, port, target }));
  return { kind: "services", services: records, ttlSeconds: 60 } as const;
};
const asked = (key: string) => server.questions.filter((each) => each === key).length;

describe("addresses", () => {
  test("there are no servers before the first answer, and those of it afterwards", async () => {
    const { changes, discovery, name, servers, settled, watch } = make();
    server.set(`A ${name}`, { kind: "hold" });
    watch(source(`${name}:8080`));
    expect(servers()).toBe("");
    await until(() => asked(`A ${name}`) === 1, "the question");
    expect(discovery.states()).toEqual([
      { type: "A", name, upstreams: ["app"], servers: 0, answeredAt: null, error: null, nextAt: null },
    ]);
    server.set(`A ${name}`, ["10.0.0.2", "10.0.0.1"]);
    server.release();
    await settled();
    expect(servers()).toBe("10.0.0.1:8080 10.0.0.2:8080");
    expect(changes).toEqual(["app: 10.0.0.1:8080 10.0.0.2:8080"]);
    expect(discovery.states()).toEqual([
      { type: "A", name, upstreams: ["app"], servers: 2, answeredAt: 1_000_000, error: null, nextAt: 1_010_000 },
    ]);
    expect(server.questions.filter((each) => each.endsWith(name))).toEqual([`A ${name}`]);
  });

  test("other sources take no server away before they have answered", async () => {
    const { changes, name, next, servers, settled, watch } = make();
    server.set(`A ${name}`, ["10.0.0.1"]);
    watch(source(name));
    await settled();
    server.set(`A b.${name}`, { kind: "servfail" });
    server.set(`A c.${name}`, ["10.0.0.3"]);
    watch(source(`b.${name}`), source(`c.${name}`));
    expect(servers()).toBe("10.0.0.1:80");
    await settled();
    expect(servers()).toBe("10.0.0.1:80 10.0.0.3:80");
    watch(source(`b.${name}`), source(`c.${name}`)); // a reload that changes nothing
    expect(servers()).toBe("10.0.0.1:80 10.0.0.3:80");
    server.set(`A b.${name}`, ["10.0.0.2"]);
    await next();
    expect(servers()).toBe("10.0.0.2:80 10.0.0.3:80");
    expect(changes.length).toBe(3);
  });

  const NAMES: readonly (readonly [title: string, suffix: string, type: "A" | "AAAA", want: string])[] = [
    ["port 80 without one", "", "A", "10.0.0.1:80"],
    ["a final dot", ".:81", "A", "10.0.0.1:81"],
    ["IPv6 in brackets", ":8080", "AAAA", "[fd00::1]:8080"],
  ];
  for (const [title, suffix, type, want] of NAMES)
    test(title, async () => {
      const { name, servers, settled, watch } = make();
      server.set(`A ${name}`, ["10.0.0.1"]);
      server.set(`AAAA ${name}`, ["fd00::1"]);
      watch(source(`${name.toUpperCase()}${suffix}`, type));
      await settled();
      expect(servers()).toBe(want);
    });

  test("a change is told once; another order is none", async () => {
    const { changes, name, next, settled, watch } = make();
    server.set(`A ${name}`, ["10.0.0.1", "10.0.0.2"]);
    watch(source(name));
    await settled();
    server.set(`A ${name}`, ["10.0.0.2", "10.0.0.1"]);
    await next();
    server.set(`A ${name}`, ["10.0.0.3", "10.0.0.1", "10.0.0.2"]);
    await next();
    await next();
    expect(changes).toEqual(["app: 10.0.0.1:80 10.0.0.2:80", "app: 10.0.0.1:80 10.0.0.2:80 10.0.0.3:80"]);
  });

  test("a server goes with the second answer in a row that leaves it out", async () => {
    const { name, next, servers, settled, watch } = make();
    const both = ["10.0.0.1", "10.0.0.2"];
    server.set(`A ${name}`, both);
    watch(source(name));
    await settled();
    server.set(`A ${name}`, ["10.0.0.1"]);
    await next();
    expect(servers()).toBe("10.0.0.1:80 10.0.0.2:80");
    server.set(`A ${name}`, both);
    await next();
    server.set(`A ${name}`, ["10.0.0.1"]);
    await next();
    expect(servers()).toBe("10.0.0.1:80 10.0.0.2:80");
    // A failure between two answers is not one.
    server.set(`A ${name}`, { kind: "servfail" });
    await next();
    expect(servers()).toBe("10.0.0.1:80 10.0.0.2:80");
    server.set(`A ${name}`, ["10.0.0.1"]);
    await next();
    expect(servers()).toBe("10.0.0.1:80");
  });
});

describe("time", () => {
  const PAUSES: readonly (readonly [title: string, ttl: number, refresh: number, options: Options, want: number])[] = [
    ["the TTL", 4, 10_000, {}, 4000],
    ["refresh when the TTL is longer", 60, 10_000, {}, 10_000],
    ["the floor of TTLs", 0, 10_000, { minTtl: 3000 }, 3000],
    ["the ceiling of TTLs", 60, 10_000, { maxTtl: 7000 }, 7000],
    ["refresh below the floor", 0, 500, { minTtl: 3000 }, 500],
    ["never a flood", 0, 0, { minTtl: 0 }, 100],
    ["jitter, at the least", 60, 10_000, { random: () => 0 }, 9500],
    ["jitter, at the most", 60, 10_000, { random: () => 0.999_999 }, 10_500],
  ];
  for (const [title, ttl, refresh, options, want] of PAUSES)
    test(title, async () => {
      const { name, next, settled, watch } = make(options);
      server.set(`A ${name}`, ["10.0.0.1"], ttl);
      watch(source(name, "A", refresh));
      await settled();
      expect(await next()).toBe(want);
    });

  test("one look-up at a time, with no timer meanwhile", async () => {
    const { name, settled, time, watch } = make();
    server.set(`A ${name}`, ["10.0.0.1"]);
    watch(source(name));
    await settled();
    server.set(`A ${name}`, { kind: "hold" });
    time.skip();
    await until(() => asked(`A ${name}`) === 2, "the second question");
    expect(time.timers.size).toBe(0);
    watch(source(name));
    watch(source(name), source(name));
    expect(time.timers.size).toBe(0);
    server.set(`A ${name}`, ["10.0.0.1"]);
    server.release();
    await settled();
    expect(time.timers.size).toBe(1);
    expect(asked(`A ${name}`)).toBe(2);
  });
});

describe("failures", () => {
  const KINDS: readonly (readonly [kind: "servfail" | "refused" | "nxdomain" | "empty", error: string])[] = [
    ["servfail", "the name server failed (SERVFAIL)"],
    ["refused", "the name server refused (REFUSED)"],
    ["nxdomain", "no such name, or no such records"],
    ["empty", "no such name, or no such records"],
  ];
  for (const [kind, error] of KINDS)
    test(`${kind} keeps the last good answer and is tried again, ever later`, async () => {
      const { changes, discovery, lines, name, next, servers, settled, watch } = make();
      server.set(`A ${name}`, ["10.0.0.1"]);
      watch(source(name));
      await settled();
      server.set(`A ${name}`, kind === "empty" ? [] : { kind });
      const pauses: number[] = [];
      for (let times = 0; times < 7; times += 1) pauses.push(await next());
      expect(pauses).toEqual([10_000, 1000, 2000, 4000, 8000, 10_000, 10_000]);
      expect(servers()).toBe("10.0.0.1:80");
      expect(discovery.states()[0]).toMatchObject({ error, answeredAt: 1_000_000, servers: 1 });
      server.set(`A ${name}`, ["10.0.0.1"]);
      await next();
      expect(await next()).toBe(10_000);
      expect(discovery.states()[0]).toMatchObject({ error: null });
      expect(changes).toHaveLength(1);
      expect(lines).toEqual([
        "discovery: servers changed",
        "discovery: look-up failed; the last good answer is kept",
        "discovery: look-ups work again",
      ]);
    });

  test("a name that does not exist yet has no servers until it does", async () => {
    const { changes, lines, name, next, servers, settled, watch } = make();
    server.set(`A ${name}`, { kind: "nxdomain" });
    watch(source(name));
    await settled();
    expect(servers()).toBe("");
    expect(await next()).toBe(1000);
    server.set(`A ${name}`, ["10.0.0.1"]);
    expect(await next()).toBe(2000);
    expect(changes).toEqual(["app: 10.0.0.1:80"]);
    expect(lines[0]).toBe("discovery: look-up failed; there is no server yet");
  });

  for (const text of ["a..b", "unix:/run/app.sock", "x".repeat(300)])
    test(`not a name: ${text.slice(0, 20)}`, async () => {
      const { discovery, settled, watch } = make();
      watch(source(text));
      await settled();
      expect(discovery.states()[0]).toMatchObject({ servers: 0, error: "no such name, or no such records" });
    });

  for (const kind of ["servfail", "refused", "silence"] as const)
    test(`${kind}: the next name server is asked, and asked first from then on`, async () => {
      const first = await DnsServer.start();
      try {
        const { discovery, name, next, servers, settled, watch } = make({ servers: [first.address, server.address] });
        first.set(`A ${name}`, { kind });
        server.set(`A ${name}`, ["10.0.0.1"]);
        watch(source(name));
        await settled();
        expect(servers()).toBe("10.0.0.1:80");
        expect(discovery.states()[0]).toMatchObject({ error: null });
        await next();
        expect(first.questions).toEqual([`A ${name}`]);
        expect(asked(`A ${name}`)).toBe(2);
        // Should it fail in its turn, the first one gets its chance again.
        first.set(`A ${name}`, ["10.0.0.1", "10.0.0.2"]);
        server.set(`A ${name}`, { kind: "refused" });
        await next();
        expect(servers()).toBe("10.0.0.1:80 10.0.0.2:80");
      } finally {
        await first.close();
      }
    });

  test("a name server that is not there is passed over", async () => {
    const closed = createSocket("udp4");
    await new Promise<void>((resolve) => closed.bind(0, "127.0.0.1", resolve));
    const nobody = `127.0.0.1:${closed.address().port}`;
    await new Promise<void>((resolve) => closed.close(resolve));
    const { name, servers, settled, watch } = make({ servers: [nobody, server.address] });
    server.set(`A ${name}`, ["10.0.0.1"]);
    watch(source(name));
    await settled();
    expect(servers()).toBe("10.0.0.1:80");
  });

  test("a lone name server that is silent is asked twice", async () => {
    const { discovery, name, settled, watch } = make();
    server.set(`A ${name}`, { kind: "silence" });
    watch(source(name));
    await settled();
    expect(asked(`A ${name}`)).toBe(2);
    expect(discovery.states()[0]).toMatchObject({ error: "no name server answered in time" });
  }, 15_000);

  const UNUSABLE: readonly (readonly [title: string, name: string, servers: readonly string[], want: string])[] = [
    ["the empty name", "", [], "the name server gave no usable answer ("],
    ["a name server without an address", "app.test", ["nonsense"], "the name server gave no usable answer ("],
    ["no name server at all", "app.test", [], "no name server is known"],
  ];
  for (const [title, name, servers, want] of UNUSABLE)
    test(`${title} is a failure, not an exception`, async () => {
      const { discovery, settled, watch } = make({ servers: name === "" ? [server.address] : servers });
      watch(source(name));
      await settled();
      expect(discovery.states()[0]?.error).toStartWith(want);
    });
});

describe("SRV", () => {
  test("ports, weights, priorities, and the addresses of both families", async () => {
    const { changes, name, settled, watch } = make();
    server.set(`SRV _http._tcp.${name}`, services([10, 60, 8081, `a.${name}`], [10, 20, 8082, `b.${name}`]));
    server.set(`A a.${name}`, ["10.0.0.1"]);
    server.set(`AAAA a.${name}`, ["fd00::1"]);
    server.set(`A b.${name}`, ["10.0.0.2"]);
    watch(source(`_http._tcp.${name}`, "SRV"));
    await settled();
    expect(changes).toEqual(["app: 10.0.0.1:8081=60 10.0.0.2:8082=40 [fd00::1]:8081=60"]);
  });

  test("priorities make backups; weights that change are a change", async () => {
    const { changes, name, next, settled, watch } = make();
    server.set(`A a.${name}`, ["10.0.0.1"]);
    server.set(`A b.${name}`, ["10.0.0.2"]);
    const a = (weight: number) => [10, weight, 81, `a.${name}`] as const;
    server.set(`SRV ${name}`, services([20, 0, 82, `b.${name}`], a(0)));
    watch(source(name, "SRV"));
    await settled();
    server.set(`SRV ${name}`, services(a(5), [20, 0, 82, `b.${name}`]));
    await next();
    server.set(`SRV ${name}`, services(a(5), [5, 0, 82, `b.${name}`]));
    await next();
    expect(changes).toEqual([
      "app: 10.0.0.1:81 10.0.0.2:82*",
      "app: 10.0.0.1:81=5 10.0.0.2:82*",
      "app: 10.0.0.1:81=5* 10.0.0.2:82",
    ]);
  });

  test("one question for each target and family, then the smallest TTL of the addresses", async () => {
    const { name, next, servers, settled, watch } = make();
    server.set(`SRV ${name}`, services([0, 1, 81, `a.${name}`], [0, 1, 82, `A.${name}`], [0, 1, 83, `b.${name}`]));
    server.set(`A a.${name}`, ["10.0.0.1"], 5);
    server.set(`A b.${name}`, ["10.0.0.2"], 3);
    watch(source(name, "SRV"));
    await settled();
    expect(servers()).toBe("10.0.0.1:81 10.0.0.1:82 10.0.0.2:83");
    expect(server.questions.filter((each) => each.endsWith(name)).sort()).toEqual([
      `A a.${name}`,
      `A b.${name}`,
      `AAAA a.${name}`,
      `AAAA b.${name}`,
      `SRV ${name}`,
    ]);
    expect(await next()).toBe(3000);
  });

  for (const kind of ["servfail", "nxdomain", "refused"] as const)
    test(`a target that says ${kind} keeps its addresses while it is listed`, async () => {
      const { discovery, lines, name, next, servers, settled, watch } = make();
      const a = [0, 1, 81, `a.${name}`] as const;
      const b = [0, 1, 82, `b.${name}`] as const;
      server.set(`SRV ${name}`, services(a, b));
      server.set(`A a.${name}`, ["10.0.0.1"]);
      server.set(`A b.${name}`, ["10.0.0.2"]);
      server.set(`AAAA b.${name}`, ["fd00::2"]);
      watch(source(name, "SRV"));
      await settled();
      const all = servers();
      server.set(`A b.${name}`, { kind });
      server.set(`AAAA b.${name}`, { kind });
      for (const pause of [10_000, 1000, 2000]) expect(await next()).toBe(pause);
      expect(servers()).toBe(all);
      expect(discovery.states()[0]?.error).toStartWith(`b.${name}: `);
      expect(lines).toEqual(["discovery: servers changed", "discovery: a part of the look-up failed"]);
      server.set(`SRV ${name}`, services(a));
      await next();
      await next();
      expect(servers()).toBe("10.0.0.1:81");
      expect(discovery.states()[0]).toMatchObject({ error: null });
    });

  test("a family that fails keeps its addresses, one that has none any more loses them", async () => {
    const { name, next, servers, settled, watch } = make();
    server.set(`SRV ${name}`, services([0, 1, 81, `a.${name}`]));
    server.set(`A a.${name}`, ["10.0.0.1"]);
    server.set(`AAAA a.${name}`, ["fd00::1"]);
    watch(source(name, "SRV"));
    await settled();
    server.set(`AAAA a.${name}`, { kind: "servfail" });
    for (let times = 0; times < 3; times += 1) await next();
    expect(servers()).toBe("10.0.0.1:81 [fd00::1]:81");
    server.set(`AAAA a.${name}`, []);
    for (let times = 0; times < 2; times += 1) await next();
    expect(servers()).toBe("10.0.0.1:81");
  });

  test("a family that never was there may fail as it likes", async () => {
    const { discovery, name, next, servers, settled, watch } = make();
    server.set(`SRV ${name}`, services([0, 1, 81, `a.${name}`]));
    server.set(`A a.${name}`, ["10.0.0.1"]);
    server.set(`AAAA a.${name}`, { kind: "servfail" });
    watch(source(name, "SRV"));
    await settled();
    expect(servers()).toBe("10.0.0.1:81");
    expect(discovery.states()[0]).toMatchObject({ error: null });
    expect(await next()).toBe(10_000);
  });

  test("many targets are asked for a few at a time", async () => {
    const { discovery, name, settled, watch } = make();
    const targets = Array.from({ length: 40 }, (_, at) => `t${at}.${name}`);
    server.set(`SRV ${name}`, services(...targets.map((target) => [0, 1, 81, target] as const)));
    for (const target of targets) server.set(`A ${target}`, { kind: "hold" });
    watch(source(name, "SRV"));
    const held = () => server.questions.filter((each) => each.startsWith("A t") && each.endsWith(name)).length;
    await until(() => held() === 16, "the first questions");
    const other = make();
    other.watch(source(other.name));
    await other.settled();
    expect(held()).toBe(16);
    for (const [at, target] of targets.entries()) server.set(`A ${target}`, [`10.0.1.${at}`]);
    server.release();
    await settled();
    expect(discovery.current("app")).toHaveLength(40);
  });

  test("of more than 1000 servers the most important are kept, and it is said once", async () => {
    const { lines, discovery, name, next, settled, watch } = make();
    const ports = Array.from({ length: 400 }, (_, at) => at + 1).reverse();
    const records = (first: number) => services(...ports.map((port) => [port < first ? 1 : 0, 1, port, name] as const));
    server.set(`SRV ${name}`, records(101));
    server.set(`A ${name}`, ["10.0.0.1", "10.0.0.2", "10.0.0.3"]);
    watch(source(name, "SRV"));
    await settled();
    const kept = discovery.current("app");
    expect(kept.filter((each) => !each.backup)).toHaveLength(900);
    expect(kept.filter((each) => each.backup)).toHaveLength(100);
    await next();
    expect(lines.filter((each) => each.includes("too many"))).toHaveLength(1);
  });

  test("no such service, and records that name none, are no answer", async () => {
    const { discovery, name, next, servers, settled, watch } = make();
    server.set(`SRV ${name}`, services([0, 0, 0, ""]));
    watch(source(name, "SRV"));
    await settled();
    expect(servers()).toBe("");
    server.set(`A a.${name}`, ["10.0.0.1"]);
    server.set(`SRV ${name}`, services([0, 0, 0, `a.${name}`]));
    await next();
    expect(discovery.states()[0]).toMatchObject({ servers: 0, error: "no such name, or no such records" });
  });
});

describe("configurations", () => {
  test("a reload keeps what is known and when it is asked for again", async () => {
    const { changes, discovery, name, settled, time, watch } = make();
    server.set(`A ${name}`, ["10.0.0.1"]);
    server.set(`A b.${name}`, ["10.0.0.2"]);
    watch(source(name));
    await settled();
    time.now += 4000;
    discovery.update([
      { upstream: "renamed", sources: [source(name)] },
      { upstream: "both", sources: [source(`b.${name}`), source(name)] },
    ]);
    expect(show(discovery.current("renamed"))).toBe("10.0.0.1:80");
    expect(show(discovery.current("both"))).toBe("10.0.0.1:80");
    expect(show(discovery.current("app"))).toBe("");
    expect(discovery.states()[0]).toMatchObject({ upstreams: ["renamed", "both"], nextAt: 1_010_000 });
    await settled();
    expect(asked(`A ${name}`)).toBe(1);
    expect(changes).toEqual(["app: 10.0.0.1:80", "both: 10.0.0.1:80 10.0.0.2:80"]);
  });

  test("what is not wanted any more is dropped, even from under way", async () => {
    const { changes, discovery, name, settled, time, watch } = make();
    server.set(`A ${name}`, ["10.0.0.1"]);
    server.set(`A b.${name}`, { kind: "hold" });
    watch(source(name), source(`b.${name}`));
    await until(() => asked(`A b.${name}`) === 1, "the question");
    await until(() => changes.length === 1, "the other answer");
    discovery.update([]);
    expect(discovery.states()).toEqual([]);
    expect(time.timers.size).toBe(0);
    // Wanted again, it starts afresh: the old answer is not for it.
    server.set(`A b.${name}`, ["10.0.0.2"]);
    server.release();
    server.set(`A b.${name}`, ["10.0.0.3"]);
    watch(source(`b.${name}`));
    await settled();
    expect(changes).toEqual(["app: 10.0.0.1:80", "app: 10.0.0.3:80"]);
    expect(time.timers.size).toBe(1);
  });

  test("a shorter refresh counts at once, a longer one from the next answer on", async () => {
    const { name, next, settled, time, watch } = make();
    server.set(`A ${name}`, ["10.0.0.1"]);
    watch(source(name, "A", 30_000));
    await settled();
    time.now += 1000;
    watch(source(name, "A", 5000));
    expect(time.timers.size).toBe(1);
    expect(await next()).toBe(5000);
    watch(source(name, "A", 20_000), source(name, "A", 40_000));
    expect(await next()).toBe(5000);
    expect(await next()).toBe(20_000);
  });

  test("other name servers and bounds count from the next question on", async () => {
    const other = await DnsServer.start();
    try {
      const { discovery, name, next, servers, settled, watch } = make();
      server.set(`A ${name}`, ["10.0.0.1"]);
      other.set(`A ${name}`, ["10.0.0.1", "10.0.0.2"]);
      watch(source(name));
      await settled();
      const wanted = [{ upstream: "app", sources: [source(name)] }];
      discovery.update(wanted, { servers: [other.address], minTtl: 1000, maxTtl: 2000 });
      expect(await next()).toBe(10_000);
      expect(servers()).toBe("10.0.0.1:80 10.0.0.2:80");
      expect(await next()).toBe(2000);
    } finally {
      await other.close();
    }
  });

  test("two upstreams with one source share its look-ups", async () => {
    const { changes, discovery, name, settled } = make();
    server.set(`A ${name}`, ["10.0.0.1"]);
    discovery.update(["a", "b"].map((upstream) => ({ upstream, sources: [source(`${name}:81`)] })));
    await settled();
    expect(changes).toEqual(["a: 10.0.0.1:81", "b: 10.0.0.1:81"]);
    expect(asked(`A ${name}`)).toBe(1);
  });

  test("after stop there is no timer, no question and no change", async () => {
    const { changes, discovery, name, servers, time, watch } = make();
    server.set(`A ${name}`, ["10.0.0.1"]);
    server.set(`A b.${name}`, { kind: "hold" });
    watch(source(name), source(`b.${name}`));
    await until(() => changes.length === 1, "one answer");
    await until(() => asked(`A b.${name}`) === 1, "the other question");
    discovery.stop();
    expect(time.timers.size).toBe(0);
    server.set(`A b.${name}`, ["10.0.0.2"]);
    server.release();
    watch(source(`c.${name}`));
    // Another one, started later, has its answer: what was under way would have had its own.
    const later = make();
    server.set(`A ${later.name}`, ["10.0.0.9"]);
    later.watch(source(later.name));
    await later.settled();
    expect(changes).toHaveLength(1);
    expect(servers()).toBe("10.0.0.1:80");
    expect(time.timers.size).toBe(0);
    expect(asked(`A c.${name}`)).toBe(0);
  });

  test("the system's timers, where no others are given", async () => {
    const changes: string[] = [];
    const name = `app-${(unique += 1)}.test`;
    server.set(`A ${name}`, ["10.0.0.1"]);
    const discovery = new DnsDiscovery({
      servers: [server.address],
      minTtl: 0,
      maxTtl: 0,
      log: createLog("error"),
      onChange: (_, servers) => void changes.push(show(servers)),
    });
    running.push(discovery);
    discovery.update([{ upstream: "app", sources: [source(name)] }]);
    await until(() => changes.length === 1, "the first answer");
    server.set(`A ${name}`, ["10.0.0.1", "10.0.0.2"]);
    await until(() => changes.length === 2, "the second answer, by a timer of the system");
  });
});
