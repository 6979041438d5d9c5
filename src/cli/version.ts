// `sluice version`: what runs here.
import type { Command } from "commander";
import { VERSION } from "../control/version.ts";

export function register(program: Command): void {
  program
    .command("version")
    .description("print the versions of Sluice and of its runtime")
    .option("--json", "print them as JSON")
    .action((options: { readonly json?: boolean }) => {
      const versions = { sluice: VERSION, bun: Bun.version, platform: `${process.platform}-${process.arch}` };
      const text =
        options.json === true
          ? JSON.stringify(versions)
          : `sluice ${versions.sluice} (bun ${versions.bun}, ${versions.platform})`;
      process.stdout.write(`${text}\n`);
    });
}
