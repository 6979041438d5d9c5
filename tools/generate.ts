// Writes what is made from the schema of the configuration: `bun tools/generate.ts`, or `--check` to only compare.
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { configJsonSchema } from "../src/config/json-schema.ts";
import { referencePage } from "./reference-page.ts";

const ROOT = join(import.meta.dir, "..");
const FILES: readonly (readonly [path: string, make: () => string])[] = [
  ["schema/sluice.schema.json", () => `${JSON.stringify(configJsonSchema(), null, 2)}\n`],
  ["docs/reference.md", () => referencePage(configJsonSchema())],
];

const checkOnly = process.argv.includes("--check");
for (const [path, make] of FILES) {
  const file = join(ROOT, path);
  const made = make();
  if (read(file) === made) continue;
  if (checkOnly) {
    console.error(`${path} is not what the schema says: run \`bun tools/generate.ts\``);
    process.exitCode = 1;
  } else {
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, made);
    console.log(`${path} written`);
  }
}

function read(file: string): string | null {
  try {
    return readFileSync(file, "utf8");
  } catch {
    return null;
  }
}
