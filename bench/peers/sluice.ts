import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { RULE_FOLDER, RULE_PACKAGE } from "../firewall.ts";
import { type Peer, type PeerContext, startPeer } from "../peer.ts";

const ROOT = join(import.meta.dir, "../..");

/** Sluice from this checkout, with its defaults and one worker. */
export const sluice: Peer = {
  name: "sluice",
  packages: [],
  layer4: [],
  tls: true,
  protocols: ["http/1.1", "h2", "h3"],
  grpc: true,
  gzip: true,
  files: true,
  cache: true,
  waf: [RULE_PACKAGE],
  version() {
    const { version } = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8")) as { version: string };
    return `${version} on Bun ${Bun.version}`;
  },
  async start(context) {
    const program = join(ROOT, "bin/sluice");
    if (!existsSync(program)) throw new Error("bin/sluice is missing");
    const file = join(context.directory, "sluice.yaml");
    const lines = [...forwarding(context), "admin: false", "workers: 1"];
    writeFileSync(file, `${lines.join("\n")}\n`);
    return startPeer("sluice", [program, "run", "-c", file], context);
  },
};

const cacheOf = (megabytes: number | undefined): string =>
  megabytes === undefined ? "true" : `{ memory: ${megabytes}MB }`;

function forwarding({ layer, tls, protocol, grpc, gzip, files, cache, waf, ...rest }: PeerContext): string[] {
  const { port, backendPort, publicFolder } = rest;
  const address = `127.0.0.1:${port}`;
  const backend = `127.0.0.1:${backendPort}`;
  if (layer === 4) return [`listeners: [{ address: "${address}", tcp: { to: "${backend}" } }]`];
  const secured = tls ? ", tls: { certificates: [{ cert: server.pem, key: server.key }] }" : "";
  const more = protocol === "h3" ? ", http3: true" : grpc ? ", h2c: true" : "";
  const compress = gzip > 0 ? `compress: { algorithms: [gzip], levels: { gzip: ${gzip} } }, ` : "";
  const to = files ? `files: { root: ${publicFolder} }` : `to: "${grpc ? "h2c" : "http"}://${backend}"`;
  const guarded = waf ? `waf: { crs: ${RULE_FOLDER} }, ` : "";
  return [
    `listeners: [{ address: "${address}"${secured}${more} }]`,
    `routes: [{ ${guarded}${cache ? `cache: ${cacheOf(rest.cacheMegabytes)}, ` : ""}${compress}${to} }]`,
  ];
}
