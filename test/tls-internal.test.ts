// Certificates of the local CA, made when they are asked for; TLS inside a program, and without a file.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { X509Certificate } from "node:crypto";
import { chmodSync, existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { createProxy } from "../src/index.ts";
import { request } from "./support/message.ts";
import { Peer } from "./support/peer.ts";
import { configOf } from "./support/proxy.ts";
import { Folder, SluiceProcess, sluice } from "./support/sluice.ts";
import { connectTls, getTls, Pki, secure } from "./support/tls.ts";

let pki: Pki;
let storage: string;
beforeAll(async () => {
  pki = await Pki.make();
  storage = pki.storage();
});
afterAll(() => pki[Symbol.dispose]());

const ROUTES = { routes: [{ respond: { body: "{scheme} {host}" } }] };

describe("internal: true", () => {
  let proxy: SluiceProcess;
  let root = "";
  beforeAll(async () => {
    proxy = await pki.run({ listeners: [secure({ internal: true })], storage, ...ROUTES });
    root = (await sluice(["trust", "--print", "--storage", storage])).out;
  });
  afterAll(async () => proxy[Symbol.asyncDispose]());

  test("what `sluice trust --print` writes is the root, and nobody else reads its key", () => {
    expect(new X509Certificate(root).ca).toBe(true);
    const keys = readdirSync(storage, { recursive: true, encoding: "utf8" }).filter((name) => name.endsWith(".key"));
    expect(keys.length).toBeGreaterThan(0);
    for (const name of keys) expect(statSync(join(storage, name)).mode & 0o077).toBe(0);
  });

  test("any name gets a certificate that the root vouches for, from every worker", async () => {
    const names = Array.from({ length: 12 }, (_, at) => (at % 2 === 0 ? "app.test" : `n${at}.example.internal`));
    await Promise.all(
      names.map(async (servername) => {
        await using peer = await connectTls(proxy.port(), { servername, ca: root, rejectUnauthorized: true });
        expect([peer.tls.authorized, peer.name]).toEqual([true, servername]);
        expect((await peer.get()).status).toBe(200);
      }),
    );
    const serials = new Set<string>();
    for (let i = 0; i < 8; i += 1) {
      await using peer = await connectTls(proxy.port(), { servername: "app.test" });
      serials.add(peer.serial);
    }
    expect(serials.size).toBe(1);
  });

  test("clients that ask for no name get one for the addresses of this machine", async () => {
    await using peer = await connectTls(proxy.port(), { servername: "" });
    const { subjectAltName } = new X509Certificate(peer.tls.getPeerCertificate().raw);
    for (const name of ["DNS:localhost", "IP Address:127.0.0.1"]) expect(subjectAltName).toContain(name);
    const got = await fetch(`https://127.0.0.1:${proxy.port()}/`, { tls: { ca: root } });
    expect(got.status).toBe(200);
  });

  test("a name that cannot be one gets the default, and many names at once all an answer", async () => {
    const odd = ["a_b.test", "x".repeat(63), `${"y".repeat(60)}.${"z".repeat(60)}.test`];
    const many = [...odd, ...Array.from({ length: 60 }, (_, at) => `many${at}.test`)];
    const got = await Promise.all(many.map((servername) => getTls(proxy.port(), { servername })));
    expect(got.every(({ status }) => status === 200)).toBe(true);
  });

  test("/api/certificates: no keys; expiry: not of names that clients choose", async () => {
    const text = JSON.stringify((await proxy.admin("GET", "/api/certificates")).body);
    expect(text).toContain("localhost");
    expect(text).not.toMatch(/PRIVATE/);
    const names = [...(await proxy.metrics()).keys()].filter((name) => name.includes("expiry"));
    expect(names).toEqual([]);
  });

  test("the root outlives the process", async () => {
    await using again = await pki.run({ listeners: [secure({ internal: true })], storage, ...ROUTES });
    await using peer = await connectTls(again.port(), { servername: "b.test", ca: root, rejectUnauthorized: true });
    expect(peer.tls.authorized).toBe(true);
  });
});

test("a name with a certificate in files gets that; the others are the local CA's", async () => {
  const files = await pki.files("own", { names: ["own.test"] });
  await using proxy = await pki.run({
    listeners: [secure({ certificates: [files], internal: true })],
    storage,
    ...ROUTES,
  });
  await using own = await connectTls(proxy.port(), { servername: "own.test", ca: pki.ca.pem });
  await using other = await connectTls(proxy.port(), { servername: "else.test" });
  expect([own.tls.authorized, own.name, other.name]).toEqual([true, "own.test", "else.test"]);
});

test("names are looked at first: what is terminated is made on demand too", async () => {
  const listener = secure({ internal: true }, { sni: { "*.test": "terminate" } });
  await using proxy = await pki.run({ listeners: [listener], storage, ...ROUTES });
  await using peer = await connectTls(proxy.port(), { servername: "deep.test" });
  expect([peer.name, (await peer.get()).body]).toEqual(["deep.test", "https app.example"]);
});

test("a reload to internal: true makes them from then on, and back not", async () => {
  const files = await pki.files("own", { names: ["own.test"] });
  const config = (internal: boolean) => ({
    listeners: [secure({ certificates: [files], internal })],
    storage,
    ...ROUTES,
  });
  await using proxy = await pki.run(config(false));
  const names = async (servername: string): Promise<string> => {
    const all = Array.from({ length: 8 }, async () => {
      await using peer = await connectTls(proxy.port(), { servername });
      return peer.name;
    });
    return [...new Set(await Promise.all(all))].join(" ");
  };
  expect(await names("new.test")).toBe("own.test");
  expect(await pki.reload(proxy, config(true))).toMatchObject({ status: 200 });
  expect(await names("new.test")).toBe("new.test");
  expect(await pki.reload(proxy, config(false))).toMatchObject({ status: 200 });
  expect(await names("new.test")).toBe("own.test");
  expect(await names("newer.test")).toBe("own.test");
});

/** What is left of the rights: root keeps its CA in /var/lib, which is not for tests. */
const AS_ANYBODY = process.geteuid?.() === 0 ? ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"] : [];

test("sluice proxy --tls internal", async () => {
  using folder = new Folder();
  chmodSync(folder.path, 0o777);
  const program = join(import.meta.dir, "../bin/sluice");
  const flags = ["--from", "127.0.0.1:0", "--to", "http://127.0.0.1:1", "--workers", "2", "--admin", "off"];
  const child = Bun.spawn([...AS_ANYBODY, program, "proxy", ...flags, "--tls", "internal"], {
    env: { ...process.env, XDG_DATA_HOME: folder.path, HOME: folder.path },
    stdout: "pipe",
    stderr: "ignore",
  });
  try {
    let out = "";
    for await (const chunk of child.stdout) {
      out += Buffer.from(chunk).toString();
      if (out.includes("sluice ready")) break;
    }
    const port = Number(/listening on https:.*:(\d+)/.exec(out)?.[1]);
    const ca = readFileSync(join(folder.path, "sluice/internal-ca/root.crt"), "utf8");
    await using peer = await connectTls(port, { servername: "any.test", ca, rejectUnauthorized: true });
    expect([peer.name, (await peer.get()).status]).toEqual(["any.test", 502]);
  } finally {
    child.kill("SIGKILL");
    await child.exited;
  }
});

test("sluice proxy --tls with files, and with bad ones", async () => {
  const env = { HOME: pki.folder.path };
  const files = await pki.files("own", { names: ["own.test"] });
  const flags = ["--from", "127.0.0.1:0", "--to", "http://127.0.0.1:1", "--workers", "2", "--admin", "off"];
  await using withFiles = await SluiceProcess.start(["proxy", ...flags, "--tls", `${files.cert},${files.key}`], {
    env,
  });
  await using peer = await connectTls(withFiles.port(), { servername: "own.test" });
  expect(peer.name).toBe("own.test");
  const bad = await sluice(["proxy", ...flags, "--tls", `${files.cert},/nowhere`], { env });
  expect([bad.code, bad.err.includes("--tls")]).toEqual([2, true]);
});

test("the key log has the secrets of every connection, in a file for nobody else", async () => {
  const files = await pki.files("own", { names: ["own.test"] });
  const keyLog = join(pki.folder.path, "keys.log");
  await using proxy = await pki.run({ listeners: [secure({ certificates: [files] })], ...ROUTES });
  await getTls(proxy.port());
  expect(existsSync(keyLog)).toBe(false);
  await pki.reload(proxy, { listeners: [secure({ certificates: [files], keyLog })], ...ROUTES });
  await getTls(proxy.port());
  expect(readFileSync(keyLog, "utf8")).toMatch(/^CLIENT_TRAFFIC_SECRET_0 [0-9a-f]{64} [0-9a-f]+$/m);
  expect(statSync(keyLog).mode & 0o077).toBe(0);
});

describe("inside a program", () => {
  test("certificates, hot swap, reload and end", async () => {
    await pki.files("mine", { names: ["mine.test"] });
    const files = { cert: join(pki.folder.path, "mine.crt"), key: join(pki.folder.path, "mine.key") };
    const config = (tls?: object) =>
      configOf({ listener: tls === undefined ? {} : { tls }, ...ROUTES, storage, log: { level: "error" } } as never);
    const proxy = await createProxy(config({ certificates: [files] }));
    const port = Number(proxy.addresses[0]?.split(":").at(-1));
    const name = async (servername = ""): Promise<string> => {
      await using peer = await connectTls(port, { servername });
      return peer.name;
    };
    expect([(await getTls(port)).body, await name()]).toEqual(["https app.example", "mine.test"]);
    await pki.replace("mine", { names: ["swapped.test"] });
    const deadline = performance.now() + 4000;
    while ((await name()) !== "swapped.test" && performance.now() < deadline) await Bun.sleep(10);
    expect(await name()).toBe("swapped.test");
    await proxy.reload(config({ internal: true }));
    expect(await name("any.test")).toBe("any.test");
    await expect(proxy.reload(config({ certificates: [{ ...files, cert: "/nowhere" }] }))).rejects.toThrow();
    expect(await name("any.test")).toBe("any.test");
    await proxy.reload(config());
    await using plain = await Peer.connect(port);
    expect((await plain.send(request("/")).response()).body).toBe("http app.example");
    await proxy.close();
  });
});
