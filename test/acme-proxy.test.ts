// Certificates that a running proxy gets by itself, from a real authority, with two workers.
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connect } from "node:tls";
import { RedisServer } from "../src/state/redis-server.testing.ts";
import { CA_PEM, ChallengeDns, Pebble, Relay } from "./support/pebble.ts";
import { refusingPort } from "./support/ports.ts";
import { SluiceProcess } from "./support/sluice.ts";
import { connectTls, type TlsPeer } from "./support/tls.ts";
import { until } from "./support/wait.ts";

const ISSUED_MS = 30_000;
let folder: string;
let dns: ChallengeDns;
let pebble: Pebble;
let relay: Relay;
let httpPort: number;
let tlsPort: number;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "sluice-acme-"));
  httpPort = await refusingPort();
  tlsPort = await refusingPort();
  dns = await ChallengeDns.start();
  pebble = await Pebble.start({ dns: dns.address, httpPort, tlsPort });
  writeFileSync(join(folder, "pebble.pem"), CA_PEM);
  writeFileSync(
    join(folder, "records.sh"),
    `case $1 in present) path=set-txt;; *) path=clear-txt;; esac
curl -sf -d "{\\"host\\":\\"$2.\\",\\"value\\":\\"$3\\"}" ${dns.management}/$path
`,
  );
});
afterAll(async () => {
  await pebble?.[Symbol.asyncDispose]();
  await dns?.[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true, force: true });
});
beforeEach(async () => {
  relay = await Relay.start(pebble.port);
});
afterEach(() => relay[Symbol.asyncDispose]());

interface Shown {
  /** Who issued it; "nobody" for a self-signed one. */
  readonly issuer: string;
  readonly serial: string;
}

/** The certificate that a client of that name gets. */
function shown(servername: string, port = tlsPort): Promise<Shown> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: "127.0.0.1", port, servername, rejectUnauthorized: false }, () => {
      const { issuer, subject, serialNumber: serial } = socket.getPeerCertificate();
      socket.destroy();
      const isOwn = JSON.stringify(issuer) === JSON.stringify(subject);
      resolve({ issuer: isOwn ? "nobody" : String(issuer?.CN), serial });
    });
    socket.on("error", reject);
  });
}

interface Ports {
  readonly http: number;
  readonly tls: number;
}

function configFor(name: string, acme: object, more: object = {}, ports?: Ports): string {
  const { http, tls } = ports ?? { http: httpPort, tls: tlsPort };
  const file = join(folder, `${name}.json`);
  writeFileSync(
    file,
    JSON.stringify({
      listeners: [
        { address: `127.0.0.1:${http}`, redirectToHttps: true },
        {
          address: `127.0.0.1:${tls}`,
          tls: { acme: { directory: relay.directory, ca: "pebble.pem", email: "ops@example.com", ...acme } },
        },
      ],
      storage: name,
      admin: { address: "127.0.0.1:0" },
      routes: [{ respond: { body: "secure" } }],
      workers: 2,
      ...more,
    }),
  );
  return file;
}
const run = (file: string): Promise<SluiceProcess> => SluiceProcess.start(["run", "-c", file]);

const issued = (name: string, port = tlsPort): Promise<void> =>
  until(async () => (await shown(name, port)).issuer.includes("Pebble"), `a certificate for ${name}`, ISSUED_MS);

const CHALLENGES: readonly (readonly [challenge: string, names: readonly string[], more: () => object])[] = [
  ["http-01", ["one", "two", "three"], () => ({})],
  ["tls-alpn-01", ["one", "two", "three"], () => ({})],
  [
    "dns-01",
    ["one", "two", "*.three"],
    () => {
      const propagation = { servers: [dns.address], resolvers: [dns.address] };
      return { dns: { provider: "exec", command: ["/bin/sh", join(folder, "records.sh")], propagation } };
    },
  ],
];

for (const [challenge, names, more] of CHALLENGES) {
  test(`${challenge}: served from the start, ordered, and there at once after a restart`, async () => {
    const domains = names.map((name) => `${name}.${challenge}.test`);
    const asked = domains.map((name) => name.replace("*", "any"));
    const file = configFor(challenge, { challenge, domains, ...more() });
    let serials: string[];
    {
      await using _proxy = await run(file);
      for (const name of asked) expect((await shown(name)).issuer).toMatch(/nobody|Pebble/);
      for (const name of asked) await issued(name);
      serials = await Promise.all(asked.map(async (name) => (await shown(name)).serial));
      expect(new Set(serials).size).toBe(3);
      const answer = await fetch(`http://127.0.0.1:${httpPort}/a`, { redirect: "manual" });
      expect([answer.status, answer.headers.get("location")]).toEqual([308, `https://127.0.0.1:${tlsPort}/a`]);
    }
    await using _again = await run(file);
    expect(await Promise.all(asked.map(async (name) => (await shown(name)).serial))).toEqual(serials);
    expect([relay.count("/sign-me-up"), relay.count("/order-plz")]).toEqual([1, 3]);
  }, 60_000);
}

test("on demand: for a permitted name, within the first handshake, and listed", async () => {
  const file = configFor("on-demand", { onDemand: { allow: ["*.demand.test"] } });
  await using proxy = await run(file);
  const { issuer, serial } = await shown("new.demand.test");
  expect(issuer).toContain("Pebble");
  await expect(shown("other.test")).rejects.toThrow();
  const { body } = await proxy.admin("GET", "/api/certificates");
  expect(body).toMatchObject([{ source: "acme", names: ["new.demand.test"], serial }]);
  const metrics = await proxy.metrics();
  expect(metrics.get('sluice_acme_orders_total{result="obtained"}')).toBe(1);
  expect(metrics.get('sluice_tls_certificate_expiry_seconds{name="new.demand.test"}')).toBeGreaterThan(1e9);
}, 60_000);

test("renewal under load: no request fails, and no connection is lost", async () => {
  await using brief = await Pebble.start({ dns: dns.address, httpPort, tlsPort, lifeSeconds: 6 });
  const file = configFor("renewal", { directory: brief.directory, domains: ["brief.test"] });
  await using _proxy = await run(file);
  await issued("brief.test");
  const first = (await shown("brief.test")).serial;
  let over = false;
  let answered = 0;
  const failures: string[] = [];
  const load = async (perConnection: number): Promise<void> => {
    while (!over) {
      let peer: TlsPeer | null = null;
      try {
        peer = await connectTls(tlsPort, { servername: "brief.test" });
        for (let i = 0; i < perConnection && !over; i += 1) {
          const { status, body } = await peer.get();
          if (status === 200 && body === "secure") answered += 1;
          else failures.push(`${status} ${body}`);
        }
      } catch (error) {
        failures.push(String(error));
      }
      peer?.close();
    }
  };
  const loads = [Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY, 1, 5].map(load);
  // Both workers, one after the other.
  const serials = async (): Promise<string[]> =>
    (await Promise.all(Array.from({ length: 8 }, () => shown("brief.test")))).map(({ serial }) => serial);
  await until(async () => !(await serials()).includes(first), "renewed", ISSUED_MS);
  over = true;
  await Promise.all(loads);
  expect(failures).toEqual([]);
  expect(answered).toBeGreaterThan(200);
}, 60_000);

for (const challenge of ["http-01", "tls-alpn-01"])
  test(`${challenge}: two proxies on one Redis order each name once, and one answers for both`, async () => {
    await using redis = await RedisServer.start();
    const domains = [1, 2, 3, 4].map((number) => `shared-${number}.${challenge}.test`);
    const more = { cluster: { redis: redis.url } };
    const other = { http: await refusingPort(), tls: await refusingPort() };
    // The authority comes to the first one only, whichever of them has ordered.
    const files = [
      configFor(`${challenge}-first`, { challenge, domains }, more),
      configFor(`${challenge}-second`, { challenge, domains }, more, other),
    ];
    // The first one has to listen before anybody orders: a name whose check fails is not tried again for long.
    const [first, second] = [await run(files[0]!), await run(files[1]!)];
    try {
      for (const name of domains) {
        await issued(name);
        await issued(name, other.tls);
        expect((await shown(name, other.tls)).serial).toBe((await shown(name)).serial);
      }
      expect([relay.count("/sign-me-up"), relay.count("/order-plz")]).toEqual([1, domains.length]);
    } finally {
      await first[Symbol.asyncDispose]();
      await second[Symbol.asyncDispose]();
    }
  }, 60_000);
