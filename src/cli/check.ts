// `sluice check`: is this configuration one that can be run?
import type { Command } from "commander";
import { ConfigError, type Diagnostic, renderDiagnostic, showFile } from "../config/diagnostic.ts";
import { type Loaded, loadConfig } from "../config/load.ts";
import { CONFIG_CHECKS } from "../control/verify.ts";
import { provideFiles } from "../providers/file-folder.ts";

interface CheckOptions {
  readonly config?: string;
  readonly json?: boolean;
}

const EXIT_INVALID = 1;

export function register(program: Command): void {
  program
    .command("check")
    .description("check a configuration, and say what is wrong and where")
    .option(
      "-c, --config <file>",
      "the file (default: sluice.config.ts, sluice.yaml, sluice.yml or sluice.json here, then in /etc/sluice)",
    )
    .option("--json", "print the result as JSON")
    .action((options: CheckOptions) => check(options));
}

async function check(options: CheckOptions): Promise<void> {
  let loaded: Loaded | null = null;
  let diagnostics: readonly Diagnostic[];
  let consequence = "nothing can be started with this configuration";
  try {
    loaded = await loadConfig(options.config, { ...CONFIG_CHECKS, provide: provideFiles });
    diagnostics = [...loaded.diagnostics, ...loaded.rejected];
    // A running proxy goes on without a file of a folder that is wrong; here it is what was asked about.
    if (loaded.rejected.some(({ severity }) => severity === "error")) {
      loaded = null;
      consequence = "the proxy would run without these parts";
      process.exitCode = EXIT_INVALID;
    }
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    diagnostics = error.diagnostics;
    process.exitCode = EXIT_INVALID;
  }
  if (options.json === true) {
    process.stdout.write(
      `${JSON.stringify({ valid: loaded !== null, file: loaded?.path ?? null, diagnostics }, null, 2)}\n`,
    );
    return;
  }
  for (const diagnostic of diagnostics) process.stderr.write(`${renderDiagnostic(diagnostic)}\n`);
  const errors = diagnostics.filter((one) => one.severity === "error").length;
  if (loaded === null) process.stderr.write(`${count(errors, "error")}: ${consequence}\n`);
  else process.stdout.write(`${showFile(loaded.path, process.cwd())}: fine (${summary(loaded)})\n`);
}

function summary({ config, diagnostics }: Loaded): string {
  const parts = [count(config.listeners.length, "listener"), count(config.routes.length, "route")];
  const upstreams = Object.keys(config.upstreams).length;
  if (upstreams > 0) parts.push(count(upstreams, "upstream"));
  if (diagnostics.length > 0) parts.push(count(diagnostics.length, "warning"));
  return parts.join(", ");
}

function count(n: number, what: string): string {
  return `${n} ${what}${n === 1 ? "" : "s"}`;
}
