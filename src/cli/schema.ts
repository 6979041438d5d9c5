// `sluice schema`: the JSON Schema of the configuration, for editors and other programs.
import type { Command } from "commander";
import { configJsonSchema } from "../config/json-schema.ts";

export function register(program: Command): void {
  program
    .command("schema")
    .description("print the JSON Schema of the configuration")
    .action(() => {
      // Who reads may have seen enough, as `head` has.
      process.stdout.on("error", (error: NodeJS.ErrnoException) => {
        if (error.code !== "EPIPE") throw error;
      });
      process.stdout.write(`${JSON.stringify(configJsonSchema(), null, 2)}\n`);
    });
}
