import { expect, test } from "bun:test";
import { uuidV7 } from "./request-id.ts";

test("ids are UUIDs of version 7 that carry the time and do not repeat", () => {
  const before = Date.now();
  const ids = Array.from({ length: 20_000 }, () => uuidV7());
  const after = Date.now();
  for (const id of ids) {
    expect(id).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
    const ms = Number.parseInt(id.slice(0, 8) + id.slice(9, 13), 16);
    expect(ms).toBeGreaterThanOrEqual(before);
    expect(ms).toBeLessThanOrEqual(after);
  }
  expect(new Set(ids).size).toBe(ids.length);
});

test("every random digit varies", () => {
  const ids = Array.from({ length: 500 }, () => uuidV7());
  for (const at of [15, 16, 17, 19, 20, 21, 22, ...Array.from({ length: 12 }, (_, i) => 24 + i)]) {
    expect(new Set(ids.map((id) => id[at])).size).toBeGreaterThan(at === 19 ? 3 : 10);
  }
});
