// The load generator for HTTP/3, which runs quic-client.ts on the load's core.
import { join } from "node:path";
import { startGenerator } from "./child.ts";
import type { Load, LoadOptions } from "./results.ts";
import type { LoadScenario } from "./scenario.ts";

/** Runs one scenario against a port. The process ends by itself after the given seconds. */
export async function runQuicLoad(scenario: LoadScenario, port: number, options: LoadOptions): Promise<Load> {
  const script = join(import.meta.dir, "quic-client.ts");
  const command = [process.execPath, script, scenario.name, String(port), String(options.seconds)];
  const child = startGenerator(command, options.core);
  const [output, complaint] = await Promise.all([new Response(child.stdout).text(), new Response(child.stderr).text()]);
  if ((await child.exited) !== 0) throw new Error(`the client for HTTP/3 failed: ${complaint.trim() || output.trim()}`);
  return JSON.parse(output) as Load;
}
