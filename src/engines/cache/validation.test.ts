import { describe, expect, test } from "bun:test";
import { rangeApplies } from "../../http/conditional.ts";
import { NOT_IN_304, type StoredValidators, validatorsOf } from "./conditional.ts";
import { block, requestHead, responseHead, START } from "./model.testing.ts";
import { DEFAULT_POLICY } from "./policy.ts";
import { type StoredHead, storedHead } from "./stored-head.ts";
import { CLIENT_CONDITIONS, conditionFor, confirmed, freshen, headSays, strongValidator } from "./validation.ts";

const stored = (text: string): StoredValidators => validatorsOf(block(`${text && `${text} | `}Date: {0}`), START);
const modified = block("Last-Modified: {-60}").get("last-modified")!;

const CONDITIONS: readonly (readonly [stored: readonly string[], want: [string | null, string | null] | null])[] = [
  [[], null],
  [[""], null],
  [['ETag: "a"'], ['"a"', null]],
  [['ETag: W/"a"'], ['W/"a"', null]],
  [["ETag: a"], ["a", null]], // as it came: who sends it so compares it so
  [["Last-Modified: {-60}"], [null, modified]],
  [["Last-Modified: foo"], null],
  [['ETag: "a" | Last-Modified: {-60}'], ['"a"', modified]],
  [
    ['ETag: "a"', 'ETag: "b" | Last-Modified: {-60}', 'ETag: "a"', ""],
    ['"a", "b"', null],
  ],
];
for (const [all, want] of CONDITIONS)
  test(`RFC 9111 §4.3.1: asking about ${all.join(" and ") || "nothing"}`, () => {
    const found = conditionFor(all.map(stored));
    expect(found === null ? null : [found.ifNoneMatch, found.ifModifiedSince]).toEqual(want);
  });

test("a condition names a limited number of tags", () => {
  const all = Array.from({ length: 40 }, (_, at) => stored(`ETag: "${at}"`));
  expect(conditionFor(all)!.ifNoneMatch!.split(", ").length).toBe(16);
});

test("the fields that a filling request leaves out are those that HTTP knows", () => {
  expect(CLIENT_CONDITIONS.filter((name) => name.startsWith("if-")).length).toBe(5);
  expect(CLIENT_CONDITIONS).toContain("range");
});

const CONFIRMED: readonly (readonly [stored: readonly string[], answer: string, want: readonly number[]])[] = [
  [['ETag: "a"'], 'ETag: "a"', [0]],
  [['ETag: "a"'], 'ETag: "b"', []],
  [['ETag: "a"'], 'ETag: W/"a"', [0]],
  [['ETag: W/"a"'], 'ETag: "a"', [0]],
  [['ETag: W/"a"', 'ETag: "a"'], 'ETag: "a"', [1]],
  [['ETag: W/"a"'], 'ETag: "b"', []],
  [['ETag: W/"a"'], 'ETag: W/"a"', [0]],
  [['ETag: "a"', 'ETag: "b"', 'ETag: "a"'], 'ETag: "a"', [0, 2]],
  [['ETag: W/"a"', 'ETag: W/"a"', 'ETag: W/"b"'], 'ETag: W/"a"', [1]],
  [["ETag: a"], "ETag: a", [0]],
  [["Last-Modified: {-60}"], "Last-Modified: {-60}", [0]],
  [["Last-Modified: {-60}"], "Last-Modified: {-61}", []],
  [["Last-Modified: {-60}", "Last-Modified: {-60}"], "Last-Modified: {-60}", [1]],
  [['ETag: "a" | Last-Modified: {-60}'], "Last-Modified: {-60}", [0]],
  [['ETag: "a"'], "", [0]],
  [[""], "", [0]],
  [['ETag: "a"', 'ETag: "b"'], "", []],
  [["Last-Modified: {-60}"], "Last-Modified: foo", [0]],
];
for (const [all, answer, want] of CONFIRMED)
  test(`RFC 9111 §4.3.4: a 304 with ${answer || "nothing"} about ${all.join(" and ")}`, () => {
    expect(confirmed(all.map(stored), block(answer), START)).toEqual([...want]);
  });

const HEADS: readonly (readonly [stored: string, status: number, answer: string, want: string])[] = [
  ['ETag: "a"', 200, 'ETag: "a"', "update"],
  ['ETag: "a"', 200, 'ETag: "b"', "outdated"],
  ['ETag: "a"', 200, "", "update"],
  ["", 200, 'ETag: "a"', "outdated"],
  ["Last-Modified: {-60}", 200, "Last-Modified: {-60}", "update"],
  ["Last-Modified: {-60}", 200, "Last-Modified: {0}", "outdated"],
  ["", 200, "Content-Length: 10", "update"],
  ["", 200, "Content-Length: 11", "outdated"],
  ["", 404, "Content-Length: 11", "nothing"],
  ["", 410, "", "nothing"],
];
for (const [one, status, answer, want] of HEADS)
  test(`RFC 9111 §4.3.5: a HEAD with ${status} ${answer} about ${one}`, () => {
    expect(headSays(stored(one), 10, responseHead(answer, status))).toBe(want as "update");
  });

const STRONG: readonly (readonly [stored: string, want: string | null])[] = [
  ['ETag: "a" | Last-Modified: {-60}', '"a"'],
  ['ETag: W/"a" | Last-Modified: {-60}', modified],
  ["Last-Modified: {-60}", modified],
  ["Last-Modified: {0}", null],
  ['ETag: W/"a"', null],
  ["ETag: a", null],
  ["", null],
];
for (const [one, want] of STRONG)
  test(`a strong validator of ${one || "nothing"}`, () => {
    const found = strongValidator(stored(one));
    expect(found).toBe(want);
    if (found !== null) expect(rangeApplies(block(`If-Range: ${found}`), stored(one).own, START)).toBe(true);
  });

const lines = ({ headers }: StoredHead): string[] =>
  headers.bytes.latin1Slice(0, headers.end).split("\r\n").slice(0, -1);

describe("stored heads", () => {
  test("RFC 9111 §3.1: what belongs to a connection is left out", () => {
    const head = responseHead(
      "Content-Type: a/b | Connection: x-one, close | X-One: 1 | X-Two: 2 | Keep-Alive: 5 | Transfer-Encoding: chunked | " +
        "Proxy-Authenticate: Basic | Proxy-Authentication-Info: x | Proxy-Connection: x | TE: x | Trailer: y | Upgrade: h2c | " +
        "Age: 5 | Content-Length: 99 | Date: {-5} | x-odd-Case: 3",
    );
    head.connectionNamesFields = true;
    const kept = storedHead(head, ["x-two"], 10, START);
    const date = block("Date: {-5}").get("date");
    expect(lines(kept)).toEqual([
      "HTTP/1.1 200 OK",
      "Content-Type: a/b",
      `Date: ${date}`,
      "x-odd-Case: 3",
      "Content-Length: 10",
    ]);
    expect(kept.headers.get("X-Odd-Case")).toBe("3");
    expect(kept.headers.bytes.latin1Slice(kept.headers.lineStart(1), kept.headers.lineEnd(1))).toBe(
      `Date: ${date}\r\n`,
    );
  });

  test("have a Date, and a length only when it is known", () => {
    const kept = storedHead(responseHead("A: 1"), [], -1, START);
    expect(lines(kept)).toEqual(["HTTP/1.1 200 OK", "A: 1", `Date: ${block("Date: {0}").get("date")}`]);
  });

  test("say of a 304 what is not about its content", () => {
    const kept = storedHead(
      responseHead('Content-Type: a/b | Content-Encoding: gzip | ETag: "a" | A: 1'),
      [],
      10,
      START,
    );
    const out = Buffer.alloc(kept.headers.maxLength());
    const text = out.latin1Slice(0, kept.headers.writeTo(out, 0, NOT_IN_304));
    expect(text).toBe(`ETag: "a"\r\nA: 1\r\nDate: ${block("Date: {0}").get("date")}\r\n`);
  });
});

type FreshenRow = readonly [
  name: string,
  stored: string,
  answer: string,
  want: readonly string[],
  missing?: readonly string[],
];
const FRESHENED: readonly FreshenRow[] = [
  ["keeps what the 304 does not name", "A: 1", "B: 2", ["A: 1", "B: 2"]],
  ["takes what it names", "A: 1", "A: 2", ["A: 2"], ["A: 1"]],
  ["takes all lines of a field", "A: 1 | A: 2", "a: 3 | a: 4", ["a: 3", "a: 4"], ["A: 1", "A: 2"]],
  ["takes Content-Type", "Content-Type: a/b", "Content-Type: a/c", ["Content-Type: a/c"]],
  ["takes Content-Location", "Content-Location: /a", "Content-Location: /b", ["Content-Location: /b"]],
  ["takes Content-Foo", "Content-Foo: a", "Content-Foo: b", ["Content-Foo: b"]],
  ["takes Expires", "Expires: {60}", "Expires: 0", ["Expires: 0"]],
  ["takes an ETag where it had none", "A: 1", 'ETag: "a"', ['ETag: "a"']],
  ["not one that is another", 'ETag: W/"a"', 'ETag: "a"', ['ETag: W/"a"'], ['ETag: "a"']],
  ["not Content-Length", "A: 1", "Content-Length: 20", ["Content-Length: 10"], ["Content-Length: 20"]],
  ["not Content-Encoding", "Content-Encoding: gzip", "Content-Encoding: br", ["Content-Encoding: gzip"]],
  ["not Content-Range", "Content-Range: a", "Content-Range: b", ["Content-Range: a"], ["Content-Range: b"]],
  [
    "not hop-by-hop fields",
    "A: 1",
    "Keep-Alive: 5 | TE: x | Upgrade: y",
    ["A: 1"],
    ["Keep-Alive: 5", "TE: x", "Upgrade: y"],
  ],
];
describe("RFC 9111 §3.2: freshening", () => {
  const request = requestHead("");
  const freshened = (before: string, answer: string, policy = DEFAULT_POLICY): ReturnType<typeof freshen> => {
    const kept = storedHead(responseHead(`Cache-Control: max-age=60 | Date: {0} | ${before}`), [], 10, START);
    return freshen(request, kept, responseHead(answer, 304), 10, START + 100_000, START + 101_000, policy);
  };

  for (const [name, before, answer, want, missing = []] of FRESHENED)
    test(name, () => {
      const { head } = freshened(before, answer);
      const text = lines(head);
      for (const each of want.flatMap((line) => lines({ ...head, headers: block(line) }))) expect(text).toContain(each);
      for (const each of missing) expect(text).not.toContain(each);
      expect(text[0]).toBe("HTTP/1.1 200 OK");
      expect(head.status).toBe(200);
    });

  test("makes it fresh for as long again, from the Date of the 304", () => {
    for (const date of ["Date: {101}", "A: 1"]) {
      const { admission } = freshened("A: 1", date);
      if (!("times" in admission)) throw new Error(admission.refusal);
      expect(admission.times.freshUntil).toBe(START + 160_000);
    }
  });

  test("goes by the Age and the freshness that the 304 names", () => {
    const { admission } = freshened("A: 1", "Date: {101} | Age: 20 | Cache-Control: max-age=600");
    if (!("times" in admission)) throw new Error(admission.refusal);
    expect(admission.times.bornAt).toBe(START + 80_000);
    expect(admission.times.freshUntil).toBe(START + 680_000);
  });

  test("may end in that it is stored no more", () => {
    expect(freshened("A: 1", "Cache-Control: no-store").admission).toEqual({ refusal: "no-store" });
    expect(freshened("A: 1", "Set-Cookie: a=b").admission).toEqual({ refusal: "set-cookie" });
  });

  test("leaves out fields that are withheld, whoever sent them", () => {
    const { head } = freshened("A: 1 | B: 2", 'Cache-Control: max-age=60, private="a" | A: 3');
    expect(head.headers.get("a")).toBeNull();
    expect(head.headers.get("b")).toBe("2");
    const stripped = freshened("A: 1", "Set-Cookie: a=b", { ...DEFAULT_POLICY, setCookie: "strip" });
    expect(stripped.head.headers.get("set-cookie")).toBeNull();
  });
});
