import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { findProgram } from "../../tools/debian.ts";
import { type Peer, type PeerContext, printedVersion, startPeer } from "../peer.ts";

/** nginx with one worker, kept-alive upstream connections, and the forwarding fields that the others set too. */
export const nginx: Peer = {
  name: "nginx",
  packages: ["nginx"],
  version: () => printedVersion([program(), "-v"]),
  async start(context) {
    writeFileSync(join(context.directory, "nginx.conf"), proxyConfig(context));
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
  return `
${process.getuid?.() === 0 ? "user root;" : "" /* Its worker must be able to read our folder. */}
daemon off;
worker_processes 1;
worker_rlimit_nofile ${parts.connections};
pid ${directory}/nginx.pid;
error_log ${directory}/error.log error;
events { worker_connections ${parts.connections}; }
http {
  access_log off;
${temporary.map((name) => `  ${name}_temp_path ${directory}/${name};`).join("\n")}
${parts.http}
}
`;
}

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
    listen 127.0.0.1:${context.port} backlog=4096;
    location / {
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
