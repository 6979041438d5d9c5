import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Peer, startPeer } from "../peer.ts";

const ROOT = join(import.meta.dir, "../..");

/** Sluice from this checkout, with its defaults and one worker. */
export const sluice: Peer = {
  name: "sluice",
  packages: [],
  version() {
    const { version } = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8")) as { version: string };
    return `${version} on Bun ${Bun.version}`;
  },
  async start(context) {
    const program = join(ROOT, "bin/sluice");
    if (!existsSync(program)) throw new Error("bin/sluice is missing");
    const file = join(context.directory, "sluice.yaml");
    const lines = [
      `listeners: [{ address: "127.0.0.1:${context.port}" }]`,
      `routes: [{ to: "http://127.0.0.1:${context.backendPort}" }]`,
      "admin: false",
      "workers: 1",
    ];
    writeFileSync(file, `${lines.join("\n")}\n`);
    return startPeer("sluice", [program, "run", "-c", file], context);
  },
};
