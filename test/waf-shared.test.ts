// What rules of the firewall know beyond one request and one worker: counters, places, lists in the DNS.
import { afterAll, beforeAll, expect, test } from "bun:test";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { mmdbOf } from "../src/filters/access/mmdb.testing.ts";
import { RedisServer } from "../src/state/redis-server.testing.ts";
import { DnsServer } from "./support/dns-server.ts";
import { request } from "./support/message.ts";
import { exchange } from "./support/peer.ts";
import { Folder, runConfig, type SluiceProcess } from "./support/sluice.ts";
import { until } from "./support/wait.ts";

const RULES = `
SecRule REQUEST_FILENAME "@streq /login" "id:1,phase:1,pass,nolog,initcol:ip=%{REMOTE_ADDR},\
setvar:ip.counter=+1,expirevar:ip.counter=600"
SecRule IP:counter "@gt 5" "id:2,phase:1,deny,status:429"
SecRule REMOTE_ADDR "@geoLookup" "id:3,phase:1,deny,status:451,chain"
SecRule GEO:COUNTRY_CODE "@streq FR" "chain"
SecRule GEO:CITY "@streq Orléans"
SecRule REMOTE_ADDR "@rbl list.example" "id:4,phase:1,deny,status:403"
`;

let folder: Folder;
let dns: DnsServer;
let proxy: SluiceProcess;

beforeAll(async () => {
  folder = new Folder();
  dns = await DnsServer.start();
  dns.set("A 3.2.0.192.list.example", ["127.0.0.2"]);
  dns.set("A 4.2.0.192.list.example", ["127.255.255.254"]);
  const places = mmdbOf({
    "192.0.2.2/32": { country: { iso_code: "FR" }, city: { names: { en: "Orléans" } } },
    "192.0.2.1/32": { country: { iso_code: "FR" } },
  });
  await Bun.write(`${folder.path}/places.mmdb`, places);
  proxy = await runConfig(folder, {
    trustedProxies: ["127.0.0.1"],
    listeners: [{ address: "127.0.0.1:0" }],
    workers: 2,
    resolver: { servers: [dns.address] },
    routes: [{ waf: { rules: folder.write("rules.conf", RULES), geo: "places.mmdb" }, respond: { body: "ok" } }],
  });
}, 20_000);

afterAll(async () => {
  await proxy[Symbol.asyncDispose]();
  await dns.close();
  folder[Symbol.dispose]();
});

const ask = async (target: string, ip: string, of = proxy): Promise<number> =>
  (await exchange(of.port(), request(target, [`x-forwarded-for: ${ip}`, "user-agent: test"]))).status;

test("a counter of an address is one for all workers", async () => {
  for (const ip of ["198.51.100.1", "198.51.100.2", "2001:db8::1", "198.51.100.4"]) {
    const seen: number[] = [];
    for (let i = 0; i < 8; i += 1) seen.push(await ask("/login", ip));
    expect(seen).toEqual([200, 200, 200, 200, 200, 429, 429, 429]);
  }
});

test("places of addresses come from the database", async () => {
  expect([await ask("/", "192.0.2.1"), await ask("/", "192.0.2.2")]).toEqual([200, 451]);
});

test("lists in the DNS are asked beside the requests, which do not wait", async () => {
  // Each worker asks for itself.
  await until(async () => {
    const seen = await Promise.all(Array.from({ length: 6 }, () => ask("/", "192.0.2.3")));
    return seen.every((status) => status === 403);
  }, "a client on the list to be refused");
  for (let i = 0; i < 4; i += 1) expect(await ask("/", "192.0.2.4")).toBe(200);
});

/** Without a resolver, as all requests of these count. */
const counting = (own: Folder, more: Readonly<Record<string, unknown>>) => ({
  trustedProxies: ["127.0.0.1"],
  listeners: [{ address: "127.0.0.1:0" }],
  workers: 2,
  routes: [{ waf: { rules: own.write("rules.conf", COUNTING) }, respond: { body: "ok" } }],
  ...more,
});

const COUNTING = `
SecAction "id:1,phase:1,pass,nolog,initcol:ip=%{REMOTE_ADDR}"
SecRule REQUEST_FILENAME "@streq /login" "id:2,phase:1,pass,nolog,setvar:ip.counter=+1"
SecRule IP:counter "@gt 5" "id:3,phase:1,deny,status:429"
`;

const logins = async (of: SluiceProcess, ip: string): Promise<number> => {
  let status = 0;
  for (let i = 0; i < 6; i += 1) status = await ask("/login", ip, of);
  return status;
};

test("counters outlive a program that is killed", async () => {
  using own = new Folder();
  const kept = counting(own, { storage: join(own.path, "storage") });
  {
    await using first = await runConfig(own, kept);
    expect(await logins(first, "192.0.2.1")).toBe(429);
    const maps = join(own.path, "storage/state/maps");
    await until(
      async () => (await readFile(join(maps, "firewall"), "utf8").catch(() => "")).includes('\\"6\\"'),
      "the counter to be kept",
    );
    first.signal("SIGKILL");
    await first.exited;
  }
  await using second = await runConfig(own, kept);
  expect([await ask("/", "192.0.2.1", second), await ask("/", "192.0.2.2", second)]).toEqual([429, 200]);
}, 20_000);

test("machines share counters", async () => {
  using own = new Folder();
  using other = new Folder();
  await using redis = await RedisServer.start();
  const shared = { cluster: { redis: redis.url } };
  await using a = await runConfig(own, counting(own, shared));
  await using b = await runConfig(other, counting(other, shared));
  expect(await logins(a, "192.0.2.1")).toBe(429);
  await until(async () => (await ask("/", "192.0.2.1", b)) === 429, "the counter on the other machine");
  expect(await ask("/", "192.0.2.2", b)).toBe(200);
  // One that is started later loads it.
  using third = new Folder();
  await using c = await runConfig(third, counting(third, shared));
  expect(await ask("/", "192.0.2.1", c)).toBe(429);
}, 20_000);
