// What it costs to know who asks, all processes together: Sluice by itself, and nginx, which asks another server about
// each request (`auth_request`), here one that says yes to everybody and does nothing else. `bun bench/auth-request.bench.ts`
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { exportJWK, generateKeyPair, type JWK, SignJWT } from "jose";
import { startBackend } from "./backend.ts";
import { type Child, freePort, runAndCleanUp, startChild, temporaryDirectory, waitUntilServing } from "./child.ts";
import { nginxCommand, nginxFrame } from "./peers/nginx.ts";
import { allowedCores, cpuSeconds } from "./proc.ts";
import { type LoadScenario, SCENARIOS } from "./scenario.ts";
import { OIDC, sessionCookie } from "./session-cookie.ts";
import { runWrk } from "./wrk.ts";

const ROUNDS = 5;
const SECONDS = 2;
const KEY = "3q2-7wTq0fXk9bWcVb1mYzJdS5Ua6hRgLpN8eIoKxQ4";
const SLUICE = join(import.meta.dir, "../bin/sluice");

/** One proxy, with all processes that take part in what it does. */
interface Way {
  readonly name: string;
  readonly port: number;
  readonly children: readonly Child[];
  readonly scenario: LoadScenario;
  readonly micros: number[];
}

const small = SCENARIOS.find((each): each is LoadScenario => each.kind === "load" && each.name === "small")!;

/** The usual request with one more field, or more in its Cookie. */
function withField(name: string, value: string): LoadScenario {
  const known = small.fields.find(([each]) => each === name)?.[1];
  const fields = small.fields.filter(([each]) => each !== name);
  return { ...small, fields: [...fields, [name, known === undefined ? value : `${known}; ${value}`]] };
}

class Ways {
  readonly #directory = temporaryDirectory();
  readonly #core: number;
  readonly #backendPort: number;

  constructor(core: number, backendPort: number) {
    this.#core = core;
    this.#backendPort = backendPort;
  }

  #start(name: string, file: string, text: string, command: (home: string) => readonly string[]): Child {
    const home = join(this.#directory, name.replaceAll(" ", "-"));
    mkdirSync(home);
    writeFileSync(join(home, file), text);
    return startChild("server", command(home), { core: this.#core, directory: home });
  }

  sluice(name: string, auth: object | null, scenario: LoadScenario): Way {
    const port = freePort();
    const route = { ...(auth === null ? {} : { auth }), to: `http://127.0.0.1:${this.#backendPort}` };
    const config = { listeners: [{ address: `127.0.0.1:${port}` }], workers: 1, admin: false, routes: [route] };
    const command = (home: string): string[] => [SLUICE, "run", "-c", join(home, "sluice.json")];
    const child = this.#start(name, "sluice.json", JSON.stringify(config), command);
    return { name, port, children: [child], scenario, micros: [] };
  }

  nginx(name: string, authPort: number | null, others: readonly Child[]): Way {
    const port = freePort();
    const upstream = (label: string, to: number): string =>
      `upstream ${label} { server 127.0.0.1:${to}; keepalive 256; keepalive_requests 1000000000; }`;
    const pass = (label: string): string =>
      `proxy_pass http://${label}; proxy_http_version 1.1; proxy_set_header Connection "";
       proxy_set_header Host $http_host;
       proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for; proxy_set_header X-Forwarded-Proto $scheme;
       proxy_set_header X-Forwarded-Host $http_host;`;
    const asks = `auth_request /check; auth_request_set $who $upstream_http_x_user; proxy_set_header X-User $who;`;
    const check = `location = /check { internal; ${pass("who")} proxy_pass_request_body off;
       proxy_set_header Content-Length ""; proxy_set_header X-Forwarded-Uri $request_uri; }`;
    const http = `keepalive_requests 1000000000; ${upstream("backend", this.#backendPort)}
      ${authPort === null ? "" : upstream("who", authPort)}
      server { listen 127.0.0.1:${port} backlog=4096;
        location / { ${authPort === null ? "" : asks} ${pass("backend")} } ${authPort === null ? "" : check} }`;
    const child = this.#nginx(name, http);
    return { name, port, children: [child, ...others], scenario: small, micros: [] };
  }

  /** A server that lets everybody in. */
  yes(port: number): Child {
    const http = `keepalive_requests 1000000000;
      server { listen 127.0.0.1:${port} backlog=4096; location / { add_header X-User ann; return 204; } }`;
    return this.#nginx("yes", http);
  }

  #nginx(name: string, http: string): Child {
    const text = (home: string): string => nginxFrame(home, { connections: 2048, http });
    const home = join(this.#directory, name.replaceAll(" ", "-"));
    return this.#start(name, "nginx.conf", text(home), nginxCommand);
  }
}

async function token(): Promise<readonly [token: string, jwk: JWK]> {
  const { privateKey, publicKey } = await generateKeyPair("ES256", { extractable: true });
  const claims = { email: "ann@example.com", groups: ["staff", "admins"], scope: "read write" };
  const jwt = new SignJWT(claims).setProtectedHeader({ alg: "ES256" }).setIssuer("https://login.example.com");
  const text = await jwt.setAudience("api").setSubject("ann").setExpirationTime("1h").sign(privateKey);
  return [text, await exportJWK(publicKey)];
}

async function start(ways: Ways): Promise<readonly Way[]> {
  const [bearer, jwk] = await token();
  const { kty, crv, x, y } = jwk;
  const jwt = { issuer: "https://login.example.com", audience: "api", keys: [{ kty, crv, x, y }] };
  const key = `sha256:${new Bun.CryptoHasher("sha256").update(KEY).digest("hex")}`;
  const authPort = freePort();
  const yes = ways.yes(authPort);
  return [
    ways.sluice("sluice", null, small),
    ways.sluice("sluice apiKey", { apiKey: { keys: [{ name: "acme", key }] } }, withField("X-Api-Key", KEY)),
    ways.sluice("sluice jwt", { jwt }, withField("Authorization", `Bearer ${bearer}`)),
    ways.sluice("sluice session", { oidc: OIDC }, withField("Cookie", sessionCookie(Date.now()))),
    ways.nginx("nginx", null, []),
    ways.nginx("nginx auth_request", authPort, [yes]),
  ];
}

/** Microseconds of a request, all processes together. */
async function round({ name, port, children, scenario, micros }: Way, core: number): Promise<void> {
  const used = (): number => children.reduce((sum, { pid }) => sum + cpuSeconds(pid), 0);
  const before = used();
  const load = await runWrk(scenario, port, { core, seconds: SECONDS, directory: temporaryDirectory() });
  if (load.errors > 0) throw new Error(`${name}: ${load.errors} requests have failed`);
  micros.push(((used() - before) / load.requests) * 1e6);
}

await runAndCleanUp(async () => {
  const [proxyCore = 0, loadCore = proxyCore] = allowedCores();
  const backend = await startBackend(temporaryDirectory(), loadCore);
  const ways = await start(new Ways(proxyCore, backend.port));
  for (const way of ways) {
    const headers = Object.fromEntries(way.scenario.fields);
    await waitUntilServing(way.children[0]!, way.name, `http://127.0.0.1:${way.port}/small`, async (url) => {
      const { status } = await fetch(url, { keepalive: false, headers });
      return status === 200 ? null : `status ${status}`;
    });
    await round(way, loadCore); // warms up
    way.micros.length = 0;
  }
  for (let i = 0; i < ROUNDS; i += 1) for (const way of ways) await round(way, loadCore);
  for (const { name, micros } of ways) {
    const sorted = micros.toSorted((a, b) => a - b);
    const [least, median, most] = [0, sorted.length >> 1, sorted.length - 1].map((at) => sorted[at]!.toFixed(1));
    console.log(`${name.padEnd(22)} ${median} µs of CPU for a request (${least} to ${most})`);
  }
  return 0;
});
