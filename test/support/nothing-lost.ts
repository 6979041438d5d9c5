// What load and servers must say after a fault.
import { expect } from "bun:test";
import type { Journal } from "./backend-process.ts";
import type { MixReport } from "./mixed-load.ts";

/** Every GET was answered 200, every POST was answered at all, and none of them reached servers twice. Returns the lost POSTs. */
export function expectNothingLost(report: MixReport, journal: Journal): number {
  const { answers } = report;
  const lost = Object.keys(answers).filter(
    (each) => each !== "GET 200" && (!each.startsWith("POST") || each === "POST 0" || each === "POST mixed up"),
  );
  expect({ lost, complaints: lost.length === 0 ? [] : report.complaints, answers }).toEqual({
    lost: [],
    complaints: [],
    answers,
  });
  expect(answers["GET 200"]).toBeGreaterThan(500);
  expect(answers["POST 200"]).toBeGreaterThan(100);
  expect(journal.repeatedPosts).toEqual([]);
  const all = Object.entries(answers).filter(([each]) => each.startsWith("POST"));
  return all.reduce((sum, [, count]) => sum + count, 0) - answers["POST 200"]!;
}
