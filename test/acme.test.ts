// Automatic certificates against a real authority: pebble, with the name server that comes with it, and BIND.

import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "bun:test";
import { X509Certificate } from "node:crypto";
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { FileState } from "../src/state/file-state.ts";
import { RedisServer } from "../src/state/redis-server.testing.ts";
import { RedisState } from "../src/state/redis-state.ts";
import { Listeners, Node, settings, TestClock } from "./support/acme.ts";
import { BIND_SECRET, Bind, CA_PEM, ChallengeDns, Pebble, Relay } from "./support/pebble.ts";
import { refusingPort } from "./support/ports.ts";
import { until } from "./support/wait.ts";

const DAY_MS = 86_400_000;
let dns: ChallengeDns;
let listeners: Listeners;
let pebble: Pebble;
let relay: Relay;
let folder = "";

beforeAll(async () => {
  [dns, listeners] = await Promise.all([ChallengeDns.start(), Listeners.start()]);
  pebble = await Pebble.start(pebbleOptions());
});
afterAll(async () => {
  for (const each of [pebble, dns, listeners]) await each?.[Symbol.asyncDispose]();
});
beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), "acme-"));
  relay = await Relay.start(pebble.port);
});
afterEach(async () => {
  listeners.manager = null;
  await relay[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true, force: true });
});

const pebbleOptions = () => ({ dns: dns.address, httpPort: listeners.httpPort, tlsPort: listeners.tlsPort });

/** A node with files, answering the authority. */
async function node(options: ConstructorParameters<typeof Node>[1] = {}, clock = new TestClock()): Promise<Node> {
  const made = new Node(await FileState.open(folder, { now: clock.now }), options, clock);
  listeners.manager = made.manager;
  return made;
}

const namesOf = (pem: string): string | undefined => new X509Certificate(pem).subjectAltName;

for (const challenge of ["http-01", "tls-alpn-01"] as const) {
  test(`${challenge}: placeholders at first, then certificates for three names; a restart asks nobody`, async () => {
    const names = ["a", "b", "www.c"].map((name) => `${name}.${challenge}.test`);
    const wanted = [settings(relay.directory, names, { challenge })];
    const first = await node();
    await first.manager.update(wanted);
    expect(first.placeheld).toEqual(names);
    expect(first.manager.states().map(({ status }) => status)).not.toContain("valid");
    await first.obtained(...names);
    for (const name of names) {
      const { chainPem, keyPem } = first.served.get(name)!;
      expect(namesOf(chainPem)).toBe(`DNS:${name}`);
      expect(chainPem.match(/BEGIN CERTIFICATE/g)).toHaveLength(2);
      expect(keyPem).toContain("PRIVATE KEY");
    }
    await until(() => first.manager.states().every(({ status }) => status === "valid"), "all is valid");
    await first.manager.stop();
    expect(relay.count("/sign-me-up")).toBe(1);
    expect(relay.count("/order-plz")).toBe(3);
    const files = readdirSync(join(folder, "values"));
    expect(files.filter((file) => file.startsWith("acme+challenge"))).toEqual([]);
    expect(files.filter((file) => file.startsWith("acme+order"))).toEqual([]);
    for (const file of files) expect(statSync(join(folder, "values", file)).mode & 0o777).toBe(0o600);

    const before = relay.seen.filter(({ path }) => path !== "/dir").length;
    await using again = await node();
    await again.manager.update(wanted);
    expect(again.placeheld).toEqual([]);
    for (const name of names) expect(again.served.get(name)).toEqual(first.served.get(name)!);
    await again.settle();
    expect(relay.seen.filter(({ path }) => path !== "/dir")).toHaveLength(before);
  });
}

test("dns-01 by updates of a real name server, a wildcard and a delegated name among them", async () => {
  await using bind = await Bind.start();
  await using authority = await Pebble.start({ ...pebbleOptions(), dns: bind.address });
  const names = ["zone.test", "*.zone.test", "moved.zone.test"];
  const key = { name: "sluice", secret: BIND_SECRET };
  const propagation = { servers: [bind.address], resolvers: [bind.address] };
  const provider = { provider: "rfc2136", server: bind.address, propagation } as const;
  await using good = await node();
  await good.manager.update([settings(authority.directory, names, { challenge: "dns-01", dns: { ...provider, key } })]);
  await good.obtained(...names);
  for (const name of names) expect(namesOf(good.served.get(name)!.chainPem)).toBe(`DNS:${name}`);

  const wrong = { name: "sluice", secret: Buffer.alloc(32, 8).toString("base64") };
  const cases = [
    ["wrong.zone.test", { ...provider, key: wrong }, "BADSIG"],
    ["unknown.zone.test", { ...provider, key: { ...key, name: "else" } }, "BADKEY"],
    ["unsigned.zone.test", provider, "REFUSED"],
    ["other.test", { ...provider, key }, "no zone for _acme-challenge.other.test"],
  ] as const;
  await good.manager.update(
    cases.map(([name, dns]) => settings(authority.directory, [name], { challenge: "dns-01", dns })),
  );
  for (const [name, , why] of cases)
    expect(await good.event("failed", name)).toMatchObject({ error: expect.stringContaining(why) });
});

test("dns-01 by a command", async () => {
  const script = join(folder, "hook.sh");
  const set = `{\\"host\\":\\"$3.\\",\\"value\\":\\"$4\\"}`;
  writeFileSync(
    script,
    `echo "$1 $2 $3" >> ${folder}/calls
case $2 in present) path=set-txt;; *) path=clear-txt;; esac
curl -sf -d "${set}" ${dns.management}/$path
`,
  );
  const propagation = { servers: [dns.address], resolvers: [dns.address] };
  const run = (command: readonly [string, ...string[]]) =>
    ({ challenge: "dns-01", dns: { provider: "exec", command, propagation } }) as const;
  await using made = await node();
  await made.manager.update([
    settings(relay.directory, ["*.exec.test"], run(["/bin/sh", script, "extra"])),
    settings(relay.directory, ["broken.test"], run(["/bin/sh", "-c", "echo no such zone >&2; exit 3"])),
    settings(relay.directory, ["absent.test"], run(["/nonexistent/hook"])),
  ]);
  await until(() => made.served.get("*.exec.test")?.placeholder === false, made.log.join(), 20_000);
  const calls = readFileSync(join(folder, "calls"), "utf8").trim().split("\n");
  expect(calls).toEqual(["extra present _acme-challenge.exec.test", "extra cleanup _acme-challenge.exec.test"]);
  const broken = { error: expect.stringContaining("exit code 3: no such zone") };
  expect(await made.event("failed", "broken.test")).toMatchObject(broken);
  expect(await made.event("failed", "absent.test")).toMatchObject({ error: expect.stringContaining("ENOENT") });
});

test("a challenge that fails is told, and left alone until its time, which a restart does not shorten", async () => {
  const wanted = [settings(relay.directory, ["late.test"])];
  const clock = new TestClock();
  const first = await node({}, clock);
  listeners.manager = null;
  await first.manager.update(wanted);
  const failed = await first.event("failed", "late.test");
  expect(failed).toMatchObject({ error: expect.stringContaining("unauthorized") });
  expect(listeners.asked.length).toBeGreaterThan(0);
  const [state] = first.manager.states();
  expect(state).toMatchObject({ status: "failing", failures: 1, notAfterMs: null });
  expect(state!.nextTryMs! - clock.now()).toBeWithin(140_000, 181_000);
  expect(first.served.get("late.test")?.placeholder).toBe(true);
  await first.manager.stop();

  const second = await node({}, clock);
  const before = relay.count("/order-plz");
  await second.manager.update(wanted);
  await second.settle();
  expect(second.manager.states()[0]).toMatchObject({ status: "failing", failures: 1, nextTryMs: state!.nextTryMs });
  clock.forward(140_000);
  await second.settle();
  expect(relay.count("/order-plz")).toBe(before);
  listeners.manager = null;
  clock.forward(60_000);
  await second.settle();
  const again = second.manager.states()[0]!;
  expect(again).toMatchObject({ status: "failing", failures: 2 });
  expect(again.nextTryMs! - clock.now()).toBeWithin(290_000, 361_000);
  listeners.manager = second.manager;
  clock.forward(400_000);
  await second.settle();
  expect(second.manager.states()[0]).toMatchObject({ status: "valid", failures: 0, error: null, nextTryMs: null });
  await second.manager.stop();
});

test("nonces that the authority refuses are replaced", async () => {
  await using moody = await Pebble.start({ ...pebbleOptions(), nonceReject: 25 });
  await using counted = await Relay.start(moody.port);
  const names = ["n1.test", "n2.test", "n3.test"];
  await using made = await node();
  await made.manager.update([settings(counted.directory, names)]);
  await made.obtained(...names);
  expect(counted.seen.filter(({ status }) => status === 400).length).toBeGreaterThan(0);
});

test("renewal after two thirds of the life, and again when the directory is another one", async () => {
  await using made = await node();
  await made.manager.update([settings(relay.directory, ["renew.test"])]);
  await made.obtained("renew.test");
  const first = made.served.get("renew.test")!;
  const [state] = made.manager.states();
  const life = (at: number) => (at - state!.notBeforeMs!) / (state!.notAfterMs! - state!.notBeforeMs!);
  expect(life(state!.renewAtMs!)).toBeWithin(0.63, 0.67);
  expect(state!.renewalBy).toBe("lifetime");
  made.clock.forward(state!.renewAtMs! - made.clock.now() - 60_000);
  await made.settle();
  expect(made.served.get("renew.test")).toBe(first);
  made.clock.forward(60_001);
  await made.settle();
  const second = made.served.get("renew.test")!;
  expect(second.chainPem).not.toBe(first.chainPem);
  expect(second.keyPem).not.toBe(first.keyPem);
  expect(await made.event("renewed", "renew.test")).toMatchObject({ notAfterMs: second.notAfterMs });
  await made.manager.update([settings(pebble.directory, ["renew.test"], { keyType: "rsa-2048" })]);
  await until(() => made.served.get("renew.test") !== second, "ordered at the other directory", 20_000);
  expect(made.manager.states()[0]!.directory).toBe(pebble.directory);
  expect(new X509Certificate(made.served.get("renew.test")!.chainPem).publicKey.asymmetricKeyType).toBe("rsa");
});

test("renewal when the authority says so, naming what is replaced; its word holds after a restart", async () => {
  relay.renewalInfo = true;
  const window = (fromMs: number, toMs: number) => ({
    suggestedWindow: { start: new Date(fromMs).toISOString(), end: new Date(toMs).toISOString() },
  });
  const clock = new TestClock();
  const start = clock.now();
  let answer = window(start + 10 * DAY_MS, start + 12 * DAY_MS);
  relay.intervene = ({ path }) =>
    path.startsWith("/renewal/") ? { status: 200, headers: { "retry-after": "7200" }, body: answer } : null;
  const wanted = [settings(relay.directory, ["ari.test"])];
  const first = await node({}, clock);
  await first.manager.update(wanted);
  await first.obtained("ari.test");
  await until(() => first.manager.states()[0]!.renewalBy === "authority", "asked for the window");
  const renewAtMs = Math.round(start + 11 * DAY_MS);
  expect(first.manager.states()[0]!.renewAtMs).toBe(renewAtMs);
  await first.manager.stop();

  await using second = await node({}, clock);
  await second.manager.update(wanted);
  await second.settle();
  expect(second.manager.states()[0]).toMatchObject({ renewAtMs, renewalBy: "authority" });
  expect(relay.count("/renewal/")).toBe(1);
  // Certificates are to be revoked: the window moves into the past.
  answer = window(start - DAY_MS, start);
  clock.forward(7_200_001);
  await second.settle();
  expect(relay.count("/renewal/")).toBe(2);
  await second.settle();
  await second.event("renewed", "ari.test");
  const [, asked = ""] =
    /^\/renewal\/(.+)$/.exec(relay.seen.find(({ path }) => path.startsWith("/renewal/"))!.path) ?? [];
  const orders = relay.seen.filter(({ path, status }) => path === "/order-plz" && status === 201);
  expect(orders.map(({ payload }) => payload?.replaces)).toEqual([undefined, asked]);
  expect(asked).toMatch(/^[\w-]+\.[\w-]+$/);
});

test("an account that must be bound to one elsewhere", async () => {
  const hmacKey = Buffer.alloc(32, 9).toString("base64url");
  await using strict = await Pebble.start({ ...pebbleOptions(), eab: { "kid-1": hmacKey } });
  await using made = await node();
  await made.manager.update([
    settings(strict.directory, ["bound.test"], { eab: { kid: "kid-1", hmacKey } }),
    settings(strict.directory, ["wrong.test"], { email: "b@example.test", eab: { kid: "kid-2", hmacKey } }),
    settings(strict.directory, ["none.test"]),
  ]);
  expect(await made.event("obtained", "bound.test")).toBeDefined();
  expect(await made.event("failed", "wrong.test")).toMatchObject({ error: expect.stringContaining("unauthorized") });
  expect(await made.event("failed", "none.test")).toMatchObject({
    error: expect.stringContaining("externalAccountRequired"),
  });
});

test("two nodes sharing Redis order each name once, and either answers the challenges of the other", async () => {
  await using redis = await RedisServer.start();
  const states = await Promise.all([1, 2].map(() => RedisState.open({ url: redis.url })));
  const nodes = states.map((state) => new Node(state));
  const names = Array.from({ length: 6 }, (_, i) => `shared-${i}.test`);
  // Only the second is reachable for the authority, whichever of them orders.
  listeners.manager = nodes[1]!.manager;
  await Promise.all(nodes.map(({ manager }) => manager.update([settings(relay.directory, names)])));
  await Promise.all(nodes.map((each) => each.obtained(...names)));
  expect(relay.count("/sign-me-up")).toBe(1);
  expect(relay.count("/order-plz")).toBe(names.length);
  for (const name of names) expect(nodes[0]!.served.get(name)).toEqual(nodes[1]!.served.get(name)!);
  const kinds = nodes.flatMap(({ events }) => events.map(({ kind }) => kind)).sort();
  expect(kinds).toEqual([...names.map(() => "obtained" as const), ...names.map(() => "shared" as const)]);
  for (const { manager } of nodes) await manager.stop();
  for (const state of states) await state.close();
});

test("a node that is killed in the middle of an order: the next one goes on with that order", async () => {
  let held = false;
  relay.intervene = ({ path }) => {
    if (!path.startsWith("/finalize-order")) return null;
    held = true;
    return "hold";
  };
  const wanted = settings(relay.directory, ["killed.test"]);
  const program = `
    import { AcmeManager } from ${JSON.stringify(join(import.meta.dir, "../src/certificates/acme/manager.ts"))};
    import { FileState } from ${JSON.stringify(join(import.meta.dir, "../src/state/file-state.ts"))};
    import { createLog } from ${JSON.stringify(join(import.meta.dir, "../src/observe/log.ts"))};
    const state = await FileState.open(${JSON.stringify(folder)});
    const manager = new AcmeManager({ state, log: createLog("error"), now: Date.now, random: Math.random, onCertificate() {} });
    await manager.update([${JSON.stringify(wanted)}]);
    setInterval(() => {}, 1000);
  `;
  const clock = new TestClock();
  await using survivor = await node({}, clock);
  await survivor.manager.update([]);
  const child = Bun.spawn([process.execPath, "-e", program], { stderr: "inherit" });
  await until(() => held, "the order is to be finalized", 20_000);
  child.kill("SIGKILL");
  await child.exited;
  relay.intervene = () => null;
  expect(readdirSync(join(folder, "values")).filter((file) => file.startsWith("acme+order"))).toHaveLength(1);
  await survivor.manager.update([wanted]);
  await survivor.settle();
  expect(survivor.served.get("killed.test")?.placeholder).toBe(true); // its lock is not over
  clock.forward(61_000);
  await survivor.settle();
  expect(survivor.served.get("killed.test")?.placeholder).toBe(false);
  expect(relay.count("/order-plz")).toBe(1);
  expect(relay.count("/sign-me-up")).toBe(1);
});

test("the next directory when the first one is down or refuses; an account that was lost is made again", async () => {
  const dead = `https://127.0.0.1:${await refusingPort()}/dir`;
  await using made = await node();
  await made.manager.update([
    settings(pebble.directory, ["f1.test", "f2.test"], { directories: [dead, pebble.directory] }),
  ]);
  await made.obtained("f1.test", "f2.test");
  expect(made.manager.states().map(({ directory }) => directory)).toEqual([pebble.directory, pebble.directory]);

  const forgetful = await Pebble.start(pebbleOptions());
  const wanted = (name: string) => [settings(forgetful.directory, [name])];
  await made.manager.update(wanted("lost1.test"));
  await made.obtained("lost1.test");
  await forgetful[Symbol.asyncDispose]();
  await using _again = await Pebble.start({ ...pebbleOptions(), port: forgetful.port });
  await made.manager.update(wanted("lost2.test"));
  await made.obtained("lost2.test");
});

test("an authority that wants to be left alone is, and so is one whose budget is used up", async () => {
  const rateLimited = { type: "urn:ietf:params:acme:error:rateLimited", detail: "too many of them" };
  relay.intervene = ({ path, payload }) =>
    path === "/order-plz" && JSON.stringify(payload).includes("limited.test")
      ? { status: 429, headers: { "retry-after": "86400" }, body: rateLimited }
      : null;
  await using made = await node({ limits: { ordersPerDirectory: { count: 2, perMs: 3_600_000 }, ordersInFlight: 1 } });
  const { now } = made.clock;
  await made.manager.update([settings(relay.directory, ["limited.test", "first.test", "second.test"])]);
  expect(await made.event("failed", "limited.test")).toMatchObject({ error: "rateLimited: too many of them" });
  const budget = await made.event("failed", "second.test");
  expect(budget).toMatchObject({ error: expect.stringContaining("budget: 2 orders") });
  const [first, limited, second] = made.manager.states();
  expect(first?.status).toBe("valid");
  expect(limited!.nextTryMs! - now()).toBeWithin(DAY_MS - 60_000, DAY_MS + 1);
  expect(second!.nextTryMs! - now()).toBeWithin(3_540_000, 3_600_001);
  expect(second?.failures).toBe(0);
  made.clock.forward(3_600_001);
  await made.settle();
  expect(made.manager.states()[2]?.status).toBe("valid");
});

test("what cannot be ordered is said, and does not keep the rest from it", async () => {
  await using made = await node();
  await made.manager.update([settings(relay.directory, ["*.wild.test", "not a name", "fine.test"])]);
  await made.obtained("fine.test");
  await made.settle();
  expect(made.manager.states().map(({ name, status, error }) => [name, status, error])).toEqual([
    ["*.wild.test", "impossible", "a wildcard needs challenge: dns-01, not http-01"],
    ["fine.test", "valid", null],
  ]);
  expect(made.placeheld).toContain("*.wild.test");
  expect(made.log.join("")).toContain('domain="not a name"');
});

test("on demand: only what the endpoint permits, asked once for many, and renewed only as long as it does", async () => {
  const asked: string[] = [];
  let allowed = ["customer.test"];
  const ask = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    fetch: ({ url }) => {
      const domain = new URL(url).searchParams.get("domain") ?? "";
      asked.push(domain);
      return new Response("", { status: allowed.includes(domain) ? 200 : 403 });
    },
  });
  const onDemand = { ask: new URL(`http://127.0.0.1:${ask.port}/allowed?key=1`) };
  const wanted = [settings(relay.directory, [], { onDemand })];
  const clock = new TestClock();
  await using made = await node({}, clock);
  expect(await made.manager.onDemand("customer.test")).toMatchObject({ kind: "refused" });
  await made.manager.update(wanted);
  const answers = await Promise.all(
    ["customer.test", "Customer.test.", "customer.test"].map((name) => made.manager.onDemand(name)),
  );
  for (const answer of answers)
    expect(answer).toMatchObject({ kind: "certificate", certificate: { name: "customer.test" } });
  expect(asked).toEqual(["customer.test"]);
  for (const name of [
    "stranger.test",
    "stranger.test",
    "127.0.0.1",
    "[::1]",
    "::1",
    "*.customer.test",
    "localhost",
    "",
  ])
    expect(await made.manager.onDemand(name)).toMatchObject({ kind: "refused" });
  expect(asked).toEqual(["customer.test", "stranger.test"]);
  expect(relay.count("/order-plz")).toBe(1);

  await using again = await node({}, clock);
  await again.manager.update(wanted);
  expect(again.served.size).toBe(0);
  expect(await again.manager.onDemand("customer.test")).toMatchObject({ kind: "certificate" });
  expect(relay.count("/order-plz")).toBe(1);
  allowed = [];
  const third = new Node(await FileState.open(folder, { now: clock.now }), {}, clock);
  await third.manager.update(wanted);
  expect(await third.manager.onDemand("customer.test")).toMatchObject({
    kind: "refused",
    why: expect.stringContaining("403"),
  });
  await third.manager.stop();
  await ask.stop(true);
});

test("an authority whose own certificate is not trusted is not talked to", async () => {
  await using made = await node();
  const { ca: _, ...untrusting } = settings(relay.directory, ["untrusted.test"]);
  await made.manager.update([untrusting]);
  expect(await made.event("failed", "untrusted.test")).toMatchObject({
    error: expect.stringMatching(/unreachable.*certificate/i),
  });
  expect(relay.seen).toEqual([]);
  expect(CA_PEM).toContain("BEGIN CERTIFICATE");
});
