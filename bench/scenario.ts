// What is measured. Every scenario is the same for every peer.

export type Protocol = "http/1.1" | "h2" | "h3";

/** How clients and proxies speak with each other; peers that cannot are left out. */
export interface Speech {
  /** 7: the proxies read HTTP. 4: they forward connections as they are. */
  readonly layer: 4 | 7;
  readonly tls: boolean;
  readonly protocol: Protocol;
  /** Calls of gRPC: the proxies speak HTTP/2 with the backend as well. */
  readonly grpc: boolean;
  /** Level at which the proxies compress JSON with gzip; 0 where they do not. */
  readonly gzip: number;
  /** The peers serve files of their own, in place of proxying. */
  readonly files: boolean;
  /** The peers answer from their caches, in memory or in files that are in memory. */
  readonly cache: boolean;
  /** The peers look at requests with the Core Rule Set of Debian, at its defaults. */
  readonly waf: boolean;
}

/** A closed loop of requests over a fixed number of connections. */
export interface LoadScenario extends Speech {
  readonly kind: "load";
  readonly name: string;
  readonly title: string;
  readonly method: "GET" | "POST";
  /** Path on the backend; see backend.ts. */
  readonly path: string;
  readonly fields: readonly (readonly [name: string, value: string])[];
  readonly bodyBytes: number;
  /** What the body is; without it, letters. */
  readonly body?: string;
  /** Size of the answer's body, which the load generator's byte count is checked against. */
  readonly answerBytes: number;
  readonly connections: number;
  /** Requests under way at a time on each of them. */
  readonly streams: number;
}

/** Connections that have served one request each and then only stay open. */
export interface IdleScenario {
  readonly kind: "idle";
  readonly name: string;
  readonly title: string;
  readonly connections: number;
}

/** What balancing makes of servers in trouble; Sluice alone. See resilience.ts. */
export interface ResilienceScenario {
  readonly kind: "resilience";
  readonly name: "slow-server" | "overload";
  readonly title: string;
}

export type Scenario = LoadScenario | IdleScenario | ResilienceScenario;

export const HOST = "bench.example";

/** What a current browser sends with a click on a link: 13 fields; the whole head is 640 bytes. */
const BROWSER_FIELDS: LoadScenario["fields"] = [
  ["Host", HOST],
  ["Connection", "keep-alive"],
  ["sec-ch-ua", '"Chromium";v="140", "Not=A?Brand";v="24"'],
  ["sec-ch-ua-mobile", "?0"],
  ["sec-ch-ua-platform", '"Linux"'],
  ["Upgrade-Insecure-Requests", "1"],
  [
    "User-Agent",
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36",
  ],
  ["Accept", "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"],
  ["Sec-Fetch-Site", "same-origin"],
  ["Sec-Fetch-Mode", "navigate"],
  ["Accept-Encoding", "gzip, deflate, br"],
  ["Accept-Language", "en-GB,en;q=0.9"],
  ["Cookie", "session=4f1d2c7ab9e84d0fa2d1; visitor=8c1e77d05b3f4a6c9e01b2c3d; consent=analytics; theme=dark"],
];

/** An application's request behind several layers: 32 fields, 19 of them its own. */
const MANY_FIELDS: LoadScenario["fields"] = [
  ...BROWSER_FIELDS,
  ...Array.from(
    { length: 32 - BROWSER_FIELDS.length },
    (_, index) =>
      [`X-Application-Field-${index + 1}`, `value-${"0123456789abcdef".slice(0, 4 + (index % 12))}`] as const,
  ),
];

const browse = {
  kind: "load",
  layer: 7,
  tls: false,
  protocol: "http/1.1",
  grpc: false,
  gzip: 0,
  files: false,
  cache: false,
  waf: false,
  method: "GET",
  fields: BROWSER_FIELDS,
  bodyBytes: 0,
  connections: 64,
  streams: 1,
} as const;

const multiplexed = { ...browse, tls: true, protocol: "h2", path: "/small", answerBytes: 34 } as const;

/** The message of a call of gRPC, and of its answer: a flag and a length of four bytes, then 32 bytes (gRPC over HTTP/2). */
export const GRPC_MESSAGE = Buffer.concat([Buffer.of(0, 0, 0, 0, 32), Buffer.alloc(32, "x")]);
export const GRPC_PATH = "/bench.Echo/Unary";

/** What an API answers with: a list of records, about 20 KB. */
export const JSON_BODY = JSON.stringify(
  Array.from({ length: 160 }, (_, id) => ({
    id,
    name: `customer ${(id * 7919) % 1000}`,
    email: `customer.${(id * 31) % 977}@example.com`,
    active: id % 3 === 0,
    balance: ((id * 104_729) % 500_000) / 100,
    tags: [`group-${id % 7}`, `region-${(id * 13) % 11}`],
  })),
);
/** No encoder makes less of it. */
const JSON_GZIP_BYTES_MIN = 2000;

/** Fewer connections: with more, what takes milliseconds leaves some waiting for longer than a round. */
const guarded = { ...browse, waf: true, connections: 16 } as const;

const post = (type: string, body: string) =>
  ({
    method: "POST",
    path: "/post",
    fields: [...BROWSER_FIELDS, ["Content-Type", type]],
    bodyBytes: body.length,
    body,
    answerBytes: 34,
  }) as const;

/** An order as a shop's page sends it, about 1 KB. */
const FORM_BODY = new URLSearchParams({
  name: "Ann Example",
  email: "ann@example.com",
  street: "12 Main Street",
  city: "Springfield",
  country: "GB",
  phone: "+44 20 7946 0123",
  comment: "Please leave the parcel with the neighbours at number 14 when nobody is at home. ".repeat(7).trim(),
  ...Object.fromEntries(Array.from({ length: 12 }, (_, index) => [`item${index}`, `article-${1000 + index * 37}`])),
}).toString();

/** About 4 KB of what an application sends to its API. */
const API_BODY = JSON.stringify({ page: 2, records: JSON.parse(JSON_BODY).slice(0, 32) });

export const SCENARIOS: readonly Scenario[] = [
  { ...browse, name: "small", title: "34-byte body, browser-like request", path: "/small", answerBytes: 34 },
  { ...browse, name: "10k", title: "10 KB body", path: "/10k", answerBytes: 10 * 1024 },
  { ...browse, name: "1m", title: "1 MB body", path: "/1m", answerBytes: 1024 * 1024 },
  { ...browse, name: "post", title: "POST of 1 KB", method: "POST", path: "/post", bodyBytes: 1024, answerBytes: 34 },
  { ...browse, name: "headers", title: "32 request fields", fields: MANY_FIELDS, path: "/small", answerBytes: 34 },
  {
    ...browse,
    name: "connect",
    title: "new connection for each request",
    fields: BROWSER_FIELDS.map(([name, value]) => [name, name === "Connection" ? "close" : value] as const),
    path: "/small",
    answerBytes: 34,
  },
  {
    ...browse,
    gzip: 5,
    name: "gzip",
    title: "JSON of 20 KB, compressed with gzip at level 5",
    path: "/json",
    answerBytes: JSON_GZIP_BYTES_MIN,
  },
  { ...browse, tls: true, name: "tls", title: "TLS 1.3, 34-byte body", path: "/small", answerBytes: 34 },
  {
    ...browse,
    tls: true,
    name: "handshake",
    title: "TLS 1.3, a full handshake for each request",
    fields: BROWSER_FIELDS.map(([name, value]) => [name, name === "Connection" ? "close" : value] as const),
    path: "/small",
    answerBytes: 34,
  },
  {
    ...multiplexed,
    name: "h2",
    title: "HTTP/2 over TLS, 16 connections × 16 streams, 34-byte body",
    connections: 16,
    streams: 16,
  },
  {
    ...multiplexed,
    name: "h2-one",
    title: "HTTP/2 over TLS, one connection × 100 streams",
    connections: 1,
    streams: 100,
  },
  {
    ...multiplexed,
    name: "h2-1m",
    title: "HTTP/2 over TLS, 16 connections × 4 streams, 1 MB body",
    path: "/1m",
    answerBytes: 1024 * 1024,
    connections: 16,
    streams: 4,
  },
  {
    ...browse,
    protocol: "h2",
    grpc: true,
    name: "grpc",
    title: "gRPC: a unary call over h2c on both sides, 16 connections × 16 streams",
    method: "POST",
    path: GRPC_PATH,
    fields: [
      ["Content-Type", "application/grpc"],
      ["TE", "trailers"],
      ["User-Agent", "grpc-bench/1.0"],
    ],
    bodyBytes: GRPC_MESSAGE.length,
    answerBytes: GRPC_MESSAGE.length,
    connections: 16,
    streams: 16,
  },
  {
    ...multiplexed,
    protocol: "h3",
    name: "h3",
    title: "HTTP/3, 16 connections × 16 streams, 34-byte body",
    connections: 16,
    streams: 16,
  },
  {
    ...browse,
    layer: 4,
    name: "tcp",
    title: "TCP: 1 MB through an open connection",
    path: "/1m",
    answerBytes: 1024 * 1024,
  },
  { ...browse, layer: 4, name: "tcp-small", title: "TCP: 640 bytes there, 34 back", path: "/small", answerBytes: 34 },
  { ...browse, files: true, name: "file-1k", title: "a file of 1 KB", path: "/1k", answerBytes: 1024 },
  { ...browse, files: true, name: "file-100k", title: "a file of 100 KB", path: "/100k", answerBytes: 100 * 1024 },
  {
    ...browse,
    files: true,
    name: "file-100m",
    title: "a file of 100 MB",
    path: "/100m",
    answerBytes: 100 * 1024 * 1024,
    connections: 4, // each of them gets several in the time of a round
  },
  { ...browse, cache: true, name: "cache-1k", title: "a cached answer of 1 KB", path: "/cached/1k", answerBytes: 1024 },
  {
    ...browse,
    cache: true,
    name: "cache-50k",
    title: "a cached answer of 50 KB",
    path: "/cached/50k",
    answerBytes: 50 * 1024,
  },
  {
    ...browse,
    cache: true,
    gzip: 5,
    name: "cache-gzip",
    title: "a cached answer: JSON of 20 KB for clients that take gzip",
    path: "/cached/json",
    answerBytes: JSON_GZIP_BYTES_MIN,
  },
  {
    ...guarded,
    name: "waf-get",
    title: "firewall: a browser's GET with 3 arguments",
    path: "/small?category=shoes&page=2&q=red+running+shoes",
    answerBytes: 34,
  },
  {
    ...guarded,
    ...post("application/x-www-form-urlencoded", FORM_BODY),
    name: "waf-form",
    title: "firewall: a form of 1 KB",
  },
  {
    ...guarded,
    ...post("application/json", API_BODY),
    name: "waf-json",
    title: "firewall: JSON of 4 KB",
  },
  { kind: "idle", name: "idle", title: "10,000 idle keep-alive connections", connections: 10_000 },
  { kind: "resilience", name: "slow-server", title: "one of four servers is ten times slower" },
  { kind: "resilience", name: "overload", title: "three times as much as the servers can do" },
];

/** The bytes of the request's head as they go over the wire of HTTP/1.1. */
export function requestHead(scenario: LoadScenario): string {
  const lines = scenario.fields.map(([name, value]) => `${name}: ${value}\r\n`);
  return `${scenario.method} ${scenario.path} HTTP/1.1\r\n${lines.join("")}\r\n`;
}

/** The scenario's fields as HTTP/2 and HTTP/3 have them: names in lower case, without those of a connection or Host. */
export function streamFields(scenario: LoadScenario): [name: string, value: string][] {
  return scenario.fields
    .map(([name, value]): [string, string] => [name.toLowerCase(), value])
    .filter(([name]) => name !== "host" && name !== "connection");
}
