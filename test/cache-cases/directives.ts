// What answers and requests say in Cache-Control and its kin: RFC 9111 §5.2, §5.4, RFC 9213, RFC 8246; and answers by
// their status.
import { type Case, type Group, LATER, optional, ours, required, type Step } from "./case.ts";

const FRESH = "Cache-Control: max-age=3600";

const CC_RESPONSE: Group = {
  name: "cc-response",
  section: "RFC 9111 §5.2.2",
  cases: [
    required("Cache-Control: private, max-age=3600", "asked"),
    required("Cache-Control: PRIVATE, max-age=3600", "asked"),
    required("Cache-Control: max-age=3600 | Cache-Control: private", "asked"),
    required("Cache-Control: no-store", "asked"),
    required("Cache-Control: No-StOrE", "asked"),
    required("Cache-Control: max-age=10000, no-store | Expires: {10000} | Date: {0}", "asked"),
    required('Cache-Control: max-age=10000, no-store | ETag: "a"', "asked"),
    required("Cache-Control: max-age=10000, no-cache | Expires: {10000} | Date: {0}", "asked"),
    required("Cache-Control: max-age=10000, No-CaChE | Expires: {10000} | Date: {0}", "asked"),
    optional('Cache-Control: no-cache | ETag: "abcd"', "etag"),
    optional('Cache-Control: max-age=10000, no-cache | Expires: {10000} | Date: {0} | ETag: "abcd"', "etag"),
    optional("Cache-Control: no-cache | Last-Modified: {-1000}", "lm"),
    ours('Cache-Control: no-cache="a", max-age=3600 | a: 1 | b: 2', "cached", {
      second: { has: "b: 2", lacks: ["a"] },
    }),
    ours('Cache-Control: no-cache="a, b", max-age=3600 | a: 1 | b: 2 | c: 3', "cached", {
      second: { has: "c: 3", lacks: ["a", "b"] },
    }),
    ours('Cache-Control: private="a", max-age=3600 | a: 1 | b: 2', "cached", { second: { has: "b: 2", lacks: ["a"] } }),
    optional('Cache-Control: max-age=10000, must-revalidate | ETag: "abcd"', "cached"),
    optional("Cache-Control: max-age=10000, proxy-revalidate", "cached"),
    required('Cache-Control: max-age=1, must-revalidate | ETag: "abcd"', "etag", LATER),
    optional("Cache-Control: max-age=3600, immutable", "cached"),
    required('Cache-Control: max-age=1, immutable | ETag: "a"', "etag", LATER),
    optional("Cache-Control: max-age=3600, no-transform", "cached"),
    optional("Cache-Control: public, max-age=3600", "cached"),
    {
      kind: "ours",
      name: "an older answer goes on where a newer one is not stored: it is fresh, and nobody has asked for news",
      steps: [
        { answer: "Cache-Control: max-age=10000 | A: 1" },
        { answer: "Cache-Control: no-store | A: 2", from: "cached", has: "A: 1" },
      ],
    },
    {
      kind: "required",
      name: "an answer with no-store to a question for news takes the older one's place",
      steps: [
        { answer: "Cache-Control: max-age=10000 | A: 1" },
        { fields: "Cache-Control: no-cache", answer: "Cache-Control: no-store | A: 2", from: "asked", has: "A: 2" },
        { answer: "A: 3", from: "asked", has: "A: 3" },
      ],
    },
  ],
};

const asking = (answer: string, fields: string, from: "cached" | "asked" | "etag" | "lm", first: Step = {}): Case =>
  ours(answer, from, { first, second: { fields } });

const CC_REQUEST: Group = {
  name: "cc-request",
  section: "RFC 9111 §5.2.1",
  cases: [
    asking(FRESH, "Cache-Control: max-age=0", "asked"),
    asking(FRESH, "Cache-Control: max-age=1", "asked", { pause: true }),
    asking(`${FRESH} | Age: 1800`, "Cache-Control: max-age=600", "asked"),
    asking(`${FRESH} | Age: 1800`, "Cache-Control: max-age=2000", "cached"),
    asking("Cache-Control: max-age=1", "Cache-Control: max-stale=1000", "cached", { pause: true }),
    asking("Cache-Control: max-age=1500 | Age: 2000", "Cache-Control: max-stale=1000", "cached"),
    asking('Cache-Control: max-age=1500 | Age: 2000 | ETag: "a"', "Cache-Control: max-stale=1000", "cached"),
    asking('Cache-Control: max-age=1500 | Age: 3000 | ETag: "a"', "Cache-Control: max-stale=1000", "etag"),
    asking('Cache-Control: max-age=1500 | Age: 9000 | ETag: "a"', "Cache-Control: max-stale", "cached"),
    asking('Cache-Control: max-age=1, must-revalidate | ETag: "a"', "Cache-Control: max-stale=1000", "etag", {
      pause: true,
    }),
    asking("Cache-Control: max-age=1500", "Cache-Control: min-fresh=2000", "asked"),
    asking("Cache-Control: max-age=1500 | Age: 1000", "Cache-Control: min-fresh=1000", "asked"),
    asking("Cache-Control: max-age=1500", "Cache-Control: min-fresh=1000", "cached"),
    asking(FRESH, "Cache-Control: no-cache", "asked"),
    asking(`${FRESH} | Last-Modified: {-10000} | Date: {0}`, "Cache-Control: no-cache", "lm"),
    asking(`${FRESH} | ETag: "abc"`, "Cache-Control: no-cache", "etag"),
    asking(FRESH, "Cache-Control: no-cache=foo", "asked"),
    asking(FRESH, "Cache-Control: foo", "cached"),
    asking(FRESH, "Cache-Control: only-if-cached", "cached"),
    {
      kind: "ours",
      name: "no-store in a request: its answer is not stored",
      steps: [{ fields: "Cache-Control: no-store", answer: FRESH }, { from: "asked" }],
    },
    {
      kind: "ours",
      name: "only-if-cached with nothing stored: 504",
      steps: [{ fields: "Cache-Control: only-if-cached", gets: 504 }],
    },
    asking(FRESH, "Pragma: foo", "cached"),
  ],
};

const PRAGMA: Group = {
  name: "pragma",
  section: "RFC 9111 §5.4",
  cases: [
    ours(FRESH, "asked", { second: { fields: "Pragma: no-cache" } }),
    ours(FRESH, "cached", { second: { fields: "Pragma: no-cache | Cache-Control: max-age=3600" } }),
    ours(FRESH, "cached", { second: { fields: "Pragma: unrecognised-extension" } }),
    ours(`${FRESH} | Pragma: no-cache`, "cached"),
    ours(`${FRESH} | Pragma: unrecognised-extension`, "cached"),
  ],
};

const cdn = (fields: string, cacheControl = ""): string =>
  cacheControl === ""
    ? `CDN-Cache-Control: ${fields}`
    : `Cache-Control: ${cacheControl} | CDN-Cache-Control: ${fields}`;
const AT_ONCE = { second: {} };

const CDN: Group = {
  name: "cdn-cache-control",
  section: "RFC 9213",
  cases: [
    optional(cdn("max-age=3600"), "cached"),
    optional(cdn("max-age=2147483648"), "cached"),
    optional(cdn("max-age=99999999999"), "cached"),
    required(`Date: {0} | ${cdn("max-age=3600")} | Age: 7200`, "asked"),
    ours(cdn("max-age =100", "max-age=1"), "asked", LATER),
    ours(cdn("max-age= 100", "max-age=1"), "asked", LATER),
    required(cdn("max-age=0"), "asked"),
    optional(cdn("foobar, max-age=3600"), "cached"),
    ours(cdn("MaX-aGe=3600"), "asked"),
    optional(`${cdn("max-age=3600")} | Expires: {-10000} | Date: {0}`, "cached"),
    optional(`${cdn("max-age=3600")} | Expires: 0 | Date: {0}`, "cached"),
    required(`${cdn("max-age=0")} | Expires: {10000} | Date: {0}`, "asked"),
    optional(cdn("max-age=3600", "max-age=1"), "cached", LATER),
    required(cdn("max-age=1", "max-age=3600"), "asked", LATER),
    required(`${cdn("private", "max-age=10000")} | Expires: {10000} | Date: {0}`, "asked"),
    required(`${cdn("no-cache", "max-age=10000")} | Expires: {10000} | Date: {0}`, "asked"),
    required(`${cdn("no-store", "max-age=10000")} | Expires: {10000} | Date: {0}`, "asked"),
    required(cdn("max-age=10000", "no-store"), "cached"),
    required(cdn("max-age=10000, &&&&&", "no-store"), "asked"),
    required(cdn('max-age="10000"', "no-store"), "asked"),
    required(cdn("max-age=10000.5", "no-store"), "asked"),
    required(cdn("", "max-age=3600"), "cached", AT_ONCE),
    ours(cdn("foo", "max-age=10000"), "asked", { first: { has: "CDN-Cache-Control: foo" } }),
    ours(`${cdn("max-age=10000", "max-age=1")} | Date: {0}`, "cached", {
      first: { pause: true },
      second: { aged: 2, has: "Date: {0} | Cache-Control: max-age=1" },
    }),
    ours(`${cdn("max-age=10000", "max-age=1")} | Expires: {1} | Date: {0}`, "cached", {
      first: { pause: true },
      second: { has: "Expires: {1}" },
    }),
    required("Sluice-Cache-Control: max-age=0 | CDN-Cache-Control: max-age=3600", "asked"),
    optional("Sluice-Cache-Control: max-age=3600 | CDN-Cache-Control: no-store", "cached"),
    optional(cdn("max-age=3600, must-revalidate=?0"), "cached"),
  ],
};

const SURROGATE: Group = {
  name: "surrogate-control",
  section: "no standard: left to those who speak it",
  cases: [
    ours("Surrogate-Control: max-age=3600", "asked"),
    ours(`${FRESH} | Surrogate-Control: max-age=0`, "cached"),
    ours(`${FRESH} | Surrogate-Control: max-age=0`, "cached", { second: { has: "Surrogate-Control: max-age=0" } }),
  ],
};

function statusCases(status: number, content?: string): Case[] {
  const step: Step = { status, ...(content === undefined ? {} : { content }) };
  return [
    optional(`${FRESH} | Date: {0}`, "cached", { first: step, second: step }),
    required("Expires: {-5000} | Last-Modified: {-100000} | Date: {0}", "asked", { first: step, second: step }),
  ];
}

const UNKNOWN: Step = { status: 599 };

const STATUS: Group = {
  name: "status",
  section: "RFC 9111 §3, RFC 9110 §15",
  cases: [
    ...[200, 203, 299, 300, 301, 302, 303, 307, 308, 400, 404, 405, 410, 414, 451, 499].flatMap((status) =>
      statusCases(status),
    ),
    ...[500, 501, 502, 503, 504, 599].flatMap((status) => statusCases(status)),
    ...statusCases(204, ""),
    required("Cache-Control: max-age=3600, no-store, must-understand", "asked", { first: UNKNOWN, second: UNKNOWN }),
    optional("Cache-Control: max-age=3600, no-store, must-understand", "cached"),
    required("Cache-Control: max-age=3600, private, must-understand", "asked"),
  ],
};

export const DIRECTIVES: readonly Group[] = [CC_RESPONSE, CC_REQUEST, PRAGMA, CDN, SURROGATE, STATUS];
