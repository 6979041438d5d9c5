import { expect, test } from "bun:test";
import { KeyHash } from "../storage/key-hash.ts";
import { RefusedClients } from "./refused-clients.ts";

test("those who are refused the most are told, however many others there are", () => {
  const memory = new SharedArrayBuffer(RefusedClients.bytes);
  const threads = [new RefusedClients(memory), new RefusedClients(memory)];
  const hash = new KeyHash(7n);
  expect(threads[0]!.top(5)).toEqual([]);
  for (let i = 0; i < 20_000; i += 1) {
    const thread = threads[i % 2]!;
    thread.note("192.0.2.1", "default", "api", hash, 1_000_000_000_000);
    if (i % 2 === 0) thread.note("2001:db8::1", "login", "é".repeat(200), hash, 1_000_000_001_000);
    thread.note(`10.0.${i >> 8}.${i & 255}`, "default", "api", hash, 1_000_000_002_000);
  }
  const top = threads[1]!.top(3);
  expect(top.map(({ client, limit }) => [client, limit])).toEqual([
    ["192.0.2.1", "default"],
    ["2001:db8::1", "login"],
    [expect.stringMatching(/^10\./), "default"],
  ]);
  expect(top[0]).toMatchObject({ route: "api", last: "2001-09-09T01:46:40.000Z" });
  expect(top[0]!.refused).toBeWithin(18_000, 20_001);
  expect(threads[0]!.top(100_000).length).toBeLessThanOrEqual(1024);
});
