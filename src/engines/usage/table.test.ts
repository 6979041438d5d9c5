import { describe, expect, test } from "bun:test";
import { type Ended, subjectOf, UsageMeter } from "./meter.ts";
import { COUNTS, OTHERS, REQUESTS, type Series, shortName, UsageTable } from "./table.ts";

const memoryFor = (series: number): SharedArrayBuffer => new SharedArrayBuffer(UsageTable.bytes(series));
const ROUTES = ["api", "reports"];

const ended = (more: Partial<Ended> & { consumer?: string } = {}): Ended => ({
  route: { name: "api", index: 0 },
  identity: { consumer: more.consumer ?? "acme", user: "key-1", issuer: "" },
  status: 200,
  fault: null,
  bytesIn: 10,
  bytesOut: 20,
  cost: 2,
  tokens: null,
  ...more,
});

/** What a table says of each of its series: the counts in their order. */
function contents(memory: SharedArrayBuffer): Record<string, number[]> {
  const table = new UsageTable(memory);
  const found: Record<string, number[]> = {};
  for (let row = 0; row < table.size; row += 1) {
    const { kind, subject, route, statusClass } = table.series(row);
    const counts = new Float64Array(COUNTS);
    table.read(row, counts, 0);
    if (counts[REQUESTS]! > 0) found[`${kind} ${subject} ${route} ${statusClass}xx`] = [...counts];
  }
  return found;
}

/** As the supervisor does it: all has been written down. */
function takeAll(memory: SharedArrayBuffer): void {
  const table = new UsageTable(memory);
  for (let row = 0; row < table.size; row += 1) table.taken(row, table.requests(row));
}

describe("a meter", () => {
  test("counts by consumer, else user, else nobody; by route; and by kind of status", () => {
    const memory = memoryFor(100);
    const meter = new UsageMeter(memory, ROUTES);
    for (let i = 0; i < 3; i += 1) meter.record(ended(), 5, 1000);
    meter.record(ended({ status: 503, fault: {} }), 1.5, 1000);
    meter.record(ended({ tokens: { input: 100, output: 7 }, route: { name: "reports", index: 1 } }), 1, 1000);
    meter.record(ended({ identity: { consumer: "", user: "ann", issuer: "" } }), 1, 1000);
    meter.record(ended({ identity: { consumer: "", user: "ann", issuer: "https://id.example" } }), 1, 1000);
    meter.record(ended({ identity: null, status: 0 }), 1, 1000);
    meter.record(ended({ route: null }), 1, 1000);
    expect(contents(memory)).toEqual({
      "consumer acme api 2xx": [3, 0, 30, 60, 6, 0, 0, 15],
      "consumer acme api 5xx": [1, 1, 10, 20, 2, 0, 0, 1.5],
      "consumer acme reports 2xx": [1, 0, 10, 20, 2, 100, 7, 1],
      "user ann api 2xx": [1, 0, 10, 20, 2, 0, 0, 1],
      "user ann (https://id.example) api 2xx": [1, 0, 10, 20, 2, 0, 0, 1],
      "nobody  api 0xx": [1, 0, 10, 20, 2, 0, 0, 1],
    });
  });

  test("goes on in the rows of the thread that was there before", () => {
    const memory = memoryFor(100);
    new UsageMeter(memory, ROUTES).record(ended(), 1, 1000);
    new UsageMeter(memory, [...ROUTES].reverse()).record(ended({ route: { name: "api", index: 1 } }), 1, 1000);
    expect(contents(memory)).toEqual({ "consumer acme api 2xx": [2, 0, 20, 40, 4, 0, 0, 2] });
  });

  test("counts a route under its name, whatever its place was when the request came", () => {
    const memory = memoryFor(100);
    const meter = new UsageMeter(memory, ROUTES);
    meter.record(ended({ route: { name: "reports", index: 0 } }), 1, 1000);
    meter.record(ended({ route: { name: "gone", index: 0 } }), 1, 1000);
    expect(Object.keys(contents(memory))).toEqual([`nobody ${OTHERS} ${OTHERS} 0xx`, "consumer acme reports 2xx"]);
  });

  test("counts those for whom there is no room as one, and gives rows that nobody uses to others", () => {
    const memory = memoryFor(3);
    const meter = new UsageMeter(memory, ROUTES);
    for (const consumer of ["a", "b", "c", "d", "e"]) meter.record(ended({ consumer }), 1, 1000);
    const names = (): string[] => Object.keys(contents(memory)).map((name) => name.split(" ")[1]!);
    expect(names()).toEqual([OTHERS, "a", "b", "c"]);
    expect(contents(memory)[`nobody ${OTHERS} ${OTHERS} 0xx`]![REQUESTS]).toBe(2);
    // Idle for long enough, but what they have is not written down yet.
    meter.record(ended({ consumer: "d" }), 1, 2_000_000);
    expect(names()).toEqual([OTHERS, "a", "b", "c"]);
    takeAll(memory);
    meter.record(ended({ consumer: "b" }), 1, 2_000_000);
    takeAll(memory);
    meter.record(ended({ consumer: "d" }), 1, 2_001_000);
    meter.record(ended({ consumer: "a" }), 1, 2_001_000);
    expect(names()).toEqual([OTHERS, "d", "b", "a"]);
    expect(contents(memory)["consumer a api 2xx"]![REQUESTS]).toBe(1);
    expect(contents(memory)["consumer b api 2xx"]![REQUESTS]).toBe(2);
  });

  test("has nothing to do in a plan that is only looked at", () => {
    const memory = new SharedArrayBuffer(0);
    new UsageMeter(memory, ROUTES).record(ended(), 1, 1000);
    expect(new UsageTable(memory).size).toBe(0);
  });
});

test("a row says with its version that it has become another one's", () => {
  const table = new UsageTable(memoryFor(1));
  const of = (subject: string): Series => ({ kind: "user", subject, route: "api", statusClass: 2 });
  const row = table.add(of("ann"), 0, () => {});
  const before = table.version(row);
  expect(before % 2).toBe(0);
  expect(table.add(of("bob"), 10_000, () => {})).toBe(row);
  expect([table.version(row), table.series(row).subject]).toEqual([before + 2, "bob"]);
});

const NAMES: readonly (readonly [name: string, text: string])[] = [
  ["short", "ann"],
  ["as long as there is room for", "a".repeat(128)],
  ["too long", "a".repeat(129)],
  ["too long by its bytes", "é".repeat(100)],
  ["too long, cut within a character", `a${"é".repeat(100)}`],
  ["far too long", "😀".repeat(10_000)],
];
for (const [name, text] of NAMES)
  test(`a name that is ${name} comes back as it was written`, () => {
    const memory = memoryFor(10);
    const meter = new UsageMeter(memory, ROUTES);
    const identity = { consumer: "", user: text, issuer: "" };
    meter.record(ended({ identity }), 1, 1000);
    meter.record(ended({ identity }), 1, 1000);
    const subject = subjectOf(identity);
    expect(contents(memory)).toHaveProperty([`user ${subject} api 2xx`, 0], 2);
    expect(Buffer.byteLength(subject)).toBeLessThanOrEqual(128);
    expect(subject).not.toContain("\ufffd");
  });

test("long names with the same beginning are told apart", () => {
  const digest = (text: string): string => new Bun.CryptoHasher("sha256").update(text).digest("hex");
  const long = "a".repeat(500);
  expect(shortName(`${long}1`, "subject", digest)).not.toBe(shortName(`${long}2`, "subject", digest));
});
