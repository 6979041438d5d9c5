// The load generator for HTTP/2: h2load, one thread, a closed loop over all streams of all connections.
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { findProgram } from "../tools/debian.ts";
import { startGenerator } from "./child.ts";
import { printedVersion } from "./peer.ts";
import type { Load, LoadOptions } from "./results.ts";
import { GRPC_MESSAGE, HOST, type LoadScenario, streamFields } from "./scenario.ts";

/** Runs one scenario against a port. The process ends by itself after the given seconds. */
export async function runH2load(scenario: LoadScenario, port: number, options: LoadOptions): Promise<Load> {
  const log = join(options.directory, "h2load.log");
  const child = startGenerator([program(), ...h2loadArguments(scenario, port, options, log)], options.core);
  const [output, complaint] = await Promise.all([new Response(child.stdout).text(), new Response(child.stderr).text()]);
  if ((await child.exited) !== 0) throw new Error(`h2load failed: ${complaint.trim() || output.trim()}`);
  const durations = parseLog(readFileSync(log, "latin1"));
  rmSync(log); // Some megabytes each time, in memory; and it would append to them.
  return parseH2load(output, options.seconds, durations);
}

/** The version of the load generator. */
export function h2loadVersion(): string {
  return printedVersion([program(), "--version"]);
}

function h2loadArguments(scenario: LoadScenario, port: number, { directory, seconds }: LoadOptions, log: string) {
  const fields = [[":authority", HOST] as const, ...streamFields(scenario)];
  const size = ["-t1", `-c${scenario.connections}`, `-m${scenario.streams}`, `-D${seconds}`];
  return [
    ...size,
    `--log-file=${log}`,
    ...fields.flatMap(([name, value]) => ["-H", `${name}: ${value}`]),
    ...(scenario.bodyBytes === 0 ? [] : ["-d", bodyFile(scenario, directory)]),
    `${scenario.tls ? "https" : "http"}://127.0.0.1:${port}${scenario.path}`,
  ];
}

function bodyFile(scenario: LoadScenario, directory: string): string {
  const path = join(directory, `${scenario.name}.body`);
  writeFileSync(path, scenario.grpc ? GRPC_MESSAGE : Buffer.alloc(scenario.bodyBytes, "x"));
  return path;
}

/**
 * Reads what h2load prints at its end. Exported for its test.
 *
 * @param durations of the answered requests, in microseconds, sorted.
 */
export function parseH2load(output: string, seconds: number, durations: Float64Array): Load {
  const count = (pattern: RegExp): number => {
    const found = pattern.exec(output);
    if (found === null) throw new Error(`h2load printed no result: ${output.trim().slice(-500)}`);
    return Number(found[1]);
  };
  // It falls back to HTTP/1.1 where the server chooses that, and the figures would be those of something else.
  if (count(/^requests: (\d+) total/m) > 0 && !/^Application protocol: h2c?$/m.test(output))
    throw new Error("h2load was not answered in HTTP/2");
  const at = (share: number) => (durations[Math.floor(durations.length * share)] ?? 0) / 1000;
  return {
    requests: count(/^requests:.* (\d+) succeeded/m),
    seconds,
    bytes: count(/^traffic:.*\((\d+)\) data/m),
    errors: count(/^requests:.* (\d+) failed/m) + count(/^requests:.* (\d+) timeout/m),
    p50Ms: at(0.5),
    p99Ms: at(0.99),
  };
}

/** The third column of its log, sorted: microseconds to the end of the answer. Exported for its test. */
export function parseLog(text: string): Float64Array {
  const lines = text.split("\n");
  lines.pop();
  return Float64Array.from(lines, (line) => Number(line.slice(line.lastIndexOf("\t") + 1))).sort();
}

function program(): string {
  return findProgram("h2load") ?? "h2load";
}
