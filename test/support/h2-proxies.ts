// Other proxies as neighbours in HTTP/2, on both sides at once: in front of the proxy under test they are its clients,
// behind it they are its servers. `/plain/…` goes both ways without TLS, `/tls/…` with it.
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { findProgram } from "../../tools/debian.ts";
import { accepts, Running } from "./programs.ts";
import type { Files } from "./tls.ts";
import { until } from "./wait.ts";

/** Ports of 127.0.0.1. */
export interface Ring {
  /** Where requests come in, in HTTP/1.1. */
  readonly front: number;
  /** The listeners of the proxy under test. */
  readonly plain: number;
  readonly tls: number;
  /** Where they come back from it, in HTTP/2. */
  readonly back: number;
  readonly backTls: number;
  /** The server at the end, of HTTP/1.1. */
  readonly end: number;
  readonly certificate: Files & { readonly both: string };
}

interface Neighbour {
  readonly file: string;
  readonly command: (file: string) => readonly string[];
  readonly config: (ring: Ring, directory: string) => string;
}

/** What comes back names its version in `X-Spoke`, so that a test sees that it was HTTP/2. */
export const NEIGHBOURS = {
  nginx: {
    file: "nginx.conf",
    command: (file) => ["nginx", "-e", "stderr", "-c", file],
    config: (ring, directory) => `
daemon off; master_process off; pid ${directory}/pid; error_log stderr crit;
events { worker_connections 512; }
http {
  access_log off; client_max_body_size 0;
  ${["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map((name) => `${name}_temp_path ${directory}/${name};`).join(" ")}
  server {
    listen 127.0.0.1:${ring.front};
    grpc_set_header Host $http_host;
    location /plain/ { grpc_pass grpc://127.0.0.1:${ring.plain}; }
    location /tls/ { grpc_pass grpcs://127.0.0.1:${ring.tls}; }
  }
  server {
    listen 127.0.0.1:${ring.back} http2;
    listen 127.0.0.1:${ring.backTls} ssl http2;
    ssl_certificate ${ring.certificate.cert}; ssl_certificate_key ${ring.certificate.key};
    location / {
      proxy_pass http://127.0.0.1:${ring.end}; proxy_http_version 1.1; proxy_request_buffering off;
      proxy_set_header X-Spoke $server_protocol;
    }
  }
}
`,
  },
  haproxy: {
    file: "haproxy.cfg",
    command: (file) => ["haproxy", "-db", "-f", file],
    config: (ring) => `
global
  nbthread 1
defaults
  mode http
  timeout connect 5s
  timeout client 30s
  timeout server 30s
  http-reuse always
frontend front
  bind 127.0.0.1:${ring.front}
  use_backend tls if { path_beg /tls/ }
  default_backend plain
backend plain
  server sluice 127.0.0.1:${ring.plain} proto h2
backend tls
  server sluice 127.0.0.1:${ring.tls} ssl verify none alpn h2
frontend back
  bind 127.0.0.1:${ring.back} proto h2
  bind 127.0.0.1:${ring.backTls} ssl crt ${ring.certificate.both} alpn h2
  http-request set-header X-Spoke HTTP/%[req.ver]
  default_backend end
backend end
  server end 127.0.0.1:${ring.end}
`,
  },
  caddy: {
    file: "Caddyfile",
    command: (file) => ["caddy", "run", "--adapter", "caddyfile", "--config", file],
    config: (ring) => `
{
	admin off
	auto_https off
	servers {
		protocols h1 h2 h2c
	}
}
http://:${ring.front} {
	bind 127.0.0.1
	reverse_proxy /plain/* h2c://127.0.0.1:${ring.plain}
	reverse_proxy /tls/* https://127.0.0.1:${ring.tls} {
		transport http {
			tls_insecure_skip_verify
			versions 2
		}
	}
}
http://:${ring.back} {
	bind 127.0.0.1
	reverse_proxy 127.0.0.1:${ring.end} {
		header_up X-Spoke {http.request.proto}
	}
}
https://:${ring.backTls} {
	bind 127.0.0.1
	tls ${ring.certificate.cert} ${ring.certificate.key}
	reverse_proxy 127.0.0.1:${ring.end} {
		header_up X-Spoke {http.request.proto}
	}
}
`,
  },
} as const satisfies Readonly<Record<string, Neighbour>>;

/** Starts one of them and waits until it listens on all three ports. */
export async function startNeighbour(name: keyof typeof NEIGHBOURS, ring: Ring): Promise<Running> {
  const { file, command, config } = NEIGHBOURS[name];
  const directory = mkdtempSync(join(tmpdir(), `${name}-`));
  const path = join(directory, file);
  writeFileSync(path, config(ring, directory));
  const [program = name, ...args] = command(path);
  const home = { HOME: directory, XDG_DATA_HOME: directory, XDG_CONFIG_HOME: directory };
  const child = Bun.spawn([findProgram(program) ?? program, ...args], {
    env: { ...process.env, ...home },
    stdout: "ignore",
    stderr: "ignore",
  });
  const running = new Running(child, () => rmSync(directory, { recursive: true }));
  for (const port of [ring.front, ring.back, ring.backTls])
    await until(
      async () => child.exitCode !== null || (await accepts({ port, host: "127.0.0.1" })),
      `${name} to listen`,
    );
  if (child.exitCode !== null) throw new Error(`${name} ended with ${child.exitCode}`);
  return running;
}
