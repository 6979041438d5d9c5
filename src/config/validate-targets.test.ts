import { afterAll, expect, test } from "bun:test";
import { mkdtempSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ConfigError, type Diagnostic, renderDiagnostic } from "./diagnostic.ts";
import { loadConfig } from "./load.ts";

const root = realpathSync(mkdtempSync(join(tmpdir(), "sluice-targets-")));
afterAll(() => rmSync(root, { recursive: true }));

/** Every diagnostic of the file, as `check` shows them. */
async function check(yaml: string): Promise<string[]> {
  const file = join(root, "sluice.yaml");
  writeFileSync(file, yaml);
  const show = (list: readonly Diagnostic[]): string[] =>
    list.map((one) => renderDiagnostic(one).replaceAll(`${root}/`, ""));
  try {
    return show((await loadConfig(file, { environment: {}, cwd: root })).diagnostics);
  } catch (error) {
    if (error instanceof ConfigError) return show(error.diagnostics);
    throw error;
  }
}

/** With routes that use `app`, so that only the upstreams of the case matter: these begin in line 6. */
const upstreams = (text: string): string => `listeners: [{ address: ":80" }]
routes:
  - to: app
upstreams:
  app: { servers: ["10.0.0.1:80"], failover: spare }
${text}`;
/** A spare one, described in one line, in line 6. */
const spare = (text: string): string => upstreams(`  spare: { ${text} }\n`);
/** Listeners from line 6 on. */
const listeners = (text: string): string => `upstreams:
  db: { servers: ["10.0.0.1:5432"] }
  dns: { servers: ["10.0.0.1:53", "10.0.0.2:53"] }
  files: { servers: ["unix:/run/files"] }
listeners:
${text}  - { address: ":1", tcp: { to: db } }
  - { address: ":2", udp: { to: dns } }
  - { address: ":3", tcp: { to: files } }
`;

const CASES: readonly (readonly [name: string, yaml: string, want: readonly string[]])[] = [
  // Listeners.
  ["layer 4 alone", listeners(""), []],
  ["an address", listeners('  - { address: ":4", tcp: { to: "10.0.0.5:5432" } }\n'), []],
  ["a name with a port", listeners('  - { address: ":4", udp: { to: "dns.internal:53" } }\n'), []],
  ["an address of IPv6", listeners('  - { address: ":4", tcp: { to: "[::1]:5432" } }\n'), []],
  ["a socket", listeners('  - { address: ":4", tcp: { to: "unix:/run/db" } }\n'), []],
  ["TCP and UDP at one port", listeners('  - { address: ":2", tcp: { to: dns } }\n'), []],
  [
    "an unknown upstream",
    listeners('  - { address: ":4", tcp: { to: dbs } }\n'),
    ['sluice.yaml:6:33: error: there is no upstream named "dbs"\n  hint: did you mean "db"?'],
  ],
  [
    "an unknown upstream for datagrams",
    listeners('  - { address: ":4", udp: { to: dsn } }\n'),
    ['sluice.yaml:6:33: error: there is no upstream named "dsn"\n  hint: did you mean "dns"?'],
  ],
  [
    "an address without a port",
    listeners('  - { address: ":4", tcp: { to: 10.0.0.5 } }\n'),
    [
      'sluice.yaml:6:33: error: there is no upstream named "10.0.0.5"\n  hint: if it is an address, write 10.0.0.5:PORT',
    ],
  ],
  [
    "a port that is none",
    listeners('  - { address: ":4", tcp: { to: "10.0.0.5:99999" } }\n'),
    ['sluice.yaml:6:33: error: there is no upstream named "10.0.0.5:99999"\n  hint: known upstreams: db, dns, files'],
  ],
  [
    "both",
    listeners('  - { address: ":4", tcp: { to: db }, udp: { to: dns } }\n'),
    ["sluice.yaml:6:39: error: a listener has `tcp` or `udp`, not both\n  hint: make two listeners"],
  ],
  [
    "datagrams at a socket",
    listeners('  - { address: "unix:/run/dns", udp: { to: dns } }\n'),
    ["sluice.yaml:6:16: error: datagrams come at a port, not at a unix socket"],
  ],
  [
    "datagrams to a socket",
    listeners('  - { address: ":4", udp: { to: "unix:/run/dns" } }\n'),
    ['sluice.yaml:6:33: error: datagrams go to a port, and "unix:/run/dns" is a unix socket'],
  ],
  [
    "datagrams to an upstream with a socket",
    listeners('  - { address: ":4", udp: { to: files } }\n'),
    ['sluice.yaml:6:33: error: datagrams go to a port, and "unix:/run/files" is a unix socket'],
  ],
  [
    "the PROXY protocol in datagrams",
    listeners('  - { address: ":4", udp: { to: dns }, proxyProtocol: { trusted: [10.0.0.0/8] } }\n'),
    ["sluice.yaml:6:55: error: the PROXY protocol is not taken from datagrams"],
  ],
  [
    "networks",
    listeners(
      '  - { address: ":4", tcp: { to: db }, proxyProtocol: { trusted: [10.0.0.0/8, "::1", 10.0.0.0/33, a] } }\n',
    ),
    [
      'sluice.yaml:6:85: error: "10.0.0.0/33" is not an address or a network\n  hint: write it like 192.0.2.1, 10.0.0.0/8 or 2001:db8::/32',
      'sluice.yaml:6:98: error: "a" is not an address or a network\n  hint: write it like 192.0.2.1, 10.0.0.0/8 or 2001:db8::/32',
    ],
  ],
  [
    "no networks",
    listeners('  - { address: ":4", proxyProtocol: { trusted: [] } }\n'),
    ["sluice.yaml:6:48: error: trusted must not be empty"],
  ],
  // Failover.
  ["failover", spare('servers: ["10.0.0.2:80"]'), []],
  [
    "failover that is misspelled",
    upstreams('  spaer: { servers: ["10.0.0.2:80"] }\n'),
    [
      'sluice.yaml:5:46: error: there is no upstream named "spare"\n  hint: did you mean "spaer"?',
      'sluice.yaml:6:3: warning: no route uses the upstream "spaer"',
    ],
  ],
  [
    "failover that is unknown",
    upstreams(""),
    ['sluice.yaml:5:46: error: there is no upstream named "spare"\n  hint: it must be one of `upstreams`'],
  ],
  [
    "failover to itself",
    spare('servers: ["10.0.0.2:80"], failover: spare'),
    ['sluice.yaml:6:48: error: "spare" would fail over to itself\n  hint: the way is spare → spare'],
  ],
  [
    "failover in a circle",
    spare('servers: ["10.0.0.2:80"], failover: app'),
    [
      'sluice.yaml:5:46: error: "app" would fail over to itself\n  hint: the way is app → spare → app',
      'sluice.yaml:6:48: error: "spare" would fail over to itself\n  hint: the way is spare → app → spare',
    ],
  ],
  [
    "failover into a circle",
    spare('servers: ["10.0.0.2:80"], failover: x').concat(
      '  x: { servers: ["10.0.0.3:80"], failover: y }\n  y: { servers: ["10.0.0.4:80"], failover: x }\n',
    ),
    [
      'sluice.yaml:7:44: error: "x" would fail over to itself\n  hint: the way is x → y → x',
      'sluice.yaml:8:44: error: "y" would fail over to itself\n  hint: the way is y → x → y',
    ],
  ],
  // Discovery.
  ["names to look up", spare("discover: { dns: app.internal:8080 }"), []],
  ["names of SRV", spare("discover: [{ dns: _http._tcp.app.internal, type: SRV }]"), []],
  [
    "an SRV name with a port",
    spare('discover: { dns: "_http._tcp.app.internal:80", type: SRV }'),
    [
      'sluice.yaml:6:29: error: "_http._tcp.app.internal:80" is not the name of SRV records\n  hint: write it without a port, like _http._tcp.app.internal',
    ],
  ],
  [
    "a URL to look up",
    spare('discover: { dns: "http://app.internal:80" }'),
    [
      'sluice.yaml:6:29: error: "http://app.internal:80" is not a name to look up\n  hint: write it like app.internal:8080',
    ],
  ],
  [
    "an address to look up",
    spare('discover: [{ dns: app.internal:80 }, { dns: "10.0.0.1:80" }]'),
    ['sluice.yaml:6:56: error: "10.0.0.1:80" is an address already\n  hint: list it under `servers`'],
  ],
  [
    "no name",
    spare('discover: { dns: ":80" }'),
    ['sluice.yaml:6:29: error: ":80" is not a name to look up\n  hint: write it like app.internal:8080'],
  ],
  // Ranges.
  ["a load of all", spare('servers: ["10.0.0.2:80"], balance: { hash: ip, maxLoad: 100% }'), []],
  [
    "less than all of it",
    spare('servers: ["10.0.0.2:80"], balance: { hash: ip, maxLoad: 99% }'),
    ["sluice.yaml:6:68: error: maxLoad must be at least 100%\n  hint: write it like 125%"],
  ],
  ["a zone", spare('servers: [{ url: "10.0.0.2:80", zone: a }], preferZone: a'), []],
  [
    "a zone without servers",
    spare('servers: [{ url: "10.0.0.2:80", zone: a }, "10.0.0.3:80"], preferZone: b'),
    ['sluice.yaml:6:83: warning: no server of "spare" stands in the zone "b"'],
  ],
  ["a zone of servers to come", spare("servers: [], discover: { dns: app.internal:80 }, preferZone: b"), []],
  [
    "a try as long as the whole",
    spare('servers: ["10.0.0.2:80"], retry: { perTry: 60s }'),
    ["sluice.yaml:6:55: warning: perTry is not shorter than timeouts.response: it has no effect"],
  ],
  ["a shorter try", spare('servers: ["10.0.0.2:80"], retry: { perTry: 59s }'), []],
  // Mirrors.
  [
    "mirrors",
    'listeners: [{ address: ":80" }]\ndefaults: { mirror: { to: shadow } }\nroutes:\n  - { match: { path: /b }, to: "http://a", mirror: { to: "http://b" } }\n  - { to: "http://a", mirror: false }\nupstreams: { shadow: { servers: ["10.0.0.1:80"] } }\n',
    [],
  ],
  [
    "mirrors that are unknown",
    'listeners: [{ address: ":80" }]\ndefaults: { mirror: { to: shadwo } }\nroutes:\n  - { to: "http://a", mirror: { to: hsadow } }\nupstreams: { shadow: { servers: ["10.0.0.1:80"] } }\n',
    [
      'sluice.yaml:2:27: error: there is no upstream named "shadwo"\n  hint: did you mean "shadow"?',
      'sluice.yaml:4:37: error: there is no upstream named "hsadow"\n  hint: did you mean "shadow"?',
      'sluice.yaml:5:14: warning: no route uses the upstream "shadow"',
    ],
  ],
  [
    "calls of an aggregate",
    'listeners: [{ address: ":80" }]\nroutes:\n  - aggregate:\n      calls:\n        one: { to: app, path: /a }\n        two: { to: apps, path: /b }\n        three: { to: "http://a/b", path: /c }\nupstreams: { app: { servers: ["10.0.0.1:80"] } }\n',
    [
      'sluice.yaml:6:20: error: there is no upstream named "apps"\n  hint: did you mean "app"?',
      'sluice.yaml:7:22: error: "http://a/b": a server\'s address has no path\n  hint: put a path in front of requests with rewrite: { addPrefix: /path }',
    ],
  ],
  // Whom nobody uses.
  [
    "an upstream that nobody uses",
    'listeners: [{ address: ":80" }]\nroutes:\n  - to: [{ upstream: a, weight: 1 }]\nupstreams:\n  a: { servers: ["10.0.0.1:80"] }\n  b: { servers: ["10.0.0.1:80"] }\n',
    ['sluice.yaml:6:3: warning: no route uses the upstream "b"'],
  ],
];
for (const [name, yaml, want] of CASES)
  test(name, async () => {
    expect(await check(yaml)).toEqual([...want]);
  });
