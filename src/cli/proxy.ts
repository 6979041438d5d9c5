// `sluice proxy`: a proxy without any file.
import type { Command } from "commander";
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
