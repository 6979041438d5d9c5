import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { findProgram } from "../../tools/debian.ts";
import { type Peer, type PeerContext, printedVersion, startPeer } from "../peer.ts";

/** HAProxy with one thread, reuse of every upstream connection, and the same forwarding fields. */
export const haproxy: Peer = {
  name: "haproxy",
  packages: ["haproxy"],
  version: () => printedVersion([program(), "-v"]),
  async start(context) {
    const file = join(context.directory, "haproxy.cfg");
    writeFileSync(file, config(context));
    return startPeer("haproxy", [program(), "-db", "-f", file], context);
  },
};

/** It asks for two files per client, though idle ones need one: without strict limits it starts with fewer. */
function config({ port, backendPort, connections }: PeerContext): string {
  return `
global
  nbthread 1
  no strict-limits
  maxconn ${connections + 1024}

defaults
  mode http
  timeout connect 5s
  timeout client 75s
  timeout server 60s
  timeout http-keep-alive 75s
  option http-keep-alive
  option forwardfor

frontend clients
  bind 127.0.0.1:${port} backlog 4096
  maxconn ${connections + 1024}
  http-request set-header X-Forwarded-Proto http
  http-request set-header X-Forwarded-Host %[req.hdr(host)]
  default_backend servers

backend servers
  http-reuse always
  server backend 127.0.0.1:${backendPort}
`;
}

function program(): string {
  return findProgram("haproxy") ?? "haproxy";
}
