// Certificates that a running proxy gets by itself, from a real authority, with two workers.
import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connect } from "node:tls";
import { CA_PEM, ChallengeDns, Pebble } from "./support/pebble.ts";
import { refusingPort } from "./support/ports.ts";
import { SluiceProcess } from "./support/sluice.ts";
import { until } from "./support/wait.ts";

const ISSUED_MS = 30_000;
let folder: string;
let dns: ChallengeDns;
let pebble: Pebble;
let httpPort: number;
let tlsPort: number;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "sluice-acme-"));
  httpPort = await refusingPort();
  tlsPort = await refusingPort();
  dns = await ChallengeDns.start();
  pebble = await Pebble.start({ dns: dns.address, httpPort, tlsPort });
  writeFileSync(join(folder, "pebble.pem"), CA_PEM);
});
afterAll(async () => {
  await pebble?.[Symbol.asyncDispose]();
  await dns?.[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true, force: true });
});

/** Who issued the certificate that a client of that name gets, or "nobody" for a self-signed one. */
function issuerFor(servername: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: "127.0.0.1", port: tlsPort, servername, rejectUnauthorized: false }, () => {
      const { issuer, subject } = socket.getPeerCertificate();
      socket.destroy();
      resolve(JSON.stringify(issuer) === JSON.stringify(subject) ? "nobody" : String(issuer?.CN));
    });
    socket.on("error", reject);
  });
}

function configFor(storage: string, acme: object): string {
  const file = join(folder, `${storage}.json`);
  writeFileSync(
    file,
    JSON.stringify({
      listeners: [
        { address: `127.0.0.1:${httpPort}`, redirectToHttps: true },
        {
          address: `127.0.0.1:${tlsPort}`,
          tls: { acme: { directory: pebble.directory, ca: "pebble.pem", email: "ops@example.com", ...acme } },
        },
      ],
      storage,
      admin: { address: `127.0.0.1:0` },
      routes: [{ respond: { body: "secure" } }],
      workers: 2,
    }),
  );
  return file;
}

for (const challenge of ["http-01", "tls-alpn-01"]) {
  test(`${challenge}: served from the start, ordered, and there at once after a restart`, async () => {
    const domains = [`one.${challenge}.test`, `two.${challenge}.test`];
    const file = configFor(challenge, { challenge, domains });
    {
      await using _proxy = await SluiceProcess.start(["run", "-c", file]);
      for (const name of domains) expect(await issuerFor(name)).toMatch(/nobody|Pebble/);
      for (const name of domains)
        await until(async () => (await issuerFor(name)).includes("Pebble"), `a certificate for ${name}`, ISSUED_MS);
      const answer = await fetch(`http://127.0.0.1:${httpPort}/a`, { redirect: "manual" });
      expect([answer.status, answer.headers.get("location")]).toEqual([308, `https://127.0.0.1:${tlsPort}/a`]);
    }
    await using _again = await SluiceProcess.start(["run", "-c", file]);
    for (const name of domains) expect(await issuerFor(name)).toContain("Pebble");
  }, 60_000);
}

test("on demand: for a permitted name, within the first handshake", async () => {
  const file = configFor("on-demand", { onDemand: { allow: ["*.demand.test"] } });
  await using _proxy = await SluiceProcess.start(["run", "-c", file]);
  expect(await issuerFor("new.demand.test")).toContain("Pebble");
  await expect(issuerFor("other.test")).rejects.toThrow();
}, 60_000);
