import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Peer, type PeerContext, startPeer } from "../peer.ts";

const ROOT = join(import.meta.dir, "../..");

/** Sluice from this checkout, with its defaults and one worker. */
export const sluice: Peer = {
  name: "sluice",
  packages: [],
  layer4: [],
  tls: true,
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

function forwarding({ layer, tls, port, backendPort }: PeerContext): string[] {
  const address = `127.0.0.1:${port}`;
  const backend = `127.0.0.1:${backendPort}`;
  if (layer === 4) return [`listeners: [{ address: "${address}", tcp: { to: "${backend}" } }]`];
  const secured = tls ? ", tls: { certificates: [{ cert: server.pem, key: server.key }] }" : "";
  return [`listeners: [{ address: "${address}"${secured} }]`, `routes: [{ to: "http://${backend}" }]`];
}
