import { afterEach, describe, expect, test } from "bun:test";
import { type ConnectionOptions, connect as connectTls, type TLSSocket } from "node:tls";
import { TimerWheel } from "../core/timers.ts";
import type { Connection, ConnectionHandler } from "./connection.ts";
import { dial, listenOn, type SocketListener } from "./socket.ts";
import { TestCa } from "./tls.testing.ts";
import { listenTls, type TlsListenerOptions } from "./tls.ts";
import { makeTlsContext, type TlsContext } from "./tls-context.ts";

const DEADLINE_MS = 5000;
const ca = await TestCa.make();
const stranger = await TestCa.make("Stranger");
const [fallback, rsa, ecdsa] = await Promise.all([
  ca.issue({ subject: "CN=fallback", names: ["fallback.test"] }),
  ca.issue({ subject: "CN=rsa", names: ["a.test"], key: "rsa" }),
  ca.issue({ subject: "CN=ecdsa", names: ["a.test"] }),
]);
const contextA = makeTlsContext([ecdsa, rsa]);

const NOTHING: ConnectionHandler = { onData() {}, onDrain() {}, onEnd() {}, onClose() {} };
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

/** Answers each connection's first bytes with what the handshake agreed on. */
function server(options: Partial<TlsListenerOptions> = {}) {
  let clock = 0;
  const wheel = new TimerWheel(() => clock);
  const results: string[] = [];
  const accepted: Connection[] = [];
  const listener = listenTls(
    { kind: "tcp", host: "127.0.0.1", port: 0 },
    {
      fallback: [fallback],
      select: (name) => (name === "a.test" ? contextA : null),
      alpn: ["h2", "http/1.1"],
      minVersion: "1.2",
      requestClientCertificate: false,
      wheel,
      onHandshake: (...told) => results.push(told.join(" ").trim()),
      ...options,
    },
    (connection) => {
      accepted.push(connection);
      return answering(connection);
    },
  );
  closers.push(() => {
    listener.stop();
    for (const connection of accepted) connection.destroy(true);
  });
  const pass = (ms: number): void => {
    clock += ms;
    wheel.turn();
  };
  return { listener, port: listener.port, results, accepted, pass };
}

function answering(connection: Connection): ConnectionHandler {
  return {
    onData() {
      const { serverName, version, alpn, resumed, authorized } = connection.tls!;
      const text = Buffer.from(JSON.stringify({ serverName, version, alpn, resumed, authorized }));
      connection.send(text, 0, text.length, false);
    },
    onDrain() {},
    onEnd: () => connection.close(),
    onClose() {},
  };
}

interface Answer {
  readonly tls: Record<string, unknown>;
  readonly subject: string;
  readonly session: Buffer | undefined;
}

/** A client of the runtime's node:tls; rejects with the error of its handshake. */
function ask(port: number, options: ConnectionOptions = {}): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const socket: TLSSocket = connectTls({ host: "127.0.0.1", port, rejectUnauthorized: false, ...options });
    closers.push(() => socket.destroy());
    let session: Buffer | undefined;
    socket.on("session", (each) => {
      session = each;
    });
    socket.on("secureConnect", () => socket.write("x"));
    socket.on("data", (bytes) => {
      const subject = String(socket.getPeerCertificate().subject?.CN);
      resolve({ tls: JSON.parse(bytes.toString()), subject, session });
      socket.end();
    });
    socket.on("error", reject);
    socket.on("close", () => reject(new Error("closed")));
  });
}

describe("certificates", () => {
  test("each name gets its own, others and clients without a name the fallback", async () => {
    const { port, results } = server();
    expect((await ask(port, { servername: "a.test" })).subject).toBe("ecdsa");
    expect((await ask(port, { servername: "b.test" })).subject).toBe("fallback");
    const nameless = await ask(port);
    expect([nameless.subject, nameless.tls.serverName]).toEqual(["fallback", null]);
    expect(results).toEqual(["ok 1.3", "ok 1.3", "ok 1.3"]);
  });

  test("a client that knows only RSA gets that of two", async () => {
    const { port } = server();
    const options = { servername: "a.test", maxVersion: "TLSv1.2", ciphers: "ECDHE-RSA-AES128-GCM-SHA256" } as const;
    const { tls, subject } = await ask(port, options);
    expect([tls.version, subject]).toEqual(["1.2", "rsa"]);
  });

  for (const [name, answer, want] of [
    ["comes later", Promise.resolve(contextA), "ecdsa"],
    ["is none after all", Promise.resolve(null), "fallback"],
  ] as const)
    test(`one that ${name}`, async () => {
      const { port } = server({ select: () => Bun.sleep(5).then(() => answer) });
      expect((await ask(port, { servername: "a.test" })).subject).toBe(want);
    });

  test("one that cannot be had ends the handshake", async () => {
    for (const select of [
      () => Promise.reject(new Error("no")),
      () => {
        throw new Error("no");
      },
    ]) {
      const { port, results } = server({ select });
      expect(ask(port, { servername: "a.test" })).rejects.toThrow();
      await until(() => results.length > 0, "the result");
      expect(results).toEqual(["failed  no certificate for the name"]);
    }
  });

  test("one that comes after the client has gone harms nobody", async () => {
    const later = Promise.withResolvers<null>();
    const { listener, port, results } = server({ select: (name) => (name === "slow.test" ? later.promise : null) });
    const socket = connectTls({ host: "127.0.0.1", port, servername: "slow.test", rejectUnauthorized: false });
    socket.on("error", () => {});
    await until(() => listener.handshakes === 1, "the handshake");
    socket.destroy();
    await until(() => results.length === 1, "the result");
    later.resolve(null);
    await Bun.sleep(5);
    expect(results).toEqual(["failed  closed"]);
    expect((await ask(port)).subject).toBe("fallback");
  });

  test("without a fallback unknown names are refused, known ones served", async () => {
    const { port, results } = server({ fallback: null });
    for (const servername of ["b.test", undefined])
      await expect(ask(port, servername === undefined ? {} : { servername })).rejects.toThrow(/internal.error/i);
    expect((await ask(port, { servername: "a.test" })).subject).toBe("ecdsa");
    const refused = "failed  no certificate for the name";
    expect(results).toEqual([refused, refused, "ok 1.3"]);
  });

  test("settings are exchanged under open connections", async () => {
    const { listener, port, accepted } = server();
    await ask(port);
    const open = connectTls({ host: "127.0.0.1", port, rejectUnauthorized: false });
    closers.push(() => open.destroy());
    await until(() => accepted.length === 2, "the connection");
    const other = await ca.issue({ subject: "CN=other" });
    listener.update({ fallback: [other], minVersion: "1.3", requestClientCertificate: true, clientCa: ca.pem });
    expect((await ask(port)).subject).toBe("other");
    expect((await ask(port, { servername: "a.test" })).subject).toBe("ecdsa");
    await expect(ask(port, { maxVersion: "TLSv1.2" })).rejects.toThrow();
    const client = await ca.issue({ usage: "client" });
    expect((await ask(port, { cert: client.certPem, key: client.keyPem })).tls.authorized).toBe(true);
    const answer = Promise.withResolvers<Buffer>();
    open.on("data", answer.resolve);
    open.write("x");
    expect(JSON.parse((await answer.promise).toString()).version).toBe("1.3");
    expect(() =>
      listener.update({
        fallback: [{ ...other, keyPem: rsa.keyPem }],
        minVersion: "1.2",
        requestClientCertificate: false,
      }),
    ).toThrow();
    expect((await ask(port)).subject).toBe("other");
  });

  test("a key that belongs to another certificate, and text that is no PEM", () => {
    expect(() => makeTlsContext([{ certPem: rsa.certPem, keyPem: ecdsa.keyPem }])).toThrow();
    expect(() => makeTlsContext([{ certPem: "nothing", keyPem: ecdsa.keyPem }])).toThrow();
    expect(() => server({ fallback: [{ certPem: rsa.certPem, keyPem: ecdsa.keyPem }] })).toThrow();
  });
});

describe("protocols", () => {
  const OFFERS: readonly (readonly [offer: string[], alpn: string[], want: string | null])[] = [
    [["http/1.1", "h2"], ["h2", "http/1.1"], "h2"],
    [["h2", "http/1.1"], ["http/1.1"], "http/1.1"],
    [["spdy/1", "http/1.1"], ["h2", "http/1.1"], "http/1.1"],
    [[], ["h2"], null],
    [["h2"], [], null],
  ];
  for (const [offer, alpn, want] of OFFERS)
    test(`[${offer}] offered, [${alpn}] served: ${want}`, async () => {
      const { port } = server({ alpn });
      const { tls } = await ask(port, offer.length === 0 ? {} : { ALPNProtocols: offer });
      expect(tls.alpn).toBe(want);
    });

  test("an offer without a match is refused with an alert", async () => {
    const { port, results } = server();
    await expect(ask(port, { ALPNProtocols: ["h9"] })).rejects.toThrow(/no.application.protocol/i);
    await expect(ask(port, { ALPNProtocols: ["acme-tls/1"] })).rejects.toThrow(/no.application.protocol/i);
    expect(results).toEqual(["failed  no common protocol", "failed  no common protocol"]);
  });

  test("the proof for a certificate authority is all that it gets, and as long as there is one", async () => {
    let proof: TlsContext | null = makeTlsContext([await ca.issue({ subject: "CN=proof" })]);
    const { port, accepted, results } = server({ challenge: (name) => (name === "a.test" ? proof : null) });
    const authority = { servername: "a.test", ALPNProtocols: ["acme-tls/1"] };
    const socket = connectTls({ host: "127.0.0.1", port, rejectUnauthorized: false, ...authority });
    const ended = Promise.withResolvers<void>();
    socket.on("end", ended.resolve);
    const subject = Promise.withResolvers<string>();
    socket.on("secureConnect", () => subject.resolve(String(socket.getPeerCertificate().subject.CN)));
    socket.resume();
    expect(await subject.promise).toBe("proof");
    expect(socket.alpnProtocol).toBe("acme-tls/1");
    await ended.promise;
    socket.destroy();
    expect(accepted).toEqual([]);
    expect(results).toEqual(["ok 1.3"]);
    await expect(ask(port, { ...authority, servername: "b.test" })).rejects.toThrow(/no.application.protocol/i);
    proof = null;
    await expect(ask(port, authority)).rejects.toThrow(/no.application.protocol/i);
    expect((await ask(port, { servername: "a.test" })).subject).toBe("ecdsa");
  });

  for (const [maxVersion, minVersion, want] of [
    ["TLSv1", "1.2", null],
    ["TLSv1.1", "1.2", null],
    ["TLSv1.2", "1.2", "1.2"],
    ["TLSv1.2", "1.3", null],
    ["TLSv1.3", "1.3", "1.3"],
  ] as const)
    test(`a client with ${maxVersion} at a listener with ${minVersion}: ${want}`, async () => {
      const { port, results } = server({ minVersion });
      const answer = ask(port, { minVersion: "TLSv1", maxVersion });
      if (want !== null) expect((await answer).tls.version).toBe(want);
      else {
        await expect(answer).rejects.toThrow(/protocol.version/i);
        expect(results).toEqual(["failed  no common version"]);
      }
    });

  for (const servername of [undefined, "a.test"])
    test(`suites without forward secrecy are not there, for ${servername ?? "the fallback"}`, async () => {
      const { port, results } = server();
      const name = servername === undefined ? {} : { servername };
      for (const ciphers of ["AES128-SHA", "AES256-GCM-SHA384", "ECDHE-RSA-AES128-SHA:ECDHE-ECDSA-AES128-SHA"])
        await expect(ask(port, { ...name, maxVersion: "TLSv1.2", ciphers })).rejects.toThrow(/handshake.failure/i);
      expect(new Set(results)).toEqual(new Set(["failed  no common cipher"]));
    });

  test("a name may have suites of its own", async () => {
    const ciphers = "ECDHE-RSA-AES128-SHA";
    const { port } = server({ select: () => makeTlsContext([rsa], { ciphers }) });
    expect((await ask(port, { servername: "a.test", maxVersion: "TLSv1.2", ciphers })).subject).toBe("rsa");
  });

  for (const maxVersion of ["TLSv1.2", "TLSv1.3"] as const)
    test(`${maxVersion} resumes sessions, and only as long as the settings are the same`, async () => {
      const { listener, port, results } = server();
      const { session, tls } = await ask(port, { maxVersion, servername: "a.test" });
      expect(tls.resumed).toBe(false);
      expect((await ask(port, { maxVersion, servername: "a.test", session })).tls.resumed).toBe(true);
      const version = maxVersion.slice(4);
      expect(results).toEqual([`ok ${version}`, `resumed ${version}`]);
      listener.update({ fallback: [fallback], minVersion: "1.2", requestClientCertificate: false });
      expect((await ask(port, { maxVersion, servername: "a.test", session })).tls.resumed).toBe(false);
    });
});

describe("client certificates", () => {
  const mutual = { requestClientCertificate: true, clientCa: ca.pem };

  test("what one says", async () => {
    const notAfter = Math.floor(Date.now() / 1000) * 1000 + 60_000;
    const subject = "O=Robots\\, Inc.,CN=robot";
    const names = ["robot.test", "10.0.0.1", "spiffe://test/robot, DNS:admin.test"];
    const { certPem, keyPem } = await ca.issue({ subject, names, notAfter, usage: "client" });
    const { port, accepted } = server(mutual);
    const { tls } = await ask(port, { cert: certPem, key: keyPem });
    expect(tls.authorized).toBe(true);
    const certificate = accepted[0]!.tls!.clientCertificate!;
    expect(certificate.subject).toBe("CN=robot,O=Robots\\, Inc.");
    expect(certificate.san).toEqual([
      "DNS:robot.test",
      "IP Address:10.0.0.1",
      "URI:spiffe://test/robot, DNS:admin.test",
    ]);
    expect(certificate.fingerprint).toMatch(/^[0-9a-f]{64}$/);
    expect(certificate.serial).toMatch(/^[0-9a-f]{2,}$/);
    expect(certificate.notAfter).toBe(notAfter);
    expect(certificate.pem.trim()).toBe(certPem.trim());
  });

  test("none, one of a stranger, an expired one, and one for servers: the connection is there, not authorized", async () => {
    const { port, accepted } = server(mutual);
    const kinds = [
      null,
      await stranger.issue({ usage: "client" }),
      await ca.issue({ usage: "client", notAfter: Date.now() - 1000 }),
      await ca.issue({ usage: "server" }),
    ];
    for (const each of kinds) {
      const { tls } = await ask(port, each === null ? {} : { cert: each.certPem, key: each.keyPem });
      expect(tls.authorized).toBe(false);
      expect(accepted.at(-1)!.tls!.clientCertificate === null).toBe(each === null);
    }
  });

  test("they are known again when the session is resumed", async () => {
    const { certPem, keyPem } = await ca.issue({ subject: "CN=again", usage: "client" });
    const { port, accepted } = server(mutual);
    const { session } = await ask(port, { cert: certPem, key: keyPem });
    const { tls } = await ask(port, { cert: certPem, key: keyPem, session });
    expect([tls.resumed, tls.authorized]).toEqual([true, true]);
    expect(accepted[1]!.tls!.clientCertificate?.subject).toBe("CN=again");
  });

  test("they are not asked for otherwise", async () => {
    const { certPem, keyPem } = await ca.issue({ usage: "client" });
    const { port, accepted } = server();
    expect((await ask(port, { cert: certPem, key: keyPem })).tls.authorized).toBe(false);
    expect(accepted[0]!.tls!.clientCertificate).toBe(null);
  });
});

/** A plain connection to a TLS port, and all that comes back. */
async function raw(port: number) {
  const seen = { bytes: Buffer.alloc(0), over: false };
  const connection = await dial({ kind: "tcp", host: "127.0.0.1", port }).promise;
  connection.handler = {
    onData: (chunk) => {
      seen.bytes = Buffer.concat([seen.bytes, chunk]);
    },
    onDrain() {},
    onEnd: () => connection.close(),
    onClose: () => {
      seen.over = true;
    },
  };
  closers.push(() => connection.destroy(true));
  return { seen, connection, send: (bytes: Buffer) => connection.send(bytes, 0, bytes.length, false) };
}
/** A handshake record of this many bytes that says to be a ClientHello of `length`. */
function helloOf(length: number, bytes: number): Buffer {
  const record = Buffer.alloc(5 + bytes);
  record.set([22, 3, 1, bytes >> 8, bytes & 255, 1, length >> 16, (length >> 8) & 255, length & 255]);
  return record;
}

describe("bad input", () => {
  const INPUTS: readonly (readonly [name: string, bytes: Buffer, reason: string])[] = [
    ["garbage", Buffer.alloc(300, 0xa5), "not TLS"],
    ["plain HTTP", Buffer.from("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n"), "plain HTTP"],
    ["a ClientHello of 16 MB", helloOf(0xff_ff_ff, 1000), "broken"],
    ["an empty record of a handshake", Buffer.from([22, 3, 1, 0, 0]), ""],
    ["a ClientHello of nothing", helloOf(0, 4), "broken"],
    ["an alert", Buffer.from([21, 3, 1, 0, 2, 2, 40]), "broken"],
  ];
  for (const [name, bytes, reason] of INPUTS)
    test(name, async () => {
      const { listener, port, results, pass } = server();
      const { send, seen } = await raw(port);
      send(bytes);
      if (reason === "") {
        await until(() => listener.handshakes === 1, "the handshake");
        pass(11_000);
      }
      await until(() => seen.over && results.length > 0, "the end");
      expect(results).toEqual([reason === "" ? "timeout" : `failed  ${reason}`]);
      expect(listener.handshakes).toBe(0);
      expect((await ask(port)).subject).toBe("fallback");
    });

  test("a huge ClientHello in small records is cut off before it is there", async () => {
    const { port, results } = server();
    const { send, seen } = await raw(port);
    const first = helloOf(120_000, 1000);
    const more = helloOf(0, 1000).fill(0, 5);
    send(first);
    for (let i = 0; i < 119 && !seen.over; i += 1) send(more);
    await until(() => seen.over && results.length > 0, "the end");
    expect(results).toEqual(["failed  broken"]);
  });

  test("half a ClientHello, or nothing: the connection is cut off after a time", async () => {
    const { listener, port, results, pass, accepted } = server({ handshakeMs: 3000 });
    const silent = await raw(port);
    const half = await raw(port);
    half.send(helloOf(500, 100));
    await until(() => listener.handshakes === 2, "two handshakes");
    pass(2000);
    expect(results).toEqual([]);
    pass(1500);
    await until(() => silent.seen.over && half.seen.over, "the ends");
    expect(results).toEqual(["timeout", "timeout"]);
    expect([listener.handshakes, accepted.length]).toEqual([0, 0]);
  });

  test("a connection whose handshake is through has all the time", async () => {
    const { port, accepted, pass } = server({ handshakeMs: 3000 });
    const socket = connectTls({ host: "127.0.0.1", port, rejectUnauthorized: false });
    closers.push(() => socket.destroy());
    await until(() => accepted.length === 1, "the connection");
    pass(10_000);
    expect(accepted[0]!.closed).toBe(false);
  });

  test("a client that ends its side within the handshake", async () => {
    const { port, results } = server();
    const { connection, send } = await raw(port);
    send(helloOf(500, 100));
    connection.end();
    await until(() => results.length > 0 && connection.closed, "the end");
    expect(results).toEqual(["failed  closed"]);
  });

  test("more handshakes than allowed are closed at once, until others are through", async () => {
    const { listener, port, results } = server({ handshakesMax: 2 });
    const held = [await raw(port), await raw(port)];
    await until(() => listener.handshakes === 2, "two handshakes");
    const third = await raw(port);
    await until(() => third.seen.over, "the end of the third");
    expect(results).toEqual(["refused  too many handshakes"]);
    held[0]!.connection.destroy();
    await until(() => listener.handshakes === 1, "room");
    expect((await ask(port)).subject).toBe("fallback");
  });

  test("abandoned handshakes by the thousand leave nothing behind", async () => {
    const { listener, port } = server();
    const round = async (): Promise<number> => {
      for (let batch = 0; batch < 10; batch += 1) {
        const clients = await Promise.all(Array.from({ length: 100 }, () => raw(port)));
        for (const [i, { send, connection }] of clients.entries()) {
          if (i % 3 > 0) send(helloOf(500, 100));
          connection.destroy(i % 2 === 0);
        }
        expect((await ask(port)).subject).toBe("fallback"); // others are served meanwhile
        await until(() => listener.handshakes === 0, "the ends");
      }
      Bun.gc(true);
      return process.memoryUsage.rss();
    };
    const warm = await round();
    expect((await round()) - warm).toBeLessThan(16 * 1024 * 1024); // leaking all would be 30 MB and more
  }, 30_000);

  test("bytes that are not TLS on an open connection end it with an error, which is no bug of ours", async () => {
    let error: Error | null | undefined;
    const closed = (told: Error | null): void => {
      error = told;
    };
    const { port, accepted } = server();
    // Between both stands a relay that adds a record of its own.
    let toServer: Connection | null = null;
    const relay = listenOn({ kind: "tcp", host: "127.0.0.1", port: 0 }, (client) => {
      const early: Buffer[] = [];
      void dial({ kind: "tcp", host: "127.0.0.1", port }).promise.then((connection) => {
        toServer = connection;
        for (const each of early) connection.send(each, 0, each.length, false);
        connection.handler = { ...NOTHING, onData: (chunk) => client.send(chunk, 0, chunk.length, false) };
      });
      return {
        ...NOTHING,
        onData: (chunk) => (toServer === null ? early.push(chunk) : toServer.send(chunk, 0, chunk.length, false)),
      };
    });
    closers.push(() => relay.stop());
    const socket = connectTls({ host: "127.0.0.1", port: relay.port, rejectUnauthorized: false });
    socket.on("error", () => {});
    closers.push(() => socket.destroy());
    await until(() => accepted.length === 1, "the connection");
    accepted[0]!.handler = { ...NOTHING, onClose: closed };
    toServer!.send(Buffer.alloc(400, "record"), 0, 400, false);
    await until(() => error !== undefined, "the end");
    expect(error?.message).toMatch(/WRONG_VERSION_NUMBER|BAD_RECORD/);
  });

  for (const version of ["-tls1_2", "-tls1_3"])
    test.skipIf(Bun.which("openssl") === null)(`a client of OpenSSL that does not trust us, ${version}`, async () => {
      const { port, results } = server();
      const to = ["-connect", `127.0.0.1:${port}`, version, "-verify_return_error"];
      const child = Bun.spawn(["openssl", "s_client", ...to], { stdin: "ignore", stdout: "ignore", stderr: "ignore" });
      closers.push(() => child.kill());
      await until(() => results.length === 1, "the end");
      expect(results).toEqual(["failed  client does not trust us"]);
    });

  // The runtime's client cannot ask for it.
  test.skipIf(Bun.which("openssl") === null)("renegotiation ends the connection", async () => {
    const { port, accepted } = server();
    const child = Bun.spawn(["openssl", "s_client", "-connect", `127.0.0.1:${port}`, "-tls1_2"], {
      stdin: "pipe",
      stdout: "ignore",
      stderr: "ignore",
    });
    closers.push(() => child.kill());
    await until(() => accepted.length === 1, "the connection");
    child.stdin.write("R\n");
    child.stdin.flush();
    await until(() => accepted[0]!.closed, "the end");
  });
});

test("the key log has the secrets of both sides", async () => {
  const lines: string[] = [];
  const { port } = server({ keyLog: (line) => lines.push(line) });
  await ask(port);
  expect(lines.length).toBeGreaterThanOrEqual(4);
  for (const line of lines) expect(line).toMatch(/^[A-Z0-9_]+ [0-9a-f]{64} [0-9a-f]+$/);
});

test("a listener that takes nobody closes what comes", async () => {
  const options: TlsListenerOptions = {
    fallback: [fallback],
    select: () => null,
    alpn: [],
    minVersion: "1.2",
    requestClientCertificate: false,
    wheel: new TimerWheel(),
  };
  const listener: SocketListener = listenTls({ kind: "tcp", host: "127.0.0.1", port: 0 }, options, () => null);
  closers.push(() => listener.stop());
  await expect(ask(listener.port)).rejects.toThrow("closed");
});
