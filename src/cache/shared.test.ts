// The small parts: marks of what is not stored, the time of day, what was changed, and what is purged.
import { expect, test } from "bun:test";
import { copiedRequest, copiedResponse } from "../http/copied-head.ts";
import { RequestHead, ResponseHead } from "../http/message.ts";
import { exchangeOf } from "../pipeline/exchange.fixture.ts";
import { Changes } from "./changes.ts";
import { MissMarks } from "./miss-marks.ts";
import { keyPrefix, purgeAddress } from "./purge.ts";
import { WallTime } from "./wall-time.ts";

test("a mark holds for a minute, and marks are limited", () => {
  const marks = new MissMarks();
  marks.add("a", 1000);
  expect([marks.has("a", 60_999), marks.has("b", 1000), marks.size]).toEqual([true, false, 1]);
  expect([marks.has("a", 61_000), marks.size]).toEqual([false, 0]);
  for (let at = 0; at < 50_000; at += 1) marks.add(String(at), 0);
  expect(marks.size).toBeLessThanOrEqual(20_000);
  expect([marks.has("49999", 0), marks.has("0", 0)]).toEqual([true, false]);
});

test("the time of day follows the system's clock, and the turn's between two looks at it", () => {
  let turn = 100;
  let wall = 1_000_000;
  const time = new WallTime(
    () => turn,
    () => wall,
  );
  expect(time.now()).toBe(1_000_000);
  turn += 500.7;
  wall += 9000; // set by an operator
  expect(time.now()).toBe(1_000_500);
  turn += 1000;
  expect(time.now()).toBe(1_009_000);
});

test("a change is seen by all who share the memory, and ends what was stamped before", () => {
  const memory = Changes.memory();
  const here = new Changes(memory, 1n);
  const there = new Changes(memory, 1n);
  const before = here.stamp("a");
  const other = here.stamp("b");
  there.change("a");
  expect([here.holds(before), there.holds(before), here.holds(other)]).toEqual([false, false, true]);
  expect(here.holds(here.stamp("a"))).toBe(true);
  Changes.purge(memory);
  expect([here.isUnpurged(other), here.isUnpurged(here.stamp("b"))]).toEqual([false, true]);
});

const URLS: readonly (readonly [url: string, prefix: string | null])[] = [
  ["https://A.example:443/a/../b?c=1", "https\na.example\n/b?c=1"],
  ["http://a.example:8080", "http\na.example:8080\n/"],
  ["http://a.example/a?", "http\na.example\n/a"],
  ["/a", null],
  ["ftp://a.example/", null],
  ["http://u:p@a.example/", null],
  ["http://a.example/%zz", null],
];
for (const [url, prefix] of URLS)
  test(`a purge of ${url}`, () => {
    const address = purgeAddress(url);
    expect(address === null ? null : keyPrefix(address)).toBe(prefix);
  });

test("copies of heads stay when their buffers are used again", () => {
  const { request } = exchangeOf({
    target: "/a?b",
    headers: [
      ["X-A", "1"],
      ["X-B", "2"],
      ["X-C", "3"],
    ],
  });
  request.headers.remove("x-b");
  request.headers.add("X-D", "4");
  const copy = copiedRequest(request);
  const before = request.headers.entries();
  request.headers.bytes.fill(0x21);
  request.headers.add("X-E", "5");
  expect(copy.headers.entries()).toEqual(before);
  expect([copy.target, copy.query, copy.authority, copy.body]).toEqual(["/a?b", "b", "example.com", "none"]);
});

test("a start line is copied with its fields", () => {
  const bytes = Buffer.from("xxxHTTP/1.1 200 OK\r\nX-A: 1\r\n");
  const head = new ResponseHead();
  head.headers.reset(bytes);
  head.headers.push(0, 20, 23, 25, 26, 28);
  head.lineAt = 3;
  const copy = copiedResponse(head);
  bytes.fill(0);
  expect(copy.headers.bytes.latin1Slice(copy.lineAt, copy.headers.end)).toBe("HTTP/1.1 200 OK\r\nX-A: 1\r\n");
  expect(copy.headers.get("x-a")).toBe("1");
  expect(copiedRequest(new RequestHead()).headers.count).toBe(0);
});
