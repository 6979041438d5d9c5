import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { findProgram } from "../../tools/debian.ts";
import { type Peer, type PeerContext, printedVersion, startPeer } from "../peer.ts";

/** nginx with one worker, kept-alive upstream connections, and the forwarding fields that the others set too. */
export const nginx: Peer = {
  name: "nginx",
  packages: ["nginx"],
  layer4: ["libnginx-mod-stream"],
  tls: true,
  version: () => printedVersion([program(), "-v"]),
  async start(context) {
    const config = context.layer === 4 ? streamConfig(context) : proxyConfig(context);
    writeFileSync(join(context.directory, "nginx.conf"), config);
    return startPeer("nginx", nginxCommand(context.directory), context);
  },
};

/** The command for a folder that holds nginx.conf; it stays in the foreground. */
export function nginxCommand(directory: string): string[] {
  return [program(), "-p", directory, "-e", join(directory, "error.log"), "-c", join(directory, "nginx.conf")];
}

/** The part of the configuration that both uses (peer and backend) share: one worker, all files in its own folder. */
export function nginxFrame(directory: string, parts: { readonly connections: number; readonly http: string }): string {
  const temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
  return `${processFrame(directory, parts.connections)}
http {
  access_log off;
${temporary.map((name) => `  ${name}_temp_path ${directory}/${name};`).join("\n")}
${parts.http}
}
`;
}

function processFrame(directory: string, connections: number): string {
  return `
${process.getuid?.() === 0 ? "user root;" : "" /* Its worker must be able to read our folder. */}
daemon off;
worker_processes 1;
worker_rlimit_nofile ${connections};
pid ${directory}/nginx.pid;
error_log ${directory}/error.log error;
events { worker_connections ${connections}; }`;
}

/** Where Debian's package puts the module; elsewhere it is part of the program. */
const STREAM_MODULE = "/usr/lib/nginx/modules/ngx_stream_module.so";

/** A connection forwarded as it is takes two of nginx's. */
function streamConfig({ directory, connections, port, backendPort }: PeerContext): string {
  return `
${existsSync(STREAM_MODULE) ? `load_module ${STREAM_MODULE};` : ""}
${processFrame(directory, 2 * connections + 1024)}
stream {
  server {
    listen 127.0.0.1:${port} backlog=4096;
    proxy_pass 127.0.0.1:${backendPort};
  }
}
`;
}

const TLS_LINES = `    ssl_certificate server.pem;
    ssl_certificate_key server.key;
    ssl_protocols TLSv1.2 TLSv1.3;
    ssl_session_cache shared:bench:1m;
`;

function proxyConfig(context: PeerContext): string {
  return nginxFrame(context.directory, {
    connections: context.connections + 1024,
    http: `
  keepalive_timeout 75s;
  keepalive_requests 1000000000;
  upstream backend {
    server 127.0.0.1:${context.backendPort};
    keepalive 256;
    keepalive_requests 1000000000;
  }
  server {
    listen 127.0.0.1:${context.port}${context.tls ? " ssl" : ""} backlog=4096;
${context.tls ? TLS_LINES : ""}    location / {
      proxy_pass http://backend;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_set_header Host $http_host;
      proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
      proxy_set_header X-Forwarded-Proto $scheme;
      proxy_set_header X-Forwarded-Host $http_host;
      proxy_max_temp_file_size 0;
    }
  }`,
  });
}

function program(): string {
  return findProgram("nginx") ?? "nginx";
}
