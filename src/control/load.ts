// The supervisor's way to a configuration: from a file or from code, checked so far that workers can run it.
import type { Diagnostic } from "../config/diagnostic.ts";
import { checkConfig, loadConfig } from "../config/load.ts";
import type { Config, ConfigInput } from "../config/schema.ts";
import { wallClock } from "../core/clock.ts";
import { planProblems } from "./compile.ts";
import type { ConfigSource } from "./worker-messages.ts";

/** A file (found as `loadConfig` does when undefined), or a configuration given in code. */
export type ConfigOrigin = { readonly file: string | undefined } | { readonly input: ConfigInput };

export interface LoadedConfig {
  readonly config: Config;
  /** How workers get it. */
  readonly source: ConfigSource;
  /** Absolute path of the file; "" for a configuration given in code. */
  readonly path: string;
  /** All files that made it. */
  readonly files: readonly string[];
  /** When the files began to be read, in milliseconds since 1970. */
  readonly readAt: number;
  /** Warnings. */
  readonly diagnostics: readonly Diagnostic[];
}

/** Throws ConfigError when it cannot be used. */
export async function loadForWorkers(origin: ConfigOrigin): Promise<LoadedConfig> {
  if ("input" in origin) {
    const { config, diagnostics } = checkConfig(origin.input, { verify: planProblems });
    return { config, source: { kind: "config", config }, path: "", files: [], readAt: wallClock(), diagnostics };
  }
  const readAt = wallClock();
  const { config, diagnostics, path, files } = await loadConfig(origin.file, { verify: planProblems });
  const source: ConfigSource = usesPlugins(config) ? { kind: "file", path, files, readAt } : { kind: "config", config };
  return { config, source, path, files, readAt, diagnostics };
}

/** Plugins are functions, and functions cannot be sent to a thread. */
function usesPlugins(config: Config): boolean {
  const uses = (use: unknown): boolean => Array.isArray(use) && use.length > 0;
  return uses(config.defaults.use) || config.routes.some((route) => uses(route.use));
}
