// `sluice explain`: which listener, route, filters and upstream would serve a request, and why not the routes before.

import type { Command } from "commander";
import { expandApis } from "../apis/expand.ts";
import { ConfigError, renderDiagnostic } from "../config/diagnostic.ts";
import { loadConfig } from "../config/load.ts";
import { planProblems } from "../control/compile.ts";
import { type Explanation, explain, explanationText } from "../control/explain.ts";
import { provideFiles } from "../providers/file-folder.ts";

const EXIT_INVALID = 1;
const EXIT_USAGE = 2;

interface ExplainOptions {
  readonly config?: string;
  readonly header?: readonly string[];
  readonly ip?: string;
  readonly consumer?: string;
  readonly plan?: string;
  readonly group?: readonly string[];
  readonly json?: boolean;
}

export function register(program: Command): void {
  program
    .command("explain")
    .description("say which route, filters and upstream would serve a request, and why")
    .argument("<method-or-url>", "the URL, or the method before it (default: GET)")
    .argument("[url]", "http://host/path, or /path")
    .option("-c, --config <file>", "the configuration (default: the first found here or in /etc/sluice)")
    .option(
      "-H, --header <field>",
      "a request field, `name: value`; may be given again",
      (field: string, all: readonly string[] = []) => [...all, field],
    )
    .option("--ip <address>", "the client's address (default: 127.0.0.1)")
    .option("--consumer <name>", "who asks, where that chooses an upstream")
    .option("--plan <name>", "the plan of who asks")
    .option(
      "--group <name>",
      "a group of who asks; may be given again",
      (name: string, all: readonly string[] = []) => [...all, name],
    )
    .option("--json", "print the result as JSON")
    .action((first: string, second: string | undefined, options: ExplainOptions) => run(first, second, options));
}

async function run(first: string, second: string | undefined, options: ExplainOptions): Promise<void> {
  try {
    const explanation = await explainFromFile(second === undefined ? "GET" : first, second ?? first, options);
    process.stdout.write(
      options.json === true ? `${JSON.stringify(explanation, null, 2)}\n` : `${explanationText(explanation)}\n`,
    );
  } catch (error) {
    if (error instanceof ConfigError) {
      for (const diagnostic of error.diagnostics) process.stderr.write(`${renderDiagnostic(diagnostic)}\n`);
      process.exitCode = EXIT_INVALID;
    } else if (error instanceof RangeError) {
      process.stderr.write(`sluice explain: ${error.message}\n`);
      process.exitCode = EXIT_USAGE;
    } else throw error;
  }
}

async function explainFromFile(method: string, url: string, options: ExplainOptions): Promise<Explanation> {
  const headers = (options.header ?? []).map((field): [string, string] => {
    const colon = field.indexOf(":");
    if (colon <= 0) throw new RangeError(`"${field}" is not a field: write it like "name: value"`);
    return [field.slice(0, colon).trim(), field.slice(colon + 1).trim()];
  });
  const { config } = await loadConfig(options.config, {
    expand: expandApis,
    verify: planProblems,
    provide: provideFiles,
  });
  const { ip = null, consumer, plan, group: groups } = options;
  return explain(config, { method, url, headers, ip, consumer, plan, groups });
}
