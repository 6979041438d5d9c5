// The load generator for HTTP/1.1: wrk, one thread, a closed loop (a connection sends its next request when it has its
// answer).
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { findProgram } from "../tools/debian.ts";
import { startGenerator } from "./child.ts";
import { printedVersion } from "./peer.ts";
import type { Load, LoadOptions } from "./results.ts";
import type { LoadScenario } from "./scenario.ts";

const MARK = "sluice-bench ";

/** Runs one scenario against a port. The process ends by itself after the given seconds. */
export function runWrk(scenario: LoadScenario, port: number, options: LoadOptions): Promise<Load> {
  return runWrkScript(luaScript(scenario), scenario, port, options);
}

/** The same with another script, which ends as `luaScript` does. */
export async function runWrkScript(
  lua: string,
  scenario: LoadScenario,
  port: number,
  options: LoadOptions,
): Promise<Load> {
  const script = join(options.directory, `${scenario.name}.lua`);
  writeFileSync(script, lua);
  const program = findProgram("wrk") ?? "wrk";
  const size = ["-t1", `-c${scenario.connections}`, `-d${options.seconds}s`, "--timeout", "10s"];
  const url = `${scenario.tls ? "https" : "http"}://127.0.0.1:${port}${scenario.path}`;
  const child = startGenerator([program, ...size, "-s", script, url], options.core);
  const [output, complaint] = await Promise.all([new Response(child.stdout).text(), new Response(child.stderr).text()]);
  if ((await child.exited) !== 0) throw new Error(`wrk failed: ${complaint.trim() || output.trim()}`);
  return parseLoad(output);
}

/** The version of the load generator. */
export function wrkVersion(): string {
  return printedVersion([findProgram("wrk") ?? "wrk", "-v"]);
}

/** Reads the line that our script prints at the end. Exported for its test. */
export function parseLoad(output: string): Load {
  const line = output.split("\n").find((text) => text.startsWith(MARK));
  if (line === undefined) throw new Error(`wrk printed no result: ${output.trim()}`);
  return JSON.parse(line.slice(MARK.length)) as Load;
}

/** The request stays constant, so wrk formats it once and runs no Lua while it measures. Exported for its test. */
export function luaScript(scenario: LoadScenario): string {
  const fields = scenario.fields.map(([name, value]) => `wrk.headers[${quote(name)}] = ${quote(value)}`);
  const letters = `string.rep("x", ${scenario.bodyBytes})`;
  const content = scenario.body === undefined ? letters : quote(scenario.body);
  const body = scenario.bodyBytes > 0 ? [`wrk.body = ${content}`] : [];
  const format = `${MARK}{"requests":%d,"seconds":%f,"bytes":%.0f,"errors":%d,"p50Ms":%f,"p99Ms":%f}`;
  return `
wrk.method = ${quote(scenario.method)}
${[...fields, ...body].join("\n")}
done = function(summary, latency)
  local e = summary.errors
  print(string.format(${quote(format)}, summary.requests, summary.duration / 1e6, summary.bytes,
    e.connect + e.read + e.write + e.status + e.timeout, latency:percentile(50) / 1000, latency:percentile(99) / 1000))
end
`;
}

/** JSON's escapes for quotes and backslashes are Lua's too. */
function quote(text: string): string {
  return JSON.stringify(text);
}
