// Servers that are reached over TLS: who they must be, what they are sent, and how they are checked.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { createSecureServer, type ServerHttp2Stream } from "node:http2";
import { join } from "node:path";
import type { TlsOptions } from "node:tls";
import { TestCa } from "../src/transport/tls.testing.ts";
import { answer, type Message, request } from "./support/message.ts";
import { exchange, Peer } from "./support/peer.ts";
import { RawBackend } from "./support/raw-backend.ts";
import type { SluiceProcess } from "./support/sluice.ts";
import { connectTls, type Files, Pki, secure, TlsBackend } from "./support/tls.ts";
import { until } from "./support/wait.ts";

let pki: Pki;
/** For 127.0.0.1, and for a name that is not that of the server's address. */
let byAddress: TlsOptions;
let byName: TlsOptions;
let client: Files;

beforeAll(async () => {
  pki = await Pki.make();
  byAddress = await pki.pems({ names: ["127.0.0.1"] });
  byName = await pki.pems({ names: ["app.internal"] });
  client = await pki.files("client", { subject: "CN=sluice", usage: "client" });
});
afterAll(() => pki[Symbol.dispose]());

const hello = (): string => answer(200, "hello");
const start = (options: TlsOptions = byAddress, respond: (got: Message) => string = hello): Promise<TlsBackend> =>
  TlsBackend.start(options, respond);
const to = (backend: TlsBackend): string => `https://127.0.0.1:${backend.port}`;
const config = (app: object, more: object = {}): Record<string, unknown> => ({
  listeners: [{ address: "127.0.0.1:0" }],
  log: { access: { path: `${pki.folder.path}/access.log` } },
  upstreams: { app: { outlier: false, ...app } },
  routes: [{ to: "app" }],
  ...more,
});
const run = (app: object, more: object = {}): Promise<SluiceProcess> => pki.run(config(app, more));
const faults = async (): Promise<string> => Bun.file(`${pki.folder.path}/access.log`).text();

describe("who a server must be", () => {
  test("one that its CA vouches for", async () => {
    await using server = await start();
    await using proxy = await run({ servers: [to(server)], tls: { ca: pki.caFile } });
    expect((await exchange(proxy.port(), request("/"))).body).toBe("hello");
  });

  test("nobody else: 502, and not a byte of the request leaves", async () => {
    const stranger = await (await TestCa.make()).issue({ names: ["127.0.0.1"] });
    const old = await pki.ca.issue({ names: ["127.0.0.1"], notAfter: Date.now() - 60_000 });
    for (const options of [
      byName,
      { cert: stranger.certPem, key: stranger.keyPem },
      { cert: old.certPem, key: old.keyPem },
    ]) {
      await using server = await start(options);
      await using proxy = await run({ servers: [to(server)], tls: { ca: pki.caFile } });
      const got = await exchange(proxy.port(), request("/secret", ["X-Secret: 1"], "POST", "body"));
      expect(got.status).toBe(502);
      await until(async () => (await faults()).includes("upstream.certificate"), "the fault in the log");
      expect([server.bytesIn, server.requests.length]).toEqual([0, 0]);
    }
  });

  test("a CA that only the system does not know is not trusted", async () => {
    await using server = await start();
    await using proxy = await run({ servers: [to(server)] });
    expect((await exchange(proxy.port(), request("/"))).status).toBe(502);
    expect(server.bytesIn).toBe(0);
  });

  test("anybody with verify: false", async () => {
    await using server = await start(byName);
    await using proxy = await run({ servers: [to(server)], tls: { verify: false } });
    expect((await exchange(proxy.port(), request("/"))).body).toBe("hello");
  });

  test("another name than its address: asked for and proven", async () => {
    await using server = await start(byName);
    await using proxy = await run({ servers: [to(server)], tls: { ca: pki.caFile, serverName: "app.internal" } });
    expect((await exchange(proxy.port(), request("/"))).body).toBe("hello");
    expect(server.handshakes[0]?.sni).toBe("app.internal");
  });

  test("one that does not speak TLS, and one that ends the handshake, are faults of TLS", async () => {
    await using plain = await RawBackend.start(async (peer) => {
      await peer.bytes(5);
      peer.send(answer(400)).finish();
    });
    await using proxy = await run({ servers: [`https://127.0.0.1:${plain.port}`], tls: { ca: pki.caFile } });
    expect((await exchange(proxy.port(), request("/"))).status).toBe(502);
    await until(async () => (await faults()).includes("upstream.tls"), "the fault in the log");
  });

  test("an old version is refused where a newer one is asked for", async () => {
    await using server = await start({ ...byAddress, maxVersion: "TLSv1.2" });
    await using proxy = await run({ servers: [to(server)], tls: { ca: pki.caFile, minVersion: "1.3" } });
    expect((await exchange(proxy.port(), request("/"))).status).toBe(502);
    await using fine = await run({ servers: [to(server)], tls: { ca: pki.caFile } });
    expect((await exchange(fine.port(), request("/"))).status).toBe(200);
  });
});

describe("what servers see", () => {
  test("our certificate", async () => {
    const mutual = { ...byAddress, ca: pki.ca.pem, requestCert: true, rejectUnauthorized: true };
    await using server = await start(mutual);
    await using proxy = await run({ servers: [to(server)], tls: { ca: pki.caFile, ...client } });
    expect((await exchange(proxy.port(), request("/"))).body).toBe("hello");
    expect(server.handshakes[0]?.client).toBe("sluice");
    await using without = await run({ servers: [to(server)], tls: { ca: pki.caFile } });
    expect((await exchange(without.port(), request("/"))).status).toBe(502);
    expect(server.requests.length).toBe(1);
  });

  test("one connection for many requests, and sessions that are taken up again", async () => {
    await using server = await start();
    await using proxy = await run({ servers: [to(server)], tls: { ca: pki.caFile } }, { workers: 1 });
    for (let i = 0; i < 5; i += 1) await exchange(proxy.port(), request("/"));
    expect(server.handshakes.length).toBe(1);
    for (let i = 0; i < 3; i += 1) {
      server.cut();
      await until(async () => (await exchange(proxy.port(), request("/"))).status === 200, "an answer");
    }
    expect(server.handshakes.filter(({ resumed }) => resumed).length).toBeGreaterThan(0);
  });

  test("the Host of the server leaves the usual port out, and no other", async () => {
    await using server = await start(byAddress, (got) => answer(200, got.field("host") ?? ""));
    await using proxy = await run({ servers: [to(server)], tls: { ca: pki.caFile }, hostHeader: "upstream" });
    expect((await exchange(proxy.port(), request("/"))).body).toBe(`127.0.0.1:${server.port}`);
  });

  test("large bodies both ways, TLS on both sides", async () => {
    const files = await pki.files("front", { names: ["localhost"] });
    const body = "0123456789".repeat(300_000);
    await using server = await start(byAddress, (got) => answer(200, got.body));
    await using proxy = await run(
      { servers: [to(server)], tls: { ca: pki.caFile } },
      { listeners: [secure({ certificates: [files] })] },
    );
    await using peer = await connectTls(proxy.port());
    peer.send(request("/", [], "POST", body));
    expect((await peer.response()).body === body).toBe(true);
  });
});

describe("several servers and upstreams", () => {
  test("a server whose certificate is not good is passed over", async () => {
    await using bad = await start(byName);
    await using good = await start();
    await using proxy = await run({ servers: [to(bad), to(good)], tls: { ca: pki.caFile } });
    for (let i = 0; i < 6; i += 1)
      expect((await exchange(proxy.port(), request("/", [], "POST", "x"))).status).toBe(200);
    expect([bad.bytesIn, good.requests.length]).toEqual([0, 6]);
  });

  test("connections of one upstream are not used by another that asks for more", async () => {
    await using server = await start(byName);
    const servers = [to(server)];
    await using proxy = await run(
      {},
      {
        workers: 1,
        upstreams: { loose: { servers, tls: { verify: false } }, strict: { servers, tls: { ca: pki.caFile } } },
        routes: [{ match: { path: "/loose" }, to: "loose" }, { to: "strict" }],
      },
    );
    expect((await exchange(proxy.port(), request("/loose"))).status).toBe(200);
    expect((await exchange(proxy.port(), request("/strict"))).status).toBe(502);
  });

  test("a reload that asks for more does not use the connections of before", async () => {
    await using server = await start(byName);
    await using proxy = await run({ servers: [to(server)], tls: { verify: false } });
    for (let i = 0; i < 6; i += 1) expect((await exchange(proxy.port(), request("/"))).status).toBe(200);
    const strict = await pki.reload(proxy, config({ servers: [to(server)], tls: { ca: pki.caFile } }));
    expect(strict).toMatchObject({ status: 200 });
    for (let i = 0; i < 6; i += 1) expect((await exchange(proxy.port(), request("/"))).status).toBe(502);
  });

  test("files of ours that have changed are taken up", async () => {
    await pki.files("renewed", { subject: "CN=before", usage: "client" });
    const own = (name: string): Files => ({
      cert: join(pki.folder.path, `${name}.crt`),
      key: join(pki.folder.path, `${name}.key`),
    });
    const mutual = { ...byAddress, ca: pki.ca.pem, requestCert: true, rejectUnauthorized: true };
    await using server = await start(mutual);
    const app = { servers: [to(server)], tls: { ca: pki.caFile, ...own("renewed") } };
    await using proxy = await run(app, { workers: 1 });
    await exchange(proxy.port(), request("/"));
    await pki.replace("renewed", { subject: "CN=after", usage: "client" });
    await until(async () => {
      server.cut();
      await exchange(proxy.port(), request("/"));
      return server.handshakes.at(-1)?.client === "after";
    }, "the new certificate");
  });
});

test("checks go over TLS, and a server whose certificate is not good is down", async () => {
  await using good = await start();
  await using bad = await start(byName);
  const health = { path: "/healthz", interval: "100ms", timeout: "1s" };
  await using proxy = await run({ servers: [to(good), to(bad)], tls: { ca: pki.caFile }, health });
  const healthy = async (): Promise<string> => {
    const { body } = await proxy.admin("GET", "/api/upstreams");
    const [app] = (body as { servers: { id: string; state?: string; healthy?: boolean }[] }[]) ?? [];
    return JSON.stringify(app?.servers);
  };
  await until(async () => /"(?:unhealthy|down)"|"healthy":false/.test(await healthy()), `a server that is down`);
  await until(() => good.requests.some(({ target }) => target === "/healthz"), "checks");
  expect(bad.bytesIn).toBe(0);
});

for (const [names, wanted] of [
  [["127.0.0.1"], true],
  [["app.internal"], false],
] as const)
  test(`checks by gRPC go over TLS: a certificate for ${names[0]} is ${wanted ? "good" : "not"}`, async () => {
    const { certPem, keyPem } = await pki.ca.issue({ names });
    let asked = 0;
    const server = createSecureServer({ cert: certPem, key: keyPem });
    server.on("stream", (stream: ServerHttp2Stream) => {
      asked += 1;
      stream.respond({ ":status": 200, "content-type": "application/grpc" }, { waitForTrailers: true });
      stream.on("wantTrailers", () => stream.sendTrailers({ "grpc-status": "0" }));
      stream.end(Buffer.of(0, 0, 0, 0, 2, 8, 1));
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const { port } = server.address() as { port: number };
    const health = { type: "grpc", interval: "100ms", timeout: "1s" };
    await using proxy = await run({ servers: [`https://127.0.0.1:${port}`], tls: { ca: pki.caFile }, health });
    const counted = async (result: string): Promise<number> =>
      (await proxy.metrics()).get(`sluice_health_checks_total{upstream="app",result="${result}"}`) ?? 0;
    await until(async () => (await counted(wanted ? "ok" : "failed")) > 1, "checks");
    expect(await counted(wanted ? "failed" : "ok")).toBe(0);
    expect(asked > 0).toBe(wanted);
    server.close();
  });

test("layer 4: TLS is taken off for a plain server, and put on for one that wants it", async () => {
  const files = await pki.files("front", { names: ["localhost"] });
  await using plain = await RawBackend.answering(hello);
  await using offload = await run(
    { servers: [`127.0.0.1:${plain.port}`] },
    { listeners: [secure({ certificates: [files] }, { tcp: { to: "app" } })], routes: [] },
  );
  await using secured = await connectTls(offload.port());
  expect((await secured.get()).body).toBe("hello");
  await using server = await start();
  await using onto = await run(
    { servers: [to(server)], tls: { ca: pki.caFile } },
    { listeners: [{ address: "127.0.0.1:0", tcp: { to: "app" } }], routes: [] },
  );
  await using peer = await Peer.connect(onto.port());
  expect((await peer.send(request("/")).response()).body).toBe("hello");
});

test("layer 4: a server of another protocol is offered none, so it refuses none", async () => {
  await using server = await start({ ...byAddress, ALPNProtocols: ["imap"] });
  await using proxy = await run(
    { servers: [to(server)], tls: { ca: pki.caFile } },
    { listeners: [{ address: "127.0.0.1:0", tcp: { to: "app" } }], routes: [] },
  );
  await using peer = await Peer.connect(proxy.port());
  expect((await peer.send(request("/")).response()).body).toBe("hello");
});
