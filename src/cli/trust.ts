// `sluice trust`: makes this machine trust the certificates of Sluice's own authority (`tls.internal`).
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { homedir } from "node:os";
import { resolve } from "node:path";
import { type Command, Option } from "commander";
import { openRoot, rootFile } from "../certificates/internal-root.ts";
import { defaultStorageFolder } from "../certificates/storage-folder.ts";
import {
  installRoot,
  type Machine,
  SYSTEM_FOLDER,
  type TrustStep,
  trustInstructions,
  uninstallRoot,
} from "../certificates/trust.ts";

const EXIT_FAILED = 1;
/** update-ca-certificates takes a second or two; longer means that something waits for an answer. */
const PROGRAM_MS = 60_000;

interface TrustOptions {
  readonly install?: boolean;
  readonly uninstall?: boolean;
  readonly print?: boolean;
  readonly storage?: string;
}

export function register(program: Command): void {
  program
    .command("trust")
    .description("say how to trust the certificates of Sluice's own authority, or do it")
    .addOption(new Option("--install", "trust the root on this machine").conflicts(["uninstall", "print"]))
    .addOption(new Option("--uninstall", "trust it no longer").conflicts("print"))
    .option("--print", "write the root certificate (PEM)")
    .option(
      "--storage <folder>",
      "where Sluice keeps it (default: /var/lib/sluice as root, else ~/.local/share/sluice)",
    )
    .action((options: TrustOptions) => trust(options));
}

function trust(options: TrustOptions): void {
  if (options.uninstall === true) return report(uninstallRoot(thisMachine()), "is not trusted any more");
  const storage = options.storage ?? defaultStorageFolder();
  const { trouble } = openRoot(storage, Date.now());
  if (trouble !== undefined) {
    console.error(`sluice: ${trouble.message}\n  hint: ${trouble.hint}`);
    process.exitCode = EXIT_FAILED;
    return;
  }
  const file = rootFile(resolve(storage));
  if (options.print === true) process.stdout.write(readFileSync(file, "utf8"));
  else if (options.install === true) report(installRoot(file, thisMachine()), "is trusted");
  else console.log(trustInstructions(file, resolve(storage)));
}

function report(steps: readonly TrustStep[], outcome: string): void {
  for (const { place, result, reason } of steps) {
    const text = reason === undefined ? `${place}: ${result}` : `${place}: ${result}: ${reason}`;
    if (result === "failed") console.error(`sluice: ${text}`);
    else console.log(text);
  }
  const failed = steps.some(({ result }) => result === "failed");
  if (failed) process.exitCode = EXIT_FAILED;
  else if (steps.some(({ result }) => result === "done")) console.log(`the root ${outcome}`);
  else console.log("nothing was changed");
}

function thisMachine(): Machine {
  return {
    uid: process.geteuid?.() ?? -1,
    home: homedir(),
    systemFolder: SYSTEM_FOLDER,
    has: (name) => Bun.which(name) !== null,
    run: ([name, ...args]) => {
      const { status, stderr, error } = spawnSync(name, args, {
        stdio: ["ignore", "ignore", "pipe"],
        encoding: "utf8",
        timeout: PROGRAM_MS,
      });
      return { code: error === undefined ? status : null, error: error?.message ?? stderr };
    },
  };
}
