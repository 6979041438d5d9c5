// Where connections go by the name that they ask for, and PROXY headers in front of TLS; redirects to HTTPS.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { connect } from "node:net";
import { Duplex } from "node:stream";
import { connect as connectSecured } from "node:tls";
import { writeProxyHeader } from "../src/transport/proxy-protocol.ts";
import { H2Peer } from "./support/h2-peer.ts";
import { lastHeaders } from "./support/h2-wire.ts";
import { answer, request } from "./support/message.ts";
import { exchange, Peer } from "./support/peer.ts";
import type { SluiceProcess } from "./support/sluice.ts";
import { connectTls, type Files, getTls, Pki, sClient, secure, TlsBackend, TlsPeer } from "./support/tls.ts";
import { until } from "./support/wait.ts";

let pki: Pki;
let files: Files;
let git: TlsBackend;
let other: TlsBackend;

const backend = async (name: string): Promise<TlsBackend> =>
  TlsBackend.start(await pki.pems({ names: [name] }), () => answer(200, name));

beforeAll(async () => {
  pki = await Pki.make();
  files = await pki.files("a", { names: ["here.test"] });
  git = await backend("git.test");
  other = await backend("other.test");
});
afterAll(async () => {
  await git[Symbol.asyncDispose]();
  await other[Symbol.asyncDispose]();
  pki[Symbol.dispose]();
});

const sni = (more: object = {}): object => ({
  "git.test": { passthrough: "git" },
  "*.other.test": { passthrough: `127.0.0.1:${other.port}` },
  "here.test": "terminate",
  ...more,
});
const run = (listener: object): Promise<SluiceProcess> =>
  pki.run({
    listeners: [listener],
    upstreams: { git: { servers: [`127.0.0.1:${git.port}`] } },
    log: { access: { path: `${pki.folder.path}/access.log` } },
    routes: [{ respond: { body: "here {ip} {scheme}" } }],
  });
const logLines = (): Record<string, unknown>[] =>
  readFileSync(`${pki.folder.path}/access.log`, "utf8")
    .split("\n")
    .slice(0, -1)
    .map((line) => JSON.parse(line));

/** TLS over a connection that sends what it is given in small pieces. */
async function connectInPieces(port: number, servername: string, bytes: number): Promise<TlsPeer> {
  const raw = connect({ port, host: "127.0.0.1" });
  raw.setNoDelay(true);
  const duplex = new Duplex({
    read() {},
    async write(chunk: Buffer, _encoding, done) {
      for (let at = 0; at < chunk.length; at += bytes) {
        raw.write(chunk.subarray(at, at + bytes));
        if (at % 64 === 0) await Bun.sleep(1);
      }
      done();
    },
    final(done) {
      raw.end(done);
    },
  });
  raw.on("data", (chunk) => duplex.push(chunk));
  raw.on("close", () => duplex.push(null));
  raw.on("error", () => {});
  const socket = connectSecured({ socket: duplex, servername, rejectUnauthorized: false });
  await new Promise((resolve, reject) => socket.once("secureConnect", resolve).once("error", reject));
  return new TlsPeer(socket);
}

describe("by the name", () => {
  test("passed through and terminated on one port, and a certificate from whom the name belongs to", async () => {
    await using proxy = await run(secure({ certificates: [files] }, { sni: sni() }));
    const CASES = [
      ["git.test", "git.test", "git.test"],
      ["GIT.test", "git.test", "git.test"],
      ["x.other.test", "other.test", "other.test"],
      ["y.x.other.test", "other.test", "other.test"],
      ["here.test", "here.test", "here 127.0.0.1 https"],
    ] as const;
    for (const [servername, name, body] of CASES) {
      await using peer = await connectTls(proxy.port(), { servername });
      expect([peer.name, (await peer.get()).body]).toEqual([name, body]);
      expect((await peer.get()).body).toBe(body);
    }
    await until(() => logLines().some(({ protocol, upstream }) => protocol === "tcp" && upstream === "git"), "the log");
  });

  test("a name that nobody knows, or none, gets an alert", async () => {
    await using proxy = await run(secure({ certificates: [files] }, { sni: sni() }));
    for (const args of [["-servername", "nobody.test"], ["-noservername"], ["-servername", "other.test"]])
      expect(await sClient(proxy.port(), ...args)).toMatch(/unrecognized name/);
  });

  test('"*" is for all others', async () => {
    await using passing = await run({
      address: "127.0.0.1:0",
      sni: sni({ "here.test": { passthrough: "git" }, "*": { passthrough: "git" } }),
    });
    expect((await getTls(passing.port(), { servername: "nobody.test" })).body).toBe("git.test");
    await using proxy = await run(secure({ certificates: [files] }, { sni: sni({ "*": "terminate" }) }));
    for (const servername of ["nobody.test", ""])
      expect((await getTls(proxy.port(), { servername })).body).toBe("here 127.0.0.1 https");
  });

  for (const bytes of [1, 7])
    test(`a hello in pieces of ${bytes}`, async () => {
      await using proxy = await run(secure({ certificates: [files] }, { sni: sni() }));
      for (const [name, body] of [
        ["git.test", "git.test"],
        ["here.test", "here 127.0.0.1 https"],
      ] as const) {
        await using peer = await connectInPieces(proxy.port(), name, bytes);
        expect((await peer.get()).body).toBe(body);
      }
    });

  test("no hello in time, garbage and plain HTTP end", async () => {
    await using proxy = await run(secure({ certificates: [files], handshakeTimeout: "200ms" }, { sni: sni() }));
    for (const text of ["", "\x16\x03\x01", request("/"), "nonsense".repeat(10)]) {
      await using peer = await Peer.connect(proxy.port());
      peer.send(text);
      await peer.end();
    }
    expect((await getTls(proxy.port(), { servername: "git.test" })).body).toBe("git.test");
  });

  test("limits count connections that are passed through as well as those that are not", async () => {
    await using proxy = await run(
      secure({ certificates: [files] }, { sni: sni(), limits: { connectionsPerAddress: 20, connections: 1000 } }),
    );
    const open = await Promise.all(
      Array.from({ length: 8 }, (_, at) => connectTls(proxy.port(), { servername: at % 2 ? "git.test" : "here.test" })),
    );
    for (const peer of open) expect((await peer.get()).status).toBe(200);
    const gauge = async (): Promise<number> =>
      [...(await proxy.metrics())].reduce(
        (sum, [name, n]) => (name.startsWith("sluice_connections{") ? sum + n : sum),
        0,
      );
    await until(async () => (await gauge()) === 8, "8 connections");
    for (const peer of open) peer.close();
    await until(async () => (await gauge()) === 0, "none");
  });
});

describe("a PROXY header before TLS", () => {
  const SOURCE = { address: "203.0.113.7", port: 40_000 };
  const to = { address: "198.51.100.1", port: 443 };
  const announced = async (port: number, header: Buffer, servername = "here.test"): Promise<TlsPeer> => {
    const raw = connect({ port, host: "127.0.0.1" });
    raw.write(header);
    return connectTls(0, { socket: raw, servername });
  };

  for (const version of ["v1", "v2"] as const)
    for (const names of [{}, { sni: { "here.test": "terminate", "git.test": { passthrough: "git" } } }])
      test(`${version}, names: ${names.sni !== undefined}: the announced address counts`, async () => {
        await using proxy = await run(
          secure({ certificates: [files] }, { proxyProtocol: { trusted: ["127.0.0.1"] }, ...names }),
        );
        const header = writeProxyHeader(version, SOURCE, to);
        await using peer = await announced(proxy.port(), header);
        expect((await peer.get("/proxied")).body).toBe("here 203.0.113.7 https");
        await until(() => logLines().some((line) => line.ip === SOURCE.address), "the log");
        if (names.sni === undefined) return;
        await using through = await announced(proxy.port(), header, "git.test");
        expect((await through.get()).body).toBe("git.test");
      });

  test("nobody else may announce anything, and all others are served", async () => {
    await using proxy = await run(secure({ certificates: [files] }, { proxyProtocol: { trusted: ["192.0.2.1"] } }));
    await expect(announced(proxy.port(), writeProxyHeader("v1", SOURCE, to))).rejects.toThrow();
    expect((await getTls(proxy.port())).body).toBe("here 127.0.0.1 https");
  });

  test("a trusted proxy must send one", async () => {
    await using proxy = await run(secure({ certificates: [files] }, { proxyProtocol: { trusted: ["127.0.0.1"] } }));
    await expect(getTls(proxy.port())).rejects.toThrow();
  });
});

describe("redirectToHttps", () => {
  test("308 to the secure port, with the target as it was; a CA's questions are answered", async () => {
    await using proxy = await pki.run({
      listeners: [{ address: "127.0.0.1:0", redirectToHttps: true }, secure({ certificates: [files] })],
      routes: [{ respond: { body: "{scheme}" } }],
    });
    const location = `https://app.example:${proxy.port(1)}/a%2Fb?c=d&e`;
    for (const method of ["GET", "POST"]) {
      const got = await exchange(proxy.port(), request("/a%2Fb?c=d&e", [], method, method === "POST" ? "body" : ""));
      expect([got.status, got.field("location")]).toEqual([308, location]);
    }
    const head = await exchange(proxy.port(), "HEAD / HTTP/1.1\r\nHost: app.example:80\r\n\r\n");
    expect(head.field("location")).toBe(`https://app.example:${proxy.port(1)}/`);
    const old = await exchange(proxy.port(), "GET /x HTTP/1.0\r\n\r\n");
    expect(old.status).toBe(400);
    const named = await exchange(proxy.port(), "GET /x HTTP/1.0\r\nHost: app.example\r\n\r\n");
    expect(named.status).toBe(308);
    expect((await exchange(proxy.port(), request("/.well-known/acme-challenge/x"))).status).not.toBe(308);
    expect((await exchange(proxy.port(), request("/.well-known/acme-challenge/../y"))).status).toBe(308);
    await using kept = await Peer.connect(proxy.port());
    for (let i = 0; i < 3; i += 1) {
      kept.send(request("/", [], "POST", "12345"));
      expect((await kept.response()).status).toBe(308);
    }
    expect((await getTls(proxy.port(1))).body).toBe("https");
  });

  test("another port that clients come to, and a reload that changes it", async () => {
    const config = (redirectToHttps: unknown): Record<string, unknown> => ({
      listeners: [{ address: "127.0.0.1:0", redirectToHttps }],
      routes: [{ respond: { body: "plain" } }],
    });
    await using proxy = await pki.run(config({ port: 443 }));
    await using kept = await Peer.connect(proxy.port());
    const where = async (): Promise<string> => {
      const got = await kept.send("GET /a?b HTTP/1.1\r\nHost: app.example:8080\r\n\r\n").response();
      return got.field("location") || got.body;
    };
    expect(await where()).toBe("https://app.example/a?b");
    for (const [value, want] of [
      [{ port: 8443 }, "https://app.example:8443/a?b"],
      [false, "plain"],
    ] as const) {
      expect(await pki.reload(proxy, config(value))).toMatchObject({ status: 200 });
      expect(await where()).toBe(want);
    }
  });
});

test("a request for a name that is passed on, over a connection that ends here, is misdirected", async () => {
  const names = ["here.test", "git.test", "www.other.test"];
  const certificate = await pki.files("shared", { names });
  await using proxy = await run({ address: "127.0.0.1:0", tls: { certificates: [certificate] }, sni: sni() });
  const ask = async (host: string): Promise<number> => {
    const socket = await connectTls(proxy.port(), { servername: "here.test", ALPNProtocols: ["h2"] });
    await using client = new H2Peer(socket, "client");
    const request = [
      [":method", "GET"],
      [":scheme", "https"],
      [":authority", host],
      [":path", "/"],
    ] as const;
    return (await client.send(lastHeaders(1, request)).answer(1)).status;
  };
  expect(await ask("here.test")).toBe(200);
  for (const host of ["git.test", "www.other.test:443"]) expect(await ask(host)).toBe(421);
});
