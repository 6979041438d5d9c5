// `sluice cache`: what a running proxy has stored, and having it forgotten.
import type { Command } from "commander";
import type { DiskState } from "../control/cache-disk.ts";
import type { CacheState } from "../control/worker-messages.ts";
import { type AdminFlags, ask, withAdminFlags } from "./admin-options.ts";

interface PurgeFlags extends AdminFlags {
  readonly url?: string;
  readonly prefix?: string;
  readonly tag?: string;
  readonly all?: true;
  readonly soft?: true;
}

const MIB = 1_048_576;
const EXIT_USAGE = 2;

export function register(program: Command): void {
  const cache = program.command("cache").description("the stored answers of a running proxy");
  withAdminFlags(cache.command("status").description("say how much is stored")).action((flags: AdminFlags) =>
    ask(flags, "GET", "/api/cache", ({ body }) => {
      const { workers, disk } = body as { workers: (CacheState & { worker: number })[]; disk: DiskState | null };
      for (const worker of workers) console.log(describe(worker));
      if (disk !== null) console.log(describeDisk(disk));
    }),
  );
  withAdminFlags(
    cache
      .command("purge")
      .description("have stored answers forgotten; say which by one of the first four options")
      .option("--url <url>", "the answers of this address")
      .option("--prefix <url>", "those of all addresses that begin so")
      .option("--tag <tag>", "those with this tag")
      .option("--all", "all of them")
      .option("--soft", "they count as stale instead, and may be given out while they are fetched anew"),
  ).action(purge);
}

function describe({ worker, bytes, bytesMax, addresses, evictions }: CacheState & { worker: number }): string {
  const mib = (count: number): string => `${(count / MIB).toFixed(1)} MB`;
  return `worker ${worker}: ${addresses} addresses, ${mib(bytes)} of ${mib(bytesMax)}, ${evictions} evicted`;
}

function describeDisk({ path, entries, bytes, bytesMax, hits, ready }: DiskState): string {
  const mib = (count: number): string => `${Math.round(count / MIB)} MB`;
  const start = ready ? "" : " (what was there at the start is being read)";
  return `disk ${path}: ${entries} answers, ${mib(bytes)} of ${mib(bytesMax)}, ${hits} hits${start}`;
}

async function purge({ url, prefix, tag, all, soft, ...flags }: PurgeFlags): Promise<void> {
  const given = [url, prefix, tag, all].filter((each) => each !== undefined).length;
  if (given !== 1) {
    console.error("sluice: say one of --url, --prefix, --tag and --all");
    process.exitCode = EXIT_USAGE;
    return;
  }
  const body = { url, prefix, tag, all, soft };
  await ask(
    flags,
    "POST",
    "/api/cache/purge",
    ({ body: answer }) => {
      const { purged, others } = answer as { purged: number; others?: string };
      const later = others === "later" ? "; other machines cannot be told now, and will be as soon as they can" : "";
      console.log(`purged: ${purged}${later}`);
    },
    body,
  );
}
