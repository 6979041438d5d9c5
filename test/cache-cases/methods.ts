// Methods: what they invalidate, and whose answers are stored; credentials; keys; interim answers. RFC 9111 §3, §3.5, §4.4.
import { type Case, type Group, optional, ours, required } from "./case.ts";

const FRESH = "Cache-Control: max-age=100000 | Date: {0}";

function invalidates(method: string): Case[] {
  const change = { method, body: "abc" };
  return [
    { kind: "required", name: method, steps: [{ answer: FRESH }, change, { from: "asked" }] },
    {
      kind: "required",
      name: `${method} answered 204`,
      steps: [{ answer: FRESH }, { ...change, status: 204 }, { from: "asked" }],
    },
    {
      kind: "required",
      name: `${method} answered 303`,
      steps: [{ answer: FRESH }, { ...change, status: 303 }, { from: "asked" }],
    },
    {
      kind: "optional",
      name: `${method} that fails`,
      steps: [{ answer: FRESH }, { ...change, status: 500 }, { from: "cached" }],
    },
    {
      kind: "ours",
      name: `${method} with Location`,
      steps: [
        { target: "/l", answer: FRESH },
        { ...change, answer: "Location: l" },
        { target: "/l", from: "cached" },
      ],
    },
  ];
}

const elsewhere = (name: string, value: string, from: "asked" | "cached"): Case => ({
  kind: "ours",
  name: `POST with ${name}: ${value}`,
  steps: [
    { target: "/l", answer: FRESH },
    { method: "POST", body: "abc", target: "/", answer: `${name}: ${value}` },
    { target: "/l", from },
  ],
});

const INVALIDATION: Group = {
  name: "invalidation",
  section: "RFC 9111 §4.4",
  cases: [
    ...["POST", "PUT", "DELETE", "PATCH", "M-SEARCH"].flatMap(invalidates),
    elsewhere("Location", "l", "asked"),
    elsewhere("Content-Location", "l", "asked"),
    elsewhere("Location", "http://other.example/l", "cached"),
    ...["OPTIONS", "HEAD", "TRACE"].map(
      (method): Case => ({
        kind: "optional",
        name: `${method} is safe`,
        steps: [{ answer: FRESH }, { method }, { from: "cached" }],
      }),
    ),
    {
      kind: "required",
      name: "all variants",
      steps: [
        { fields: "A: 1", answer: `${FRESH} | Vary: A` },
        { fields: "A: 2", answer: `${FRESH} | Vary: A` },
        { method: "POST", body: "x" },
        { fields: "A: 1", from: "asked" },
        { fields: "A: 2", from: "asked" },
      ],
    },
  ],
};

const METHOD: Group = {
  name: "method",
  section: "RFC 9111 §3, RFC 9110 §9",
  cases: [
    ...["POST", "PUT", "OPTIONS", "X-ODD"].map(
      (method): Case => ({
        kind: "ours",
        name: `the answer to ${method} is not stored`,
        steps: [{ method, body: "abc", answer: FRESH }, { from: "asked" }],
      }),
    ),
    {
      kind: "ours",
      name: "nor that to POST with its own Content-Location: its body is no part of the key",
      steps: [{ method: "POST", body: "a", answer: `${FRESH} | Content-Location: ` }, { from: "asked" }],
    },
    {
      kind: "ours",
      name: "GET with a body passes by",
      steps: [{ answer: FRESH }, { body: "a", from: "asked" }, { from: "cached" }],
    },
  ],
};

const AUTHORIZED = { fields: "Authorization: FOO", sent: "Authorization: FOO" };
const auth = (directives: string): Case =>
  optional(`Cache-Control: ${directives} | Date: {0}`, "cached", { first: AUTHORIZED });

const AUTH: Group = {
  name: "auth",
  section: "RFC 9111 §3.5",
  cases: [
    required(FRESH, "asked", { first: AUTHORIZED }),
    required("Expires: {1000} | Date: {0}", "asked", { first: AUTHORIZED }),
    auth("max-age=3600, public"),
    auth("max-age=3600, must-revalidate"),
    auth("s-maxage=3600"),
    required("Cache-Control: max-age=3600, proxy-revalidate", "asked", { first: AUTHORIZED }),
    required("Cache-Control: max-age=3600, public, private", "asked", { first: AUTHORIZED }),
    optional(FRESH, "cached", { second: { fields: "Authorization: FOO" } }),
  ],
};

const OTHER: Group = {
  name: "other",
  section: "RFC 9111 §2, §4, §5.1, RFC 9110 §6.6.1",
  cases: [
    required(FRESH, "cached", { first: { pause: true }, second: { aged: 2 } }),
    required("Expires: {100000} | Date: {0} | Age: 30", "cached", { first: { pause: true }, second: { aged: 32 } }),
    required(`${FRESH} | Age: 30`, "cached", { first: { pause: true }, second: { aged: 32 } }),
    required(FRESH, "cached", { first: { pause: true }, second: { has: "Date: {0}" } }),
    required("Expires: {1000} | Date: {0}", "cached", { second: { has: "Date: {0} | Expires: {1000}" } }),
    ours("Cache-Control: max-age=3600", "cached", { first: { takes: 2 }, second: { aged: 2 } }),
    required(FRESH, "asked", { first: { target: "?test=1" }, second: { target: "?test=2" } }),
    required(FRESH, "asked", { first: { target: "/A" }, second: { target: "/a" } }),
    required(FRESH, "asked", { first: { target: "?" }, second: {} }),
    optional(FRESH, "cached", { first: { target: "?test=1" }, second: { target: "?test=1" } }),
    optional(FRESH, "cached", { first: { target: "/a/../b" }, second: { target: "/b" } }),
    optional(FRESH, "cached", { first: { target: "/%7Ea" }, second: { target: "/~a" } }),
    ours(`${FRESH} | Content-Disposition: attachment; filename=example.txt`, "cached"),
    ours(`${FRESH} | Set-Cookie: a=b`, "asked"),
    optional(`${FRESH} | Set-Cookie: a=b`, "cached", { route: "cookies", second: { has: "Set-Cookie: a=b" } }),
    optional(FRESH, "cached", { second: { fields: "Cookie: a=b" } }),
    optional(FRESH, "cached", { first: { fields: "Cookie: a=b" } }),
    ours("", "asked", { route: "ttl", first: { fields: "Cookie: a=b" } }),
    ours(FRESH, "cached", { first: { target: "/a%2Fb" }, second: { target: "/a%2fb" } }),
    ours("", "asked", { route: "ttl", first: { target: "/a%2Fb" }, second: { target: "/a%2Fb" } }),
    ours(FRESH, "asked", { first: { target: "/a%2Fb", fields: "Cookie: a=b" }, second: { target: "/a%2Fb" } }),
    ours(`${FRESH} | No-Vary-Search: params=("utm")`, "cached", {
      first: { target: "?a=1&utm=x" },
      second: { target: "?a=1&utm=y" },
    }),
    ours(`${FRESH} | No-Vary-Search: params=("utm")`, "asked", {
      first: { target: "?a=1&utm=x" },
      second: { target: "?a=2&utm=x" },
    }),
    ours(`${FRESH} | No-Vary-Search: params, except=("a")`, "cached", {
      first: { target: "?a=1&b=1" },
      second: { target: "?c=9&a=%31" },
    }),
    ours(`${FRESH} | No-Vary-Search: key-order`, "cached", {
      first: { target: "?a=1&b=2" },
      second: { target: "?b=2&a=1" },
    }),
    ours(`${FRESH} | No-Vary-Search: params=("utm")`, "cached", { first: {}, second: { target: "?utm=y" } }),
    ours(`${FRESH} | No-Vary-Search: params="utm"`, "asked", { first: {}, second: { target: "?utm=y" } }),
    {
      kind: "ours",
      name: "No-Vary-Search: a change behind one of the addresses counts for all",
      steps: [
        { target: "?a=1&utm=x", answer: `${FRESH} | No-Vary-Search: params=("utm")` },
        { target: "?a=1&utm=y", from: "cached" },
        { target: "?a=1&utm=y", method: "POST", body: "x" },
        { target: "?a=1&utm=z", from: "asked" },
      ],
    },
    {
      kind: "ours",
      name: "No-Vary-Search: the answer that came last is used, and validated",
      steps: [
        {
          target: "?utm=1",
          answer: 'Cache-Control: max-age=1 | ETag: "a" | No-Vary-Search: params=("utm")',
          pause: true,
        },
        { target: "?utm=2", answer: `${FRESH} | ETag: "a" | No-Vary-Search: params=("utm")`, from: "etag" },
        { target: "?utm=3", from: "cached" },
      ],
    },
  ],
};

const EARLY = "HTTP/1.1 103 Early Hints\r\nLink: </s.css>; rel=preload\r\nX-Mine: 1\r\n\r\n";

const INTERIM: Group = {
  name: "interim",
  section: "RFC 9110 §15.2, RFC 9111 §3",
  cases: [
    optional(FRESH, "cached", {
      first: { interim: ["HTTP/1.1 102 Processing\r\n\r\n"], told: [102] },
      second: { told: [] },
    }),
    optional(FRESH, "cached", { first: { interim: [EARLY], told: [103] } }),
    required(FRESH, "cached", { first: { interim: [EARLY], told: [103] }, second: { told: [] } }),
    optional(FRESH, "cached", {
      first: { interim: [EARLY], lacks: ["x-mine"] },
      second: { lacks: ["x-mine", "link"] },
    }),
    optional(FRESH, "cached", { first: { interim: [EARLY, EARLY], told: [103, 103] }, second: { told: [] } }),
  ],
};

export const METHODS: readonly Group[] = [INVALIDATION, METHOD, AUTH, OTHER, INTERIM];
