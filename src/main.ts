// The command line: one file for each command under cli/.
import { Command } from "commander";
import { register as cache } from "./cli/cache.ts";
import { register as check } from "./cli/check.ts";
import { register as consumers } from "./cli/consumers.ts";
import { register as demo } from "./cli/demo.ts";
import { register as drain } from "./cli/drain.ts";
import { register as explain } from "./cli/explain.ts";
import { register as hashPassword } from "./cli/hash-password.ts";
import { register as init } from "./cli/init.ts";
import { register as maintenance } from "./cli/maintenance.ts";
import { register as proxy } from "./cli/proxy.ts";
import { register as reload } from "./cli/reload.ts";
import { register as run } from "./cli/run.ts";
import { register as schema } from "./cli/schema.ts";
import { register as status } from "./cli/status.ts";
import { register as tagging } from "./cli/tagging.ts";
import { register as trust } from "./cli/trust.ts";
import { register as usage } from "./cli/usage.ts";
import { register as version } from "./cli/version.ts";
import { register as waf } from "./cli/waf.ts";
import { offerSluiceModule } from "./control/sluice-module.ts";
import { VERSION } from "./control/version.ts";

const EXIT_USAGE = 2;

const program = new Command("sluice").description("a reverse proxy: strict, typed, and cheap per request");
const RUNNING = [
  run,
  proxy,
  demo,
  init,
  check,
  explain,
  reload,
  status,
  cache,
  usage,
  consumers,
  waf,
  maintenance,
  tagging,
  drain,
];
const COMMANDS = [...RUNNING, trust, hashPassword, schema, version];
for (const register of COMMANDS) register(program);
program.version(VERSION, "--version", "print the version of Sluice");
program.showHelpAfterError("(sluice --help shows the commands)");
program.exitOverride((error) => process.exit(error.exitCode === 0 ? 0 : EXIT_USAGE));
const withAllBelow = (command: Command): Command[] => [command, ...command.commands.flatMap(withAllBelow)];
for (const command of program.commands.flatMap(withAllBelow))
  command.exitOverride((error) => process.exit(error.exitCode === 0 ? 0 : EXIT_USAGE));

offerSluiceModule();
await program.parseAsync();
