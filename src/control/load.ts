// The supervisor's way to a configuration: from a file or from code, checked so far that workers can run it.
import type { Diagnostic } from "../config/diagnostic.ts";
import { type Fragment, type Provide, sendable } from "../config/fragment.ts";
import { checkConfig, type Loaded, loadConfig, withProvided } from "../config/load.ts";
import type { Config, ConfigInput } from "../config/schema.ts";
import { wallClock } from "../core/clock.ts";
import type { Providers } from "../providers/providers.ts";
import { CONFIG_CHECKS } from "./verify.ts";
import { changedSince } from "./watch.ts";
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
  /** The fragments of providers that are part of it, and what was wrong with others. */
  readonly fragments: readonly Fragment[];
  readonly rejected: readonly Diagnostic[];
  /** As it was read, for `refreshForWorkers`; null without providers. */
  readonly loaded: Loaded | null;
}

/** Throws ConfigError when it cannot be used. `provide` is asked for what its `providers` have. */
export async function loadForWorkers(origin: ConfigOrigin, provide?: Provide): Promise<LoadedConfig> {
  if ("input" in origin) {
    const { config, diagnostics } = checkConfig(origin.input, CONFIG_CHECKS);
    const nothing = { path: "", files: [], fragments: [], rejected: [], loaded: null };
    return { config, source: { kind: "config", config }, readAt: wallClock(), diagnostics, ...nothing };
  }
  const readAt = wallClock();
  const options = { ...CONFIG_CHECKS, ...(provide === undefined ? {} : { provide }) };
  return forWorkers(await loadConfig(origin.file, options), readAt);
}

/**
 * The configuration in use with what its providers have now. Its file is not read again, so that what is being written
 * there waits for a reload; unless workers would read it, as they do with plugins. Throws ConfigError.
 */
export async function refreshForWorkers(
  origin: ConfigOrigin,
  { loaded, source, readAt }: LoadedConfig,
  providers: Providers,
): Promise<LoadedConfig> {
  if (loaded === null || (source.kind === "file" && changedSince(source.files, source.readAt)))
    return loadForWorkers(origin, providers.read);
  return forWorkers(withProvided(loaded, providers.provided, CONFIG_CHECKS), readAt);
}

function forWorkers(loaded: Loaded, readAt: number): LoadedConfig {
  const { config, diagnostics, path, files, fragments, rejected } = loaded;
  const source: ConfigSource = usesPlugins(config)
    ? { kind: "file", path, files, readAt, fragments: fragments.map(sendable) }
    : { kind: "config", config };
  const { files: folder, docker } = config.providers;
  const kept = folder === undefined && docker === undefined ? null : loaded;
  return { config, source, path, files, readAt, diagnostics, fragments, rejected, loaded: kept };
}

/** Plugins are functions, and functions cannot be sent to a thread. */
function usesPlugins(config: Config): boolean {
  const uses = (use: unknown): boolean => Array.isArray(use) && use.length > 0;
  return uses(config.defaults.use) || config.routes.some((route) => uses(route.use));
}
