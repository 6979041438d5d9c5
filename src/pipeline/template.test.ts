import { expect, test } from "bun:test";
import fc from "fast-check";
import { type ExchangeOptions, exchangeOf } from "./exchange.fixture.ts";
import { compileTemplate, type TemplatePlace } from "./template.ts";

const ASKED: ExchangeOptions = {
  target: "/a%20b/../c?q=1&r=x%26y+z",
  authority: "example.com:8080",
  headers: [
    ["X-User", "J\xc3\xb6rg"],
    ["Cookie", 'a=1; b="2"'],
    ["X-Html", "<b>&\"'"],
    ["X-Tab", "a\tb"],
  ],
  params: { id: "a/b?c#ü", dots: ".." },
};

const CASES: readonly (readonly [template: string, place: TemplatePlace, want: string])[] = [
  ["plain", "field", "plain"],
  ["", "field", ""],
  ["{host} {path} {query}", "field", "example.com /c q=1&r=x%26y+z"],
  ["{uri}", "field", "/a%20b/../c?q=1&r=x%26y+z"],
  ["{method} {scheme} {ip} {requestId}", "field", "GET http 192.0.2.1 id-1"],
  ["[{route}{upstream}{server}{user}{claim.sub}]", "field", "[]"],
  ["{header.x-user}", "field", "J\xc3\xb6rg"],
  ["{header.x-none}{cookie.none}{query.none}", "field", ""],
  ["{cookie.a}{cookie.b}", "field", "12"],
  ["{query.r}", "field", "x&y z"],
  ["{id}", "field", "a/b?c#\xc3\xbc"],
  ["é{id}", "text", "\xc3\xa9a/b?c#\xc3\xbc"],
  ["{header.x-tab}", "field", "ab"],
  // Braces that are text.
  ['{"a":{"b":1}}', "text", '{"a":{"b":1}}'],
  ["{{host}} {} { host } {1}", "text", "{host} {} { host } {1}"],
  // URIs.
  ["https://www.example.com{uri}", "uri", "https://www.example.com/a%20b/../c?q=1&r=x%26y+z"],
  ["/u/{id}", "uri", "/u/a%2Fb%3Fc%23%C3%BC"],
  ["/u/{query.r}", "uri", "/u/x%26y%20z"],
  ["/login?next={uri}", "uri", "/login?next=%2Fa%2520b%2F..%2Fc%3Fq%3D1%26r%3Dx%2526y%2Bz"],
  ["/new?{query}", "uri", "/new?q=1&r=x%26y+z"],
  ["/new?a=b&{query}", "uri", "/new?a=b&q=1&r=x%26y+z"],
  ["/new?q={query}", "uri", "/new?q=q%3D1%26r%3Dx%2526y%2Bz"],
  ["/ä{path}#top", "uri", "/%C3%A4/c#top"],
  ["a&b{path}", "query", "a%26b%2Fc"],
  // Bodies.
  ["<p>{header.x-html}</p>", "html", "<p>&#60;b&#62;&#38;&#34;&#39;</p>"],
  ['{"v":"{header.x-html}"}', "json", '{"v":"<b>&\\"\'"}'],
  ["a\r\nb {method}", "text", "a\r\nb GET"],
];

for (const [template, place, want] of CASES)
  test(`${place}: ${template}`, () => {
    const compiled = compileTemplate(template, ["id", "dots"], place);
    expect(compiled.render(exchangeOf(ASKED))).toBe(want);
    expect(compiled.constant === null || compiled.constant === want).toBe(true);
  });

test("targets that are no path render as the root, so that they cannot change a host in front of them", () => {
  for (const target of ["*", "evil.example:443"]) {
    const x = exchangeOf({ target, form: target === "*" ? "asterisk" : "authority" });
    expect(compileTemplate("https://a.example{uri}{path}", [], "uri").render(x)).toBe("https://a.example//");
  }
});

const CERTIFICATE = {
  subject: "CN=r\u00f6bot,O=Example",
  issuer: "CN=Clients CA",
  san: ["DNS:robot.test", "URI:spiffe://x"],
  fingerprint: "0a".repeat(32),
  serial: "0102",
  notAfter: Date.UTC(2030, 0, 2),
  pem: "-----BEGIN CERTIFICATE-----\nMIIB\nAQ==\n-----END CERTIFICATE-----\n",
};
const PARTS: readonly (readonly [part: string, place: TemplatePlace, want: string])[] = [
  ["subject", "field", "CN=r\xc3\xb6bot,O=Example"],
  ["subject", "query", "CN%3Dr%C3%B6bot%2CO%3DExample"],
  ["issuer", "field", "CN=Clients CA"],
  ["san", "field", "DNS:robot.test, URI:spiffe://x"],
  ["fingerprint", "field", "0a".repeat(32)],
  ["serial", "field", "0102"],
  ["notAfter", "field", "2030-01-02T00:00:00.000Z"],
  ["der", "field", ":MIIBAQ==:"], // RFC 9440
];

for (const [part, place, want] of PARTS)
  test(`of a client's certificate: ${part} in a ${place}; nothing of one that is not believed`, () => {
    const compiled = compileTemplate(`{clientCert.${part}}`, [], place);
    const of = (authorized: boolean): string =>
      compiled.render(exchangeOf({ tls: { authorized, clientCertificate: CERTIFICATE, policy: null } }));
    expect([of(true), of(false), compiled.render(exchangeOf())]).toEqual([want, "", ""]);
  });

for (const template of ["{nope}", "{clientCert}", "{clientCert.nope}", "{id}", "{header}", "{foo.bar}", "{host.name}"])
  test(`unknown: ${template}`, () =>
    expect(() => compileTemplate(template, [], "field")).toThrow(/unknown placeholder/));

test("control characters are refused in the text of fields and URIs", () => {
  for (const place of ["field", "uri"] as const) expect(() => compileTemplate("a\r\nb", [], place)).toThrow(RangeError);
});

test("a template without placeholders is a constant", () => {
  expect(compileTemplate("a b", [], "field").constant).toBe("a b");
  expect(compileTemplate("a {host}", [], "field").constant).toBeNull();
});

test("nothing from a client ever brings a control character, whatever the place", () => {
  const template = "{id}{header.x-a}{query.q}{cookie.c}{uri}{path}{host}";
  const text = fc.string({ unit: fc.integer({ min: 0, max: 255 }).map((code) => String.fromCharCode(code)) });
  fc.assert(
    fc.property(
      text,
      text,
      fc.constantFrom<TemplatePlace>("field", "uri", "query", "text", "html", "json"),
      (a, b, place) => {
        const x = exchangeOf({
          target: `/${a}?q=${encodeURIComponent(b)}`,
          headers: [
            ["x-a", a],
            ["cookie", `c=${b}`],
          ],
          params: { id: b },
        });
        const rendered = compileTemplate(template, ["id"], place).render(x);
        expect(rendered).toMatch(place === "uri" || place === "query" ? /^[\x21-\x7e]*$/ : /^[\x20-\x7e\x80-\xff]*$/);
      },
    ),
  );
});
