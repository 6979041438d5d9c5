import { describe, expect, test } from "bun:test";
import { CASES, type Row } from "./cases.testing.ts";
import { ModelCache, requestHead, responseHead } from "./model.testing.ts";

function run([response, times, request, , extra = {}]: Row): string {
  const cache = new ModelCache(extra.policy);
  const [sent, came, asked] = typeof times === "number" ? [0, 0, times] : times;
  const first = requestHead(extra.first ?? "", extra.target, extra.method);
  const stored = cache.store(first, responseHead(response, extra.status), 10, sent, came);
  return stored === "stored" ? cache.ask(requestHead(request, extra.target), asked) : stored;
}

for (const [section, rows] of Object.entries(CASES))
  describe(section, () => {
    rows.forEach((row, at) => {
      const [response, times, request, want, extra] = row;
      const what = [response || "nothing said", extra?.status, extra?.method, extra?.first, extra?.target, request];
      test(`${at + 1}: ${what.filter(Boolean).join(" … ")} after ${times}: ${want}`, () => {
        expect(run(row)).toBe(want);
      });
    });
  });

test("the table is as wide as it is meant to be", () => {
  expect(Object.values(CASES).flat().length).toBeGreaterThan(300);
});
