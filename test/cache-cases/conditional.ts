// Conditional requests, of clients and of the cache itself: RFC 9110 §13, RFC 9111 §4.3.
import { type Case, type Group, LATER, optional, ours, required, type Step } from "./case.ts";

const FRESH = "Cache-Control: max-age=10000 | Date: {0}";
const SHORT = "Cache-Control: max-age=1";

/** A fresh answer with this tag, and a request with that condition: 304 from the cache. */
const matches = (kind: typeof optional, etag: string, condition: string): Case =>
  kind(`${FRESH} | ETag: ${etag}`, "cached", {
    second: { fields: `If-None-Match: ${condition}`, gets: 304, text: "" },
  });
const differs = (kind: typeof optional, etag: string, condition: string): Case =>
  kind(`${FRESH} | ETag: ${etag}`, "cached", { second: { fields: `If-None-Match: ${condition}`, gets: 200 } });

const ETAG: Group = {
  name: "conditional-inm",
  section: "RFC 9110 §13.1.2, RFC 9111 §4.3",
  cases: [
    matches(optional, '"abcdef"', '"abcdef"'),
    matches(optional, '"abcdef"', 'W/"abcdef"'),
    matches(optional, 'W/"abcdef"', 'W/"abcdef"'),
    matches(optional, 'W/"abcdef"', '"abcdef"'),
    matches(optional, '"abcdef"', '"abcdef", "1234", "5678"'),
    matches(optional, '"abcdef"', '"1234", "abcdef", "5678"'),
    matches(optional, '"abcdef"', '"1234", "5678", "abcdef"'),
    matches(optional, '"abcdef"', '"1234","abcdef"'),
    matches(optional, '"ab,cd"', '"ab,cd"'),
    matches(optional, '"abcdef"', "*"),
    matches(ours, '"abc\u00fc"', '"abc\u00fc"'),
    matches(ours, "abcdef", "abcdef"),
    matches(ours, 'w/"abcdef"', 'w/"abcdef"'),
    matches(ours, 'W\\"abcdef"', 'W\\"abcdef"'),
    differs(required, '"abcdef"', '"1234"'),
    differs(required, '"abcdef"', '"ABCDEF"'),
    differs(required, '"ab,cd"', '"ab"'),
    differs(ours, '"abcdef"', "abcdef"),
    differs(ours, "abcdef", '"abcdef"'),
    required(`${FRESH} | ETag: "a" | Vary: X-A | Content-Location: /l | Expires: {100}`, "cached", {
      second: {
        fields: 'If-None-Match: "a"',
        gets: 304,
        has: 'ETag: "a" | Vary: X-A | Content-Location: /l | Expires: {100} | Cache-Control: max-age=10000 | Date: {0}',
        lacks: ["content-type", "content-encoding"],
      },
    }),
    required(`${FRESH} | Last-Modified: {-5000} | ETag: "a"`, "cached", {
      second: { fields: 'If-None-Match: "a" | If-Modified-Since: {-9000}', gets: 304 },
    }),
    required(`${FRESH} | Last-Modified: {-5000} | ETag: "a"`, "cached", {
      second: { fields: 'If-None-Match: "b" | If-Modified-Since: {-1}', gets: 200 },
    }),
    required(`${SHORT} | ETag: "a" | Vary: Abc`, "etag", {
      first: { fields: "Abc: 123", pause: true },
      second: { fields: "Abc: 123", sent: 'Abc: 123 | If-None-Match: "a"' },
    }),
    ours(`${FRESH} | ETag: "a" | Vary: Abc`, "asked", {
      first: { fields: "Abc: 123" },
      second: { fields: "Abc: 456", unsent: ["if-none-match"] },
    }),
    optional(`${SHORT} | ETag: "abcdef"`, "etag", { ...LATER, second: { sent: 'If-None-Match: "abcdef"' } }),
    optional(`${SHORT} | ETag: W/"abcdef"`, "etag", { ...LATER, second: { sent: 'If-None-Match: W/"abcdef"' } }),
    ours(`${SHORT} | ETag: abcdef`, "etag", { ...LATER, second: { sent: "If-None-Match: abcdef" } }),
    optional(`${SHORT} | ETag: "a" | Last-Modified: {-1000}`, "etag", {
      ...LATER,
      second: { sent: 'If-None-Match: "a" | If-Modified-Since: {-1000}' },
    }),
    required(`${SHORT} | ETag: "a"`, "etag", {
      ...LATER,
      second: { fields: 'If-None-Match: "a"', gets: 304, text: "" },
    }),
    required(`${SHORT} | ETag: "a"`, "etag", { ...LATER, second: { fields: 'If-None-Match: "b"', gets: 200 } }),
    {
      kind: "ours",
      name: "a client's condition does not reach the server: its answer is to be stored for all",
      steps: [
        { fields: 'If-None-Match: "x"', answer: `${FRESH} | ETag: "a"`, unsent: ["if-none-match"], gets: 200 },
        { from: "cached" },
      ],
    },
    {
      kind: "required",
      name: "If-Match and If-Unmodified-Since are for the server",
      steps: [
        { answer: `${FRESH} | ETag: "a"` },
        { fields: 'If-Match: "b"', from: "asked", sent: 'If-Match: "b"', status: 412 },
        { fields: "If-Unmodified-Since: {-10000}", from: "asked", status: 412 },
        { from: "cached" },
      ],
    },
    {
      kind: "required",
      name: "a 200 that answers a validation is given out and stored in place",
      steps: [
        { answer: `${SHORT} | ETag: "a" | A: 1`, pause: true },
        { answer: `${FRESH} | ETag: "b" | A: 2`, content: "new", text: "new", from: "asked", has: "A: 2" },
        { from: "cached", text: "new", has: 'A: 2 | ETag: "b"' },
      ],
    },
    {
      kind: "required",
      name: "a 304 that nobody asked for goes to nobody else",
      steps: [{ answer: "Cache-Control: max-age=100", status: 304, gets: 304 }, { from: "asked" }],
    },
  ],
};

const since = (seconds: number, gets: number): Step => ({ fields: `If-Modified-Since: {${seconds}}`, gets });
const LM = `${FRESH} | Last-Modified: {-3000}`;

const LAST_MODIFIED: Group = {
  name: "conditional-lm",
  section: "RFC 9110 §13.1.3, RFC 9111 §4.3",
  cases: [
    optional(LM, "cached", { second: since(-3000, 304) }),
    optional(LM, "cached", { second: since(-2000, 304) }),
    required(LM, "cached", { second: since(-4000, 200) }),
    optional(FRESH, "cached", { second: since(10, 304) }),
    required(FRESH, "cached", { second: since(-3000, 200) }),
    required(LM, "cached", { second: { fields: "If-Modified-Since: yesterday", gets: 200 } }),
    optional(LM, "cached", { second: { fields: "If-Modified-Since: Thursday, 18-Aug-50 02:01:18 GMT", gets: 304 } }),
    optional(LM, "cached", { second: { fields: "If-Modified-Since: Thu Aug  8 02:01:18 2050", gets: 304 } }),
    optional(`${SHORT} | Last-Modified: {-3000}`, "lm", {
      ...LATER,
      second: { ...since(-3000, 304), sent: "If-Modified-Since: {-3000}" },
    }),
    optional(`${SHORT} | Last-Modified: {-3000}`, "lm", { ...LATER, second: { unsent: ["if-none-match"] } }),
    required(LM, "cached", { second: { ...since(-2000, 304), method: "HEAD" } }),
  ],
};

export const CONDITIONAL: readonly Group[] = [ETAG, LAST_MODIFIED];
