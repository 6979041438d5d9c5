// What routes of a document cost: making those of 240 operations, finding one of 2,000, an answer from an example, and
// the page: `bun bench/openapi.bench.ts`.
// Sketch: routes lie in a tree of path segments, whose depth does not grow with their number, so 2,000 cost what ten
// do; an example is bytes that are there, under a new head. Making routes is reading the document and compiling its
// validators.
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { checkConfig } from "../src/config/load.ts";
import { compilePlan, type Plan } from "../src/control/compile.ts";
import { CONFIG_CHECKS } from "../src/control/verify.ts";
import type { Exchange } from "../src/pipeline/exchange.ts";
import { bench, finish, report } from "./per-call.ts";
import { specification } from "./specification.ts";

const folder = mkdtempSync(join(tmpdir(), "openapi-bench-"));

/** The plan of an API of so many resources, read from a file of its own. */
function planOf(resources: number, name: string): Plan {
  const document = join(folder, `${name}.json`);
  writeFileSync(document, JSON.stringify(specification(resources)));
  const routes = [{ name: "api", openapi: { document, mock: true, docs: true } }];
  const { config } = checkConfig({ listeners: [{ address: ":0" }], routes }, { expand: CONFIG_CHECKS.expand });
  return compilePlan(config);
}

const asking = (path: string): Exchange =>
  ({
    ...{ host: "api.example.com", path, method: "GET", query: "", ip: "192.0.2.1", clientCert: null },
    header: () => null,
    request: { path, header: () => null, headers: { getById: () => null } },
  }) as unknown as Exchange;

function replyOf(plan: Plan, path: string): number {
  const { action } = plan.table.find(asking(path))!;
  if (action.kind !== "reply") throw new Error(action.kind);
  const outcome = action.reply(asking(path));
  if (!("status" in outcome) || outcome.status !== 200) throw new Error("no answer");
  return outcome.body.length;
}

const small = planOf(2, "small");
const large = planOf(500, "large");
const item = asking("/resource1/12345");
const found = (plan: Plan): number => (plan.table.find(item)?.name === "api.get-resource1-id" ? 1 : NaN);

bench("finding one of 8 routes", 0, 2000, () => found(small));
bench("finding one of 2,000 routes", 0, 2000, () => found(large));
bench("an answer from an example", 0, 5000, () => replyOf(large, "/resource1/12345"));

/** CPU time, as few that are measured would show whatever else the machine does. */
function cpuOf(rounds: number, work: (round: number) => void): number[] {
  return Array.from({ length: rounds }, (_, round) => {
    const before = process.cpuUsage();
    work(round);
    return process.cpuUsage(before).user * 1000;
  });
}
report(
  "making the routes of 240 operations",
  1_000_000_000,
  cpuOf(5, (round) => planOf(60, `fresh${round}`)),
);
const pages = Array.from({ length: 5 }, (_, round) => planOf(60, `page${round}`));
report(
  "the page of 240 operations, once",
  1_000_000_000,
  cpuOf(5, (round) => replyOf(pages[round]!, "/docs")),
);
rmSync(folder, { recursive: true });
finish();
