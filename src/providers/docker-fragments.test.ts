// biome-ignore-all lint/suspicious/noTemplateCurlyInString: placeholders of the configuration
import { expect, test } from "bun:test";
import fc from "fast-check";
import { ConfigError, renderDiagnostic } from "../config/diagnostic.ts";
import { mergeFragments } from "../config/fragment.ts";
import { checkConfig } from "../config/load.ts";
import { type ContainerOptions, containerJson } from "./docker-daemon.testing.ts";
import { fragmentsOf, groupContainers } from "./docker-fragments.ts";

interface Made {
  readonly upstreams: Record<string, unknown>;
  /** Name, hosts and path of each route, in order. */
  readonly routes: readonly string[];
  readonly said: readonly string[];
}

function made(items: readonly unknown[], network: string | null = null): Made {
  const { groups, diagnostics } = groupContainers(items, network);
  const value = mergeFragments(
    {},
    fragmentsOf(groups).map((fragment) => ({
      fragment,
      expanded: { value: fragment, problems: [], filled: [], files: [] },
    })),
  ).value as {
    upstreams: Record<string, unknown>;
    routes: { name: string; match: object; rewrite?: object; to: string }[];
  };
  return {
    upstreams: value.upstreams,
    routes: value.routes.map(({ name, match, rewrite, to }) =>
      [name, ...Object.values(match).flat(), ...Object.values(rewrite ?? {}), `→ ${to}`].join(" "),
    ),
    said: diagnostics.map(renderDiagnostic),
  };
}

const of = (...containers: readonly ContainerOptions[]): Made => made(containers.map(containerJson));
const labelled = (labels: Readonly<Record<string, string>>): Made => of({ name: "web-1", labels });
const SERVER = ["http://172.17.0.2:8080"];

const LABELS: readonly (readonly [name: string, labels: Readonly<Record<string, string>>, want: Partial<Made>])[] = [
  ["nothing but enabled", {}, { upstreams: { "web-1": { servers: SERVER } }, routes: [], said: [] }],
  ["a host", { "sluice.host": "a.example" }, { routes: ["docker:web-1 a.example → web-1"] }],
  [
    "hosts, a path and a prefix",
    { "sluice.host": "a.example, *.b.example,", "sluice.path": "/api/*", "sluice.stripPrefix": "/api" },
    { routes: ["docker:web-1 a.example *.b.example /api/* /api → web-1"] },
  ],
  [
    "a name, a port, a weight, a health check",
    { "sluice.upstream": "app", "sluice.port": "3000", "sluice.weight": "5", "sluice.health.path": "/up?x=1" },
    { upstreams: { app: { servers: [{ url: "http://172.17.0.2:3000", weight: 5 }], health: { path: "/up?x=1" } } } },
  ],
  ["Compose's service", { "com.docker.compose.service": "app" }, { upstreams: { app: { servers: SERVER } } }],
  [
    "several routes",
    {
      "sluice.routes.site.host": "a.example",
      "sluice.routes.api.path": "/api/*",
      "sluice.routes.api.stripPrefix": "/api",
    },
    { routes: ["docker:web-1:api /api/* /api → web-1", "docker:web-1:site a.example → web-1"] },
  ],
  [
    "priorities",
    {
      "sluice.priority": "-1",
      "sluice.routes.a.path": "/a/long/path",
      "sluice.routes.b.path": "/b",
      "sluice.routes.b.priority": "5",
    },
    { routes: ["docker:web-1:b /b → web-1", "docker:web-1:a /a/long/path → web-1"], said: [] },
  ],
  ["a weight of 0", { "sluice.weight": "0" }, { upstreams: { "web-1": { servers: [] } } }],
  [
    "a slip",
    { "sluice.hots": "a.example", "sluice.routes.a.strip-prefix": "/a", "sluice.routes.a.path": "/a", other: "x" },
    {
      routes: ["docker:web-1:a /a → web-1"],
      said: [
        'docker: container web-1, label sluice.hots: warning: unknown label\n  hint: did you mean "sluice.host"?',
        'docker: container web-1, label sluice.routes.a.strip-prefix: warning: unknown label\n  hint: did you mean "sluice.routes.a.stripPrefix"?',
      ],
    },
  ],
];
for (const [name, labels, want] of LABELS) test(`labels: ${name}`, () => expect(labelled(labels)).toMatchObject(want));

const LEFT_OUT = ": this container is left out";
const BAD: readonly (readonly [label: string, value: string, message: string])[] = [
  ["port", "0", '"0" is not a whole number from 1 to 65535'],
  ["port", "80a", '"80a" is not a whole number from 1 to 65535'],
  ["weight", "1001", '"1001" is not a whole number from 0 to 1000'],
  ["weight", "-1", '"-1" is not a whole number from 0 to 1000'],
  ["priority", "1e3", '"1e3" is not a whole number from -1000000 to 1000000'],
  ["upstream", "http://x", '"http://x" is not a name'],
  ["upstream", "", '"" is not a name'],
  ["upstream", "__proto__", '"__proto__" is not a name'],
  ["host", "a b", '"a b" is not a host name'],
  ["host", "", "the value is empty"],
  ["host", "a.example:80", '"a.example:80": hosts are matched without their port'],
  ["host", "${HOST}", '"${HOST}" is not a host name'],
  ["path", "api", '"api" is not a path'],
  ["path", "~^/(a+)+$", "labels may not hold regular expressions"],
  ["path", "/a\r\nx: y", "the value is too long, or holds control characters"],
  ["path", `/${"a".repeat(1024)}`, "the value is too long, or holds control characters"],
  ["stripPrefix", "/../x", '"/../x" is not a path prefix'],
  ["routes.a.stripPrefix", "/a", "a route needs a host or a path"],
  ["routes.__proto__.path", "/a", '"__proto__" is not a name for a route'],
  ["health.path", "/a b", '"/a b" is not a path'],
  ["health.path", "/#", '"/#" is not a path'],
  ["network", "other", 'it is not in the network "other"'],
];
for (const [label, value, message] of BAD) {
  test(`a bad label leaves its container out, and no other: ${label}=${JSON.stringify(value.slice(0, 20))}`, () => {
    const labels = { "sluice.path": "/x", [`sluice.${label}`]: value };
    const { upstreams, said } = of({ name: "bad", labels }, { name: "good" });
    expect(upstreams).toEqual({ good: { servers: SERVER } });
    expect(said.some((text) => text.includes(`: error: ${message}${LEFT_OUT}`))).toBe(true);
    expect(said.every((text) => text.startsWith("docker: container bad, label sluice."))).toBe(true);
  });
}

test("addresses: of the chosen network, of the host's, of IPv6", () => {
  const networks = { front: "10.0.1.2", back: "10.0.2.2" };
  const item = containerJson({ name: "a", networks });
  const servers = (network: string | null, options: Partial<ContainerOptions> = {}): unknown =>
    (made([containerJson({ name: "a", networks, ...options })], network).upstreams as { a?: { servers: unknown } }).a
      ?.servers;
  expect(servers(null)).toEqual(["http://10.0.1.2:8080"]);
  expect(servers("back")).toEqual(["http://10.0.2.2:8080"]);
  expect(servers("back", { labels: { "sluice.network": "front" } })).toEqual(["http://10.0.1.2:8080"]);
  expect(servers("back", { networkMode: "host", networks: { host: "" } })).toEqual(["http://127.0.0.1:8080"]);
  expect(servers(null, { networks: { none: "" } })).toBeUndefined();
  expect(made([item], "bakc").said).toEqual([
    `docker: container a: error: it is not in the network "bakc"${LEFT_OUT}\n  hint: did you mean "back"?`,
  ]);
  const six = { NetworkSettings: { Networks: { b: { IPAddress: "", GlobalIPv6Address: "2001:db8::2" } } } };
  expect(made([{ ...item, ...six }]).upstreams).toEqual({ a: { servers: ["http://[2001:db8::2]:8080"] } });
});

test("ports: the only one that is exposed, or the one that is chosen", () => {
  expect(of({ name: "a", ports: [] }).said).toEqual([
    `docker: container a: warning: it exposes no TCP port${LEFT_OUT}\n  hint: choose one with the label sluice.port`,
  ]);
  expect(of({ name: "a", ports: [443, 80] }).said[0]).toContain("it exposes several TCP ports: 80, 443");
  expect(of({ name: "a", ports: [443, 80], labels: { "sluice.port": "80" } }).said).toEqual([]);
});

test("containers of one name make one upstream, and their same routes one route", () => {
  const web = (name: string, address: string, labels = {}, status = "Up 1 second"): ContainerOptions => ({
    name,
    networks: { b: address },
    status,
    labels: { "sluice.upstream": "web", "sluice.host": "a.example", ...labels },
  });
  const { upstreams, routes } = of(
    web("web-2", "10.0.0.2"),
    web("web-1", "10.0.0.1", { "sluice.health.path": "/up" }),
    web("web-3", "10.0.0.3", { "sluice.host": "b.example" }),
    web("web-4", "10.0.0.4", {}, "Up 2 minutes (unhealthy)"),
    web("web-5", "10.0.0.5", {}, "Up 2 minutes (health: starting)"),
  );
  const servers = [1, 2, 3, 5].map((n) => `http://10.0.0.${n}:8080`);
  expect(upstreams).toEqual({ web: { servers, health: { path: "/up" } } });
  expect(routes).toEqual(["docker:web a.example → web", "docker:web#2 b.example → web"]);
});

test("a newer daemon's field for health counts as well", () => {
  const item = { ...containerJson({ name: "a" }), Health: { Status: "unhealthy", FailingStreak: 3 } };
  expect(made([item]).upstreams).toEqual({ a: { servers: [] } });
});

test("services of two Compose projects are kept apart", () => {
  const service = (project: string, labels = {}): ContainerOptions => ({
    name: `${project}-web-1`,
    labels: { "com.docker.compose.service": "web", "com.docker.compose.project": project, ...labels },
  });
  const { upstreams, said } = of(service("shop"), service("blog"), service("third", { "sluice.upstream": "web" }));
  expect(upstreams).toEqual({ web: { servers: SERVER } });
  expect(said).toEqual([
    `docker: container shop-web-1: error: its service "web" of the project "shop" has the name of one of the project "blog"${LEFT_OUT}\n  hint: give one of them another name with the label sluice.upstream`,
  ]);
});

test("routes stand in the order of what they say", () => {
  const paths = ["/*", "/api/*", "/api/v1/*", "/api/v1", "/users/:id", "/users/me"];
  const labels = Object.fromEntries(paths.map((path, at) => [`sluice.routes.r${at}.path`, path]));
  const hosts = {
    "sluice.host": "a.example",
    "sluice.routes.wild.host": "*.example",
    "sluice.routes.top.path": "/",
    "sluice.routes.top.priority": "9",
  };
  expect(labelled({ ...labels, ...hosts }).routes.map((text) => text.split(" ")[1]!)).toEqual([
    "/",
    "/users/me",
    "/api/v1",
    "/users/:id",
    "/api/v1/*",
    "/api/*",
    "/*",
    "a.example",
    "*.example",
  ]);
});

test("ten thousand containers are read in a moment", () => {
  const items = Array.from({ length: 10_000 }, (_, at) =>
    containerJson({ name: `web-${at}`, labels: { "sluice.upstream": "web", "sluice.host": `h${at}.example` } }),
  );
  const from = performance.now();
  expect(made(items).routes).toHaveLength(10_000);
  expect(performance.now() - from).toBeLessThan(5000);
});

const LABEL_KEYS = [
  "upstream",
  "port",
  "weight",
  "host",
  "path",
  "priority",
  "stripPrefix",
  "network",
  "health.path",
  "routes.a.host",
  "routes.a.path",
  "routes.a.b.c",
  "routes.",
];
const label = fc.tuple(
  fc.constantFrom(...LABEL_KEYS),
  fc.oneof(
    fc.string({ maxLength: 12 }),
    fc.constantFrom("a", "/a", "/a/*", "1", "*.a", "/:id", "${A}", "__proto__", "a:1"),
  ),
);
const labels = fc.array(label, { maxLength: 5 }).map((list) => ({
  "sluice.enable": "true",
  ...Object.fromEntries(list.map(([key, value]) => [`sluice.${key}`, value])),
}));
const item = fc.oneof(
  labels.map((all) => ({ ...containerJson({ name: "a" }), Labels: all })),
  fc
    .tuple(labels, fc.string({ maxLength: 5 }))
    .map(([all, name]) => ({ ...containerJson({ name: "b" }), Names: [name], Labels: all })),
  fc.record({ Names: fc.jsonValue(), Labels: fc.jsonValue(), Ports: fc.jsonValue(), NetworkSettings: fc.jsonValue() }),
  fc.jsonValue(),
);

test("whatever containers say, what comes of it is a configuration without errors", () => {
  fc.assert(
    fc.property(fc.array(item, { maxLength: 4 }), (items) => {
      for (const fragment of fragmentsOf(groupContainers(items, null).groups)) {
        // An upstream without servers is for providers alone; everything else must hold.
        const upstreams = Object.fromEntries(
          Object.entries(fragment.upstreams as Record<string, { servers: unknown[] }>).map(([name, upstream]) => [
            name,
            upstream.servers.length > 0 ? upstream : { ...upstream, servers: ["a:1"] },
          ]),
        );
        const input = { listeners: [{ address: ":0" }], upstreams, routes: [...fragment.routes, { respond: {} }] };
        try {
          checkConfig(input);
        } catch (error) {
          if (error instanceof ConfigError) throw new Error(error.message);
          throw error;
        }
      }
    }),
    { numRuns: 1000 },
  );
});
