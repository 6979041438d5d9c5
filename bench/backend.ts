// The one backend that every peer proxies to: nginx, which answers from memory and is cheaper than anything in front.
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Child, freePort, startChild, waitUntilServing } from "./child.ts";
import { nginxCommand, nginxFrame } from "./peers/nginx.ts";
import { GRPC_PATH, HOST, JSON_BODY } from "./scenario.ts";

/** Body of the small answers: 34 bytes. */
export const SMALL_BODY = "Hello from behind the proxy. Bye.\n";

/** Debian packages that it needs; nginx by itself would answer calls before it has read them. */
export const BACKEND_PACKAGES = ["nginx", "libnginx-mod-http-echo"] as const;

export interface Backend {
  readonly port: number;
  /** Speaks HTTP/2 without TLS, and answers calls of gRPC. */
  readonly grpcPort: number;
  /** How many requests it has had so far, this question among them. */
  requests(): Promise<number>;
  stop(): Promise<void>;
}

/** Starts it on one core; its files lie in the run's folder, which is in memory where possible. */
export async function startBackend(directory: string, core: number): Promise<Backend> {
  const [port, grpcPort] = [freePort(), freePort()];
  const home = join(directory, "backend");
  mkdirSync(join(home, "files"), { recursive: true });
  writeFileSync(join(home, "files", "10k"), "x".repeat(10 * 1024));
  writeFileSync(join(home, "files", "1m"), "x".repeat(1024 * 1024));
  writeFileSync(join(home, "files", "json"), JSON_BODY);
  mkdirSync(join(home, "files", "cached"));
  writeFileSync(join(home, "files", "cached", "1k"), "x".repeat(1024));
  writeFileSync(join(home, "files", "cached", "50k"), "x".repeat(50 * 1024));
  writeFileSync(join(home, "files", "cached", "json"), JSON_BODY);
  writeFileSync(join(home, "nginx.conf"), backendConfig(home, port, grpcPort));
  const child: Child = startChild("backend", nginxCommand(home), { core, directory: home });
  await waitUntilServing(child, "the backend (nginx)", `http://127.0.0.1:${port}/small`);
  return { port, grpcPort, requests: () => requestsOf(port), stop: () => child.stop() };
}

/**
 * Asks a proxy for a page that shows what reached the backend: peers that skip work which the others do
 * (X-Forwarded-*, the Host of the client) must not be compared.
 *
 * @returns what is wrong, or null.
 */
export async function forwardingProblem(port: number): Promise<string | null> {
  const url = `http://127.0.0.1:${port}/fields`;
  const response = await fetch(url, { keepalive: false, headers: { Host: HOST } });
  const seen = await response.text();
  const wanted = `for=127.0.0.1 proto=http forwarded-host=${HOST} host=${HOST}\n`;
  return response.status === 200 && seen === wanted ? null : `the backend saw ${seen.trim()}, not ${wanted.trim()}`;
}

async function requestsOf(port: number): Promise<number> {
  const response = await fetch(`http://127.0.0.1:${port}/requests`, { keepalive: false });
  // accepted, handled and served, below a line of words
  return Number(/(\d+)\s*\nReading/.exec(await response.text())?.[1]);
}

/** Asks a proxy twice for an answer that may be stored. The backend marks each of its answers. Returns what is wrong, or null. */
export async function cachingProblem(port: number, path: string): Promise<string | null> {
  const marks: (string | null)[] = [];
  for (let asked = 0; asked < 2; asked += 1) {
    const headers = { Host: HOST, "accept-encoding": "gzip" };
    const response = await fetch(`http://127.0.0.1:${port}${path}`, { keepalive: false, headers });
    await response.arrayBuffer();
    marks.push(response.headers.get("x-answer"));
  }
  return marks[0] !== null && marks[0] === marks[1] ? null : `answered anew: ${marks.join(", then ")}`;
}

/** Asks a proxy for the JSON: one that does not compress it must not be compared. Returns what is wrong, or null. */
export async function compressionProblem(port: number, path: string): Promise<string | null> {
  const response = await fetch(`http://127.0.0.1:${port}${path}`, {
    keepalive: false,
    headers: { "accept-encoding": "gzip" },
  });
  const coding = response.headers.get("content-encoding");
  return (await response.text()) === JSON_BODY && coding === "gzip" ? null : `the answer is encoded as ${coding}`;
}

function backendConfig(home: string, port: number, grpcPort: number): string {
  const small = SMALL_BODY.replace("\n", "\\n");
  return nginxFrame(home, {
    connections: 4096,
    module: "http_echo",
    http: `
  sendfile on;
  tcp_nopush on;
  tcp_nodelay on;
  open_file_cache max=16 inactive=1h;
  open_file_cache_valid 1h;
  keepalive_timeout 1h;
  keepalive_requests 1000000000;
  default_type text/html;
  server {
    listen 127.0.0.1:${port} backlog=4096;
    root ${home}/files;
    location = /small { return 200 "${small}"; }
    location = /post { return 200 "${small}"; }
    location = /json { default_type application/json; }
    location /cached/ {
      default_type application/json;
      add_header Cache-Control "public, max-age=3600";
      add_header X-Answer $request_id;
    }
    location /scan/ {
      add_header Cache-Control "public, max-age=3600";
      return 200 "${"x".repeat(1024)}";
    }
    location = /requests { stub_status; }
    location = /fields {
      return 200 "for=$http_x_forwarded_for proto=$http_x_forwarded_proto forwarded-host=$http_x_forwarded_host host=$http_host\\n";
    }
  }
  server {
    listen 127.0.0.1:${grpcPort} http2 backlog=4096;
    http2_max_concurrent_streams 1000;
    default_type application/grpc;
    location = ${GRPC_PATH} {
      add_trailer grpc-status 0;
      echo_read_request_body;
      echo_request_body;
    }
  }`,
  });
}
