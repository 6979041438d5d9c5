// `sluice usage`: what consumers have used, as a running proxy has metered it.
import type { Command } from "commander";
import { csvOf, type UsageItem } from "../control/usage-formats.ts";
import { type AdminFlags, ask, withAdminFlags } from "./admin-options.ts";

interface UsageFlags extends AdminFlags {
  readonly consumer?: string;
  readonly user?: string;
  readonly route?: string;
  readonly from?: string;
  readonly to?: string;
  readonly by: string;
  readonly group: string;
  readonly csv?: true;
}

interface UsageAnswer {
  readonly machine: string;
  readonly complete: boolean;
  readonly usage: readonly UsageItem[];
}

const PASSED = ["consumer", "user", "route", "from", "to", "by", "group"] as const;

export function register(program: Command): void {
  withAdminFlags(
    program
      .command("usage")
      .description("say what consumers have used")
      .option("--consumer <name>", "of this consumer alone")
      .option("--user <name>", "of this user alone, who is no consumer")
      .option("--route <name>", "on this route alone")
      .option("--from <date>", "since then: 2026-11-24 or 2026-11-24T13:00Z")
      .option("--to <date>", "up to then")
      .option("--by <period>", "hour, day or month", "day")
      .option("--group <what>", "a list of consumer, route and status", "consumer,route")
      .option("--csv", "print it as CSV"),
  ).action(usage);
}

async function usage(flags: UsageFlags): Promise<void> {
  const query = new URLSearchParams();
  for (const name of PASSED) if (flags[name] !== undefined) query.set(name, flags[name]);
  await ask(flags, "GET", `/api/usage?${query}`, ({ body }) => {
    const { usage, complete } = body as UsageAnswer;
    if (flags.csv) process.stdout.write(csvOf(usage));
    else console.log(usage.length === 0 ? "nothing was used" : tableOf(usage));
    if (!complete) console.error("sluice: there is more than that: ask for less at a time");
  });
}

const HEADS = ["time", "who", "route", "status", "requests", "errors", "units", "tokens", "bytes", "mean ms"];
/** How many of them are texts, which begin at the left. */
const TEXTS = 4;

/** Columns with nothing in them are left out. */
function tableOf(items: readonly UsageItem[]): string {
  const rows = items.map((item) => [
    item.time ?? "",
    item.consumer ?? item.user ?? "-",
    item.route ?? "",
    item.status ?? "",
    String(item.requests),
    String(item.errors),
    String(item.units),
    String(item.tokensIn + item.tokensOut),
    String(item.bytesIn + item.bytesOut),
    item.requests === 0 ? "" : ((item.seconds / item.requests) * 1000).toFixed(1),
  ]);
  const shown = HEADS.map((_, at) => at).filter((at) => rows.some((row) => row[at] !== ""));
  const widths = new Map(shown.map((at) => [at, Math.max(...[HEADS, ...rows].map((row) => row[at]!.length))]));
  const line = (row: readonly string[]): string =>
    shown
      .map((at) => (at < TEXTS ? row[at]!.padEnd(widths.get(at)!) : row[at]!.padStart(widths.get(at)!)))
      .join("  ")
      .trimEnd();
  return [HEADS, ...rows].map(line).join("\n");
}
