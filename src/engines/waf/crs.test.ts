// The Core Rule Set, as Debian packages it: the quick way decides as the slow one, and no step is a long one.
import { expect, test } from "bun:test";
import { Rng } from "../../core/fuzz.testing.ts";
import { coreRules } from "./crs.testing.ts";
import { SQL_ATTACKS } from "./detect/sql-attacks.testing.ts";
import { XSS_ATTACKS } from "./detect/xss-attacks.testing.ts";
import { Transaction } from "./transaction/transaction.ts";
import { inspect, TestHost, type TestRequest } from "./waf.testing.ts";
import { STEP_WORK, work } from "./work.ts";

const rules = coreRules(4);

const FRAGMENTS: readonly string[] = [
  ...Object.values(SQL_ATTACKS).flatMap((lines) => lines.slice(0, 6)),
  ...Object.values(XSS_ATTACKS).flatMap((lines) => lines.slice(0, 6)),
  ...[
    "../../etc/passwd",
    "<?php system($_GET['c']);",
    ";cat /etc/shadow|nc -e",
    "$" + "{jndi:ldap://x}",
    "() { :; }; ping",
  ],
  ...[
    "{{7*7}}",
    "http://10.0.0.1/a.txt?",
    "red shoes",
    "Ada Lovelace",
    "12345",
    "true",
    "a@b.example",
    "\0\xff",
    "%2e%",
  ],
];
const HEADERS: readonly (readonly [string, string])[] = [
  ["Host", "www.example.com"],
  ["User-Agent", "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0"],
  ["Accept", "text/html,application/xhtml+xml,*/*;q=0.8"],
  ["Accept-Encoding", "gzip, deflate, br"],
];

function requestOf(rng: Rng): TestRequest {
  const value = (): string => encodeURIComponent(rng.pick(FRAGMENTS) + (rng.oneIn(3) ? rng.pick(FRAGMENTS) : ""));
  const query = `a=${value()}&${rng.oneIn(4) ? value() : "b"}=${value()}`;
  const headers = [...HEADERS, ["Cookie", `c=${value()}`] as const];
  if (rng.oneIn(3)) headers.push(["Referer", `https://www.example.com/${value()}`]);
  if (rng.oneIn(2)) return { target: `/shop/${rng.oneIn(3) ? value() : "list"}?${query}`, headers };
  const json = rng.oneIn(2);
  const body = json ? JSON.stringify({ page: 2, items: [rng.pick(FRAGMENTS), { q: rng.pick(FRAGMENTS) }] }) : query;
  headers.push(["Content-Type", json ? "application/json" : "application/x-www-form-urlencoded"]);
  headers.push(["Content-Length", String(body.length)]);
  return { method: "POST", target: "/shop", headers, body };
}

function said(tx: Transaction, request: TestRequest): string {
  const { matches, interruption } = inspect(tx, request);
  return JSON.stringify([
    matches.map(({ rule, variable, data, count }) => `${rule.id} ${variable} ${data} ${count}`),
    interruption,
  ]);
}

test("decides with the prefilter, and what it keeps of earlier requests, as without", () => {
  const quick = new Transaction(rules, new TestHost());
  const slow = new Transaction(coreRules(4, { prefilter: false }), new TestHost());
  const rng = new Rng(20_240);
  for (let round = 0; round < 120; round += 1) {
    const request = requestOf(rng);
    expect([request, said(quick, request)]).toEqual([request, said(slow, request)]);
  }
}, 20_000);

const LENGTH = 131_000;
const filled = (text: string): string => text.repeat(Math.ceil(LENGTH / text.length)).slice(0, LENGTH);
const form = (value: string): string => `a=${encodeURIComponent(value).slice(0, LENGTH)}`;
const FORM = "application/x-www-form-urlencoded";

/** Bodies up to the limit, of what rules look for: one value, many values, and names in place of values. */
const HEAVY: readonly (readonly [what: string, type: string, body: string])[] = [
  ["ordinary text", FORM, `a=${filled("lorem ipsum dolor ")}`],
  ["quotes and statements", FORM, form(filled("1' or '1'='1 union select a from b where sleep(5) -- "))],
  ["tags", FORM, form(filled("<img src=x onerror=alert(1)><a href='javascript:"))],
  ["commands", FORM, form(filled(';w`h\\o\'a\'m"i" $(c"a"t /e?c/p*d)|& '))],
  ["parentheses", FORM, `a=${filled("(")}`],
  ["escapes", FORM, form(filled("\\x41\\u0041%u0041&#x41;"))],
  ["a thousand values", FORM, Array.from({ length: 995 }, (_, at) => `k${at}=${at}'+or+sleep(${at})--+<a>`).join("&")],
  ["a long name for each", "application/json", `{"${"k".repeat(240)}":[${Array(990).fill('"<select"')}]}`],
];

test("no step does more than its share, whatever the body", () => {
  const tx = new Transaction(rules, new TestHost());
  const longest = HEAVY.map(([what, type, body]) => {
    tx.begin({
      ...{ id: "1", method: "POST", target: "/", protocol: "HTTP/1.1", remoteAddress: "192.0.2.1" },
      ...{ remotePort: 1, serverAddress: "192.0.2.2", serverPort: 80 },
    });
    for (const [name, value] of [...HEADERS, ["Content-Type", type] as const]) tx.requestHeader(name, value);
    let most = 0;
    const step = (): boolean => {
      const more = tx.step();
      most = Math.max(most, STEP_WORK - work.left);
      return more;
    };
    tx.beginRequestHead();
    while (step());
    tx.requestPiece(Buffer.from(body, "latin1"));
    tx.beginRequestBody();
    let steps = 1;
    while (step()) steps += 1;
    return { what, most, steps };
  });
  // The last thing that a step does is not cut: one look at a value of 128 KB.
  expect(longest.filter(({ most }) => most > 2 * STEP_WORK)).toEqual([]);
  expect(longest.filter(({ steps }) => steps < 3)).toEqual([]);
}, 20_000);
