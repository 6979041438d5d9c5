import { afterEach, expect, test } from "bun:test";
import type { AddressInfo } from "node:net";
import { createServer, type TLSSocket, type TlsOptions } from "node:tls";
import type { Connection } from "./connection.ts";
import { listenOn } from "./socket.ts";
import { TestCa } from "./tls.testing.ts";
import { dialTls, TlsClient, type TlsClientOptions } from "./tls-client.ts";
import type { CertificatePair } from "./tls-context.ts";

const DEADLINE_MS = 5000;
const ca = await TestCa.make();
const stranger = await TestCa.make("Stranger");
const good = await ca.issue({ names: ["app.test", "127.0.0.1", "::1"] });
const TRUSTING: TlsClientOptions = { serverName: "app.test", ca: ca.pem, verify: true };

const closers: (() => void)[] = [];
afterEach(() => {
  for (const close of closers.splice(0)) close();
});

async function until(holds: () => boolean, what: string): Promise<void> {
  const deadline = performance.now() + DEADLINE_MS;
  while (!holds()) {
    if (performance.now() > deadline) throw new Error(`not within ${DEADLINE_MS} ms: ${what}`);
    await Bun.sleep(2);
  }
}

/** A server of the runtime's node:tls that notes who came with what, and greets at once. */
async function serve({ certPem, keyPem }: CertificatePair, options: TlsOptions = {}) {
  const seen: { name: string | false; resumed: boolean; client: string | undefined; bytes: number }[] = [];
  const sockets: TLSSocket[] = [];
  const server = createServer({ cert: certPem, key: keyPem, ...options }, (socket) => {
    sockets.push(socket);
    const one = {
      name: (socket as unknown as { servername: string | false }).servername,
      resumed: socket.isSessionReused(),
      client: socket.getPeerCertificate()?.subject?.CN as string | undefined,
      bytes: 0,
    };
    seen.push(one);
    socket.on("data", (bytes) => {
      one.bytes += bytes.length;
    });
    socket.on("error", () => {});
    socket.write("hello");
  });
  server.on("tlsClientError", () => {});
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  closers.push(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return { port: (server.address() as AddressInfo).port, seen };
}

const to = (port: number) => ({ kind: "tcp", host: "127.0.0.1", port }) as const;

async function connect(port: number, client: TlsClient): Promise<{ connection: Connection; text: () => string }> {
  const connection = await dialTls(to(port), client).promise;
  let text = "";
  connection.handler = {
    onData: (chunk) => {
      text += chunk.latin1Slice();
    },
    onDrain() {},
    onEnd() {},
    onClose() {},
  };
  closers.push(() => connection.destroy(true));
  return { connection, text: () => text };
}

const refused = (port: number, options: TlsClientOptions): Promise<unknown> =>
  dialTls(to(port), new TlsClient(options)).promise.then(
    () => "connected",
    (error: Error & { code: string }) => `${error.code}: ${error.message}`,
  );

test("a server that proves its name", async () => {
  const { port, seen } = await serve(good, { ALPNProtocols: ["h2", "http/1.1"] });
  const { connection, text } = await connect(port, new TlsClient({ ...TRUSTING, alpn: ["http/1.1"] }));
  const { version, alpn, resumed, authorized, cipher } = connection.tls!;
  expect([version, alpn, resumed, authorized]).toEqual(["1.3", "http/1.1", false, true]);
  expect(cipher).toMatch(/^TLS_/);
  connection.send(Buffer.from("x"), 0, 1, false);
  await until(() => text() === "hello" && seen[0]!.bytes === 1, "bytes both ways");
  expect(seen[0]!.name).toBe("app.test");
});

test("what a server says at once is not lost", async () => {
  const { port } = await serve(good);
  for (let i = 0; i < 20; i += 1) {
    const { text } = await connect(port, new TlsClient(TRUSTING));
    await until(() => text() === "hello", "the greeting");
  }
});

test("an address is proved as one, and not asked for", async () => {
  const { port, seen } = await serve(good);
  await connect(port, new TlsClient({ ...TRUSTING, serverName: "127.0.0.1" }));
  await connect(port, new TlsClient({ ...TRUSTING, serverName: "::1" }));
  await until(() => seen.length === 2, "the connections");
  expect(seen.map(({ name }) => name)).toEqual([false, false]);
  expect(await refused(port, { ...TRUSTING, serverName: "10.0.0.1" })).toBe(
    "ERR_TLS_CERT_ALTNAME_INVALID: TLS: its certificate is not for 10.0.0.1",
  );
});

const now = Date.now();
const BAD: readonly (readonly [name: string, make: () => Promise<CertificatePair>, options: object, want: string])[] = [
  [
    "expired",
    () => ca.issue({ names: ["app.test"], notAfter: now - 1000 }),
    {},
    "CERT_HAS_EXPIRED: TLS: its certificate has expired",
  ],
  [
    "to come",
    () => ca.issue({ names: ["app.test"], notBefore: now + 60_000 }),
    {},
    "CERT_NOT_YET_VALID: TLS: its certificate is not valid yet",
  ],
  [
    "for another name",
    () => ca.issue({ names: ["other.test"] }),
    {},
    "ERR_TLS_CERT_ALTNAME_INVALID: TLS: its certificate is not for app.test",
  ],
  [
    "of a stranger",
    () => stranger.issue({ names: ["app.test"] }),
    {},
    "UNABLE_TO_VERIFY_LEAF_SIGNATURE: TLS: its certificate comes from an issuer that is not trusted",
  ],
  [
    "of a CA that the system does not know",
    () => Promise.resolve(good),
    { ca: undefined },
    "UNABLE_TO_VERIFY_LEAF_SIGNATURE: TLS: its certificate comes from an issuer that is not trusted",
  ],
  [
    "for clients",
    () => ca.issue({ names: ["app.test"], usage: "client" }),
    {},
    "INVALID_PURPOSE: TLS: its certificate is not meant for servers",
  ],
];
for (const [name, make, options, want] of BAD)
  test(`a certificate ${name}: not a byte is sent; without verification it does`, async () => {
    const { port, seen } = await serve(await make());
    const { ca: trusted, ...rest } = { ...TRUSTING, ...options };
    const client = trusted === undefined ? rest : { ...rest, ca: trusted };
    expect(await refused(port, client)).toBe(want);
    await Bun.sleep(5);
    expect(seen).toEqual([]); // the server did not even get to the end of the handshake
    const { connection } = await connect(port, new TlsClient({ ...client, verify: false }));
    expect(connection.tls!.authorized).toBe(false);
  });

test("sessions are taken up again, with the server that they are from and no other", async () => {
  const [one, two] = [await serve(good), await serve(good)];
  const client = new TlsClient(TRUSTING);
  for (const { port } of [one, two, one, two]) {
    const { text } = await connect(port, client);
    await until(() => text() === "hello", "the greeting");
  }
  await connect(one.port, new TlsClient({ ...TRUSTING }));
  await until(() => one.seen.length === 3, "the last connection");
  expect(one.seen.map(({ resumed }) => resumed)).toEqual([false, true, false]);
  expect(two.seen.map(({ resumed }) => resumed)).toEqual([false, true]);
});

test("a session is offered once, and not for ever", () => {
  let clock = 0;
  const client = new TlsClient(TRUSTING, () => clock);
  for (let i = 0; i < 300; i += 1) client.keepSession(`server ${i}`, Buffer.from([i & 255]));
  expect(client.takeSession("server 299")).toEqual(Buffer.from([299 & 255]));
  expect(client.takeSession("server 299")).toBe(null);
  expect(client.takeSession("server 0")).toBe(null);
  for (let i = 0; i < 9; i += 1) client.keepSession("one", Buffer.from([i]));
  expect(client.takeSession("one")).toEqual(Buffer.from([8]));
  clock = 3_600_001;
  expect(client.takeSession("one")).toBe(null);
});

test("a certificate of ours is shown to a server that asks", async () => {
  const { port, seen } = await serve(good, { ca: ca.pem, requestCert: true, rejectUnauthorized: true });
  const { certPem: cert, keyPem: key } = await ca.issue({ subject: "CN=proxy", usage: "client" });
  await connect(port, new TlsClient({ ...TRUSTING, cert, key }));
  await until(() => seen.length === 1, "the connection");
  expect(seen[0]!.client).toBe("proxy");
  expect(() => new TlsClient({ ...TRUSTING, cert, key: good.keyPem })).toThrow();
});

const FAILING: readonly (readonly [name: string, server: TlsOptions, client: object, want: string])[] = [
  ["version", { minVersion: "TLSv1.3" }, { maxVersion: "1.2" }, "EPROTO: TLS: no version of TLS in common"],
  [
    "protocol",
    { ALPNProtocols: ["h9"] },
    { alpn: ["h2"] },
    "EPROTO: TLS: it speaks none of the protocols that we offer",
  ],
];
for (const [name, server, client, want] of FAILING)
  test(`no ${name} in common`, async () => {
    const { port } = await serve(good, server);
    expect(await refused(port, { ...TRUSTING, ...client })).toBe(want);
  });

const PLAIN: readonly (readonly [name: string, answer: string | null, want: RegExp])[] = [
  ["speaks plain HTTP", "HTTP/1.1 400 Bad Request\r\n\r\n", /^EPROTO: TLS: it does not speak TLS$/],
  ["says nothing and closes", null, /^ECONNRESET: TLS: it closed the connection during the handshake$/],
];
for (const [name, answer, want] of PLAIN)
  test(`a server that ${name}`, async () => {
    const listener = listenOn({ kind: "tcp", host: "127.0.0.1", port: 0 }, (connection) => ({
      onData() {
        if (answer !== null) connection.send(Buffer.from(answer), 0, answer.length, true);
        connection.close();
      },
      onDrain() {},
      onEnd: () => connection.close(),
      onClose() {},
    }));
    closers.push(() => listener.stop());
    for (const verify of [true, false]) expect(await refused(listener.port, { ...TRUSTING, verify })).toMatch(want);
  });

test("nobody listens: the system's error", async () => {
  const listener = listenOn({ kind: "tcp", host: "127.0.0.1", port: 0 }, () => null);
  listener.stop();
  expect(await refused(listener.port, TRUSTING)).toStartWith("ECONNREFUSED");
});

test("cancelled, before and within the handshake: it rejects, and the connection does not stay", async () => {
  let open = 0;
  const listener = listenOn({ kind: "tcp", host: "127.0.0.1", port: 0 }, (connection) => {
    open += 1;
    return {
      onData() {},
      onDrain() {},
      onEnd: () => connection.destroy(),
      onClose: () => {
        open -= 1;
      },
    };
  });
  closers.push(() => listener.stop());
  for (const within of [false, true]) {
    const attempt = dialTls(to(listener.port), new TlsClient(TRUSTING));
    if (within) await until(() => open === 1, "the connection");
    attempt.cancel();
    await expect(attempt.promise).rejects.toThrow("cancelled");
    await Bun.sleep(5);
    await until(() => open === 0, "the end");
  }
});
