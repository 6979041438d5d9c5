import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import type { CompileError } from "../config/compile-error.ts";
import type { MatchConfig } from "../config/schema.ts";
import type { ClientCertificate } from "../core/client-certificate.ts";
import { explainMatch } from "./explain.ts";
import type { RouteSubject } from "./subject.ts";
import { compileRoutes } from "./table.ts";

const BASE: RouteSubject = {
  host: "example.com",
  path: "/",
  method: "GET",
  query: "",
  ip: "192.0.2.1",
  clientCert: null,
  header: () => null,
};

function subject(over: Partial<RouteSubject>, headers: Readonly<Record<string, string>> = {}): RouteSubject {
  return { ...BASE, ...over, header: (name) => headers[name.toLowerCase()] ?? null };
}

const ROBOT: ClientCertificate = {
  subject: "CN=robot,O=Example",
  issuer: "CN=Clients CA",
  san: ["DNS:robot.test", "URI:spiffe://x"],
  fingerprint: "0a".repeat(32),
  serial: "0102ff",
  notAfter: 0,
  pem: "",
};
const asRobot = subject({ clientCert: ROBOT });

const hit = (match: MatchConfig, asked: RouteSubject) =>
  compileRoutes([{ name: "r", match, value: "r" }]).find(asked) !== null;

const MATCHES: readonly (readonly [name: string, match: MatchConfig, asked: RouteSubject, want: boolean])[] = [
  ["host, any case in the configuration", { host: "EXAMPLE.com" }, subject({}), true],
  ["other host", { host: "example.org" }, subject({}), false],
  ["host with a final dot", { host: "example.com" }, subject({ host: "example.com." }), true],
  ["wildcard, one label", { host: "*.example.com" }, subject({ host: "a.example.com" }), true],
  ["wildcard, two labels", { host: "*.example.com" }, subject({ host: "b.a.example.com" }), true],
  ["wildcard is not the name itself", { host: "*.example.com" }, subject({}), false],
  ["wildcard keeps label borders", { host: "*.example.com" }, subject({ host: "notexample.com" }), false],
  ["any host", { host: "*" }, subject({ host: "" }), true],
  ["IPv6 literal in another form", { host: "[2001:db8:0::1]" }, subject({ host: "[2001:DB8::1]" }), true],
  ["IPv6 literal without brackets", { host: "2001:db8::1" }, subject({ host: "[2001:db8::1]" }), true],
  ["IPv4 literal", { host: "192.0.2.7" }, subject({ host: "192.0.2.7" }), true],
  ["international name", { host: "bücher.example" }, subject({ host: "xn--bcher-kva.example" }), true],
  ["list of hosts", { host: ["a.example", "*.b.example"] }, subject({ host: "x.b.example" }), true],
  ["exact path", { path: "/a/b" }, subject({ path: "/a/b" }), true],
  ["exact path is not a prefix", { path: "/a" }, subject({ path: "/a/b" }), false],
  ["exact path and final slash differ", { path: "/a" }, subject({ path: "/a/" }), false],
  ["exact path is normalised too", { path: "/%61//b" }, subject({ path: "/a/b" }), true],
  ["prefix", { path: "/a/*" }, subject({ path: "/a/b/c" }), true],
  ["prefix without anything behind", { path: "/a/*" }, subject({ path: "/a" }), true],
  ["prefix with a final slash", { path: "/a/*" }, subject({ path: "/a/" }), true],
  ["prefix ends at a segment", { path: "/a/*" }, subject({ path: "/ab" }), false],
  ["prefix of everything", { path: "/*" }, subject({ path: "/" }), true],
  ["parameter", { path: "/users/:id" }, subject({ path: "/users/7" }), true],
  ["parameter is one segment", { path: "/users/:id" }, subject({ path: "/users/7/x" }), false],
  ["parameter is not empty", { path: "/users/:id" }, subject({ path: "/users/" }), false],
  ["parameter keeps an encoded slash", { path: "/users/:id" }, subject({ path: "/users/a%2Fb" }), true],
  ["parameter with prefix", { path: "/a/:id/*" }, subject({ path: "/a/7/x/y" }), true],
  ["regex", { path: "~^/v[12]/" }, subject({ path: "/v2/x" }), true],
  ["regex that does not fit", { path: "~^/v[12]/" }, subject({ path: "/v3/x" }), false],
  ["ambiguous path fits no path", { path: "/*" }, subject({ path: null }), false],
  ["ambiguous path, no path asked", { method: "GET" }, subject({ path: null }), true],
  ["method", { method: ["GET", "POST"] }, subject({ method: "POST" }), true],
  ["other method", { method: "POST" }, subject({}), false],
  ["header", { header: { "X-Beta": "1" } }, subject({}, { "x-beta": "1" }), true],
  ["header, other value", { header: { "x-beta": "1" } }, subject({}, { "x-beta": "2" }), false],
  ["header, present", { header: { "x-beta": true } }, subject({}, { "x-beta": "" }), true],
  ["header, absent", { header: { "x-beta": true } }, subject({}), false],
  ["header, regex", { header: { "user-agent": "~^curl/" } }, subject({}, { "user-agent": "curl/8" }), true],
  ["query", { query: { a: "x y" } }, subject({ query: "b=1&a=x+y" }), true],
  ["query, percent-encoded on the wire", { query: { "ä b": "ö" } }, subject({ query: "%C3%A4%20b=%c3%b6" }), true],
  ["query, any of several", { query: { a: "2" } }, subject({ query: "a=1&a=2" }), true],
  ["query, true means present", { query: { debug: true } }, subject({ query: "debug" }), true],
  ["query, the text true", { query: { debug: "true" } }, subject({ query: "debug=true" }), true],
  ["query, the text true is not any value", { query: { debug: "true" } }, subject({ query: "debug=1" }), false],
  ["query, absent", { query: { debug: true } }, subject({ query: "xdebug=1" }), false],
  ["cookie", { cookie: { tier: "gold" } }, subject({}, { cookie: "a=b; tier=gold" }), true],
  ["cookie, quoted", { cookie: { tier: "gold" } }, subject({}, { cookie: 'tier="gold"' }), true],
  ["cookie, name as a whole", { cookie: { tier: true } }, subject({}, { cookie: "xtier=1" }), false],
  ["cookie, regex", { cookie: { tier: "~^g" } }, subject({}, { cookie: "tier=gold" }), true],
  ["cookie of a second field", { cookie: { tier: "gold" } }, subject({}, { cookie: "a=b, tier=gold" }), true],
  ["client address", { clientIp: ["192.0.2.0/24"] }, subject({}), true],
  ["client address outside", { clientIp: "198.51.100.0/24" }, subject({}), false],
  ["certificate, any", { clientCert: true }, asRobot, true],
  ["certificate, none", { clientCert: true }, subject({}), false],
  ["certificate, subject", { clientCert: { subject: ["CN=other", "CN=robot,O=Example"] } }, asRobot, true],
  ["certificate, subject is the whole name", { clientCert: { subject: "CN=robot" } }, asRobot, false],
  ["certificate, subject by regex", { clientCert: { subject: "~^CN=robot," } }, asRobot, true],
  ["certificate, issuer", { clientCert: { issuer: "CN=Clients CA" } }, asRobot, true],
  ["certificate, other issuer", { clientCert: { issuer: "CN=Other CA" } }, asRobot, false],
  ["certificate, any of its names", { clientCert: { san: "URI:spiffe://x" } }, asRobot, true],
  ["certificate, a name without its kind", { clientCert: { san: "robot.test" } }, asRobot, false],
  [
    "certificate, fingerprint as tools print it",
    { clientCert: { fingerprint: `${"0A:".repeat(31)}0A` } },
    asRobot,
    true,
  ],
  ["certificate, other fingerprint", { clientCert: { fingerprint: "0b".repeat(32) } }, asRobot, false],
  ["certificate, number", { clientCert: { serial: "01:02:FF" } }, asRobot, true],
  ["certificate, all keys must match", { clientCert: { serial: "0102ff", issuer: "CN=x" } }, asRobot, false],
  ["certificate, nobody has no subject", { clientCert: { subject: "~" } }, subject({}), false],
  ["all keys must match", { host: "example.com", path: "/", method: "POST" }, subject({}), false],
];

for (const [name, match, asked, want] of MATCHES)
  test(`match: ${name}`, () => {
    expect(hit(match, asked)).toBe(want);
    expect(explainMatch([{ name: "r", match, value: null }], asked)[0]!.matched).toBe(want);
  });

const REFUSED: readonly (readonly [match: MatchConfig, path: readonly (string | number)[], message: RegExp])[] = [
  [{ host: "a.*.com" }, ["host"], /wildcard/],
  [{ host: ["a.com", "b.com:80"] }, ["host", 1], /port/],
  [{ host: "a b" }, ["host"], /not a host/],
  [{ path: "a" }, ["path"], /begins with/],
  [{ path: "/a/*/b" }, ["path"], /at the end/],
  [{ path: "/a*" }, ["path"], /at the end/],
  [{ path: "/a/../../b" }, ["path"], /never match/],
  [{ path: ["/a", "~("] }, ["path", 1], /~\(/],
  [{ path: "/:a/:a" }, ["path"], /twice/],
  [{ path: "/:a-b" }, ["path"], /not a parameter/],
  [{ method: "get" }, ["method"], /write GET/],
  [{ method: "G T" }, ["method"], /not a method/],
  [{ header: { "a b": "1" } }, ["header", "a b"], /field name/],
  [{ cookie: { a: "~[" } }, ["cookie", "a"], /~\[/],
  [{ clientIp: ["10.0.0.0/40"] }, ["clientIp"], /network/],
  [{ clientCert: { subject: ["a", "~("] } }, ["clientCert", "subject", 1], /~\(/],
];

for (const [match, path, message] of REFUSED)
  test(`refused: ${JSON.stringify(match)}`, () => {
    const compile = () => compileRoutes([{ name: "r", match, value: null }]);
    expect(compile).toThrow(message);
    try {
      compile();
    } catch (error) {
      expect((error as CompileError).path).toEqual([0, "match", ...path]);
    }
  });

describe("table", () => {
  test("the first match in configuration order wins, whatever its kind", () => {
    const table = compileRoutes([
      { name: "regex", match: { path: "~^/a/1$" }, value: "regex" },
      { name: "param", match: { path: "/a/:id" }, value: "param" },
      { name: "exact", match: { path: "/a/2" }, value: "exact" },
      { name: "host", match: { host: "example.com" }, value: "host" },
      { name: "all", value: "all" },
    ]);
    expect(table.find(subject({ path: "/a/1" }))).toBe("regex");
    expect(table.params).toBeNull();
    expect(table.find(subject({ path: "/a/2" }))).toBe("param");
    expect(table.params).toEqual({ id: "2" });
    expect(table.find(subject({ path: "/b" }))).toBe("host");
    expect(table.params).toBeNull();
    expect(table.find(subject({ host: "x", path: "/b" }))).toBe("all");
  });

  test("parameters are decoded once, named groups are parameters", () => {
    const table = compileRoutes([
      { name: "a", match: { path: ["/u/:name/:rest", "~^/x/(?<num>\\d+)(?<tail>/.*)?$"] }, value: 1 },
    ]);
    table.find(subject({ path: "/u/caf%C3%A9/a%2Fb%2541" }));
    expect(table.params).toEqual({ name: "café", rest: "a/b%41" });
    table.find(subject({ path: "/u/%FF/y" }));
    expect(table.params).toEqual({ name: "%FF", rest: "y" });
    table.find(subject({ path: "/x/12" }));
    expect(table.params).toEqual({ num: "12", tail: "" });
    expect(table.find(subject({ path: "/x/y" }))).toBeNull();
    expect(table.params).toBeNull();
  });

  test("a first route without conditions is found without looking at the request", () => {
    const blind = { ...BASE };
    for (const key of ["host", "path", "method", "query", "ip"] as const)
      Object.defineProperty(blind, key, { get: () => expect.unreachable(key) });
    expect(
      compileRoutes([
        { name: "all", match: {}, value: 1 },
        { name: "b", match: { path: "/x" }, value: 2 },
      ]).find(blind),
    ).toBe(1);
  });

  test("hosts and paths are not computed unless a route asks for them", () => {
    const blind = subject({});
    for (const key of ["host", "path"] as const)
      Object.defineProperty(blind, key, { get: () => expect.unreachable(key) });
    expect(compileRoutes([{ name: "a", match: { method: "GET" }, value: 1 }]).find(blind)).toBe(1);
  });

  test("no routes, no hit", () => expect(compileRoutes([]).find(BASE)).toBeNull());
});

describe("agrees with trying one route after the other", () => {
  const segment = fc.constantFrom("a", "b", "c", ":p", ":q");
  const segments = fc.uniqueArray(segment, { maxLength: 3 });
  const pathPattern = fc.oneof(
    fc
      .tuple(segments, fc.constantFrom("", "/", "/*"))
      .map(([list, end]) => `/${list.join("/")}${end}`.replace("//", "/")),
    fc.constantFrom("~^/a", "~b$", "~^/(?<p>.)/c"),
  );
  const hostPattern = fc.constantFrom("x.com", "*.x.com", "y.x.com", "*.y.x.com", "*", "z.org");
  const some = <T>(item: fc.Arbitrary<T>) => fc.oneof(item, fc.array(item, { minLength: 1, maxLength: 3 }));
  const match: fc.Arbitrary<MatchConfig> = fc.record(
    {
      host: some(hostPattern),
      path: some(pathPattern),
      method: some(fc.constantFrom("GET", "POST")),
      query: fc.constant({ d: "1" }),
    },
    { requiredKeys: [] },
  );
  const asked = fc.record({
    host: fc.constantFrom("x.com", "y.x.com", "w.y.x.com", "z.org", "x.com.", ""),
    path: fc.oneof(
      fc.constant(null),
      fc
        .array(fc.constantFrom("a", "b", "c", "d", ""), { maxLength: 4 })
        .map((list) => `/${list.join("/")}`.replace(/\/+/g, "/")),
    ),
    method: fc.constantFrom("GET", "POST", "PUT"),
    query: fc.constantFrom("", "d=1"),
  });

  test("for any routes and requests", () => {
    fc.assert(
      fc.property(
        fc.array(match, { maxLength: 12 }),
        fc.array(asked, { minLength: 1, maxLength: 6 }),
        (matches, requests) => {
          const routes = matches.map((each, at) => ({ name: `r${at}`, match: each, value: at }));
          const table = compileRoutes(routes);
          for (const request of requests) {
            const naive = explainMatch(routes, subject(request)).findIndex((verdict) => verdict.matched);
            expect(table.find(subject(request))).toBe(naive < 0 ? null : naive);
          }
        },
      ),
      { numRuns: 1000 },
    );
  });
});

test("explain says in words why earlier routes did not match", () => {
  const routes = [
    { name: "beta", match: { header: { "x-beta": "1" } }, value: 0 },
    { name: "api", match: { host: ["api.example.com"], path: "/v1/*" }, value: 0 },
    { name: "v", match: { path: ["/v1/*", "~^/v2"] }, value: 0 },
    { name: "debug", match: { query: { debug: true as const } }, value: 0 },
    { name: "all", value: 0 },
    { name: "never", value: 0 },
  ];
  expect(explainMatch(routes, subject({ path: "/x" }))).toEqual([
    {
      route: "beta",
      matched: false,
      key: "header.x-beta",
      wanted: "1",
      got: null,
      text: 'header.x-beta must be "1"; the request has none',
    },
    {
      route: "api",
      matched: false,
      key: "host",
      wanted: ["api.example.com"],
      got: "example.com",
      text: 'host must be "api.example.com"; the request has "example.com"',
    },
    {
      route: "v",
      matched: false,
      key: "path",
      wanted: ["/v1/*", "~^/v2"],
      got: "/x",
      text: 'path must be one of "/v1/*", "~^/v2"; the request has "/x"',
    },
    {
      route: "debug",
      matched: false,
      key: "query.debug",
      wanted: true,
      got: null,
      text: "query.debug must be present; the request has none",
    },
    { route: "all", matched: true, key: null, wanted: null, got: null, text: "matches every request" },
  ]);
});
