import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { findProgram } from "../../tools/debian.ts";
import { MODSECURITY_RULES, RULE_PACKAGE } from "../firewall.ts";
import { type Peer, type PeerContext, printedVersion, startPeer } from "../peer.ts";

/** nginx with one worker, kept-alive upstream connections, and the forwarding fields that the others set too. */
export const nginx: Peer = {
  name: "nginx",
  packages: ["nginx"],
  layer4: ["libnginx-mod-stream"],
  tls: true,
  protocols: ["http/1.1", "h2"],
  grpc: true,
  gzip: true,
  files: true,
  cache: true,
  waf: ["libnginx-mod-http-modsecurity", RULE_PACKAGE],
  version: () => printedVersion([program(), "-v"]),
  async start(context) {
    const config =
      context.layer === 4 ? streamConfig(context) : nginxConfig(context, context.grpc ? GRPC_PASS : HTTP_PASS);
    writeFileSync(join(context.directory, "nginx.conf"), config);
    if (context.waf) writeFileSync(join(context.directory, "modsecurity.conf"), MODSECURITY_RULES);
    return startPeer("nginx", nginxCommand(context.directory), context);
  },
};

/** The command for a folder that holds nginx.conf; it stays in the foreground. */
export function nginxCommand(directory: string): string[] {
  return [program(), "-p", directory, "-e", join(directory, "error.log"), "-c", join(directory, "nginx.conf")];
}

/** The part of the configuration that both uses (peer and backend) share: one worker, all files in its own folder. */
export function nginxFrame(
  directory: string,
  parts: { readonly connections: number; readonly http: string; readonly module?: string },
): string {
  const temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
  return `${parts.module === undefined ? "" : loadModule(parts.module)}${processFrame(directory, parts.connections)}
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

/** Loads a module from where Debian's package puts it; elsewhere it is part of the program. */
function loadModule(name: string): string {
  const path = `/usr/lib/nginx/modules/ngx_${name}_module.so`;
  return existsSync(path) ? `load_module ${path};` : "";
}

/** A connection forwarded as it is takes two of nginx's. */
function streamConfig({ directory, connections, port, backendPort }: PeerContext): string {
  return `
${loadModule("stream")}
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

const gzipLines = (level: number): string => `    gzip on;
    gzip_comp_level ${level};
    gzip_types application/json;
    gzip_vary on;
`;

const filesLines = (folder: string): string => `root ${folder};
      sendfile on;
      tcp_nopush on;`;

/** Its files lie in the run's folder: in memory, where that is. */
const cachePath = (directory: string): string => `  proxy_cache_path ${directory}/cache keys_zone=bench:10m;
  sendfile on;
  tcp_nopush on;
`;

const wafLines = (directory: string): string => `  modsecurity on;
  modsecurity_rules_file ${directory}/modsecurity.conf;
`;

const HTTP_PASS = `proxy_pass http://backend;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_set_header Host $http_host;
      proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
      proxy_set_header X-Forwarded-Proto $scheme;
      proxy_set_header X-Forwarded-Host $http_host;
      proxy_max_temp_file_size 0;`;

const GRPC_PASS = `grpc_pass grpc://backend;
      grpc_set_header Host $http_host;
      grpc_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
      grpc_set_header X-Forwarded-Proto $scheme;
      grpc_set_header X-Forwarded-Host $http_host;`;

function nginxConfig(context: PeerContext, pass: string): string {
  const options = [...(context.tls ? ["ssl"] : []), ...(context.protocol === "h2" ? ["http2"] : [])];
  return nginxFrame(context.directory, {
    connections: context.connections + 1024,
    ...(context.waf ? { module: "http_modsecurity" } : {}),
    http: `
  keepalive_timeout 75s;
  keepalive_requests 1000000000;
${context.waf ? wafLines(context.directory) : ""}${
  context.cache ? cachePath(context.directory) : ""
}  upstream backend {
    server 127.0.0.1:${context.backendPort};
    keepalive 256;
    keepalive_requests 1000000000;
  }
  server {
    listen 127.0.0.1:${context.port}${options.map((option) => ` ${option}`).join("")} backlog=4096;
${context.tls ? TLS_LINES : ""}${context.gzip > 0 ? gzipLines(context.gzip) : ""}    location / {
      ${context.cache ? "proxy_cache bench;\n      " : ""}${context.files ? filesLines(context.publicFolder) : pass}
    }
  }`,
  });
}

function program(): string {
  return findProgram("nginx") ?? "nginx";
}
