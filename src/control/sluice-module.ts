// What `import … from "sluice"` gives to a TypeScript configuration: the same in every thread that loads one.
import { provideSluiceModule } from "../config/module.ts";
import type { ConfigInput } from "../config/schema.ts";
import type { Plugin } from "../pipeline/plugin.ts";
import { reply } from "../pipeline/reply.ts";

/** Gives a configuration its type. */
export function defineConfig(config: ConfigInput): ConfigInput {
  return config;
}

/** Gives a plugin its type. A plugin is one object for all requests: keep no state of a request in it. */
export function definePlugin<P extends Plugin>(plugin: P): P {
  return plugin;
}

/** Makes the module known to this thread's loader. */
export function offerSluiceModule(): void {
  provideSluiceModule({ defineConfig, definePlugin, reply });
}
