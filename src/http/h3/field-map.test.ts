// Sections as the runtime sends them.
import { expect, test } from "bun:test";
import { receivedBlock } from "../h2/hpack.testing.ts";
import { HOP_BY_HOP, skipSet } from "../header-block.ts";
import { FieldCollector } from "./field-map.ts";

const SKIP = skipSet(...HOP_BY_HOP);
const collector = new FieldCollector();

test("names are in lower case, and what belongs to the connection stays behind", () => {
  collector.begin();
  collector.status(200);
  const block = receivedBlock([
    ["Content-Type", "text/plain"],
    ["Connection", "close"],
    ["X-A", "1"],
    ["Set-Cookie", "a=1"],
    ["x-a", "2"],
    ["set-cookie", "b=2"],
    ["Transfer-Encoding", "chunked"],
    ["X-Gone", "1"],
  ]);
  block.remove("x-gone");
  block.added = [
    { name: "X-New", value: "1" },
    { name: "Keep-Alive", value: "5" },
  ];
  collector.fields(block, SKIP);
  collector.field("via", "1.1 x");
  expect(collector.map).toEqual(
    Object.assign(Object.create(null), {
      ":status": "200",
      "content-type": "text/plain",
      "x-a": ["1", "2"],
      "set-cookie": ["a=1", "b=2"],
      "x-new": "1",
      via: "1.1 x",
    }),
  );
  expect([collector.fits, collector.statusCode, collector.isEmpty]).toEqual([true, 200, false]);
});

test("fields that the runtime takes once are joined", () => {
  collector.begin();
  for (const value of ["1", "2", "3"]) collector.field("age", value);
  expect(collector.map.age).toBe("1, 2, 3");
});

test("what the runtime cannot send does not fit", () => {
  const fits = (count: number, bytes: number): boolean => {
    collector.begin();
    for (let n = 0; n < count; n += 1) collector.field(`x-${n}`, "v".repeat(bytes));
    return collector.fits;
  };
  expect([fits(128, 1), fits(129, 1), fits(1, 59_000), fits(1, 60_001), fits(2, 40_000)]).toEqual([
    true,
    false,
    true,
    false,
    false,
  ]);
});
