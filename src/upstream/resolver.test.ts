import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DnsServer } from "../../test/support/dns-server.ts";
import { FaultError } from "../core/faults.ts";
import { parseHosts } from "./hosts-file.ts";
import { Resolver } from "./resolver.ts";

let server: DnsServer;
let directory: string;
let unique = 0;

beforeAll(async () => {
  server = await DnsServer.start();
  directory = mkdtempSync(join(tmpdir(), "resolver-"));
});
afterAll(async () => {
  await server.close();
  rmSync(directory, { recursive: true });
});

/** A resolver that asks the test's server, on a clock that the test turns. */
function make(options: { minTtl?: number; maxTtl?: number; hosts?: string } = {}) {
  const clock = { now: 1_000_000 };
  const hostsPath = join(directory, `hosts-${(unique += 1)}`);
  if (options.hosts !== undefined) writeFileSync(hostsPath, options.hosts);
  const resolver = new Resolver({
    servers: [server.address],
    minTtl: options.minTtl ?? 1000,
    maxTtl: options.maxTtl ?? 300_000,
    now: () => clock.now,
    hostsPath,
  });
  return { resolver, clock, hostsPath, name: `name-${unique}.test` };
}

const asked = (name: string) => server.questions.filter((each) => each.endsWith(` ${name}`)).length;
/** What a lookup answers at once; fails the test when it has to wait. */
function atOnce(resolver: Resolver, name: string): readonly string[] {
  const answer = resolver.lookup(name);
  if (answer instanceof Promise) throw new Error(`${name} was not known at once`);
  return answer;
}
/** Waits for something that happens on the event loop, not for time to pass. */
async function until(what: () => boolean): Promise<void> {
  while (!what()) await new Promise((resolve) => setImmediate(resolve));
}
async function refused(answer: readonly string[] | Promise<readonly string[]>): Promise<string> {
  const error = await Promise.resolve(answer).catch((reason: unknown) => reason);
  return error instanceof FaultError ? `${error.fault.code} ${error.fault.detail}` : `not refused: ${String(error)}`;
}

describe("without any question", () => {
  const LOCAL: readonly (readonly [name: string, host: string, hosts: string, want: readonly string[]])[] = [
    ["IPv4 literal", "192.0.2.7", "", ["192.0.2.7"]],
    ["IPv6 literal", "2001:db8::7", "", ["2001:db8::7"]],
    ["a name in the hosts file", "app", "10.0.0.1 app\n", ["10.0.0.1"]],
    ["whatever its case and final dot", "App.Example.", "10.0.0.1 app.EXAMPLE\n", ["10.0.0.1"]],
    ["both families", "app", "10.0.0.1 app # office\nfd00::1 app\n", ["10.0.0.1", "fd00::1"]],
    ["localhost without an entry", "localhost", "", ["::1", "127.0.0.1"]],
    ["localhost as the file says", "localhost", "127.0.0.1 localhost\n", ["127.0.0.1"]],
    ["names under localhost", "app.localhost", "", ["::1", "127.0.0.1"]],
  ];
  for (const [name, host, hosts, want] of LOCAL)
    test(name, () => {
      const before = server.questions.length;
      expect(atOnce(make({ hosts }).resolver, host)).toEqual([...want]);
      expect(server.questions.length).toBe(before);
    });

  test("a changed hosts file is seen after a second, not before", async () => {
    const { resolver, clock, hostsPath } = make({ hosts: "10.0.0.1 app\n" });
    expect(atOnce(resolver, "app")).toEqual(["10.0.0.1"]);
    writeFileSync(hostsPath, "10.0.0.2 app\n");
    utimesSync(hostsPath, 1, 1);
    clock.now += 999;
    expect(atOnce(resolver, "app")).toEqual(["10.0.0.1"]);
    clock.now += 1;
    expect(atOnce(resolver, "app")).toEqual(["10.0.0.2"]);
    rmSync(hostsPath);
    clock.now += 1000;
    expect(await refused(resolver.lookup("app"))).toStartWith("upstream.dns");
  });

  test("hosts(5): comments, odd lines, several names", () => {
    const text = "# 10.9.9.9 no\n\n127.0.0.1\tlocalhost  loop\nnonsense line\n::1 localhost\n10.0.0.1 a a\n10.0.0.2\n";
    expect([...parseHosts(text)]).toEqual([
      ["localhost", ["127.0.0.1", "::1"]],
      ["loop", ["127.0.0.1"]],
      ["a", ["10.0.0.1"]],
    ]);
  });
});

describe("answers", () => {
  test("of both families, asked for once each", async () => {
    const { resolver, name } = make();
    server.set(`A ${name}`, ["10.0.0.1", "10.0.0.2"]);
    server.set(`AAAA ${name}`, ["fd00::1"]);
    expect([...(await resolver.lookup(name))].sort()).toEqual(["10.0.0.1", "10.0.0.2", "fd00::1"]);
    expect(atOnce(resolver, name.toUpperCase())).toHaveLength(3);
    expect(server.questions.filter((each) => each.endsWith(` ${name}`)).sort()).toEqual([`A ${name}`, `AAAA ${name}`]);
  });

  for (const [present, gone] of [
    ["A", "AAAA"],
    ["AAAA", "A"],
  ] as const)
    for (const kind of ["nxdomain", "servfail", "silence"] as const)
      test(`${present} is enough when ${gone} says ${kind}`, async () => {
        const { resolver, name } = make();
        const address = present === "A" ? "10.0.0.1" : "fd00::1";
        server.set(`${present} ${name}`, [address]);
        server.set(`${gone} ${name}`, { kind });
        expect(await resolver.lookup(name)).toEqual([address]);
        expect(atOnce(resolver, name)).toEqual([address]);
      });

  test("what the slower family says is taken in when it comes", async () => {
    const { resolver, name } = make();
    server.set(`A ${name}`, ["10.0.0.1"]);
    server.set(`AAAA ${name}`, { kind: "hold" });
    expect(await resolver.lookup(name)).toEqual(["10.0.0.1"]);
    server.set(`AAAA ${name}`, ["fd00::1"]);
    server.release();
    await until(() => atOnce(resolver, name).length === 2);
    expect(atOnce(resolver, name)).toEqual(["fd00::1", "10.0.0.1"]);
  });

  test("many lookups at the same time share one flight", async () => {
    const { resolver, name } = make();
    server.set(`A ${name}`, ["10.0.0.1"]);
    const answers = await Promise.all([1, 2, 3, 4].map(() => resolver.lookup(name)));
    expect(answers).toEqual([["10.0.0.1"], ["10.0.0.1"], ["10.0.0.1"], ["10.0.0.1"]]);
    expect(asked(name)).toBe(2);
  });
});

describe("time", () => {
  const TTL: readonly (readonly [name: string, ttlSeconds: number, freshMs: number])[] = [
    ["the TTL counts", 10, 10_000],
    ["never less than the floor", 0, 1000],
    ["never more than the ceiling", 86_400, 60_000],
  ];
  for (const [title, ttlSeconds, freshMs] of TTL)
    test(title, async () => {
      const { resolver, clock, name } = make({ minTtl: 1000, maxTtl: 60_000 });
      server.set(`A ${name}`, ["10.0.0.1"], ttlSeconds);
      await resolver.lookup(name);
      server.set(`A ${name}`, ["10.0.0.2"], ttlSeconds);
      clock.now += freshMs - 1;
      expect(atOnce(resolver, name)).toEqual(["10.0.0.1"]);
      expect(asked(name)).toBe(2);
      clock.now += 1;
      // The old answer once more, at once, while one refresh runs.
      for (let times = 0; times < 3; times += 1) expect(atOnce(resolver, name)).toEqual(["10.0.0.1"]);
      await until(() => atOnce(resolver, name)[0] === "10.0.0.2");
      expect(asked(name)).toBe(4);
    });

  test("an answer that ended long ago is not given any more while a new one can be had", async () => {
    const { resolver, clock, name } = make();
    server.set(`A ${name}`, ["10.0.0.1"], 10);
    await resolver.lookup(name);
    server.set(`A ${name}`, ["10.0.0.2"], 10);
    clock.now += 10_000 + 30_000;
    expect(await resolver.lookup(name)).toEqual(["10.0.0.2"]);
  });

  for (const kind of ["servfail", "nxdomain"] as const)
    test(`${kind} keeps the last good answer, for a day`, async () => {
      const { resolver, clock, name } = make();
      server.set(`A ${name}`, ["10.0.0.1"], 10);
      await resolver.lookup(name);
      server.set(`A ${name}`, { kind });
      server.set(`AAAA ${name}`, { kind });
      clock.now += 60_000;
      expect(await resolver.lookup(name)).toEqual(["10.0.0.1"]);
      // Known to fail: given at once, and not asked for again before five seconds are over.
      const before = asked(name);
      clock.now += 4999;
      expect(atOnce(resolver, name)).toEqual(["10.0.0.1"]);
      expect(asked(name)).toBe(before);
      clock.now += 86_400_000;
      expect(await refused(resolver.lookup(name))).toStartWith("upstream.dns");
      server.set(`A ${name}`, ["10.0.0.3"], 10);
      clock.now += 5000;
      expect(await resolver.lookup(name)).toEqual(["10.0.0.3"]);
    });

  test("a family that fails keeps its addresses, one that has none any more loses them", async () => {
    const { resolver, clock, name } = make();
    server.set(`A ${name}`, ["10.0.0.1"], 1);
    server.set(`AAAA ${name}`, ["fd00::1"], 1);
    await resolver.lookup(name);
    server.set(`A ${name}`, ["10.0.0.2"], 1);
    server.set(`AAAA ${name}`, { kind: "servfail" });
    clock.now += 40_000;
    expect(await resolver.lookup(name)).toEqual(["fd00::1", "10.0.0.2"]);
    server.set(`AAAA ${name}`, []);
    clock.now += 40_000;
    expect(await resolver.lookup(name)).toEqual(["10.0.0.2"]);
  });
});

describe("no answer", () => {
  const NONE: readonly (readonly [kind: "nxdomain" | "servfail" | "silence", want: string])[] = [
    ["nxdomain", "no such name, or no address"],
    ["servfail", "the name servers gave no answer"],
    ["silence", "the name servers gave no answer"],
  ];
  for (const [kind, want] of NONE)
    test(`${kind} is a fault, remembered for two seconds`, async () => {
      const { resolver, clock, name } = make();
      server.set(`A ${name}`, { kind });
      server.set(`AAAA ${name}`, { kind });
      expect(await refused(resolver.lookup(name))).toBe(`upstream.dns ${name}: ${want}`);
      const before = asked(name);
      server.set(`A ${name}`, ["10.0.0.1"]);
      clock.now += 1999;
      expect(await refused(resolver.lookup(name))).toBe(`upstream.dns ${name}: ${want}`);
      expect(asked(name)).toBe(before);
      clock.now += 1;
      expect(await resolver.lookup(name)).toEqual(["10.0.0.1"]);
    }, 15_000);

  for (const host of ["", "a..b", "x".repeat(300)])
    test(`not a name: ${host.slice(0, 8)}`, async () => {
      expect(await refused(make().resolver.lookup(host))).toStartWith("upstream.dns");
    });

  test("names beyond the bound push out the longest unused one", async () => {
    const { resolver, name } = make();
    server.set(`A ${name}`, ["10.0.0.1"]);
    await resolver.lookup(name);
    const before = asked(name);
    // Empty labels are refused without a question, so this is quick.
    for (let each = 0; each < 4096; each += 1) await refused(resolver.lookup(`a..${each}`));
    expect(await resolver.lookup(name)).toEqual(["10.0.0.1"]);
    expect(asked(name)).toBe(before + 2);
  });
});

test("without servers of its own it falls back to the system's resolver", async () => {
  // Nothing under .invalid exists (RFC 6761 §6.4), so both ways are gone through and the fault says so.
  const resolver = new Resolver({ minTtl: 1000, maxTtl: 1000 });
  expect(await refused(resolver.lookup("nothing.invalid"))).toStartWith("upstream.dns nothing.invalid");
}, 30_000);
