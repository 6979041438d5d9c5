// Where requests are metered: a table for each thread, which the supervisor reads (usage.ts).
import { usageSettings } from "../config/plan-defaults.ts";
import type { Config } from "../config/schema.ts";
import { UsageMeter } from "../engines/usage/meter.ts";
import { UsageTable } from "../engines/usage/table.ts";
import type { Shared } from "../pipeline/shared.ts";

const PREFIX = "usage of thread ";

/** This thread's meter; null where nothing is metered. It names the memory of all threads. */
export function compileUsage(config: Config, shared: Shared, routes: readonly string[]): UsageMeter | null {
  const settings = usageSettings(config);
  if (settings === null) return null;
  const bytes = UsageTable.bytes(settings.series);
  const memories = Array.from({ length: Math.max(shared.threads, shared.thread + 1) }, (_, thread) =>
    shared.memory(`${PREFIX}${thread}, ${settings.series} series`, bytes),
  );
  return new UsageMeter(memories[shared.thread]!, routes);
}

/** The tables among what a configuration has named. */
export const usageMemories = (memories: ReadonlyMap<string, SharedArrayBuffer>): SharedArrayBuffer[] =>
  [...memories].flatMap(([name, memory]) => (name.startsWith(PREFIX) ? [memory] : []));
