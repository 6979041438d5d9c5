// `sluice reload`: a running proxy reads its configuration again.
import type { Command } from "commander";
import { renderDiagnostic } from "../config/diagnostic.ts";
import type { ReloadResult } from "../control/admin-backend.ts";
import { type AdminFlags, ask, withAdminFlags } from "./admin-options.ts";

export function register(program: Command): void {
  withAdminFlags(program.command("reload").description("make a running proxy read its configuration again")).action(
    (flags: AdminFlags) =>
      ask(flags, "POST", "/api/config/reload", ({ status, body }) => {
        for (const diagnostic of (body as ReloadResult).diagnostics) console.error(renderDiagnostic(diagnostic));
        if (status === 422) console.error("sluice: the configuration is not valid; the proxy goes on with the old one");
        else console.log("reloaded");
      }),
  );
}
