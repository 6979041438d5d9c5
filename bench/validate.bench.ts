// What validation costs: loading a document of 240 operations, a request without a body, and one with 1 KB of JSON:
// `bun bench/validate.bench.ts`.
// Sketch: a path is found in a handful of look-ups, three parameters are some short texts and one validator. 1 KB of
// JSON is looked through once, parsed, counted and checked, each about 1 us. Over a budget something is compiled anew,
// or a validator looks at what it need not.
import { bodyProblems, compileApi, Documents } from "../src/engines/openapi/index.ts";
import { patternTester } from "../src/filters/validate/patterns.ts";
import { bench, finish, report } from "./per-call.ts";
import { specification } from "./specification.ts";

const LINE = { article: "a-long-enough-name-of-an-article", count: 3, price: 12.5 };
const BODY = Buffer.from(
  JSON.stringify({
    ...{ customer: "Ann Example", email: "ann@example.com", code: "DE-12345", placed: "2026-01-02T03:04:05Z" },
    lines: Array.from({ length: 13 }, () => LINE),
  }),
);

const DOCUMENT = specification(60);
const load = () => compileApi(new Documents(() => DOCUMENT), "/openapi.json", null, patternTester);
const api = load();
const request = { query: "limit=20&sort=name", header: () => null };
const wanting = { query: "", header: (name: string) => (name === "content-type" ? "application/json" : null) };

function get(): number {
  const found = api.find("GET", "/resource30/12345");
  if (found.kind !== "operation") throw new Error("the operation is not found");
  const problems = found.operation.parameterProblems(request, found.values);
  if (problems.length > 0) throw new Error(JSON.stringify(problems));
  return 1;
}

function post(): number {
  const found = api.find("POST", "/resource30");
  if (found.kind !== "operation") throw new Error("the operation is not found");
  const plan = found.operation.bodyPlan(wanting, true);
  if (plan.kind !== "check") throw new Error(plan.kind);
  const problems = bodyProblems(BODY, plan.content, plan.reading);
  if (problems.length > 0) throw new Error(JSON.stringify(problems));
  return 1;
}

bench("a request without a body, 3 parameters", 0, 5000, get);
bench(`a request with ${BODY.length} bytes of JSON`, BODY.length, 15_000, post);
// CPU time, as the few that are measured would show whatever else the machine does.
const loads = Array.from({ length: 5 }, () => {
  const before = process.cpuUsage();
  load();
  return process.cpuUsage(before).user * 1000;
});
report("loading 240 operations", 1_000_000_000, loads);
finish();
