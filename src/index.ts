// The public API: typed configuration, plugins, and the proxy inside a program.
import { randomBytes } from "node:crypto";
import { checkConfig } from "./config/load.ts";
import type { ConfigInput } from "./config/schema.ts";
import { DataPlane, type Prepared } from "./control/data-plane.ts";
import { createLog } from "./observe/log.ts";
import { Metrics } from "./observe/metrics.ts";
import { setViaPseudonym } from "./pipeline/via.ts";

export { ConfigError, type Diagnostic } from "./config/diagnostic.ts";
export type { Config, ConfigInput } from "./config/schema.ts";
export { ListenError } from "./control/data-plane.ts";
export { defineConfig, definePlugin } from "./control/sluice-module.ts";
export type { RequestHead, ResponseHead } from "./http/message.ts";
export type { Exchange } from "./pipeline/exchange.ts";
export type { Plugin, PluginResult } from "./pipeline/plugin.ts";
export { type Reply, reply } from "./pipeline/reply.ts";

/** All proxies of a program share the name: a request that goes round among them is a loop as well. */
const VIA = `sluice-${randomBytes(4).toString("hex")}`;

/** A proxy that runs inside this program, in its thread. */
export interface Proxy {
  /** Where it listens, in the order of the configuration: `host:port` with the port that was chosen for `:0`. */
  readonly addresses: readonly string[];
  /** Puts another configuration into use without losing a request. Rejects, and nothing has changed, when it is not valid. */
  reload(config: ConfigInput): Promise<void>;
  /** Stops: requests in flight are answered first, for at most the configured drain time. */
  close(): Promise<void>;
}

/**
 * Starts a proxy inside this program. Rejects with ConfigError when the configuration is not valid and with ListenError
 * when an address cannot be had. The admin listener belongs to `sluice run`: a program has its own ways to look inside.
 */
export async function createProxy(config: ConfigInput): Promise<Proxy> {
  setViaPseudonym(VIA);
  const first = checkConfig(config).config;
  const plane = new DataPlane({ log: createLog(first.log.level), metrics: new Metrics(() => {}), primary: true });
  let current: Prepared = plane.prepare(first, new Map());
  plane.commit(current);
  return {
    get addresses() {
      const ports = plane.ports(current);
      return current.config.listeners.map(({ address }) =>
        address.startsWith("unix:") ? address : address.replace(/\d+$/, String(ports.get(address))),
      );
    },
    async reload(next) {
      const prepared = plane.prepare(checkConfig(next).config, plane.ports(current));
      plane.commit(prepared);
      current = prepared;
    },
    close: () => plane.drain(current.config.shutdown.drain),
  };
}
