import { expect, test } from "bun:test";
import { ConfigError, renderDiagnostic } from "./diagnostic.ts";
import { checkConfig } from "./load.ts";

function check(route: object, app: object = {}): readonly string[] {
  const config = { listeners: [{ address: ":8080" }], upstreams: { app }, routes: [{ grpcWeb: true, ...route }] };
  try {
    return checkConfig(config, { environment: {} }).diagnostics.map(renderDiagnostic);
  } catch (error) {
    if (error instanceof ConfigError) return error.diagnostics.map(renderDiagnostic);
    throw error;
  }
}

const HTTP_1 = "is asked over HTTP/1.1, and gRPC needs HTTP/2\n  hint: ";
const CASES: readonly (readonly [name: string, route: object, app: object, want: readonly string[]])[] = [
  ["servers of HTTP/2", { to: "app" }, { servers: ["h2c://127.0.0.1:3001", "h2://app:443"] }, []],
  ["servers that choose in TLS", { to: "app" }, { servers: ["https://app"] }, []],
  ["an upstream of HTTP/2", { to: "app" }, { servers: ["127.0.0.1:3001"], http2: "only" }, []],
  ["servers that are to be found", { to: "app" }, { discover: { dns: "app.internal:80" } }, []],
  [
    "one of HTTP/1.1",
    { to: "app" },
    { servers: ["h2c://127.0.0.1:3001", "127.0.0.1:3002"] },
    [`routes[0].grpcWeb: warning: "app" ${HTTP_1}set upstreams.app.http2: only`],
  ],
  [
    "HTTP/2 turned off",
    { to: "app" },
    { servers: ["https://app"], http2: false },
    [`routes[0].grpcWeb: warning: "app" ${HTTP_1}set upstreams.app.http2: only`],
  ],
  [
    "JSON as well",
    { grpcWeb: false, transcode: { descriptors: "a.pb" }, to: "app" },
    { servers: ["127.0.0.1:3001"] },
    [`routes[0].transcode: warning: "app" ${HTTP_1}set upstreams.app.http2: only`],
  ],
  ["a URL of HTTP/2", { to: ["h2c://127.0.0.1:3001"] }, { servers: ["127.0.0.1:1"] }, ["unused"]],
  [
    "a URL",
    { to: "http://127.0.0.1:3001" },
    { servers: ["127.0.0.1:1"] },
    [`routes[0].grpcWeb: warning: "http://127.0.0.1:3001" ${HTTP_1}write h2c://…, or h2://… over TLS`, "unused"],
  ],
  [
    "no server at all",
    { respond: {} },
    { servers: ["127.0.0.1:1"] },
    [
      "routes[0].grpcWeb: warning: `grpcWeb` changes nothing: this route asks no server\n  hint: remove it, or give the route `to`",
      "unused",
    ],
  ],
];

for (const [name, route, app, want] of CASES)
  test(name, () => {
    const said = check(route, app).map((each) => (each.includes("no route uses") ? "unused" : each));
    expect(said.toSorted()).toEqual([...want].toSorted());
  });
