// `sluice proxy`: a proxy without any file.
import type { Command } from "commander";
import { ConfigError, type ConfigPath } from "../config/diagnostic.ts";
import { checkConfig } from "../config/load.ts";
import type { ConfigInput } from "../config/schema.ts";
import { CONFIG_CHECKS } from "../control/verify.ts";
import { isFree } from "./free-port.ts";
import { FlagError, type ProxyFlags, proxyConfig } from "./proxy-config.ts";
import { runForeground } from "./run.ts";

const EXIT_USAGE = 2;
const ADMIN_HOST = "127.0.0.1";
const ADMIN_PORT = 9901;

export function register(program: Command): void {
  program
    .command("proxy")
    .description("run a proxy without any configuration file")
    .requiredOption("--from <address>", "where to listen: host:port, :port, a bare port, or unix:/path.sock")
    .requiredOption(
      "--to <url>",
      "a server; give it several times and they take turns",
      (url: string, all: string[] = []) => [...all, url],
    )
    .option("--host-header <host>", "the Host that servers see: preserve (default), upstream, or a name")
    .option("--tls <what>", "speak HTTPS: with certificates of the local CA (internal), or with the files CERT,KEY")
    .option("--cache", "store answers in memory, as servers allow it")
    .option("--compress", "compress answers for clients that accept it")
    .option("--access-log [format]", "log every request to stdout: json (default), combined or common")
    .option("--workers <n>", "worker threads (default: one for each core)")
    .option(
      "--admin <address>",
      `where the admin API listens, or off (default: ${ADMIN_HOST}:${ADMIN_PORT} if it is free)`,
    )
    .action(proxy);
}

async function proxy(flags: ProxyFlags): Promise<void> {
  const adminDefault = (await isFree(ADMIN_HOST, ADMIN_PORT)) ? `${ADMIN_HOST}:${ADMIN_PORT}` : false;
  try {
    const input = proxyConfig(flags, adminDefault);
    checkFlags(input);
    if (flags.admin === undefined && adminDefault === false) {
      process.stderr.write(
        `port ${ADMIN_PORT} is taken: there is no admin API (--admin ADDRESS gives it another place)\n`,
      );
    }
    await runForeground({ config: { input } });
  } catch (error) {
    if (!(error instanceof FlagError)) throw error;
    process.stderr.write(`sluice proxy: ${error.message}\n`);
    process.exitCode = EXIT_USAGE;
  }
}

/** Throws FlagError with everything that is wrong, in terms of the flags. */
function checkFlags(input: ConfigInput): void {
  try {
    checkConfig(input, CONFIG_CHECKS);
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    const errors = error.diagnostics.filter(({ severity }) => severity === "error");
    const lines = errors.map(
      ({ path, message, hint }) => `${flagOf(path)}: ${message}${hint === undefined ? "" : `\n  hint: ${hint}`}`,
    );
    throw new FlagError(lines.join("\n"));
  }
}

/** The flag that has set what stands at this path (proxy-config.ts). */
function flagOf(path: ConfigPath): string {
  switch (path[0]) {
    case "listeners":
      return path.includes("tls") ? "--tls" : "--from";
    case "admin":
      return "--admin";
    case "workers":
      return "--workers";
    default:
      return path.includes("hostHeader") ? "--host-header" : "--to";
  }
}
