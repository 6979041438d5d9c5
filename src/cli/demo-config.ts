// The configuration of `sluice demo`: what a first sluice.yaml might hold.
import type { ConfigInput } from "../config/schema.ts";

export interface DemoAddresses {
  readonly listen: string;
  readonly admin: string;
  /** URLs of the sample servers. */
  readonly servers: readonly string[];
}

export function demoConfig({ listen, admin, servers }: DemoAddresses): ConfigInput {
  return {
    listeners: [{ address: listen }],
    admin: { address: admin },
    // Ctrl-C should not wait for the event stream of a page that is still open.
    shutdown: { drain: "1s" },
    upstreams: { samples: { servers: [...servers] } },
    defaults: { responseHeaders: { set: { "x-served-by": "{server}" } }, compress: true },
    routes: [
      {
        name: "hello",
        match: { path: "/hello" },
        responseHeaders: false, // no server has served it
        respond: {
          body: "Hello {ip}, this is Sluice. You asked {host} for {uri}.\n",
          headers: { "content-type": "text/plain; charset=utf-8" },
        },
      },
      {
        name: "old",
        match: { path: "/old" },
        responseHeaders: false,
        redirect: { to: "/api/request?from={path}", status: 302 },
      },
      { name: "v1", match: { path: "/v1/*" }, rewrite: { stripPrefix: "/v1", addPrefix: "/api" }, to: "samples" },
      { name: "samples", to: "samples" },
    ],
  };
}

/** What the demo prints once it listens: what to open, and commands to try. */
export function demoWelcome(url: string, adminUrl: string): string {
  const rows = (entries: readonly (readonly [what: string, why: string])[]): string => {
    const width = Math.max(...entries.map(([what]) => what.length)) + 3;
    return entries.map(([what, why]) => `  ${what.padEnd(width)}${why}`).join("\n");
  };
  return `
Open
${rows([
  [`${url}/`, "two sample servers: pages, JSON, events, WebSocket"],
  [`${adminUrl}/metrics`, "what the proxy counts"],
])}
Try
${rows([
  [`curl -i ${url}/api/time`, "the servers take turns: see x-served-by"],
  [`curl ${url}/api/request -d hello`, "the request as the server saw it"],
  [`curl -I --compressed ${url}/`, "compressed on its way: see content-encoding"],
  [`curl -i ${url}/v1/time`, "rewritten to /api/time"],
  [`curl -i ${url}/old`, "redirected by the proxy"],
  [`curl -i ${url}/hello`, "answered by the proxy"],
  [`curl -N ${url}/events`, "server-sent events"],
  [`curl ${adminUrl}/api/status`, "the admin API"],
])}
Ctrl-C ends it.
`;
}
