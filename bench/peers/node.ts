// The two proxies from npm. They run on Node, as their users run them, from the scripts beside this file.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { findProgram } from "../../tools/debian.ts";
import { type Peer, printedVersion, startPeer } from "../peer.ts";

export const httpProxy: Peer = nodePeer("http-proxy", "http-proxy", "http-proxy.mjs");
export const fastifyHttpProxy: Peer = nodePeer("fastify-http-proxy", "@fastify/http-proxy", "fastify-http-proxy.mjs");

function nodePeer(name: string, dependency: string, script: string): Peer {
  const node = () => findProgram("node") ?? "node";
  return {
    name,
    packages: [],
    layer4: null,
    tls: false,
    protocols: ["http/1.1"],
    grpc: false,
    gzip: false,
    files: false,
    cache: false,
    waf: null,
    version() {
      const manifest = join(import.meta.dir, "../../node_modules", dependency, "package.json");
      const { version } = JSON.parse(readFileSync(manifest, "utf8")) as { version: string };
      return `${version} on Node ${printedVersion([node(), "--version"])}`;
    },
    start(context) {
      const ports = [String(context.port), String(context.backendPort)];
      const env = { NODE_ENV: "production" };
      return startPeer(name, [node(), join(import.meta.dir, script), ...ports], context, env);
    },
  };
}
