import { expect, test } from "bun:test";
import { z } from "zod";
import { renderDiagnostic } from "./diagnostic.ts";
import { configSchema } from "./schema.ts";
import { listenerTlsKeys, upstreamTlsSchema } from "./schema-tls.ts";
import { checkTls, type TlsConfig } from "./validate-tls.ts";

type Keys = Readonly<Record<string, unknown>>;
interface Input {
  readonly listeners?: readonly Keys[];
  /** `tls` of the upstream "app", which has one server with https:// and one without, or these. */
  readonly upstream?: unknown;
  readonly servers?: readonly string[];
  readonly http2?: boolean;
}
const tlsKeys = z.strictObject(listenerTlsKeys);

/** The problems, as `check` would show them without a file. */
function check({ listeners = [{}], upstream, servers = ["127.0.0.1:1"], http2 = true }: Input): string[] {
  const about = listeners.map(({ tls, sni, redirectToHttps }) => tlsKeys.parse({ tls, sni, redirectToHttps }));
  const config = configSchema.parse({
    listeners: listeners.map(({ tls, sni, redirectToHttps, ...rest }, at) => ({ address: `:${at + 1}`, ...rest })),
    upstreams: { app: { servers: ["127.0.0.1:1"] } },
    routes: [{ to: "app" }],
  });
  const tlsConfig = {
    ...config,
    listeners: config.listeners.map((listener, at) => ({ ...listener, ...about[at] })),
    upstreams: {
      app: {
        ...config.upstreams.app!,
        servers: [...servers],
        http2,
        tls: upstream === undefined ? undefined : upstreamTlsSchema.parse(upstream),
      },
    },
  } as TlsConfig;
  const none = { file: "", line: 0, column: 0 };
  return checkTls(tlsConfig).map((one) => renderDiagnostic({ ...one, ...none }));
}

const PLAIN: Keys = {};
const FILES = { certificates: [{ cert: "a.crt", key: "a.key" }] };
const tls = (keys: Keys): Input => ({ listeners: [PLAIN, { tls: { ...FILES, ...keys } }] });
const acme = (keys: Keys): Input => ({
  listeners: [PLAIN, { tls: { acme: { email: "a@b.example", domains: ["a.example"], ...keys } } }],
});
const sni = (rules: Keys, keys: Keys = { tls: FILES }): Input => ({ listeners: [{ sni: rules, ...keys }] });
const EXEC = { provider: "exec", command: ["/usr/local/bin/records"] } as const;
const RFC2136 = { provider: "rfc2136", server: "192.0.2.53" } as const;
const dns = (keys: Keys): Input => acme({ challenge: "dns-01", dns: keys });

const TLS: readonly (readonly [name: string, input: Input, want: readonly string[]])[] = [
  ["files", tls({}), []],
  ["the local CA", { listeners: [{ tls: { internal: true } }] }, []],
  ["in front of layer 4", { listeners: [{ tls: FILES, tcp: { to: "app" } }] }, []],
  [
    "no certificate",
    { listeners: [{ tls: {} }] },
    ["listeners[0].tls: error: TLS needs a certificate\n  hint: give certificates, acme or internal: true"],
  ],
  [
    "datagrams",
    { listeners: [{ udp: { to: "app" }, tls: FILES }] },
    ["listeners[0].tls: error: datagrams carry no TLS connections\n  hint: remove it"],
  ],
  [
    "names of files",
    tls({ certificates: [{ cert: "", key: "" }], clientAuth: { ca: "" } }),
    [
      "listeners[1].tls.certificates[0].cert: error: the file's name is empty",
      "listeners[1].tls.certificates[0].key: error: the file's name is empty",
      "listeners[1].tls.clientAuth.ca: error: the file's name is empty\n  hint: it holds the CAs of your clients",
    ],
  ],
  [
    "no time",
    tls({ handshakeTimeout: "0s" }),
    ["listeners[1].tls.handshakeTimeout: error: no handshake is over within 0 ms\n  hint: write it like 10s"],
  ],
  [
    "a key log",
    tls({ keyLog: "keys.txt" }),
    [
      "listeners[1].tls.keyLog: warning: whoever can read that file can decrypt all connections\n  hint: remove it when done",
    ],
  ],
  ["suites", tls({ ciphers: "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-CHACHA20-POLY1305" }), []],
  [
    "suites that are not good",
    tls({ ciphers: "RC4-MD5:AES128-SHA:TLS_AES_128_GCM_SHA256" }),
    [
      'listeners[1].tls.ciphers: error: "RC4-MD5" is not a cipher suite of this runtime',
      'listeners[1].tls.ciphers: warning: "AES128-SHA" is weak\n  hint: use ECDHE with GCM or CHACHA20-POLY1305',
      'listeners[1].tls.ciphers: error: "TLS_AES_128_GCM_SHA256" is of TLS 1.3, whose suites are fixed\n  hint: leave it out',
    ],
  ],
  [
    "suites without their version",
    tls({ ciphers: "AES128-SHA", minVersion: "1.3" }),
    [
      "listeners[1].tls.ciphers: warning: ciphers has no effect: it is about TLS 1.2, which is not spoken\n  hint: remove it",
    ],
  ],
];

const CLIENTS = { ca: "clients.pem" };
const policies = (...all: readonly Keys[]): Input => tls({ policies: all });
const POLICIES: readonly (readonly [name: string, input: Input, want: readonly string[]])[] = [
  ["for names", policies({ hosts: ["a.example", "*.a.example"], minVersion: "1.3", clientAuth: CLIENTS }), []],
  ["not asked", policies({ hosts: ["a.example"], clientAuth: false }), []],
  [
    "for all names",
    policies({ hosts: ["*"], minVersion: "1.3" }),
    ['listeners[1].tls.policies[0].hosts[0]: error: "*" is the listener itself\n  hint: leave it out'],
  ],
  [
    "a URL",
    policies({ hosts: ["https://a.example"], minVersion: "1.3" }),
    [
      'listeners[1].tls.policies[0].hosts[0]: error: "https://a.example" is not a host name\n  hint: write the name alone',
    ],
  ],
  [
    "a name twice, in any case",
    policies({ hosts: ["a.example"], minVersion: "1.3" }, { hosts: ["b.example", "A.example"], clientAuth: CLIENTS }),
    ['listeners[1].tls.policies[1].hosts[1]: error: "A.example" stands there twice\n  hint: a name has one policy'],
  ],
  [
    "nothing",
    policies({ hosts: ["a.example"] }),
    [
      "listeners[1].tls.policies[0]: warning: this policy changes nothing\n  hint: give it minVersion, ciphers or clientAuth",
    ],
  ],
  [
    "files without names",
    policies({ hosts: ["a.example"], clientAuth: { ca: "", crl: "" } }),
    [
      "listeners[1].tls.policies[0].clientAuth.ca: error: the file's name is empty\n  hint: it holds the CAs of your clients",
      "listeners[1].tls.policies[0].clientAuth.crl: error: the file's name is empty",
    ],
  ],
  [
    "ciphers of a version that is not spoken",
    policies({ hosts: ["a.example"], minVersion: "1.3", ciphers: "ECDHE-ECDSA-AES128-GCM-SHA256" }),
    [
      "listeners[1].tls.policies[0].ciphers: warning: ciphers has no effect: it is about TLS 1.2, which is not spoken\n  hint: remove it",
    ],
  ],
];

const ACME: readonly (readonly [name: string, input: Input, want: readonly string[]])[] = [
  ["names", acme({}), []],
  ["on demand alone", acme({ domains: [], onDemand: { ask: "http://127.0.0.1:1/ask" } }), []],
  ["a wildcard", acme({ domains: ["*.a.example"], challenge: "dns-01", dns: EXEC }), []],
  ["several directories", acme({ directory: ["https://a.example/", "https://b.example/"] }), []],
  [
    "tls-alpn-01 alone",
    { listeners: [{ tls: { acme: { email: "a@b", domains: ["a.b"], challenge: "tls-alpn-01" } } }] },
    [],
  ],
  [
    "nothing to get",
    acme({ domains: [] }),
    ["listeners[1].tls.acme.domains: error: there is no name to get a certificate for\n  hint: list the names"],
  ],
  [
    "no address",
    acme({ email: undefined }),
    [
      "listeners[1].tls.acme: warning: the CA has no address to write to\n  hint: give acme.email; some CAs do not serve anybody without",
    ],
  ],
  [
    "an address that is none",
    acme({ email: "ops" }),
    ['listeners[1].tls.acme.email: error: "ops" is not an e-mail address'],
  ],
  [
    "names that are none",
    acme({ domains: ["a_b.example", "192.0.2.1", "a b", "*.a.example", "https://a.example", "a.b", "a.b"] }),
    [
      'listeners[1].tls.acme.domains[1]: error: "192.0.2.1" is an address\n  hint: certificates are for names here',
      'listeners[1].tls.acme.domains[2]: error: "a b" is not a host name\n  hint: write it like www.example.com',
      'listeners[1].tls.acme.domains[3]: error: a certificate for "*.a.example" can be had with dns-01 only\n  hint: write challenge: dns-01',
      'listeners[1].tls.acme.domains[4]: error: "https://a.example" is not a host name\n  hint: write it like www.example.com',
      'listeners[1].tls.acme.domains[6]: warning: "a.b" stands there twice',
    ],
  ],
  [
    "directories that are none",
    acme({ directory: ["http://a.example/", "https://b.example/"] }),
    [
      'listeners[1].tls.acme.directory[0]: error: "http://a.example/" is not the address of a directory\n  hint: write https://…',
    ],
  ],
  [
    "one directory that is none",
    acme({ directory: "letsencrypt" }),
    [
      'listeners[1].tls.acme.directory: error: "letsencrypt" is not the address of a directory\n  hint: write https://…',
    ],
  ],
  [
    "dns-01 without records",
    acme({ challenge: "dns-01" }),
    ["listeners[1].tls.acme.dns: error: dns-01 needs somebody who sets records\n  hint: describe it under acme.dns"],
  ],
  [
    "records without dns-01",
    acme({ dns: EXEC }),
    ["listeners[1].tls.acme.dns: warning: dns is not used: the challenge is http-01\n  hint: write challenge: dns-01"],
  ],
  [
    "http-01 without a plain listener",
    { listeners: [{ tls: { acme: { email: "a@b", domains: ["a.b"] } } }, { tcp: { to: "app" } }] },
    [
      'listeners[0].tls.acme.challenge: warning: http-01 comes by plain HTTP, and no listener takes that\n  hint: listen at ":80" too',
    ],
  ],
  [
    "a program",
    dns({ ...EXEC, command: [""], timeout: "0s" }),
    [
      "listeners[1].tls.acme.dns.command[0]: error: there is no program to run",
      "listeners[1].tls.acme.dns.timeout: error: no program ends within 0 ms",
    ],
  ],
  [
    "DNS updates",
    dns({ ...RFC2136, server: "[2001:db8::1]:53", zone: "a.example.", key: { name: "k", secret: "AQID" } }),
    [],
  ],
  [
    "DNS updates that go nowhere",
    dns({
      ...RFC2136,
      server: "ns1",
      zone: "a b",
      key: { name: "k", secret: "?" },
      propagation: { servers: ["192.0.2.1"], resolvers: [":53"] },
    }),
    [
      'listeners[1].tls.acme.dns.server: error: "ns1" is not the address of a DNS server\n  hint: write it like 192.0.2.53 or 192.0.2.53:5353',
      'listeners[1].tls.acme.dns.zone: error: "a b" is not the name of a zone',
      "listeners[1].tls.acme.dns.key.secret: error: the key is not written in Base64",
      'listeners[1].tls.acme.dns.propagation.resolvers[0]: error: ":53" is not the address of a DNS server\n  hint: write it like 192.0.2.53 or 192.0.2.53:5353',
    ],
  ],
  [
    "on demand without permission",
    acme({ onDemand: {} }),
    [
      "listeners[1].tls.acme.onDemand: error: onDemand without permission: anybody could make us order certificates\n  hint: give ask or allow",
    ],
  ],
  [
    "permission of nobody",
    acme({ onDemand: { ask: "127.0.0.1:1", allow: ["*.a.example", "*"] } }),
    [
      'listeners[1].tls.acme.onDemand.ask: error: "127.0.0.1:1" is not a URL\n  hint: write it like http://127.0.0.1:3000/may-have',
      'listeners[1].tls.acme.onDemand.allow[1]: error: "*" is not a host name\n  hint: write it like *.example.com',
    ],
  ],
];

const SNI: readonly (readonly [name: string, input: Input, want: readonly string[]])[] = [
  ["both ways", sni({ "git.example.com": { passthrough: "app" }, "*.example.com": "terminate", "*": "terminate" }), []],
  ["passthrough alone, to an address", sni({ "a.example": { passthrough: "10.0.0.1:443" } }, {}), []],
  [
    "nothing",
    sni({}, {}),
    ['listeners[0].sni: error: every connection would be refused: no name is listed\n  hint: write "*": terminate'],
  ],
  [
    "an upstream that is not there",
    sni({ "*": { passthrough: "ap" } }, {}),
    ['listeners[0].sni["*"].passthrough: error: there is no upstream named "ap"\n  hint: did you mean "app"?'],
  ],
  [
    "nothing to terminate with",
    sni({ "*": "terminate" }, {}),
    [
      'listeners[0].sni["*"]: error: this listener has no `tls` to terminate with\n  hint: give it tls: { certificates, acme or internal }',
    ],
  ],
  [
    "nothing to terminate",
    sni({ "a.example": { passthrough: "app" } }),
    ['listeners[0].sni: warning: `tls` is not used: no name is terminated here\n  hint: add "*": terminate'],
  ],
  [
    "beside tcp",
    sni({ "*": "terminate" }, { tls: FILES, tcp: { to: "app" } }),
    ["listeners[0].sni: error: `tcp` sends everything to one place\n  hint: write the target into `sni`"],
  ],
  [
    "names that are none",
    sni({
      "a.*.example": "terminate",
      "a.example:443": "terminate",
      "192.0.2.1": "terminate",
      "bücher.example": "terminate",
      "a.example.": "terminate",
      "A.example": "terminate",
      "a.example": "terminate",
    }),
    [
      'listeners[0].sni["a.*.example"]: error: "a.*.example": a wildcard may only stand in front\n  hint: write it like *.example.com',
      'listeners[0].sni["a.example:443"]: error: "a.example:443": names have no port\n  hint: leave the port out',
      'listeners[0].sni["192.0.2.1"]: error: "192.0.2.1" is not a host name\n  hint: write it like git.example.com',
      'listeners[0].sni["bücher.example"]: error: "bücher.example" is not a host name\n  hint: write it in ASCII, as xn--…',
      'listeners[0].sni["a.example."]: error: "a.example." is not a host name\n  hint: write it like git.example.com',
      'listeners[0].sni["a.example"]: error: "a.example" and "A.example" are one name',
    ],
  ],
  [
    "datagrams",
    sni({ "*": { passthrough: "app" } }, { udp: { to: "app" } }),
    ["listeners[0].sni: error: datagrams carry no TLS connections\n  hint: remove it"],
  ],
];

const REST: readonly (readonly [name: string, input: Input, want: readonly string[]])[] = [
  ["a redirect to what is there", { listeners: [{ redirectToHttps: true }, { tls: FILES }] }, []],
  [
    "a redirect to nothing",
    { listeners: [{ redirectToHttps: true }, { tls: FILES, tcp: { to: "app" } }] },
    [
      "listeners[0].redirectToHttps: warning: no listener of this configuration speaks HTTPS\n  hint: give one of them `tls`",
    ],
  ],
  ["a redirect to a port of others", { listeners: [{ redirectToHttps: { port: 443 } }] }, []],
  ["no redirect", { listeners: [{ redirectToHttps: false }] }, []],
  ["HTTP/2 on a plain listener, and none with TLS", { listeners: [{ h2c: true }, { tls: FILES, http2: false }] }, []],
  [
    "h2c with TLS",
    { listeners: [{ h2c: true, tls: FILES }] },
    ["listeners[0].h2c: error: h2c beside tls\n  hint: it is for plain listeners; with `tls` there is `http2`"],
  ],
  [
    "h2c on layer 4",
    { listeners: [{ h2c: true, tcp: { to: "app" } }] },
    ["listeners[0].h2c: error: h2c beside tcp\n  hint: it is for plain listeners; with `tls` there is `http2`"],
  ],
  [
    "a redirect of HTTPS",
    { listeners: [{ redirectToHttps: true, tls: FILES }] },
    [
      "listeners[0].redirectToHttps: error: redirectToHttps beside tls: what comes here is HTTPS already\n  hint: only a plain listener redirects",
    ],
  ],
  [
    "a redirect of streams",
    { listeners: [{ redirectToHttps: true, tcp: { to: "app" } }] },
    [
      "listeners[0].redirectToHttps: error: redirectToHttps beside tcp: no HTTP is spoken here\n  hint: only a plain listener redirects",
    ],
  ],
  [
    "to servers",
    { upstream: { serverName: "app.internal", ca: "ca.pem", cert: "c.crt", key: "c.key" }, servers: ["https://a"] },
    [],
  ],
  [
    "to servers that are written otherwise",
    { upstream: {}, servers: ["a:1", "http://b:2"] },
    [
      'upstreams.app.tls: warning: "http://b:2" is spoken to over TLS, as the upstream has `tls`\n  hint: write https://host:port',
    ],
  ],
  [
    "servers that contradict http2: false",
    { servers: ["https://a", "h2://b"], http2: false },
    [
      'upstreams.app.http2: warning: "h2://b" is spoken to in HTTP/2 all the same\n  hint: write https:// or http:// in its place',
    ],
  ],
  [
    "to servers that are written for clear text",
    { upstream: { ca: "ca.pem" }, servers: ["h2://a:1", "H2C://b:2"] },
    [
      'upstreams.app.tls: warning: "H2C://b:2" is spoken to in clear text, in spite of `tls`\n  hint: write h2://host:port',
    ],
  ],
  [
    "half a certificate",
    { upstream: { cert: "c.crt" }, servers: ["https://a"] },
    ["upstreams.app.tls.cert: error: cert without key\n  hint: give tls.key as well"],
  ],
  [
    "the other half",
    { upstream: { key: "c.key" }, servers: ["https://a"] },
    ["upstreams.app.tls.key: error: key without cert\n  hint: give tls.cert as well"],
  ],
  [
    "no proof",
    { upstream: { verify: false, ca: "ca.pem" }, servers: ["https://a"] },
    [
      "upstreams.app.tls.verify: warning: servers need not prove who they are: anybody on the way can read and change everything\n  hint: give tls.ca in place of verify: false",
      "upstreams.app.tls.ca: warning: ca has no effect with verify: false",
    ],
  ],
  [
    "a name that is none, a file without a name",
    { upstream: { serverName: "https://a", ca: "" }, servers: ["https://a"] },
    [
      'upstreams.app.tls.serverName: error: "https://a" is not a host name\n  hint: write a name such as app.internal',
      "upstreams.app.tls.ca: error: the file's name is empty",
    ],
  ],
];

for (const [name, input, want] of [...TLS, ...POLICIES, ...ACME, ...SNI, ...REST])
  test(name, () => expect(check(input)).toEqual([...want]));

const SHAPES: readonly (readonly [name: string, input: Keys])[] = [
  ["an unknown key", { tls: { certificate: "a" } }],
  ["a version", { tls: { minVersion: "1.1" } }],
  ["a version as a number", { tls: { minVersion: 1.2 } }],
  ["a mode", { tls: { clientAuth: { ca: "a", mode: "always" } } }],
  ["a challenge", { tls: { acme: { challenge: "http" } } }],
  ["a record's program without a name", { tls: { acme: { dns: { provider: "exec", command: [] } } } }],
  ["a rule", { sni: { "*": "passthrough" } }],
  ["a rule with more", { sni: { "*": { passthrough: "a", to: "b" } } }],
];
for (const [name, input] of SHAPES)
  test(`refused by its shape: ${name}`, () => expect(tlsKeys.safeParse(input).success).toBe(false));

test("what holds where nothing is said", () => {
  expect(tlsKeys.parse({ tls: { clientAuth: { ca: "a" }, acme: {} } })).toEqual({
    redirectToHttps: false,
    tls: {
      certificates: [],
      internal: false,
      minVersion: "1.2",
      policies: [],
      handshakeTimeout: 10_000 as never,
      clientAuth: { ca: "a", mode: "require" },
      acme: {
        directory: "https://acme-v02.api.letsencrypt.org/directory",
        domains: [],
        challenge: "http-01",
        keyType: "ecdsa-p256",
      },
    },
  });
  expect(upstreamTlsSchema.parse({})).toEqual({ verify: true, minVersion: "1.2" });
});
