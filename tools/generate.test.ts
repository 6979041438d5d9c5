import { expect, test } from "bun:test";
import { join } from "node:path";

test("the generated files are what the schema says", async () => {
  const run = Bun.spawn([process.execPath, join(import.meta.dir, "generate.ts"), "--check"], { stderr: "pipe" });
  expect(await new Response(run.stderr).text()).toBe("");
  expect(await run.exited).toBe(0);
});
