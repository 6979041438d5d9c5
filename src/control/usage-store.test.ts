import { describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { COUNTS, type Series } from "../engines/usage/table.ts";
import { csvOf, itemOf, openMetricsOf } from "./usage-formats.ts";
import { type UsageQuery, UsageStore } from "./usage-store.ts";

const at = (text: string): number => Date.parse(text);
const series = (subject: string, more: Partial<Series> = {}): Series => ({
  kind: "consumer",
  subject,
  route: "api",
  statusClass: 2,
  ...more,
});
/** Requests, and so many units for each. */
const counts = (requests: number, units = 1): number[] => {
  const all = Array.from({ length: COUNTS }, () => 0);
  all[0] = requests;
  all[4] = requests * units;
  return all;
};

const ASKED: UsageQuery = {
  from: at("2026-01-01T00:00:00Z"),
  to: at("2027-01-01T00:00:00Z"),
  by: "day",
  group: ["consumer", "route", "status"],
  kind: null,
  subject: null,
  route: null,
  limit: 100,
};

/** Two consumers and a user, on two days. */
function filled(path: string | null = null): UsageStore {
  const store = new UsageStore(path);
  store.add([{ series: series("acme"), counts: counts(3) }], at("2026-11-23T23:59:59Z"));
  store.add(
    [
      { series: series("acme"), counts: counts(4, 2) },
      { series: series("acme", { statusClass: 5 }), counts: counts(1, 0) },
      { series: series("acme", { kind: "user" }), counts: counts(9) },
      { series: series("bob", { route: "reports" }), counts: counts(5) },
    ],
    at("2026-11-24T00:10:00Z"),
  );
  store.add([{ series: series("acme"), counts: counts(2) }], at("2026-11-24T01:00:00Z"));
  return store;
}

const show = (store: UsageStore, query: Partial<UsageQuery>): string[] =>
  store
    .query({ ...ASKED, ...query })
    .map(({ time, kind, subject, route, status, requests, units }) =>
      [time, kind, subject, route, status, requests, units].filter((each) => each !== "").join(" "),
    );

test("what one subject has used is looked up, not looked for among all that was used", () => {
  const store = filled();
  const asked: string[] = [];
  const query = store.db.query.bind(store.db) as (sql: string) => never;
  store.db.query = (sql: string) => {
    asked.push(sql);
    return query(sql);
  };
  const own = { kind: "consumer", subject: "bob" } as const;
  expect(show(store, { ...own, from: 0 })).toEqual(["2026-11-24 consumer bob reports 2xx 5 5"]);
  expect(show(store, { ...own, by: "hour", to: ASKED.to * 10 })).toHaveLength(1);
  expect(show(store, { ...own, by: "month" })).toHaveLength(1);
  expect(show(store, { ...own, to: at("2026-11-24T00:00:00Z") })).toEqual([]);
  expect(show(store, { ...own, from: at("2026-11-25T00:00:00Z") })).toEqual([]);
  expect(new UsageStore(null).query({ ...ASKED, ...own })).toEqual([]);
  const plans = asked
    .filter((sql) => sql.includes("GROUP BY"))
    .map((sql) => store.db.prepare<{ detail: string }, []>(`EXPLAIN QUERY PLAN ${sql}`).all());
  for (const plan of plans) expect(plan.map(({ detail }) => detail).join("; ")).toContain("(at=? AND series=?)");
  expect(plans).toHaveLength(5);
});

describe("what was used", () => {
  const CASES: readonly (readonly [name: string, query: Partial<UsageQuery>, want: readonly string[]])[] = [
    [
      "by day",
      {},
      [
        "2026-11-23 consumer acme api 2xx 3 3",
        "2026-11-24 user acme api 2xx 9 9",
        "2026-11-24 consumer acme api 2xx 6 10",
        "2026-11-24 consumer acme api 5xx 1 0",
        "2026-11-24 consumer bob reports 2xx 5 5",
      ],
    ],
    ["by month, all in one", { by: "month", group: [] }, ["2026-11 24 27"]],
    [
      "by hour, of one consumer, kinds of status together",
      { by: "hour", kind: "consumer", subject: "acme", group: ["route"] },
      ["2026-11-23T23:00Z api 3 3", "2026-11-24T00:00Z api 5 8", "2026-11-24T01:00Z api 2 2"],
    ],
    ["of a route", { route: "reports", group: ["consumer"] }, ["2026-11-24 consumer bob 5 5"]],
    ["from", { from: at("2026-11-24T00:00:00Z"), group: [] }, ["2026-11-24 21 24"]],
    ["to", { to: at("2026-11-24T00:00:00Z"), group: [] }, ["2026-11-23 3 3"]],
    ["sums", { by: "all", group: ["consumer"] }, ["user acme 9 9", "consumer acme 10 13", "consumer bob 5 5"]],
    ["nobody", { subject: "'; DROP TABLE days; --" }, []],
  ];
  for (const [name, query, want] of CASES)
    test(name, () => {
      const store = filled();
      expect(show(store, query)).toEqual([...want]);
      store.close();
    });

  test("is there again when the file is opened anew, and nobody else may read it", () => {
    const folder = mkdtempSync(join(tmpdir(), "sluice-usage-"));
    const path = join(folder, "deep", "usage.sqlite");
    filled(path).close();
    const again = new UsageStore(path);
    again.add([{ series: series("acme"), counts: counts(1) }], at("2026-11-24T01:00:00Z"));
    expect(show(again, { by: "month", group: [] })).toEqual(["2026-11 25 28"]);
    expect(statSync(path).mode & 0o777).toBe(0o600);
    again.close();
    rmSync(folder, { recursive: true });
  });

  test("is kept for so long, and sums for ever", () => {
    const store = filled();
    store.sweep(at("2026-11-24T01:30:00Z"), { hours: 1, days: 0 });
    expect(show(store, { by: "hour", group: [] })).toEqual(["2026-11-24T00:00Z 19 22", "2026-11-24T01:00Z 2 2"]);
    expect(show(store, { group: [] })).toEqual(["2026-11-24 21 24"]);
    expect(show(store, { by: "all", group: [] })).toEqual(["24 27"]);
    store.close();
  });

  test("is not mixed with what a file holds that is another one's", () => {
    const folder = mkdtempSync(join(tmpdir(), "sluice-usage-"));
    const path = join(folder, "usage.sqlite");
    writeFileSync(path, "no database ".repeat(1000));
    expect(() => new UsageStore(path)).toThrow(/usage cannot be kept in .*usage\.sqlite: .*not a database/);
    const newer = new UsageStore(join(folder, "newer.sqlite"));
    newer.db.run("PRAGMA user_version = 99");
    newer.close();
    expect(() => new UsageStore(join(folder, "newer.sqlite"))).toThrow(/newer version/);
    rmSync(folder, { recursive: true });
  });

  test("is cut at the limit, and one more says so", () => {
    const store = filled();
    expect(store.query({ ...ASKED, limit: 2 })).toHaveLength(3);
    store.close();
  });
});

describe("formats", () => {
  const items = (subject: string) => {
    const store = new UsageStore(null);
    store.add([{ series: series(subject), counts: [1, 0, 10, 20, 2, 100, 7, 1500] }], at("2026-11-24T01:00:00Z"));
    const found = store.query(ASKED).map(itemOf);
    store.close();
    return found;
  };

  const CELLS: readonly (readonly [name: string, cell: string])[] = [
    ["acme", "acme"],
    ["a,b", '"a,b"'],
    ['say "a"', '"say ""a"""'],
    ["two\nlines", '"two\nlines"'],
    ["=1+1", "'=1+1"],
    ["@a,b", `"'@a,b"`],
  ];
  for (const [name, cell] of CELLS)
    test(`CSV of ${JSON.stringify(name)}`, () => {
      const head = "time,consumer,user,route,status,requests,errors,bytesIn,bytesOut,units,tokensIn,tokensOut,seconds";
      expect(csvOf(items(name))).toBe(`${head}\r\n2026-11-24,${cell},,api,2xx,1,0,10,20,2,100,7,1.5\r\n`);
    });

  test("OpenMetrics", () => {
    const text = openMetricsOf(items('a"\\\n'));
    expect(text).toContain("# TYPE sluice_usage_sent_bytes counter\n# UNIT sluice_usage_sent_bytes bytes\n");
    expect(text).toContain('\nsluice_usage_sent_bytes_total{consumer="a\\"\\\\\\n",route="api",status="2xx"} 20\n');
    expect(text.endsWith("\n# EOF\n")).toBe(true);
  });
});
