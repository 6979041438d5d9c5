// What `sluice check` finds out about certificates before anybody connects.
import { afterAll, beforeAll, expect, test } from "bun:test";
import { join } from "node:path";
import { sluice } from "./support/sluice.ts";
import { type Files, Pki } from "./support/tls.ts";

const DAY_MS = 86_400_000;
let pki: Pki;
let one: Files;
let two: Files;
let expired: Files;
let early: Files;
beforeAll(async () => {
  pki = await Pki.make();
  one = await pki.files("one", { names: ["one.test"] });
  two = await pki.files("two", { names: ["*.two.test"] });
  expired = await pki.files("expired", { names: ["one.test"], notAfter: Date.now() - 60_000 });
  early = await pki.files("early", { names: ["one.test"], notBefore: Date.now() + DAY_MS / 2 });
});
afterAll(() => pki[Symbol.dispose]());

interface Case {
  readonly what: string;
  readonly tls: () => object;
  readonly more?: () => object;
  /** Of the output. */
  readonly says: RegExp;
  readonly code: number;
}
const at = (name: string): string => join(pki.folder.path, name);
const NONE = (): object => ({});

const CASES: readonly Case[] = [
  { what: "a good pair", tls: () => ({ certificates: [one] }), says: /is valid|ok|no problems|warning/i, code: 0 },
  {
    what: "a missing file",
    tls: () => ({ certificates: [{ ...one, cert: at("missing.crt") }] }),
    says: /sluice\.json:\d+:\d+: error: .*missing\.crt: it cannot be read/,
    code: 1,
  },
  {
    what: "the key of another",
    tls: () => ({ certificates: [one, { cert: one.cert, key: two.key }] }),
    says: /sluice\.json:\d+:\d+: error: .*two\.key: .*key/,
    code: 1,
  },
  {
    what: "an expired one",
    tls: () => ({ certificates: [expired] }),
    says: /\d+:\d+: .*expired\.crt: it (?:has )?expired/,
    code: 0,
  },
  {
    what: "one that is not valid yet",
    tls: () => ({ certificates: [early] }),
    says: /early\.crt: .*not (?:yet )?valid/,
    code: 0,
  },
  {
    what: "one that is soon over",
    tls: () => ({ certificates: [one] }),
    says: /warning: .*one\.crt: it expires on/,
    code: 0,
  },
  {
    what: "a name of a route without a certificate",
    tls: () => ({ certificates: [one, two] }),
    more: () => ({ routes: [{ match: { host: ["one.test", "a.two.test", "a.b.two.test"] }, respond: {} }] }),
    says: /warning: no certificate is for "a\.b\.two\.test"/,
    code: 0,
  },
  {
    what: "CAs of clients that cannot be read",
    tls: () => ({ certificates: [one], clientAuth: { ca: at("nobody.pem") } }),
    says: /sluice\.json:\d+:\d+: error: .*nobody\.pem: there is no such file/,
    code: 1,
  },
  {
    what: "CAs of clients that are none",
    tls: () => ({ certificates: [one], clientAuth: { ca: pki.folder.write("garbage.pem", "garbage") } }),
    says: /error: the CAs of clients cannot be used/,
    code: 1,
  },
  {
    what: "a list of revoked certificates that is none",
    tls: () => ({ certificates: [one], clientAuth: { ca: pki.caFile, crl: pki.folder.write("garbage.crl", "x") } }),
    says: /error: .*CRL/i,
    code: 1,
  },
  {
    what: "a server's CA that cannot be read",
    tls: () => ({ certificates: [one] }),
    more: () => ({
      upstreams: { app: { servers: ["https://127.0.0.1:1"], tls: { ca: at("nobody.pem") } } },
      routes: [{ to: "app" }],
    }),
    says: /sluice\.json:\d+:\d+: error: .*nobody\.pem/,
    code: 1,
  },
  {
    what: "a key for servers that is another's",
    tls: () => ({ certificates: [one] }),
    more: () => ({
      upstreams: { app: { servers: ["https://127.0.0.1:1"], tls: { cert: one.cert, key: two.key } } },
      routes: [{ to: "app" }],
    }),
    says: /error: it cannot be used: .*key/i,
    code: 1,
  },
  {
    what: "verify: false",
    tls: () => ({ certificates: [one] }),
    more: () => ({
      upstreams: { app: { servers: ["https://127.0.0.1:1"], tls: { verify: false } } },
      routes: [{ to: "app" }],
    }),
    says: /warning: servers need not prove who they are/,
    code: 0,
  },
];

for (const { what, tls, more = NONE, says, code } of CASES)
  test(what, async () => {
    const file = pki.folder.write("sluice.json", {
      listeners: [{ address: "127.0.0.1:0", tls: tls() }],
      admin: false,
      routes: [{ respond: {} }],
      ...more(),
    });
    const ended = await sluice(["check", "-c", file]);
    expect(ended.out + ended.err).toMatch(says);
    expect(ended.code).toBe(code);
    expect(ended.out + ended.err).not.toContain("PRIVATE KEY");
  });

test("relative paths start from the configuration's own folder", async () => {
  const file = pki.folder.write("sluice.json", {
    listeners: [
      {
        address: "127.0.0.1:0",
        tls: { certificates: [{ cert: "one.crt", key: "./one.key" }], clientAuth: { ca: "ca.pem" } },
      },
    ],
    upstreams: { app: { servers: ["https://127.0.0.1:1"], tls: { ca: "ca.pem", cert: "one.crt", key: "one.key" } } },
    routes: [{ to: "app" }],
    admin: false,
  });
  const ended = await sluice(["check", "-c", file], { cwd: "/" });
  expect(ended.out + ended.err).not.toContain("error:");
  expect(ended.code).toBe(0);
});
