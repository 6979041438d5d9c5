import { expect, test } from "bun:test";
import { UsageMeter } from "./meter.ts";
import { UsageTable } from "./table.ts";

test("what is remembered of somebody does not grow with the routes that he does not use", () => {
  const [routes, subjects] = [2000, 5000];
  const names = Array.from({ length: routes }, (_, at) => `route ${at}`);
  const meter = new UsageMeter(new SharedArrayBuffer(UsageTable.bytes(subjects)), names);
  const before = process.memoryUsage().rss;
  for (let at = 0; at < subjects; at += 1)
    meter.record(
      {
        ...{ route: { name: names[at % routes]!, index: at % routes }, status: 200, fault: null, tokens: null },
        ...{ identity: { consumer: `consumer ${at}`, user: "u", issuer: "" }, bytesIn: 1, bytesOut: 1, cost: 1 },
      },
      1,
      1000,
    );
  // A place for each kind of status on each route would be 240 MB.
  expect(process.memoryUsage().rss - before).toBeLessThan(100_000_000);
});
