// Termination of TLS: certificates from files, and HTTP/1.1 over it as without it.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { createHash } from "node:crypto";
import { answer } from "./support/message.ts";
import { RawBackend } from "./support/raw-backend.ts";
import type { SluiceProcess } from "./support/sluice.ts";
import { connectTls, type Files, getTls, Pki, program, sClient, secure, type TlsPeer } from "./support/tls.ts";
import { until } from "./support/wait.ts";

const MEGABYTE = 1_048_576;
const big = (seed: number): string => {
  const bytes = Buffer.alloc(8 * MEGABYTE);
  for (let at = 0, state = seed; at < bytes.length; at += 4) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    bytes.writeUInt32LE(state, at);
  }
  return bytes.latin1Slice();
};
const sha = (text: string): string => createHash("sha256").update(text, "latin1").digest("hex");

let pki: Pki;
let exact: Files;
let proxy: SluiceProcess;
let backend: RawBackend;
const down = big(1);

beforeAll(async () => {
  pki = await Pki.make();
  const fallback = await pki.files("default", { names: ["default.test"] });
  exact = await pki.files("exact", { names: ["app.test"] });
  const wild = await pki.files("wild", { names: ["*.app.test"] });
  const ecdsa = await pki.files("both-ecdsa", { names: ["both.test"], key: "ecdsa" });
  const rsa = await pki.files("both-rsa", { names: ["both.test"], key: "rsa" });
  backend = await RawBackend.answering((got, peer) => {
    if (got.target === "/down") return answer(200, down);
    if (got.target === "/up") return answer(200, sha(got.body));
    if (got.target === "/ws") {
      peer.socket.on("data", (chunk: Buffer) => peer.send(chunk));
      return "HTTP/1.1 101 Switching\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
    }
    return answer(200, got.fields.map(([name, value]) => `${name}: ${value}`).join("\n"));
  });
  const tls = { certificates: [fallback, exact, wild, ecdsa, rsa] };
  proxy = await pki.run({
    listeners: [secure(tls)],
    log: { access: { path: `${pki.folder.path}/access.log` } },
    routes: [{ match: { path: "/what" }, respond: { body: "{scheme} {host}" } }, { to: backend.url }],
  });
});
afterAll(async () => {
  await proxy?.[Symbol.asyncDispose]();
  await backend?.[Symbol.asyncDispose]();
  pki?.[Symbol.dispose]();
});

const client = (servername = "app.test", more = {}): Promise<TlsPeer> =>
  connectTls(proxy.port(), { servername, ca: pki.ca.pem, ...more });

describe("certificates", () => {
  const CASES = [
    ["app.test", "app.test"],
    ["APP.test", "app.test"],
    ["x.app.test", "*.app.test"],
    ["y.x.app.test", "default.test"],
    ["other.test", "default.test"],
    ["", "default.test"],
  ] as const;
  for (const [asked, given] of CASES)
    test(`a client that asks for ${JSON.stringify(asked)} gets ${given}`, async () => {
      await using peer = await connectTls(proxy.port(), { servername: asked });
      expect(peer.name).toBe(given);
    });
  test("verify: a client that trusts the CA is content", async () => {
    await using peer = await client("app.test", { rejectUnauthorized: true });
    expect(peer.tls.authorized).toBe(true);
  });
  for (const version of ["-tls1_2", "-tls1_3"])
    test(`each client gets the kind of key that it can use (${version})`, async () => {
      const rsaAlgorithms = version === "-tls1_2" ? "RSA+SHA256:RSA-PSS+SHA256" : "RSA-PSS+SHA256";
      const args = [version, "-servername", "both.test"];
      const ecdsa = await sClient(proxy.port(), ...args, "-sigalgs", "ECDSA+SHA256");
      const rsa = await sClient(proxy.port(), ...args, "-sigalgs", rsaAlgorithms);
      expect(ecdsa).toContain("Peer signature type: ECDSA");
      expect(rsa).toContain("Peer signature type: RSA");
    });
  for (const version of ["-tls1", "-tls1_1"])
    test(`old versions are refused (${version})`, async () => {
      const said = await sClient(proxy.port(), version, "-cipher", "ALL:@SECLEVEL=0");
      expect(said).toContain("Cipher is (NONE)");
    });
});

describe("HTTP", () => {
  test("the scheme is https: in placeholders and for servers", async () => {
    await using peer = await client();
    expect((await peer.get("/what")).body).toBe("https app.example");
    expect((await peer.get("/")).body).toContain("X-Forwarded-Proto: https");
  });
  test("many requests on one connection, pipelined ones too", async () => {
    await using peer = await client();
    for (let i = 0; i < 5; i += 1) expect((await peer.get("/what")).status).toBe(200);
    const text = "GET /what HTTP/1.1\r\nHost: a\r\n\r\n";
    peer.send(text.repeat(3));
    for (let i = 0; i < 3; i += 1) expect((await peer.response()).body).toBe("https a");
  });
  test("large bodies arrive whole, both ways", async () => {
    await using peer = await client();
    const up = big(2);
    expect(sha((await peer.get("/down")).body)).toBe(sha(down));
    peer.send(`PUT /up HTTP/1.1\r\nHost: a\r\nContent-Length: ${up.length}\r\n\r\n`).send(up);
    expect((await peer.response()).body).toBe(sha(up));
  });
  test("a chunked body, as curl sends it", async () => {
    const file = pki.folder.write("body", "x".repeat(100_000));
    const url = `https://app.test:${proxy.port()}/up`;
    const to = [
      "--cacert",
      pki.caFile,
      "--resolve",
      `app.test:${proxy.port()}:127.0.0.1`,
      "-H",
      "Transfer-Encoding: chunked",
      "-H",
      "Expect:",
    ];
    const out = await program(["curl", "-sS", "--max-time", "5", ...to, "-T", file, url]);
    expect(out).toBe(sha("x".repeat(100_000)));
  });
  test("a tunnel (WebSocket)", async () => {
    await using peer = await client();
    const fields = [
      "Connection: Upgrade",
      "Upgrade: websocket",
      "Sec-WebSocket-Version: 13",
      "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    ];
    expect((await peer.get("/ws", fields)).status).toBe(101);
    for (const text of ["hello", "x".repeat(200_000)]) {
      peer.send(text);
      expect(await peer.bytes(text.length)).toBe(text);
    }
  });
  test("events arrive as they are sent", async () => {
    await using events = await RawBackend.start(async (peer) => {
      await peer.request();
      peer.send("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n");
    });
    await using own = await pki.run({ listeners: [secure({ certificates: [exact] })], routes: [{ to: events.url }] });
    await using peer = await connectTls(own.port());
    peer.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    await peer.head();
    const server = await events.peer(0);
    for (let i = 0; i < 3; i += 1) {
      server.send(`data: ${i}\n\n`);
      await peer.through(`data: ${i}\n\n`);
    }
    server.finish();
    await peer.through("0\r\n\r\n");
  });
  test("a client that closes properly, and one that does not, leave nothing behind", async () => {
    const open = async (): Promise<number> => {
      const all = await proxy.metrics();
      return [...all].filter(([name]) => name.startsWith("sluice_connections{")).reduce((sum, [, n]) => sum + n, 0);
    };
    const before = await open();
    const peers = await Promise.all(Array.from({ length: 6 }, () => client()));
    for (const peer of peers) await peer.get("/what");
    for (const [at, peer] of peers.entries()) at % 2 === 0 ? peer.finish() : peer.close();
    await until(async () => (await open()) <= before, "connections gone");
  });
});

describe("handshakes", () => {
  test("a protocol that we do not speak is refused; http/1.1 is agreed on; none is no fault", async () => {
    expect((await client("app.test", { ALPNProtocols: ["h9", "http/1.1"] })).tls.alpnProtocol).toBe("http/1.1");
    const said = await sClient(proxy.port(), "-alpn", "h9");
    expect(said).toContain("no application protocol");
    expect((await getTls(proxy.port(), {}, "/what")).status).toBe(200);
  });
  test("sessions are resumed, by whichever worker", async () => {
    const file = `${pki.folder.path}/session`;
    await sClient(proxy.port(), "-tls1_2", "-sess_out", file);
    const said = await Promise.all(Array.from({ length: 8 }, () => sClient(proxy.port(), "-tls1_2", "-sess_in", file)));
    expect(said.filter((text) => /^Reused, /m.test(text)).length).toBeGreaterThan(0);
  });
});

describe("sslscan", () => {
  let report = "";
  beforeAll(async () => {
    report = await program(["sslscan", "--xml=-", "--sni-name=both.test", `127.0.0.1:${proxy.port()}`]);
  });
  /** The values of an attribute of all elements of that name. */
  const all = (element: string, attribute: string, filter = ""): string[] =>
    [...report.matchAll(new RegExp(`<${element} [^>]*>`, "g"))]
      .map(([tag]) => tag)
      .filter((tag) => tag.includes(filter))
      .map((tag) => new RegExp(` ${attribute}="([^"]*)"`).exec(tag)?.[1] ?? "");

  test("TLS 1.2 and 1.3, and nothing older", () => {
    const spoken = all("protocol", "version", 'enabled="1"').map((version) => `TLS ${version}`);
    expect([spoken, all("protocol", "enabled").length]).toEqual([["TLS 1.2", "TLS 1.3"], 6]);
  });
  test("every suite has forward secrecy and authenticated encryption, with either kind of key", () => {
    const suites = all("cipher", "cipher", 'sslversion="TLSv1.2"').sort();
    const modern = ["AES128-GCM-SHA256", "AES256-GCM-SHA384", "CHACHA20-POLY1305"];
    expect(suites).toEqual(["ECDSA", "RSA"].flatMap((key) => modern.map((suite) => `ECDHE-${key}-${suite}`)).sort());
    expect(all("cipher", "cipher", 'sslversion="TLSv1.3"').length).toBe(3);
    expect(new Set(all("cipher", "curve"))).toEqual(new Set(["25519"]));
  });
  test("no compression, no heartbleed, no renegotiation that a client can ask for", () => {
    expect(new Set(all("heartbleed", "vulnerable"))).toEqual(new Set(["0"]));
    expect(all("renegotiation", "supported")).toEqual(["0"]);
    expect(all("group", "name").length).toBeGreaterThan(0);
    for (const name of all("group", "name")) expect(name).toMatch(/^(x25519|secp256r1|secp384r1)/);
  });
});

describe("what operators see", () => {
  test("/api/certificates: all of them, and no keys", async () => {
    const { status, body } = await proxy.admin("GET", "/api/certificates");
    const text = JSON.stringify(body);
    expect(status).toBe(200);
    for (const name of ["default.test", "app.test", "*.app.test", "both.test"]) expect(text).toContain(`"${name}"`);
    expect(text).not.toMatch(/PRIVATE|keyPem/);
    expect(JSON.stringify((await proxy.admin("GET", "/api/config")).body)).not.toContain("PRIVATE");
  });
  test("metrics: handshakes and expiry", async () => {
    await getTls(proxy.port());
    await until(async () => {
      const all = [...(await proxy.metrics())];
      return all.some(([name, n]) => name.startsWith("sluice_tls_handshakes_total{") && name.includes('"ok"') && n > 0);
    }, "handshakes counted");
    const all = await proxy.metrics();
    const expiry = all.get('sluice_tls_certificate_expiry_seconds{name="app.test"}') ?? 0;
    expect(expiry).toBeGreaterThan(Date.now() / 1000);
  });
  test("it says https where it listens", () => expect(proxy.addresses[0]).toStartWith("https://"));
});
