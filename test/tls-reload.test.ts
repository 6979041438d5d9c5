// Certificates and listeners with TLS that change while connections are open.
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { unlinkSync } from "node:fs";
import { join } from "node:path";
import { request } from "./support/message.ts";
import { exchange, Peer } from "./support/peer.ts";
import type { SluiceProcess } from "./support/sluice.ts";
import { connectTls, type Files, getTls, Pki, sClient, secure, type TlsPeer } from "./support/tls.ts";
import { until } from "./support/wait.ts";

const ROUTES = { routes: [{ respond: { body: "{scheme}" } }] };
const plain = { listeners: [{ address: "127.0.0.1:0" }], ...ROUTES };
const withTls = (...certificates: Files[]): Record<string, unknown> => ({
  listeners: [secure({ certificates })],
  ...ROUTES,
});

let pki: Pki;
beforeEach(async () => {
  pki = await Pki.make();
});
afterEach(() => pki[Symbol.dispose]());

const nameOf = async (port: number, servername = ""): Promise<string> => {
  await using peer = await connectTls(port, { servername });
  return peer.name;
};
/** The names that workers give, each connection going to one of them. */
async function namesOf(port: number, servername = "", times = 12): Promise<string> {
  const all = await Promise.all(Array.from({ length: times }, () => nameOf(port, servername)));
  return [...new Set(all)].sort().join(" ");
}
/** Waits until all workers serve that certificate. */
const served = (port: number, name: string, servername = ""): Promise<void> =>
  until(async () => (await namesOf(port, servername)) === name, `${name} from all workers`);

describe("files that are replaced", () => {
  test("no request fails, open connections stay, new ones get the new certificate", async () => {
    const files = await pki.files("a", { names: ["one.test"] });
    await using proxy = await pki.run(withTls(files));
    await using open = await connectTls(proxy.port());
    await open.get();
    let answered = 0;
    let over = false;
    const failures: unknown[] = [];
    const load = async (keep: boolean): Promise<void> => {
      let peer: TlsPeer | null = null;
      while (!over) {
        try {
          peer ??= await connectTls(proxy.port());
          if ((await peer.get()).body === "https") answered += 1;
        } catch (error) {
          failures.push(error);
        }
        if (!keep) {
          peer?.close();
          peer = null;
        }
      }
      peer?.close();
    };
    const loads = [load(true), load(false), load(false)];
    for (let i = 2; i < 6; i += 1) {
      await pki.replace("a", { names: [`${i}.test`] });
      await served(proxy.port(), `${i}.test`);
    }
    over = true;
    await Promise.all(loads);
    expect(failures).toEqual([]);
    expect(answered).toBeGreaterThan(20);
    expect((await open.get()).body).toBe("https");
    expect(open.name).toBe("one.test");
    const { body } = await proxy.admin("GET", "/api/certificates");
    expect(JSON.stringify(body)).toContain("5.test");
  });

  test("a certificate by its name is swapped as the default is", async () => {
    const fallback = await pki.files("a", { names: ["one.test"] });
    const named = await pki.files("b", { names: ["two.test", "old.test"] });
    await using proxy = await pki.run(withTls(fallback, named));
    await served(proxy.port(), "two.test", "two.test");
    await pki.replace("b", { names: ["new.test", "two.test"] });
    await served(proxy.port(), "new.test", "two.test");
    expect(await namesOf(proxy.port(), "old.test")).toBe("one.test");
  });

  test("half of a pair, damaged or missing files keep what was there", async () => {
    const files = await pki.files("a", { names: ["one.test"] });
    await using proxy = await pki.run(withTls(files));
    const two = await pki.ca.issue({ names: ["two.test"] });
    pki.folder.write("a.crt", two.certPem);
    await proxy.said("the certificate files cannot be used");
    expect(await namesOf(proxy.port())).toBe("one.test");
    pki.folder.write("a.crt", "-----BEGIN CERTIFICATE-----\nnonsense");
    unlinkSync(files.key);
    await Bun.sleep(300);
    expect(await namesOf(proxy.port())).toBe("one.test");
    pki.folder.write("a.crt", two.certPem);
    pki.folder.write("a.key", two.keyPem);
    await served(proxy.port(), "two.test");
  });

  test("a worker that takes another's place has the certificates of now", async () => {
    const files = await pki.files("a", { names: ["one.test"] });
    await using proxy = await pki.run(withTls(files));
    await pki.replace("a", { names: ["two.test"] });
    await served(proxy.port(), "two.test");
    await proxy.admin("POST", "/api/workers/0/restart");
    await until(async () => (await proxy.status()).workers.every(({ state }) => state === "ready"), "workers");
    await served(proxy.port(), "two.test");
    await pki.replace("a", { names: ["three.test"] });
    await served(proxy.port(), "three.test");
  });
});

describe("reloads", () => {
  test("a plain listener becomes a secure one and back, with the same port, and connections end in peace", async () => {
    const files = await pki.files("a", { names: ["one.test"] });
    await using proxy = await pki.run(plain);
    const port = proxy.port();
    await using before = await Peer.connect(port);
    expect((await before.send(request("/")).response()).body).toBe("http");
    expect(await pki.reload(proxy, withTls(files))).toMatchObject({ status: 200 });
    expect((await getTls(port)).body).toBe("https");
    await before.end(); // it was idle
    await using secured = await connectTls(port);
    expect((await secured.get()).body).toBe("https");
    expect(await pki.reload(proxy, plain)).toMatchObject({ status: 200 });
    expect((await exchange(port, request("/"))).body).toBe("http");
    await secured.end();
    expect((await proxy.status()).listeners[0]?.bound).toStartWith("http://");
  });

  test("certificates are added, taken away and changed, and connections stay", async () => {
    const one = await pki.files("a", { names: ["one.test"] });
    const two = await pki.files("b", { names: ["two.test"] });
    const other = await pki.files("c", { names: ["other.test"] });
    await using proxy = await pki.run(withTls(one));
    const port = proxy.port();
    await using open = await connectTls(port);
    await open.get();
    const now = async (...files: Files[]): Promise<string> => {
      expect(await pki.reload(proxy, withTls(...files))).toMatchObject({ status: 200 });
      return `${await namesOf(port)}, ${await namesOf(port, "two.test")}`;
    };
    expect(await now(one, two)).toBe("one.test, two.test");
    expect(await now(one)).toBe("one.test, one.test");
    expect(await now(other, two)).toBe("other.test, two.test");
    expect((await open.get()).body).toBe("https");
    // Files are followed after a reload as before it.
    await pki.replace("c", { names: ["newest.test"] });
    await served(port, "newest.test");
  });

  test("settings hold for the next handshakes, those of names too", async () => {
    const files = await pki.files("a", { names: ["one.test"], key: "ecdsa" });
    const listener = (more: object) => ({ ...ROUTES, listeners: [secure({ certificates: [files], ...more })] });
    await using proxy = await pki.run(listener({}));
    const port = proxy.port();
    const cipher = async (): Promise<string> =>
      (await Promise.all(Array.from({ length: 8 }, () => sClient(port, "-tls1_2", "-servername", "one.test"))))
        .map((text) => /Cipher is (\S+)/.exec(text)?.[1] ?? "none")
        .filter((each, at, all) => all.indexOf(each) === at)
        .join(" ");
    await cipher();
    await pki.reload(proxy, listener({ ciphers: "ECDHE-ECDSA-CHACHA20-POLY1305" }));
    expect(await cipher()).toBe("ECDHE-ECDSA-CHACHA20-POLY1305");
    await pki.reload(proxy, listener({ minVersion: "1.3" }));
    expect(await cipher()).toBe("(NONE)");
    expect((await getTls(port)).body).toBe("https");
  });

  test("a bad certificate refuses a reload with its place, and changes nothing", async () => {
    const one = await pki.files("a", { names: ["one.test"] });
    const two = await pki.files("b", { names: ["two.test"] });
    await using proxy = await pki.run(withTls(one));
    for (const bad of [
      { cert: two.cert, key: one.key },
      { cert: join(pki.folder.path, "missing.crt"), key: two.key },
    ]) {
      const { status, body } = await pki.reload(proxy, withTls(two, bad));
      expect(status).toBe(422);
      const { diagnostics } = body as { diagnostics: { file: string; line: number; column: number }[] };
      expect(diagnostics[0]?.file).toEndWith("sluice.json");
      expect(Math.min(diagnostics[0]!.line, diagnostics[0]!.column)).toBeGreaterThan(0);
      expect(await namesOf(proxy.port(), "two.test")).toBe("one.test");
    }
  });

  test("a listener that looks at names becomes one that does not, and back", async () => {
    const files = await pki.files("a", { names: ["one.test"] });
    const looking = { ...ROUTES, listeners: [secure({ certificates: [files] }, { sni: { "one.test": "terminate" } })] };
    await using proxy = await pki.run(withTls(files));
    const port = proxy.port();
    await using open = await connectTls(port);
    await open.get();
    expect(await pki.reload(proxy, looking)).toMatchObject({ status: 200 });
    expect((await getTls(port, { servername: "one.test" })).body).toBe("https");
    await expect(connectTls(port, { servername: "two.test" })).rejects.toThrow();
    await pki.replace("a", { names: ["two.test", "one.test"] });
    await served(port, "two.test", "one.test");
    expect(await pki.reload(proxy, withTls(files))).toMatchObject({ status: 200 });
    expect((await getTls(port, { servername: "two.test" })).body).toBe("https");
  });
});

test("a start without a usable certificate fails with its place", async () => {
  const one = await pki.files("a", { names: ["one.test"] });
  const start = async (): Promise<SluiceProcess> => pki.run(withTls({ cert: one.cert, key: one.cert }));
  await expect(start()).rejects.toThrow(/sluice\.json:\d+:\d+/);
});
