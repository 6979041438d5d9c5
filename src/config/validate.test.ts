// biome-ignore-all lint/suspicious/noTemplateCurlyInString: placeholders of the configuration
import { expect, test } from "bun:test";
import { ConfigError, type Diagnostic, renderDiagnostic } from "./diagnostic.ts";
import { checkConfig } from "./load.ts";

const LISTENERS = [{ address: ":8080" }];
const OK = { to: "http://127.0.0.1:3001" };

/** `severity path: message` and the hint of each diagnostic, as `check` would show them without a file. */
function check(input: unknown): readonly Diagnostic[] {
  try {
    return checkConfig(input, { environment: {} }).diagnostics;
  } catch (error) {
    if (error instanceof ConfigError) return error.diagnostics;
    throw error;
  }
}

const route = (one: object): object => ({ listeners: LISTENERS, upstreams: APP, routes: [one] });
const APP = { app: { servers: ["127.0.0.1:3001"] } };
const top = (keys: object): object => ({ listeners: LISTENERS, routes: [OK], ...keys });

/** Configurations, and what must be said about each: one text for each diagnostic. */
const CASES: readonly (readonly [name: string, input: unknown, want: readonly string[]])[] = [
  // Addresses.
  [
    "a listener's address",
    { listeners: [{ address: "8080" }], routes: [OK] },
    ['listeners[0].address: error: "8080" is not an address to listen at\n  hint: write ":8080"'],
  ],
  [
    "two listeners at one address",
    { listeners: [{ address: ":80" }, { address: "0.0.0.0:80" }], routes: [OK] },
    ['listeners[1].address: error: "0.0.0.0:80" is taken by listeners[0].address already'],
  ],
  [
    "two listeners at ports that the system chooses",
    { listeners: [{ address: ":0" }, { address: ":0" }], routes: [OK] },
    [],
  ],
  [
    "the admin API at a listener's address",
    { listeners: [{ address: "127.0.0.1:9901" }], routes: [OK] },
    ['admin.address: error: "127.0.0.1:9901" is taken by listeners[0].address already'],
  ],
  [
    "an open admin API",
    top({ admin: { address: ":9901" } }),
    [
      'admin.address: error: the admin API at ":9901" can be reached from other machines and has no token\n  hint: give admin.token, such as "${ADMIN_TOKEN}", or use 127.0.0.1',
    ],
  ],
  ["an admin API with a token", top({ admin: { address: ":9901", token: "x" } }), []],
  ["an admin API on loopback", top({ admin: { address: "[::1]:9901" } }), []],
  ["an admin API on another loopback address", top({ admin: { address: "127.9.9.9:9901" } }), []],
  ["an admin API on a unix socket", top({ admin: { address: "unix:/run/a.sock" } }), []],
  ["no admin API", top({ admin: false }), []],
  [
    "a trusted network",
    top({ trustedProxies: ["10.0.0.0/8", "10.0.0.0/33"] }),
    [
      'trustedProxies[1]: error: "10.0.0.0/33" is not an address or a network\n  hint: write it like 192.0.2.1, 10.0.0.0/8 or 2001:db8::/32',
    ],
  ],
  ["DNS servers", top({ resolver: { servers: ["192.0.2.1", "192.0.2.1:53", "[::1]:53", "2001:db8::1"] } }), []],
  [
    "a DNS server by name",
    top({ resolver: { servers: ["dns.local:53"] } }),
    [
      'resolver.servers[0]: error: "dns.local:53" is not the address of a DNS server\n  hint: write it like 192.0.2.53 or 192.0.2.53:5353',
    ],
  ],
  [
    "times of the resolver",
    top({ resolver: { minTtl: "10m" } }),
    ["resolver.minTtl: error: minTtl is longer than maxTtl"],
  ],
  [
    "a share above all",
    top({ log: { access: { sample: "101%" } } }),
    ['log.access.sample: error: "101%" is more than all of them\n  hint: write at most 100%'],
  ],
  [
    "a log without a path",
    top({ log: { access: { path: "" } } }),
    ["log.access.path: error: the path is empty\n  hint: write stdout, stderr or a file"],
  ],
  // Upstreams.
  [
    "https to servers",
    route({ to: "https://127.0.0.1" }),
    ['upstreams.app: warning: no route uses the upstream "app"'],
  ],
  ["HTTP/2 to servers", top({ routes: [{ to: ["h2c://a", "h2://a"] }] }), []],
  [
    "another scheme",
    top({ routes: [{ to: "ftp://a" }] }),
    [
      'routes[0].to: error: "ftp://a": "ftp" is not a scheme of servers\n  hint: use http://, https://, h2c://, h2:// or unix:',
    ],
  ],
  [
    "a path in a URL",
    top({ routes: [{ to: "http://a/b" }] }),
    [
      'routes[0].to: error: "http://a/b": a server\'s address has no path\n  hint: put a path in front of requests with rewrite: { addPrefix: /path }',
    ],
  ],
  [
    "a relative socket",
    top({ routes: [{ to: "unix:a.sock" }] }),
    [
      'routes[0].to: error: "unix:a.sock" is not the address of a unix socket\n  hint: write it like unix:/run/app.sock: an absolute path of at most 107 bytes',
    ],
  ],
  [
    "a server",
    { ...route({ to: "app" }), upstreams: { app: { servers: ["a:1", { url: "b b" }] } } },
    [
      'upstreams.app.servers[1].url: error: "b b" is not the address of a server\n  hint: write it like 127.0.0.1:3001, http://app:3001 or unix:/run/app.sock',
    ],
  ],
  [
    "servers without weight",
    { ...route({ to: "app" }), upstreams: { app: { servers: [{ url: "a", weight: 0 }] } } },
    ["upstreams.app.servers: error: all weights are 0, so no server gets a request"],
  ],
  [
    "a host header",
    { ...route({ to: "app" }), upstreams: { app: { servers: ["a"], hostHeader: "a b" } } },
    [
      'upstreams.app.hostHeader: error: "a b" is not a host\n  hint: write preserve, upstream, or a name such as app.internal',
    ],
  ],
  [
    "a misspelt host header",
    { ...route({ to: "app" }), upstreams: { app: { servers: ["a"], hostHeader: "preserv" } } },
    [
      'upstreams.app.hostHeader: warning: "preserv" is sent to servers as the host\'s name\n  hint: did you mean "preserve"?',
    ],
  ],
  [
    "a literal host header",
    { ...route({ to: "app" }), upstreams: { app: { servers: ["a"], hostHeader: "app.internal:81" } } },
    [],
  ],
  [
    "the name of an upstream",
    { ...route({ to: "a b" }), upstreams: { "a b": { servers: ["a"] } } },
    ['upstreams["a b"]: error: "a b" is not a name for an upstream\n  hint: a name has no spaces'],
  ],
  [
    "the name of an upstream like a URL",
    { ...route({ to: "unix:/a" }), upstreams: { "unix:/a": { servers: ["a"] } } },
    ['upstreams["unix:/a"]: error: the name "unix:/a" would be taken for a URL in `to`\n  hint: choose a plain name'],
  ],
  ["an unused upstream", top({ upstreams: APP }), ['upstreams.app: warning: no route uses the upstream "app"']],
  // Actions.
  [
    "no action",
    top({ routes: [{}] }),
    [
      "routes[0]: error: this route does nothing\n  hint: give it `to`, `respond`, `files`, `aggregate`, `llm`, `tagging`, `portal` or `redirect`",
    ],
  ],
  [
    "two actions",
    top({ routes: [{ ...OK, respond: {} }] }),
    [
      "routes[0].respond: error: a route has one action, and this one has `to` and `respond`\n  hint: remove one of them",
    ],
  ],
  ["a redirect is an action", top({ routes: [{ redirect: { to: "/" } }] }), []],
  ["a redirect in defaults is an action", top({ defaults: { redirect: { to: "/" } }, routes: [{}] }), []],
  [
    "a redirect that is turned off is no action",
    top({ defaults: { redirect: { to: "/" } }, routes: [{ redirect: false }] }),
    [
      "routes[0]: error: this route does nothing\n  hint: give it `to`, `respond`, `files`, `aggregate`, `llm`, `tagging`, `portal` or `redirect`",
    ],
  ],
  [
    "an action behind a redirect",
    top({ routes: [{ ...OK, redirect: { to: "/" } }] }),
    [
      "routes[0].to: warning: `to` is never used: `redirect` answers every request of this route before\n  hint: remove one of them",
    ],
  ],
  [
    "an action behind the redirect of defaults",
    top({ defaults: { redirect: { to: "/" } } }),
    [
      "routes[0].to: warning: `to` is never used: `redirect` answers every request of this route before\n  hint: write `redirect: false` to turn off the one in `defaults`",
    ],
  ],
  [
    "an upstream that is near",
    { ...route({ to: "ap" }) },
    [
      'routes[0].to: error: there is no upstream named "ap"\n  hint: did you mean "app"?',
      'upstreams.app: warning: no route uses the upstream "app"',
    ],
  ],
  [
    "an upstream that objects have by nature",
    top({ routes: [{ to: "constructor" }] }),
    [
      'routes[0].to: error: there is no upstream named "constructor"\n  hint: there are none: describe it under `upstreams`, or write a URL',
    ],
  ],
  [
    "an address in place of a URL",
    top({ routes: [{ to: "127.0.0.1:3001" }] }),
    [
      'routes[0].to: error: there is no upstream named "127.0.0.1:3001"\n  hint: if it is an address, write http://127.0.0.1:3001',
    ],
  ],
  ["a list of URLs", top({ routes: [{ to: ["http://a", "unix:/b"] }] }), []],
  [
    "a list of names",
    { ...route({ to: ["app"] }) },
    [
      'routes[0].to[0]: error: "app" is not a URL\n  hint: for several upstreams write [{ upstream: app, weight: 1 }, …]',
      'upstreams.app: warning: no route uses the upstream "app"',
    ],
  ],
  [
    "a weighted list of nothing",
    route({ to: [{ upstream: "app", weight: 0 }] }),
    ["routes[0].to: error: all weights are 0, so no upstream gets a request"],
  ],
  [
    "a weighted list of unknown ones",
    top({
      upstreams: { blue: { servers: ["a"] } },
      routes: [
        {
          to: [
            { upstream: "blue", weight: 1 },
            { upstream: "green", weight: 1 },
          ],
        },
      ],
    }),
    ['routes[0].to[1].upstream: error: there is no upstream named "green"\n  hint: known upstreams: blue'],
  ],
  [
    "a body where none can be",
    top({ routes: [{ respond: { status: 204, body: "x" } }] }),
    ["routes[0].respond.body: warning: an answer with status 204 has no body, so this one is not sent"],
  ],
  // Names and matches.
  [
    "two routes of one name",
    top({
      routes: [
        { ...OK, name: "a", match: { path: "/a" } },
        { ...OK, name: "a" },
      ],
    }),
    ['routes[1].name: error: there is another route named "a"\n  hint: it is routes[0]'],
  ],
  [
    "a route without a name",
    top({ routes: [{ ...OK, name: "" }] }),
    ["routes[0].name: error: a route's name must have at least one character, and no control characters"],
  ],
  [
    "hosts",
    top({
      routes: [
        { ...OK, match: { host: ["a.example", "*.a.example", "*", "[::1]", "192.0.2.1", "münchen.example", "a_b"] } },
      ],
    }),
    [],
  ],
  [
    "a wildcard within a host",
    top({ routes: [{ ...OK, match: { host: "a.*.example" } }] }),
    [
      'routes[0].match.host: error: "a.*.example": a wildcard may only stand in front\n  hint: write it like *.example.com',
    ],
  ],
  [
    "a host with a port",
    top({ routes: [{ ...OK, match: { host: "a:80" } }] }),
    ['routes[0].match.host: error: "a:80": hosts are matched without their port\n  hint: leave the port out'],
  ],
  [
    "a URL as a host",
    top({ routes: [{ ...OK, match: { host: "http://a" } }] }),
    ['routes[0].match.host: error: "http://a" is a URL\n  hint: write the host name alone'],
  ],
  [
    "a host that is none",
    top({ routes: [{ ...OK, match: { host: ["a b", "[x]", "a::g", ""] } }] }),
    [
      'routes[0].match.host[0]: error: "a b" is not a host name',
      'routes[0].match.host[1]: error: "[x]" is not an IPv6 address',
      'routes[0].match.host[2]: error: "a::g" is not a host name',
      'routes[0].match.host[3]: error: "" is not a host name',
    ],
  ],
  ["paths", top({ routes: [{ ...OK, match: { path: ["/", "/*", "/a/:id/*", "~^/a$"] } }] }), []],
  [
    "a path without slash",
    top({ routes: [{ ...OK, match: { path: "a" } }] }),
    ['routes[0].match.path: error: "a" is not a path\n  hint: a path starts with "/", a regular expression with "~"'],
  ],
  [
    "a path with a query",
    top({ routes: [{ ...OK, match: { path: "/a?b" } }] }),
    ['routes[0].match.path: error: "/a?b": a path has no query and no fragment\n  hint: match parameters with `query`'],
  ],
  [
    "a wildcard within a path",
    top({ routes: [{ ...OK, match: { path: "/a*" } }] }),
    [
      'routes[0].match.path: error: "/a*": "*" may only stand at the end, behind a slash\n  hint: use a ~regex for more',
    ],
  ],
  [
    "a parameter that is there twice",
    top({ routes: [{ ...OK, match: { path: "/:a/:a" } }] }),
    ['routes[0].match.path: error: "/:a/:a": the parameter :a stands there twice'],
  ],
  [
    "a parameter that is none",
    top({ routes: [{ ...OK, match: { path: "/:a-b" } }] }),
    [
      'routes[0].match.path: error: "/:a-b": ":a-b" is not a parameter\n  hint: write it like :id, with letters, digits and _',
    ],
  ],
  [
    "a regular expression in a path",
    top({ routes: [{ ...OK, match: { path: "~(" } }] }),
    ["routes[0].match.path: error: not a regular expression: missing )"],
  ],
  [
    "a regular expression in a header",
    top({ routes: [{ ...OK, match: { header: { a: "~[" } } }] }),
    ["routes[0].match.header.a: error: not a regular expression: missing terminating ] for character class"],
  ],
  [
    "a method in small letters",
    top({ routes: [{ ...OK, match: { method: ["get"] } }] }),
    ['routes[0].match.method[0]: error: "get": methods are case-sensitive\n  hint: write GET'],
  ],
  [
    "a method that is none",
    top({ routes: [{ ...OK, match: { method: "A B" } }] }),
    ['routes[0].match.method: error: "A B" is not a method'],
  ],
  [
    "a header's name",
    top({ routes: [{ ...OK, match: { header: { "a b": true } } }] }),
    ['routes[0].match.header["a b"]: error: "a b" is not a header name'],
  ],
  [
    "a parameter without a name",
    top({ routes: [{ ...OK, match: { query: { "": true } } }] }),
    ['routes[0].match.query[""]: error: a name is missing here'],
  ],
  [
    "a cookie's name",
    top({ routes: [{ ...OK, match: { cookie: { "a;b": true } } }] }),
    ['routes[0].match.cookie["a;b"]: error: "a;b" is not a cookie name'],
  ],
  [
    "a client's address",
    top({ routes: [{ ...OK, match: { clientIp: ["::1", "1.2.3"] } }] }),
    [
      'routes[0].match.clientIp[1]: error: "1.2.3" is not an address or a network\n  hint: write it like 192.0.2.1, 10.0.0.0/8 or 2001:db8::/32',
    ],
  ],
  [
    "a client's certificate that nobody asks for",
    top({ routes: [{ ...OK, match: { clientCert: true } }, OK] }),
    [
      "routes[0].match.clientCert: warning: no listener asks clients for certificates: this route is never reached\n  hint: give one of them tls.clientAuth",
    ],
  ],
  [
    "a client's certificate, of which nothing can be",
    top({
      listeners: [
        {
          address: ":443",
          tls: {
            certificates: [{ cert: "a", key: "b" }],
            policies: [{ hosts: ["a.example"], clientAuth: { ca: "c" } }],
          },
        },
      ],
      routes: [
        { ...OK, match: { clientCert: {} } },
        { ...OK, match: { clientCert: { fingerprint: ["~^0a", "0a:0b"], subject: "~(" } } },
      ],
    }),
    [
      "routes[0].match.clientCert: error: nothing is asked of the certificate\n  hint: write `clientCert: true` for any valid one",
      expect.stringMatching(/^routes\[1\]\.match\.clientCert\.subject: error: /),
      'routes[1].match.clientCert.fingerprint[1]: error: "0a:0b" is not a SHA-256 fingerprint\n  hint: openssl x509 -in cert.pem -noout -fingerprint -sha256 prints it',
    ],
  ],
  [
    "a name that browsers would not take along",
    top({ defaults: { securityHeaders: { hsts: { preload: true } } } }),
    [
      "defaults.securityHeaders.hsts.preload: warning: preload has no effect like this\n  hint: browsers take names with includeSubDomains: true and a maxAge of at least 365d only",
    ],
  ],
  [
    "a name that they would, and none at all",
    top({
      defaults: { securityHeaders: { hsts: { preload: true, includeSubDomains: true } } },
      routes: [{ ...OK, securityHeaders: false }],
    }),
    [],
  ],
  // Templates, rewrites, headers.
  [
    "all placeholders",
    top({
      routes: [
        {
          match: { path: "/:id" },
          respond: {
            body: "{host} {path} {query} {uri} {method} {scheme} {ip} {requestId} {route} {upstream} {server} {user} {claim.sub} {header.x-a} {cookie.a} {query.q} {id}",
          },
        },
      ],
    }),
    [],
  ],
  [
    "braces that are no placeholders",
    top({ routes: [{ respond: { body: '{"a": {"b": 1}} a { color: red } {}' } }] }),
    [],
  ],
  [
    "a placeholder that is near",
    top({ routes: [{ respond: { body: "{hots}" } }] }),
    ["routes[0].respond.body: error: unknown placeholder {hots}\n  hint: did you mean {host}?"],
  ],
  [
    "a placeholder that needs a name",
    top({ routes: [{ redirect: { to: "/{header}" } }] }),
    ["routes[0].redirect.to: error: unknown placeholder {header}\n  hint: write {header.NAME}"],
  ],
  [
    "a placeholder with a wrong group",
    top({ routes: [{ redirect: { to: "/{env.HOME}" } }] }),
    [
      "routes[0].redirect.to: error: unknown placeholder {env.HOME}\n  hint: before a dot stands one of claim, header, cookie, query, clientCert",
    ],
  ],
  [
    "an unknown placeholder",
    top({ routes: [{ match: { path: "/:id" }, redirect: { to: "/{whatever}" } }] }),
    [
      "routes[0].redirect.to: error: unknown placeholder {whatever}\n  hint: known are host, path, query, uri, method, scheme, ip, requestId, route, upstream, server, user, consumer, and the path parameters id",
    ],
  ],
  [
    "a parameter of another route",
    top({ routes: [{ match: { path: "/:number" }, ...OK }, { redirect: { to: "/{number}" } }] }),
    [
      "routes[1].redirect.to: error: unknown placeholder {number}\n  hint: known are host, path, query, uri, method, scheme, ip, requestId, route, upstream, server, user, consumer",
    ],
  ],
  [
    "a parameter of some paths",
    top({ routes: [{ match: { path: ["/:id", "/a"] }, redirect: { to: "/{id}" } }] }),
    ["routes[0].redirect.to: error: unknown placeholder {id}\n  hint: :id is not in every path of this route"],
  ],
  [
    "a parameter of all paths",
    top({ routes: [{ match: { path: ["/:id", "~^/(?<id>a)"] }, redirect: { to: "/{id}" } }] }),
    [],
  ],
  [
    "a template in defaults",
    top({ defaults: { requestHeaders: { set: { a: "{id}" } } }, routes: [{ match: { path: "/:id" }, ...OK }] }),
    ["defaults.requestHeaders.set.a: error: unknown placeholder {id}\n  hint: did you mean {ip}?"],
  ],
  [
    "a location that is none",
    top({ routes: [{ redirect: { to: "example.com" } }] }),
    [
      'routes[0].redirect.to: error: "example.com" is not a location\n  hint: it starts with http://, https://, a slash or a placeholder',
    ],
  ],
  [
    "a location with a line break",
    top({ routes: [{ redirect: { to: "/a\r\nb" } }] }),
    [
      "routes[0].redirect.to: error: there is a line break or another control character in this text\n  hint: write it on one line",
    ],
  ],
  [
    "a rewrite without slash",
    top({ routes: [{ ...OK, rewrite: { stripPrefix: "a", addPrefix: "/b?c", path: "d" } }] }),
    [
      'routes[0].rewrite.stripPrefix: error: "a" is not a path prefix\n  hint: write a plain path such as /api, without query',
      'routes[0].rewrite.addPrefix: error: "/b?c" is not a path prefix\n  hint: write a plain path such as /api, without query',
      'routes[0].rewrite.path: error: "d" is not a path\n  hint: it starts with a slash',
    ],
  ],
  [
    "a template in a rewrite",
    top({ routes: [{ ...OK, rewrite: { path: "/{nope.a}" } }] }),
    [
      "routes[0].rewrite.path: error: unknown placeholder {nope.a}\n  hint: before a dot stands one of claim, header, cookie, query, clientCert",
    ],
  ],
  [
    "a rewrite's regular expression",
    top({ routes: [{ ...OK, rewrite: { regex: ["(", "$1"] } }] }),
    ["routes[0].rewrite.regex[0]: error: not a regular expression: missing )"],
  ],
  ["a group that is there", top({ routes: [{ ...OK, rewrite: { regex: ["^/old/(.*)", "/new/$1$$2"] } }] }), []],
  [
    "a group that is not there",
    top({ routes: [{ ...OK, rewrite: { regex: ["^/old/(.*)", "/new/$2"] } }] }),
    ["routes[0].rewrite.regex[1]: error: there is no group for $2: the expression has 1"],
  ],
  [
    "a header's name that is none",
    top({ routes: [{ ...OK, responseHeaders: { set: { "a:": "b" } } }] }),
    [
      'routes[0].responseHeaders.set["a:"]: error: "a:" is not a header name\n  hint: names are made of letters, digits and -',
    ],
  ],
  [
    "a header's value that is none",
    top({ routes: [{ ...OK, requestHeaders: { add: { a: "b\nc" } } }] }),
    [
      "routes[0].requestHeaders.add.a: error: there is a line break or another control character in this text\n  hint: write it on one line",
    ],
  ],
  [
    "a header that frames",
    top({ routes: [{ ...OK, requestHeaders: { remove: ["Transfer-Encoding"] } }] }),
    [
      'routes[0].requestHeaders.remove[0]: error: "Transfer-Encoding" frames the message or belongs to one connection, so only the proxy writes it\n  hint: remove this line',
    ],
  ],
  [
    "a header of an answer",
    top({ routes: [{ respond: { headers: { "content-length": "5" } } }] }),
    [
      'routes[0].respond.headers.content-length: error: "content-length" frames the message or belongs to one connection, so only the proxy writes it\n  hint: remove this line',
    ],
  ],
  [
    "edits that are turned off",
    top({
      routes: [
        {
          ...OK,
          requestHeaders: false,
          responseHeaders: false,
          rewrite: false,
          limits: false,
          timeouts: false,
          use: false,
        },
      ],
    }),
    [],
  ],
];
for (const [name, input, want] of CASES) {
  test(name, () => expect(check(input).map(renderDiagnostic)).toEqual([...want]));
}
