// The proxies that are compared, in the order of the table.
import type { Peer } from "./peer.ts";
import { caddy } from "./peers/caddy.ts";
import { haproxy } from "./peers/haproxy.ts";
import { nginx } from "./peers/nginx.ts";
import { fastifyHttpProxy, httpProxy } from "./peers/node.ts";
import { sluice } from "./peers/sluice.ts";
import { varnish } from "./peers/varnish.ts";

export const PEERS: readonly Peer[] = [sluice, nginx, haproxy, varnish, caddy, fastifyHttpProxy, httpProxy];
