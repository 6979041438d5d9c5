// `sluice drain`: a running proxy finishes what it has begun and stops.
import type { Command } from "commander";
import { type AdminFlags, ask, withAdminFlags } from "./admin-options.ts";

export function register(program: Command): void {
  withAdminFlags(
    program.command("drain").description("make a running proxy finish what it has begun, then stop"),
  ).action((flags: AdminFlags) =>
    ask(flags, "POST", "/api/drain", () =>
      console.log("draining: no new work is taken; the proxy stops when the rest is done"),
    ),
  );
}
