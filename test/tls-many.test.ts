// Many certificates, and many clients that go away.
import { afterAll, beforeAll, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { issueLeaf, issueRoot } from "../src/certificates/issue.ts";
import { runConfig, type SluiceProcess } from "./support/sluice.ts";
import { connectTls, type Files, getTls, Pki, secure } from "./support/tls.ts";
import { timed, until } from "./support/wait.ts";

const MANY = 1000;
let pki: Pki;
let files: Files[];

beforeAll(async () => {
  pki = await Pki.make();
  const start = Math.floor(Date.now() / 1000) * 1000 - 86_400_000;
  const validity = { notBeforeMs: start, notAfterMs: start + 90 * 86_400_000 };
  const root = issueRoot("Many", validity);
  files = Array.from({ length: MANY }, (_, i) => {
    const { certPem, keyPem } = issueLeaf([`n${i}.test`], validity, root);
    return { cert: pki.folder.write(`${i}.crt`, certPem), key: pki.folder.write(`${i}.key`, keyPem) };
  });
});
afterAll(() => pki[Symbol.dispose]());

const run = (certificates: readonly Files[], more: object = {}, tls: object = {}): Promise<SluiceProcess> =>
  runConfig(pki.folder, {
    listeners: [secure({ certificates, ...tls }, more)],
    routes: [{ respond: { body: "here" } }],
    workers: 1,
    shutdown: { drain: "20ms" },
  });

/** Resident memory in megabytes. */
const memory = ({ pid }: SluiceProcess): number => {
  const [, kilobytes = "0"] = /^VmRSS:\s+(\d+) kB/m.exec(readFileSync(join("/proc", `${pid}`, "status"), "utf8")) ?? [];
  return Number(kilobytes) / 1024;
};

test("1,000 certificates: two seconds and 100 MB more at most, each client of its own name", async () => {
  let single: SluiceProcess | undefined;
  let many: SluiceProcess | undefined;
  try {
    const alone = await timed(async () => {
      single = await run(files.slice(0, 1));
    });
    const together = await timed(async () => {
      many = await run(files);
    });
    expect(together - alone).toBeLessThan(2000);
    // Every context is made, in both as many handshakes.
    const port = many!.port();
    for (let from = 0; from < MANY; from += 20) {
      const ask = async (at: number): Promise<void> => {
        await using peer = await connectTls(port, { servername: `n${at}.test` });
        expect(peer.name).toBe(`n${at}.test`);
        await using other = await connectTls(single!.port(), { servername: `n${at}.test` });
        expect(other.name).toBe("n0.test");
      };
      await Promise.all(Array.from({ length: 20 }, (_, i) => ask(from + i)));
    }
    expect(memory(many!) - memory(single!)).toBeLessThan(100);
  } finally {
    await single?.[Symbol.asyncDispose]();
    await many?.[Symbol.asyncDispose]();
  }
}, 30_000);

/** Connects, sends what there is of a hello, and is gone or falls silent. */
function abandon(port: number, start: Buffer, stays: boolean): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  Bun.connect({
    hostname: "127.0.0.1",
    port,
    socket: {
      open: (socket) => {
        if (start.length > 0) socket.write(start);
        if (!stays) socket.terminate();
      },
      data: () => {},
      close: () => resolve(),
      error: () => resolve(),
    },
  }).catch(() => resolve());
  return promise;
}

test("10,000 abandoned handshakes: others are served all the time, and memory stays as it was", async () => {
  const WAVE = 1000;
  await using proxy = await run(
    files.slice(0, 1),
    { limits: { connectionsPerAddress: 20_000 } },
    { handshakeTimeout: "300ms" },
  );
  const port = proxy.port();
  await using open = await connectTls(port);
  const hello = Buffer.concat([Buffer.of(22, 3, 1, 2, 0, 1, 0, 1, 252, 3, 3), Buffer.alloc(100, 7)]);
  const starts = [Buffer.alloc(0), hello.subarray(0, 3), hello, Buffer.from("GET / HTTP/1.1\r\n\r\n")];
  let worst = 0;
  let settled = 0;
  for (let wave = 0; wave < 10; wave += 1) {
    const all = Array.from({ length: WAVE }, (_, i) => abandon(port, starts[i % 4]!, i % 3 > 0));
    const took = await timed(async () => {
      expect((await open.get()).status).toBe(200);
      expect((await getTls(port)).status).toBe(200);
    });
    worst = Math.max(worst, took);
    await Promise.all(all); // the proxy has closed every one
    if (wave === 3) settled = memory(proxy);
  }
  expect(worst).toBeLessThan(3000);
  expect(memory(proxy) - settled).toBeLessThan(24);
  const counted = async (): Promise<number> =>
    [...(await proxy.metrics())]
      .filter(([name]) => /^sluice_tls_handshakes_total\{.*result="(?:failed|timeout)"/.test(name))
      .reduce((sum, [, count]) => sum + count, 0);
  await until(async () => (await counted()) >= 9000, "the count");
  expect((await open.get()).status).toBe(200);
}, 60_000);
