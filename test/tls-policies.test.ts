// Terms of TLS that differ by host: they hold in the handshake, and for each request again.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { connect as connectHttp2 } from "node:http2";
import { join } from "node:path";
import type { SluiceProcess } from "./support/sluice.ts";
import { connectTls, type Files, Pki, program, secure } from "./support/tls.ts";
import { DEADLINE_MS, until } from "./support/wait.ts";

/** What a client shows of itself. */
interface Shown {
  readonly cert?: string;
  readonly key?: string;
}

let pki: Pki;
let files: Files;
let proxy: SluiceProcess;
let crl = "";
let robot: Shown;
let human: Shown;
let fired: Shown;
let foreign: Shown;

const HOSTS = ["*.test", "*.vault.test", "localhost", "127.0.0.1"];
const FIELDS = {
  "x-subject": "{clientCert.subject}",
  "x-san": "{clientCert.san}",
  "x-serial": "{clientCert.serial}",
  "x-issuer": "{clientCert.issuer}",
  "x-fingerprint": "{clientCert.fingerprint}",
  "x-not-after": "{clientCert.notAfter}",
  "client-cert": "{clientCert.der}",
};

const config = (clientAuth: object) => ({
  listeners: [
    secure({
      certificates: [files],
      policies: [
        { hosts: ["vault.test", "*.vault.test"], clientAuth },
        { hosts: ["modern.test"], minVersion: "1.3" },
        { hosts: ["asked.test"], clientAuth: { ...clientAuth, mode: "optional" } },
        { hosts: ["same.test"], minVersion: "1.2" },
      ],
    }),
  ],
  routes: [
    { match: { clientCert: { subject: "~^CN=robot\\b" } }, respond: { body: "robot", headers: FIELDS } },
    { match: { clientCert: { san: ["URI:spiffe://x", "DNS:human.test"] } }, respond: { body: "human" } },
    { match: { clientCert: true }, respond: { body: "known" } },
    { respond: { body: "anybody", headers: FIELDS } },
  ],
});

beforeAll(async () => {
  pki = await Pki.make();
  files = await pki.files("a", { names: HOSTS });
  const shown = ({ certPem, keyPem }: { certPem: string; keyPem: string }): Shown => ({ cert: certPem, key: keyPem });
  const issue = (subject: string, names: string[]) => pki.ca.issue({ subject, names, usage: "client" });
  robot = shown(await issue("O=Example,CN=robot", ["robot.test", "r2.test"]));
  human = shown(await issue("CN=human", ["human.test"]));
  fired = shown(await issue("CN=fired", []));
  const other = await Pki.make();
  foreign = shown(await other.ca.issue({ subject: "CN=robot", usage: "client" }));
  other[Symbol.dispose]();
  crl = await pki.revoke((await pki.ca.issue({ subject: "CN=nobody", usage: "client" })).certPem);
  proxy = await pki.run(config({ ca: pki.caFile, crl }));
});
afterAll(async () => {
  await proxy?.[Symbol.asyncDispose]();
  pki?.[Symbol.dispose]();
});

const get = (host: string): string => `GET / HTTP/1.1\r\nHost: ${host}\r\n\r\n`;
const last = (host: string): string => `GET / HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`;

/** Asks for `host` over a connection that was made for `servername` ("" for none); the status, or why there was none. */
async function ask(servername: string, host: string, shown: Shown = {}, more: object = {}): Promise<string> {
  try {
    await using peer = await connectTls(proxy.port(), { servername, ...shown, ...more });
    const { status, body } = await peer.send(get(host)).response();
    return status === 200 ? body : String(status);
  } catch {
    return "refused";
  }
}

describe("which terms hold", () => {
  const CASES: readonly (readonly [sni: string, host: string, who: () => Shown, want: string])[] = [
    ["www.test", "www.test", () => ({}), "anybody"],
    ["www.test", "WWW.test:443", () => ({}), "anybody"],
    ["www.test", "other.test", () => ({}), "anybody"], // the same terms: no 421
    ["www.test", "same.test", () => ({}), "anybody"], // a policy that says the same
    ["same.test", "www.test", () => ({}), "anybody"],
    ["www.test", "vault.test", () => ({}), "421"],
    ["www.test", "VAULT.test.", () => ({}), "421"],
    ["www.test", "a.b.vault.test", () => ({}), "421"],
    ["www.test", "modern.test", () => ({}), "421"],
    ["www.test", "127.0.0.1", () => ({}), "421"],
    ["vault.test", "vault.test", () => ({}), "refused"],
    ["vault.test", "vault.test", () => foreign, "refused"],
    ["vault.test", "vault.test", () => robot, "robot"],
    ["VAULT.test", "x.vault.test", () => robot, "robot"],
    ["x.vault.test", "vault.test", () => human, "human"],
    ["vault.test", "vault.test", () => fired, "known"],
    ["vault.test", "www.test", () => robot, "421"],
    ["asked.test", "asked.test", () => ({}), "anybody"],
    ["asked.test", "asked.test", () => robot, "robot"],
    ["asked.test", "asked.test", () => foreign, "anybody"], // what cannot be believed is not looked at
    ["asked.test", "vault.test", () => robot, "421"],
    // Without a name: the strictest.
    ["", "127.0.0.1", () => ({}), "refused"],
    ["", "127.0.0.1", () => robot, "robot"],
    ["", "[::1]", () => robot, "robot"],
    ["", "vault.test", () => robot, "robot"],
    ["", "www.test", () => robot, "421"],
    ["", "modern.test", () => robot, "421"],
  ];
  for (const [sni, host, who, want] of CASES)
    test(`${sni || "no name"}, then ${host}: ${want} (${want === "refused" ? "no certificate" : "status or body"})`, async () => {
      expect(await ask(sni, host, who())).toBe(want);
    });

  test("versions hold in the handshake, by name", async () => {
    const old = { maxVersion: "TLSv1.2" };
    expect(await ask("modern.test", "modern.test", {}, old)).toBe("refused");
    expect(await ask("modern.test", "modern.test")).toBe("anybody");
    expect(await ask("www.test", "www.test", {}, old)).toBe("anybody");
    await expect(connectTls(proxy.port(), { servername: "modern.test", maxVersion: "TLSv1.2" })).rejects.toThrow();
  });

  test("only those who are to be asked for a certificate are", async () => {
    const says = (name: string) =>
      program(["openssl", "s_client", "-connect", `127.0.0.1:${proxy.port()}`, "-servername", name, "-tls1_2"]);
    expect(await says("www.test")).toContain("No client certificate CA names sent");
    expect(await says("www.test")).not.toContain("Requested Signature Algorithms");
    expect(await says("vault.test")).toContain("Requested Signature Algorithms");
  });

  for (const version of ["-tls1_2", "-tls1_3"])
    test(`a session of one policy opens nothing of another (${version})`, async () => {
      const file = join(pki.folder.path, `session${version}`);
      const base = ["openssl", "s_client", "-connect", `127.0.0.1:${proxy.port()}`, version, "-quiet"];
      const first = await program([...base, "-servername", "www.test", "-sess_out", file], last("www.test"));
      expect(first).toContain("anybody");
      const again = await program([...base, "-servername", "vault.test", "-sess_in", file], last("vault.test"));
      expect(again).not.toContain("200 OK");
      // The other way round: a session of one who showed a certificate, for a name where nobody is asked.
      const cert = pki.folder.write("robot.pem", robot.cert);
      const key = pki.folder.write("robot.key", robot.key);
      const own = [...base, "-servername", "vault.test", "-cert", cert, "-key", key, "-sess_out", file];
      expect(await program(own, last("vault.test"))).toContain("robot");
      const taken = await program([...base, "-servername", "asked.test", "-sess_in", file], last("asked.test"));
      expect(taken).toContain("anybody");
    });
});

describe("HTTP/2, where browsers share connections between names", () => {
  /** Requests for these hosts over one connection: statuses and bodies. */
  async function shared(servername: string, hosts: readonly string[], shown: Shown = {}): Promise<string[]> {
    const url = `https://127.0.0.1:${proxy.port()}`;
    const session = connectHttp2(url, { servername, rejectUnauthorized: false, ...shown });
    const broken = Promise.withResolvers<never>();
    broken.promise.catch(() => {});
    session.on("error", broken.reject);
    const timer = setTimeout(() => broken.reject(new Error("no answer")), DEADLINE_MS);
    try {
      const answers: string[] = [];
      for (const host of hosts) {
        const stream = session.request({ ":authority": host, ":path": "/" });
        const answer = Promise.withResolvers<string>();
        let status = 0;
        let body = "";
        stream.on("response", (head) => {
          status = Number(head[":status"]);
        });
        stream.on("data", (chunk: Buffer) => {
          body += chunk.toString();
        });
        stream.on("end", () => answer.resolve(status === 200 ? body : String(status)));
        stream.on("error", answer.reject);
        answers.push(await Promise.race([answer.promise, broken.promise]));
      }
      return answers;
    } finally {
      clearTimeout(timer);
      session.destroy();
    }
  }

  test("421 for hosts of other terms, and the connection goes on", async () => {
    const hosts = ["www.test", "vault.test", "same.test", "modern.test", "www.test"];
    expect(await shared("www.test", hosts)).toEqual(["anybody", "421", "anybody", "421", "anybody"]);
  });
  test("who the client is", async () => {
    const hosts = ["vault.test", "x.vault.test", "www.test"];
    expect(await shared("vault.test", hosts, robot)).toEqual(["robot", "robot", "421"]);
    await expect(shared("vault.test", hosts)).rejects.toThrow();
  });
});

test("who the client is: in placeholders, and nothing of it where nobody is", async () => {
  await using peer = await connectTls(proxy.port(), { servername: "vault.test", ...robot });
  const answer = await peer.send(get("vault.test")).response();
  const field = (name: string): string => answer.fields.find(([each]) => each.toLowerCase() === name)?.[1] ?? "";
  expect([field("x-subject"), field("x-san")]).toEqual(["CN=robot,O=Example", "DNS:robot.test, DNS:r2.test"]);
  expect(field("x-fingerprint")).toMatch(/^[0-9a-f]{64}$/);
  expect(field("x-serial")).toMatch(/^[0-9a-f]+$/);
  expect(field("x-issuer")).toContain("CN=");
  expect(Date.parse(field("x-not-after"))).toBeGreaterThan(Date.now());
  const der = Buffer.from(field("client-cert").slice(1, -1), "base64");
  expect(field("client-cert")).toMatch(/^:[A-Za-z0-9+/=]+:$/);
  expect(robot.cert).toContain(der.toString("base64").slice(0, 40));
  await using nobody = await connectTls(proxy.port(), { servername: "asked.test", ...foreign });
  const other = await nobody.send(get("asked.test")).response();
  expect(other.fields.filter(([name]) => /^x-|client-cert/i.test(name) && !/request-id/i.test(name))).toEqual([]);
});

test("CAs and revocation lists that change are taken up, by all workers; what cannot be used is not", async () => {
  await using open = await connectTls(proxy.port(), { servername: "vault.test", ...fired });
  const outcome = async (who: Shown): Promise<string> => {
    const all = await Promise.all(Array.from({ length: 8 }, () => ask("vault.test", "vault.test", who)));
    return [...new Set(all)].join(" ");
  };
  expect(await outcome(fired)).toBe("known");
  pki.folder.write("revoked.crl", "nonsense");
  await proxy.said("the files of clientAuth cannot be used");
  expect(await outcome(fired)).toBe("known");
  await pki.revoke(fired.cert!);
  await until(async () => (await outcome(fired)) === "refused", "the one who was fired is refused");
  expect(await outcome(robot)).toBe("robot");
  // Connections of before go on, as they do when certificates change.
  expect((await open.send(get("vault.test")).response()).body).toBe("known");
});

test("a reload changes terms; connections of before are judged by those of now", async () => {
  await using www = await connectTls(proxy.port(), { servername: "www.test" });
  const status = async (): Promise<number> => (await www.send(get("www.test")).response()).status;
  expect(await status()).toBe(200);
  const strict = config({ ca: pki.caFile, crl });
  const [listener] = strict.listeners as { tls: { policies: object[] } }[];
  listener!.tls.policies.push({ hosts: ["www.test"], clientAuth: { ca: pki.caFile } });
  expect(await pki.reload(proxy, strict)).toMatchObject({ status: 200 });
  expect(await status()).toBe(421);
  expect([await ask("www.test", "www.test"), await ask("www.test", "www.test", robot)]).toEqual(["refused", "robot"]);
  expect(await pki.reload(proxy, config({ ca: pki.caFile, crl }))).toMatchObject({ status: 200 });
  expect(await ask("www.test", "www.test")).toBe("anybody");
});
