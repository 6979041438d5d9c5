// `sluice maintenance`: switches maintenance of a running proxy, of all routes or of one.
import type { Command } from "commander";
import type { AdminAnswer } from "../control/admin-client.ts";
import { type AdminFlags, ask, withAdminFlags } from "./admin-options.ts";

interface RouteFlags extends AdminFlags {
  readonly route?: string;
}
interface SwitchFlags extends RouteFlags {
  readonly for?: string;
  readonly reason?: string;
}

const ROUTE = ["--route <name>", "of this route alone (default: of all)"] as const;
const FOR = ["--for <time>", "for so long, such as 30m; then it is as the configuration says"] as const;
const REASON = ["--reason <text>", "why, for those who look"] as const;

export function register(program: Command): void {
  const maintenance = program.command("maintenance").description("maintenance of a running proxy");
  for (const word of ["on", "off"] as const)
    withAdminFlags(
      maintenance
        .command(word)
        .description(
          word === "on" ? "answer that there is maintenance" : "let requests through, whatever is configured",
        )
        .option(...ROUTE)
        .option(...FOR)
        .option(...REASON),
    ).action(({ route, for: time, reason, ...flags }: SwitchFlags) =>
      ask(flags, "PUT", "/api/maintenance", show, { enabled: word === "on", route, for: time, reason }),
    );
  withAdminFlags(
    maintenance
      .command("clear")
      .description("let it be as the configuration says")
      .option(...ROUTE),
  ).action(({ route, ...flags }: RouteFlags) => {
    const query = route === undefined ? "" : `?route=${encodeURIComponent(route)}`;
    return ask(flags, "DELETE", `/api/maintenance${query}`, show);
  });
  withAdminFlags(maintenance.command("status").description("say where there is maintenance")).action(
    (flags: AdminFlags) => ask(flags, "GET", "/api/maintenance", show),
  );
}

const REFUSED = 422;

interface Told {
  readonly routes: readonly {
    readonly route: string;
    readonly enabled: boolean;
    readonly by: string;
    readonly reason?: string;
    readonly until?: string;
  }[];
}

function show({ status, body }: AdminAnswer): void {
  if (status === REFUSED) console.error(`sluice: ${String((body as { detail?: unknown }).detail)}`);
  for (const { route, enabled, by, reason = "", until } of (body as Partial<Told>).routes ?? []) {
    const more = [until === undefined ? "" : `until ${until}`, reason].filter((text) => text !== "").join(": ");
    console.log(`${route}: ${enabled ? "maintenance" : "open"} (${by}${more === "" ? "" : `, ${more}`})`);
  }
}
