import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { findProgram } from "../../tools/debian.ts";
import { type Peer, type PeerContext, printedVersion, startPeer } from "../peer.ts";

/** HAProxy with one thread, reuse of every upstream connection, and the same forwarding fields. */
export const haproxy: Peer = {
  name: "haproxy",
  packages: ["haproxy"],
  layer4: [],
  tls: true,
  protocols: ["http/1.1", "h2"],
  grpc: true,
  gzip: true,
  files: false,
  cache: true,
  waf: null,
  version: () => printedVersion([program(), "-v"]),
  async start(context) {
    const file = join(context.directory, "haproxy.cfg");
    writeFileSync(file, config(context));
    return startPeer("haproxy", [program(), "-db", "-f", file], context);
  },
};

/** It asks for two files per client, though idle ones need one: without strict limits it starts with fewer. */
function config(context: PeerContext): string {
  const { port, backendPort, connections, layer, tls, grpc, gzip, cache } = context;
  return `
global
  nbthread 1
  no strict-limits
  maxconn ${connections + 1024}
${gzip > 0 ? `  tune.comp.maxlevel ${gzip}\n` : ""}
defaults
  mode ${layer === 4 ? "tcp" : "http"}
  timeout connect 5s
  timeout client 75s
  timeout server 60s
${layer === 4 ? "" : HTTP_DEFAULTS}
frontend clients
  bind 127.0.0.1:${port} backlog 4096${bindOptions(context)}
  maxconn ${connections + 1024}
${layer === 4 ? "" : httpFields(tls ? "https" : "http")}  default_backend servers
${cache ? CACHE : ""}
backend servers
${layer === 4 ? "" : "  http-reuse always\n"}${cache ? USE_CACHE : ""}${gzip > 0 ? GZIP : ""}\
  server backend 127.0.0.1:${backendPort}${grpc ? " proto h2" : ""}
`;
}

function bindOptions({ tls, grpc, protocol, directory }: PeerContext): string {
  if (grpc) return " proto h2";
  return tls ? ` ssl crt ${join(directory, "server.both")}${protocol === "h2" ? " alpn h2,http/1.1" : ""}` : "";
}

/** An answer of 50 KB would not be stored by default. */
const CACHE = `
cache bench
  total-max-size 256
  max-object-size 1000000
  max-age 3600
`;
const USE_CACHE = `  http-request cache-use bench
  http-response cache-store bench
`;
const GZIP = `  compression algo gzip
  compression type application/json
`;
const HTTP_DEFAULTS = `  timeout http-keep-alive 75s
  option http-keep-alive
  option forwardfor
`;
const httpFields = (scheme: string) => `  http-request set-header X-Forwarded-Proto ${scheme}
  http-request set-header X-Forwarded-Host %[req.hdr(host)]
`;

function program(): string {
  return findProgram("haproxy") ?? "haproxy";
}
