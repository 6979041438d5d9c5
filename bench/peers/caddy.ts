import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { findProgram } from "../../tools/debian.ts";
import { type Peer, type PeerContext, printedVersion, startPeer } from "../peer.ts";

/** Caddy on one thread of Go; it sets the forwarding fields by itself. */
export const caddy: Peer = {
  name: "caddy",
  packages: ["caddy"],
  layer4: null,
  tls: true,
  protocols: ["http/1.1", "h2", "h3"],
  grpc: false,
  gzip: false,
  files: true,
  cache: false,
  waf: null,
  version: () => printedVersion([program(), "version"]),
  async start(context) {
    const file = join(context.directory, "Caddyfile");
    writeFileSync(file, config(context));
    const home = { HOME: context.directory, XDG_DATA_HOME: context.directory, XDG_CONFIG_HOME: context.directory };
    const command = [program(), "run", "--adapter", "caddyfile", "--config", file];
    return startPeer("caddy", command, context, { ...home, GOMAXPROCS: "1" });
  },
};

/** Its default of 32 idle connections to a server would make 64 clients open new ones all the time. */
function config({ port, backendPort, tls, files, publicFolder }: PeerContext): string {
  const proxy = `reverse_proxy 127.0.0.1:${backendPort} {
		transport http {
			keepalive_idle_conns_per_host 256
		}
	}`;
  return `
{
	admin off
	auto_https off
}
${tls ? "https" : "http"}://:${port} {
	bind 127.0.0.1${tls ? "\n\ttls server.pem server.key" : ""}
	${files ? `root * ${publicFolder}\n\tfile_server` : proxy}
}
`;
}

function program(): string {
  return findProgram("caddy") ?? "caddy";
}
