// What the commands that talk to a running proxy have in common: where it is, the token, and how they fail.
import type { Command } from "commander";
import { ConfigError } from "../config/diagnostic.ts";
import { loadConfig } from "../config/load.ts";
import { type AdminAnswer, AdminClientError, askAdmin, followAdmin } from "../control/admin-client.ts";
import { provideFiles } from "../providers/file-folder.ts";

export interface AdminFlags {
  readonly admin?: string;
  readonly token?: string;
  readonly config?: string;
  readonly json?: boolean;
}

const DEFAULT_ADDRESS = "127.0.0.1:9901";
const EXIT_INVALID = 1;
const EXIT_USAGE = 2;
const EXIT_UNREACHABLE = 3;

/** Adds the options of AdminFlags to a command. */
export function withAdminFlags(command: Command): Command {
  return command
    .option("--admin <address>", `address of the admin API (default: ${DEFAULT_ADDRESS})`)
    .option("--token <token>", "admin token (default: the environment variable SLUICE_ADMIN_TOKEN)")
    .option("-c, --config <file>", "take address and token from this configuration")
    .option("--json", "print the answer as JSON");
}

/** Asks the proxy that the flags name, with `body` as JSON where there is one, and shows the answer; prints what went wrong and sets the exit code otherwise. */
export async function ask(
  flags: AdminFlags,
  method: "GET" | "POST" | "PUT" | "PATCH" | "DELETE",
  path: string,
  show: (answer: AdminAnswer) => void,
  body?: unknown,
): Promise<void> {
  try {
    const { address, token } = await target(flags);
    const answer = await askAdmin({ address, token }, method, path, body);
    if (answer.status === 422) process.exitCode = EXIT_INVALID;
    if (flags.json) console.log(JSON.stringify(answer.body, null, 2));
    else show(answer);
  } catch (error) {
    process.exitCode = fail(error, flags.json === true);
  }
}

/** Shows what a stream of events tells, the JSON of each, until it ends; prints what went wrong and sets the exit code. */
export async function follow(flags: AdminFlags, path: string, show: (data: string) => void): Promise<void> {
  try {
    await followAdmin(await target(flags), path, show);
  } catch (error) {
    process.exitCode = fail(error, flags.json === true);
  }
}

async function target(flags: AdminFlags): Promise<{ address: string; token: string | undefined }> {
  const given = flags.token ?? (process.env.SLUICE_ADMIN_TOKEN || undefined);
  if (flags.config === undefined) return { address: flags.admin ?? DEFAULT_ADDRESS, token: given };
  const { admin } = (await loadConfig(flags.config, { provide: provideFiles })).config;
  if (admin === false) {
    if (flags.admin !== undefined) return { address: flags.admin, token: given };
    throw new AdminClientError("usage", `the admin API is turned off in ${flags.config}`);
  }
  return { address: flags.admin ?? admin.address, token: given ?? admin.token };
}

function fail(error: unknown, json: boolean): number {
  if (!(error instanceof AdminClientError || error instanceof ConfigError)) throw error;
  console.error(json ? JSON.stringify({ error: error.message }) : `sluice: ${error.message}`);
  if (error instanceof ConfigError) return EXIT_INVALID;
  return error.reason === "usage" ? EXIT_USAGE : EXIT_UNREACHABLE;
}
