import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { findProgram } from "../../tools/debian.ts";
import { type Peer, type PeerContext, printedVersion, startPeer } from "../peer.ts";

/** Varnish with its store in memory and one pool of threads; it takes part where answers come from a cache. */
export const varnish: Peer = {
  name: "varnish",
  packages: ["varnish"],
  layer4: null,
  tls: false,
  protocols: ["http/1.1"],
  grpc: false,
  gzip: true,
  files: false,
  cache: "only",
  waf: null,
  version: () => printedVersion([program(), "-V"]),
  async start(context) {
    const { directory, port } = context;
    const file = join(directory, "bench.vcl");
    writeFileSync(file, config(context));
    const store = ["-s", "malloc,256m", "-p", "thread_pools=1"];
    // Without its jail, which would need users of its own; it has nothing to do with requests.
    const command = [program(), "-F", "-j", "none", "-n", join(directory, "work"), "-a", `127.0.0.1:${port}`];
    return startPeer("varnish", [...command, ...store, "-f", file], context);
  },
};

/** Its default passes requests with cookies, which sites that use it take away. */
function config({ backendPort, gzip }: PeerContext): string {
  return `
vcl 4.1;
backend default { .host = "127.0.0.1"; .port = "${backendPort}"; }
sub vcl_recv { unset req.http.Cookie; }
sub vcl_backend_response { ${gzip > 0 ? "set beresp.do_gzip = true; " : ""}}
`;
}

function program(): string {
  return findProgram("varnishd") ?? "varnishd";
}
