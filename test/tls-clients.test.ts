// What TLS listeners ask of clients, and clients that misbehave.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { connect } from "node:net";
import { TestCa } from "../src/transport/tls.testing.ts";
import { request } from "./support/message.ts";
import { Peer } from "./support/peer.ts";
import type { SluiceProcess } from "./support/sluice.ts";
import { connectTls, type Files, getTls, Pki, program, sClient, secure } from "./support/tls.ts";
import { until } from "./support/wait.ts";

const ROUTES = { routes: [{ respond: { body: "{scheme}" } }] };
let pki: Pki;
let files: Files;

beforeAll(async () => {
  pki = await Pki.make();
  files = await pki.files("a", { names: ["localhost"] });
});
afterAll(() => pki[Symbol.dispose]());

const run = (tls: object, more: object = {}): Promise<SluiceProcess> =>
  pki.run({ ...ROUTES, listeners: [secure({ certificates: [files], ...tls }, more)] });

/** Handshakes counted so far with this in their labels. */
async function handshakes(proxy: SluiceProcess, label: string): Promise<number> {
  const all = [...(await proxy.metrics())];
  return all
    .filter(([name]) => name.startsWith("sluice_tls_handshakes_total{") && name.includes(label))
    .reduce((sum, [, n]) => sum + n, 0);
}

describe("client certificates", () => {
  type Shown = { cert: string; key: string } | object;
  let good: Shown;
  let wrong: Shown;
  let revoked: Shown;
  let expired: Shown;
  let crl = "";

  beforeAll(async () => {
    const shown = ({ certPem, keyPem }: { certPem: string; keyPem: string }) => ({ cert: certPem, key: keyPem });
    const issue = (subject: string, more = {}) => pki.ca.issue({ subject, usage: "client", ...more });
    good = shown(await issue("CN=good"));
    expired = shown(await issue("CN=expired", { notAfter: Date.now() - 60_000 }));
    wrong = shown(await (await TestCa.make("Test CA")).issue({ subject: "CN=wrong", usage: "client" }));
    const bad = await issue("CN=revoked");
    revoked = shown(bad);
    crl = await pki.revoke(bad.certPem);
  });

  const MODES = ["require", "optional"] as const;
  for (const mode of MODES)
    for (const extra of [{}, { minVersion: "1.3" }])
      test(`${mode}, ${JSON.stringify(extra)}: nobody with a certificate that is not good`, async () => {
        await using proxy = await run({ clientAuth: { ca: pki.caFile, mode, crl }, ...extra });
        const outcome = async (options: Shown): Promise<string> => {
          try {
            await using peer = await connectTls(proxy.port(), options);
            return (await peer.get()).body;
          } catch {
            return "refused";
          }
        };
        expect(await outcome(good)).toBe("https");
        expect(await outcome({})).toBe(mode === "require" ? "refused" : "https");
        for (const each of [wrong, revoked, expired]) {
          const seen = await outcome(each);
          if (mode === "require") expect(seen).toBe("refused");
        }
        expect(await outcome(good)).toBe("https");
      });

  test("a session of somebody without a certificate opens nothing", async () => {
    await using proxy = await run({ clientAuth: { ca: pki.caFile } });
    const file = `${pki.folder.path}/none`;
    await sClient(proxy.port(), "-tls1_2", "-sess_out", file);
    const text = "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    const said = await program(
      ["openssl", "s_client", "-quiet", "-tls1_2", "-sess_in", file, "-connect", `127.0.0.1:${proxy.port()}`],
      text,
    );
    expect(said).not.toContain("200 OK");
  });

  test("a reload begins and ends to ask", async () => {
    const listener = (tls: object) => ({ ...ROUTES, listeners: [secure({ certificates: [files], ...tls })] });
    await using proxy = await run({});
    const outcome = async (options: Shown): Promise<string> => {
      const all = Array.from({ length: 8 }, async () => {
        try {
          return (await getTls(proxy.port(), options)).body;
        } catch {
          return "refused";
        }
      });
      return [...new Set(await Promise.all(all))].join(" ");
    };
    expect(await outcome({})).toBe("https");
    expect(await pki.reload(proxy, listener({ clientAuth: { ca: pki.caFile } }))).toMatchObject({ status: 200 });
    expect(`${await outcome({})}, ${await outcome(good)}`).toBe("refused, https");
    expect(await pki.reload(proxy, listener({}))).toMatchObject({ status: 200 });
    expect(await outcome({})).toBe("https");
  });

  test("where names are looked at too", async () => {
    await using proxy = await run({ clientAuth: { ca: pki.caFile } }, { sni: { localhost: "terminate" } });
    expect((await getTls(proxy.port(), good)).body).toBe("https");
    await expect(getTls(proxy.port())).rejects.toThrow();
    await expect(getTls(proxy.port(), wrong)).rejects.toThrow();
  });
});

test("minVersion 1.3: nobody with 1.2, and a count of them", async () => {
  await using proxy = await run({ minVersion: "1.3" });
  expect(await sClient(proxy.port(), "-tls1_2")).toContain("protocol version");
  expect(await sClient(proxy.port(), "-tls1_3")).toContain("TLSv1.3");
  await until(async () => (await handshakes(proxy, "no common version")) === 1, "the count");
});

describe("clients that misbehave", () => {
  test("a handshake has a limit", async () => {
    await using proxy = await run({ handshakeTimeout: "200ms" });
    await using silent = await Peer.connect(proxy.port());
    await using half = await Peer.connect(proxy.port());
    half.send(Buffer.of(22, 3, 1, 2, 0, 1));
    await Promise.all([silent.end(), half.end()]);
    await until(async () => (await handshakes(proxy, '"timeout"')) === 2, "the count");
    // One that is through has no such limit.
    await using peer = await connectTls(proxy.port());
    await Bun.sleep(400);
    expect((await peer.get()).status).toBe(200);
  });

  test("plain HTTP and garbage end, and are counted", async () => {
    await using proxy = await run({});
    for (const text of [request("/"), "\x00".repeat(64), "SSH-2.0-x\r\n", "\x16\x03\x01\xff\xff".repeat(20)]) {
      await using peer = await Peer.connect(proxy.port());
      peer.send(text);
      await peer.end();
      expect(peer.peek()).not.toContain("200");
    }
    await until(async () => (await handshakes(proxy, '"plain HTTP"')) === 1, "the count");
    expect((await getTls(proxy.port())).status).toBe(200);
  });

  test("plain HTTP, garbage and nothing at all where the hello is read first", async () => {
    await using proxy = await run({ policies: [{ hosts: ["modern.test"], minVersion: "1.3" }] });
    for (const text of [request("/"), "x", ""]) {
      await using peer = await Peer.connect(proxy.port());
      if (text !== "") peer.send(text);
      else peer.socket.end();
      await peer.end();
    }
    for (const label of ['"plain HTTP"', '"not TLS"', '"closed"'])
      await until(async () => (await handshakes(proxy, label)) === 1, `the count of ${label}`);
    expect((await getTls(proxy.port())).status).toBe(200);
  });

  test("garbage after the handshake ends that connection alone", async () => {
    await using proxy = await run({});
    await using other = await connectTls(proxy.port());
    const raw = connect({ port: proxy.port(), host: "127.0.0.1" });
    await using peer = new Peer(raw);
    const secured = await connectTls(0, { socket: raw });
    await secured.get();
    raw.write(Buffer.alloc(200, 23));
    await peer.end();
    expect((await other.get()).status).toBe(200);
  });

  for (const version of ["-tls1_2", "-tls1_3"])
    test(`a client that wants to negotiate again gets no answer to that (${version})`, async () => {
      await using proxy = await run({});
      await using other = await connectTls(proxy.port());
      const said = await sClient(proxy.port(), version, "-msg");
      expect(said).toContain("ServerHello");
      // `R` at the beginning of a line asks for a new handshake.
      const asked = await program(
        ["openssl", "s_client", "-connect", `127.0.0.1:${proxy.port()}`, version],
        "R\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
      );
      expect(asked).toMatch(
        /RENEGOTIATING[\s\S]*(?:no renegotiation|unexpected message|alert|error|wrong ssl version)/i,
      );
      expect(asked).not.toContain("200 OK");
      expect((await other.get()).status).toBe(200);
    });
});
