// Which fields are stored, and which a 304 or the answer to HEAD changes: RFC 9111 §3.1, §3.2, §4.3.4, §4.3.5.
import { type Case, type Group, ours, required } from "./case.ts";

const FRESH = "Cache-Control: max-age=3600 | Date: {0}";
const SHORT = "Cache-Control: max-age=1 | Date: {0}";

/** A name, and two values. */
type Named = readonly [name: string, before: string, after: string];

const STORED: readonly Named[] = [
  ["Test-Header", "a", "b"],
  ["X-Test-Header", "a", "b"],
  ["Content-Foo", "a", "b"],
  ["X-Content-Foo", "a", "b"],
  ["Content-Disposition", "inline", "attachment"],
  ["Content-Language", "de", "en"],
  ["Content-Location", "/foo", "/bar"],
  ["Content-MD5", "rL0Y20zC+Fzt72VPzMSk2A==", "N7UdGUp1E+RbVvZSTy1R8g=="],
  ["Content-Security-Policy", "default-src 'self'", "default-src 'self' cdn.example.com"],
  ["Content-Type", "text/plain", "text/plain;charset=utf-8"],
  ["Clear-Site-Data", '"cache"', '"cookies"'],
  ["Access-Control-Allow-Origin", "*", "https://example.com"],
  ["Link", "</a>; rel=next", "</b>; rel=next"],
  ["Public-Key-Pins", "a", "b"],
  ["Server", "a", "b"],
  ["Set-Cookie2", "a=b", "a=c"],
  ["Strict-Transport-Security", "max-age=1", "max-age=2"],
  ["Timing-Allow-Origin", "*", "https://example.com"],
  ["X-Frame-Options", "deny", "sameorigin"],
  ["X-XSS-Protection", "1", "1; mode=block"],
  ["Warning", '199 - "a"', '199 - "b"'],
];

const NOT_STORED: readonly (readonly [string, string])[] = [
  ["Keep-Alive", "timeout=5"],
  ["Proxy-Authenticate", "Basic"],
  ["Proxy-Authentication-Info", 'nextnonce="a"'],
  ["Proxy-Connection", "keep-alive"],
  ["TE", "trailers"],
  ["Upgrade", "h2c"],
];

const stores = ([name, value]: Named): Case =>
  required(`${FRESH} | ${name}: ${value}`, "cached", { second: { has: `${name}: ${value}` } });

const HEADERS_STORED: Group = {
  name: "headers",
  section: "RFC 9111 §3.1",
  cases: [
    required(`${FRESH} | Connection: a, b | a: 1 | b: 2 | c: 3`, "cached", {
      second: { has: "c: 3", lacks: ["a", "b"] },
    }),
    ...STORED.map(stores),
    stores(["ETag", '"abcdef"', ""]),
    stores(["Expires", "Fri, 01 Jan 2038 01:01:01 GMT", ""]),
    stores(["Content-Encoding", "x-unknown", ""]),
    required(`${FRESH} | Set-Cookie: a=b`, "cached", { route: "cookies", second: { has: "Set-Cookie: a=b" } }),
    ...NOT_STORED.map(([name, value]) =>
      required(`${FRESH} | ${name}: ${value}`, "cached", { second: { lacks: [name.toLowerCase()] } }),
    ),
    required(`${FRESH} | A: 1 | A: 2`, "cached", { second: { has: "A: 1, 2" } }),
    required(`${FRESH} | A: `, "cached", { second: { has: "A: " } }),
    required(`${FRESH} | A: x\u00fcx`, "cached", { second: { has: "A: x\u00fcx" } }),
    required(`${FRESH} | Age: 7`, "cached", { second: { aged: 7, has: "Date: {0}" } }),
  ],
};

/** A 304 with other values, and what is given out then, at once and afterwards. */
const updates = (kind: Case["kind"], name: string, before: string, after: string, then: string): Case => ({
  kind,
  name: `a 304 with ${name}: ${after} in place of ${before}`,
  steps: [
    { answer: `${SHORT} | ETag: "e" | ${name}: ${before}`, pause: true },
    { answer: `${FRESH} | ETag: "e" | ${name}: ${after}`, from: "etag", has: `${name}: ${then}` },
    { from: "cached", has: `${name}: ${then}` },
  ],
});

const UPDATE_304: Group = {
  name: "update304",
  section: "RFC 9111 §3.2, §4.3.4",
  cases: [
    {
      kind: "required",
      name: "what a 304 does not have stays",
      steps: [
        { answer: `${SHORT} | Last-Modified: {-9000} | Test-Header: a`, pause: true },
        { answer: `${FRESH} | Last-Modified: {-9000}`, from: "lm", has: "Test-Header: a" },
        { from: "cached", has: "Test-Header: a" },
      ],
    },
    ...STORED.map(([name, before, after]) => updates("required", name, before, after, after)),
    updates(
      "ours",
      "Expires",
      "Fri, 01 Jan 2038 01:01:01 GMT",
      "Mon, 11 Jan 2038 11:11:11 GMT",
      "Mon, 11 Jan 2038 11:11:11 GMT",
    ),
    updates("required", "Content-Encoding", "x-a", "x-b", "x-a"),
    updates("required", "Content-Range", "bytes 0-0/1", "bytes 0-1/2", "bytes 0-0/1"),
    {
      kind: "required",
      name: "a 304 with another Content-Length does not change it",
      steps: [
        { answer: `${SHORT} | ETag: "e"`, content: "12345", pause: true },
        { answer: `${FRESH} | ETag: "e" | Content-Length: 10`, from: "etag", text: "12345", has: "Content-Length: 5" },
        { from: "cached", text: "12345", has: "Content-Length: 5" },
      ],
    },
    {
      kind: "required",
      name: "a 304 with another freshness",
      steps: [
        { answer: `${FRESH} | ETag: "e"` },
        { fields: "Cache-Control: no-cache", answer: 'Cache-Control: max-age=0 | ETag: "e"', from: "etag" },
        { answer: FRESH, from: "etag" },
        { from: "cached" },
      ],
    },
    {
      kind: "required",
      name: "a 304 that forbids to store ends what is stored",
      steps: [
        { answer: `${SHORT} | ETag: "e"`, pause: true },
        { answer: 'Cache-Control: no-store | ETag: "e"', from: "etag" },
        { from: "asked", unsent: ["if-none-match"] },
      ],
    },
    {
      kind: "required",
      name: "a 304 about another version does not change this one",
      steps: [
        { answer: `${SHORT} | ETag: "e" | A: 1`, pause: true },
        { answer: `${FRESH} | ETag: "f" | A: 2`, from: "etag", gets: 200 },
      ],
    },
    {
      kind: "required",
      name: "a 304 with another Vary: what is stored is selected by that from then on",
      steps: [
        { fields: "X-A: 1", answer: `${SHORT} | ETag: "e"`, pause: true },
        { fields: "X-A: 1", answer: `${FRESH} | ETag: "e" | Vary: X-A`, from: "etag", has: "Vary: X-A" },
        { fields: "X-A: 1", from: "cached" },
        { fields: "X-A: 2", answer: FRESH, from: "asked" },
      ],
    },
    {
      kind: "required",
      name: "a 304 with fewer names in Vary: what is stored goes for more requests",
      steps: [
        { fields: "X-A: 1 | X-B: 1", answer: `${SHORT} | ETag: "e" | Vary: X-A, X-B`, pause: true },
        { fields: "X-A: 1 | X-B: 1", answer: `${FRESH} | ETag: "e" | Vary: X-A`, from: "etag" },
        { fields: "X-A: 1 | X-B: 2", from: "cached" },
      ],
    },
    {
      kind: "ours",
      name: "a 304 with Vary: * ends what is stored",
      steps: [
        { answer: `${SHORT} | ETag: "e"`, pause: true },
        { answer: `${FRESH} | ETag: "e" | Vary: *`, from: "etag" },
        { answer: FRESH, from: "asked" },
      ],
    },
  ],
};

const STALE_HEAD = 'Cache-Control: max-age=1 | Template-A: 1 | ETag: "a"';

const UPDATE_HEAD: Group = {
  name: "update-head",
  section: "RFC 9111 §4.3.5",
  cases: [
    ours(STALE_HEAD, "asked", { first: { pause: true }, second: { method: "HEAD" } }),
    ours(FRESH, "cached", { second: { method: "HEAD", text: "" } }),
    {
      kind: "ours",
      name: "HEAD with news freshens what is stored",
      steps: [
        { answer: STALE_HEAD, content: "12345", pause: true },
        { method: "HEAD", answer: 'Cache-Control: max-age=1000 | ETag: "a" | Template-A: 2 | Content-Length: 5' },
        { from: "cached", text: "12345", has: "Template-A: 2" },
      ],
    },
    {
      kind: "required",
      name: "HEAD with another length ends what is stored",
      steps: [
        { answer: STALE_HEAD, content: "12345", pause: true },
        { method: "HEAD", answer: 'Cache-Control: max-age=1000 | ETag: "a" | Content-Length: 6' },
        { from: "asked" },
      ],
    },
    {
      kind: "required",
      name: "HEAD with another validator ends what is stored",
      steps: [
        { answer: STALE_HEAD, content: "12345", pause: true },
        { method: "HEAD", answer: 'Cache-Control: max-age=1000 | ETag: "b" | Content-Length: 5' },
        { from: "asked" },
      ],
    },
    {
      kind: "ours",
      name: "410 to HEAD changes nothing",
      steps: [
        { answer: STALE_HEAD, content: "12345", pause: true },
        { method: "HEAD", status: 410, answer: "Cache-Control: max-age=1000 | Template-A: 2 | Content-Length: 0" },
        { answer: "Cache-Control: max-age=1000", from: "etag", has: "Template-A: 1" },
      ],
    },
    {
      kind: "required",
      name: "the answer to HEAD is none to GET",
      steps: [
        { method: "HEAD", answer: `${FRESH} | Content-Length: 5` },
        { answer: FRESH, content: "12345", text: "12345", from: "asked" },
      ],
    },
  ],
};

export const HEADERS: readonly Group[] = [HEADERS_STORED, UPDATE_304, UPDATE_HEAD];
