// `sluice status`: what a running proxy is doing.
import type { Command } from "commander";
import type { ListenerStatus, ProxyStatus, Readiness } from "../control/admin-backend.ts";
import { type AdminFlags, ask, withAdminFlags } from "./admin-options.ts";

export function register(program: Command): void {
  withAdminFlags(program.command("status").description("say what a running proxy is doing")).action(
    (flags: AdminFlags) =>
      ask(flags, "GET", "/api/status", ({ body }) =>
        console.log(describeStatus(body as ProxyStatus & { ready: Readiness })),
      ),
  );
}

function describeStatus(status: ProxyStatus & { readonly ready: Readiness }): string {
  const { ready, reasons } = status.ready;
  const state = ready ? "ready" : status.state === "ready" ? "not ready" : status.state;
  const connections = status.workers.reduce((sum, worker) => sum + worker.connections, 0);
  return [
    `sluice ${status.version} is ${state} (process ${status.pid}, since ${status.startedAt})`,
    ...reasons.map((reason) => `  ${reason}`),
    `configuration: ${status.configFile === "" ? "given on the command line" : status.configFile}, loaded ${status.configLoadedAt}`,
    ...status.listeners.map(describeListener),
    `connections: ${connections}`,
    ...status.workers.map(
      (worker) =>
        `worker ${worker.id}: ${worker.state}, ${worker.connections} connections${worker.restarts === 0 ? "" : `, replaced ${worker.restarts} times`}`,
    ),
  ].join("\n");
}

const describeListener = ({ address, bound, http3 }: ListenerStatus): string =>
  `listener: ${address}${bound === address ? "" : ` (${bound})`}${http3 ? ", and HTTP/3" : ""}`;
