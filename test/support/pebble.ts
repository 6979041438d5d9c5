// A certificate authority for tests (pebble), the name server that comes with it, and a relay in front of the authority
// that sees, counts, holds and refuses requests.
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer, request as httpsRequest } from "node:https";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { issueLeaf, issueRoot } from "../../src/certificates/issue.ts";
import { findProgram } from "../../tools/debian.ts";
import { refusingPort } from "./ports.ts";
import { until } from "./wait.ts";

const DAY_MS = 86_400_000;
const START_MS = Math.floor(Date.now() / 1000) * 1000 - DAY_MS;
const VALIDITY = { notBeforeMs: START_MS, notAfterMs: START_MS + 30 * DAY_MS };
const ROOT = issueRoot("Test authority's own TLS", VALIDITY);
const LEAF = issueLeaf(["localhost", "127.0.0.1"], VALIDITY, ROOT);

/** Trusts the TLS certificates of what is started here. */
export const CA_PEM = ROOT.certPem;

const programOf = (name: string): string => {
  const path = findProgram(name);
  if (path === null) throw new Error(`${name} is not installed`);
  return path;
};

const accepts = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1");
    socket.on("connect", () => {
      socket.destroy();
      resolve(true);
    });
    socket.on("error", () => resolve(false));
  });

class Program implements AsyncDisposable {
  readonly #child: Bun.Subprocess;
  readonly #folder: string | null;

  constructor(child: Bun.Subprocess, folder: string | null = null) {
    this.#child = child;
    this.#folder = folder;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.kill("SIGKILL");
    await this.#child.exited;
    if (this.#folder !== null) rmSync(this.#folder, { recursive: true, force: true });
  }
}

export interface PebbleOptions {
  /** `127.0.0.1:port` of the name server that it asks. */
  readonly dns: string;
  /** Where it looks for answers to http-01 and tls-alpn-01. */
  readonly httpPort: number;
  readonly tlsPort: number;
  /** Good nonces that it refuses all the same, in percent. */
  readonly nonceReject?: number;
  /** Keys by id (base64url); accounts then need one of them. */
  readonly eab?: Readonly<Record<string, string>>;
  /** Seconds that its certificates hold; years without it. */
  readonly lifeSeconds?: number;
  /** Where an earlier one was. */
  readonly port?: number;
}

export class Pebble extends Program {
  readonly port: number;
  readonly directory: string;

  private constructor(port: number, child: Bun.Subprocess, folder: string) {
    super(child, folder);
    this.port = port;
    this.directory = `https://127.0.0.1:${port}/dir`;
  }

  static async start(options: PebbleOptions): Promise<Pebble> {
    const folder = mkdtempSync(join(tmpdir(), "pebble-"));
    const port = options.port ?? (await refusingPort());
    writeFileSync(join(folder, "cert.pem"), LEAF.certPem);
    writeFileSync(join(folder, "key.pem"), LEAF.keyPem);
    const pebble = {
      listenAddress: `127.0.0.1:${port}`,
      managementListenAddress: `127.0.0.1:${await refusingPort()}`,
      certificate: join(folder, "cert.pem"),
      privateKey: join(folder, "key.pem"),
      httpPort: options.httpPort,
      tlsPort: options.tlsPort,
      ocspResponderURL: "",
      externalAccountBindingRequired: options.eab !== undefined,
      externalAccountMACKeys: options.eab ?? {},
      certificateValidityPeriod: options.lifeSeconds ?? 0,
    };
    writeFileSync(join(folder, "config.json"), JSON.stringify({ pebble }));
    const args = ["-config", join(folder, "config.json"), "-dnsserver", options.dns];
    const env = {
      PEBBLE_VA_NOSLEEP: "1",
      PEBBLE_AUTHZREUSE: "0",
      PEBBLE_WFE_NONCEREJECT: `${options.nonceReject ?? 0}`,
    };
    const child = Bun.spawn([programOf("pebble"), ...args], {
      env,
      stdin: "ignore",
      stdout: "ignore",
      stderr: "inherit",
    });
    const started = new Pebble(port, child, folder);
    await until(() => accepts(port), "pebble listens");
    return started;
  }
}

/** Answers every A question with 127.0.0.1, and TXT questions with what it was told. */
export class ChallengeDns extends Program {
  readonly address: string;
  /** Takes `POST /set-txt` and `/clear-txt`. */
  readonly management: string;

  private constructor(child: Bun.Subprocess, address: string, management: string) {
    super(child);
    this.address = address;
    this.management = management;
  }

  static async start(): Promise<ChallengeDns> {
    const [dns, management] = [await refusingPort(), await refusingPort()];
    const ports = ["-dns01", `127.0.0.1:${dns}`, "-management", `127.0.0.1:${management}`];
    const off = ["-http01", "", "-https01", "", "-tlsalpn01", "", "-defaultIPv6", ""];
    const output = { stdin: "ignore", stdout: "ignore", stderr: "inherit" } as const;
    const child = Bun.spawn([programOf("pebble-challtestsrv"), ...ports, ...off], output);
    const started = new ChallengeDns(child, `127.0.0.1:${dns}`, `http://127.0.0.1:${management}`);
    await until(() => accepts(management), "pebble-challtestsrv listens");
    return started;
  }
}

/** The secret of the key `sluice` of `Bind`. */
export const BIND_SECRET = Buffer.alloc(32, 7).toString("base64");

/** A real name server with the zone `zone.test`, in which the holder of a key may change everything. */
export class Bind extends Program {
  readonly address: string;

  private constructor(child: Bun.Subprocess, folder: string, address: string) {
    super(child, folder);
    this.address = address;
  }

  static async start(): Promise<Bind> {
    const folder = mkdtempSync(join(tmpdir(), "bind-"));
    const port = await refusingPort();
    writeFileSync(
      join(folder, "zone.db"),
      `$TTL 60
@ IN SOA ns.zone.test. admin.zone.test. 1 3600 600 86400 60
@ IN NS ns.zone.test.
ns IN A 127.0.0.1
_acme-challenge.moved IN CNAME elsewhere.zone.test.
`,
    );
    writeFileSync(
      join(folder, "named.conf"),
      `options {
  directory "${folder}"; pid-file none; session-keyfile none; lock-file none; managed-keys-directory "${folder}";
  listen-on port ${port} { 127.0.0.1; }; listen-on-v6 { none; }; recursion no; dnssec-validation no; notify no;
};
controls { };
key "sluice" { algorithm hmac-sha256; secret "${BIND_SECRET}"; };
zone "zone.test" { type primary; file "${folder}/zone.db"; allow-update { key "sluice"; }; };
`,
    );
    const args = ["-f", "-n", "1", "-c", join(folder, "named.conf")];
    const output = { stdin: "ignore", stdout: "ignore", stderr: "inherit" } as const;
    const started = new Bind(Bun.spawn([programOf("named"), ...args], output), folder, `127.0.0.1:${port}`);
    await until(() => accepts(port), "named listens");
    return started;
  }
}

/** One request for something as the relay saw it. */
export interface Seen {
  readonly method: string;
  readonly path: string;
  /** What was signed; null without a body, or with an empty one. */
  readonly payload: Readonly<Record<string, unknown>> | null;
  /** Of the answer; 0 while there is none. */
  status: number;
}

export interface CannedAnswer {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body: unknown;
}

/**
 * Stands in front of a pebble and hands everything through, under its own address. It can add renewal information,
 * which this version of pebble does not have.
 */
export class Relay implements AsyncDisposable {
  readonly directory: string;
  readonly seen: Seen[] = [];
  /** Answers in place of pebble; `hold` never answers. */
  intervene: (seen: Seen) => CannedAnswer | "hold" | null = () => null;
  /** Told by the directory when true. */
  renewalInfo = false;
  readonly #server: ReturnType<typeof createServer>;

  private constructor(server: ReturnType<typeof createServer>, port: number) {
    this.#server = server;
    this.directory = `https://127.0.0.1:${port}/dir`;
  }

  static async start(pebblePort: number): Promise<Relay> {
    const server = createServer({ cert: LEAF.certPem, key: LEAF.keyPem });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const { port } = server.address() as { port: number };
    const relay = new Relay(server, port);
    server.on("request", async (request, response) => {
      const chunks: Buffer[] = [];
      for await (const chunk of request) chunks.push(chunk as Buffer);
      const body = Buffer.concat(chunks);
      const { method = "", url: path = "", headers } = request;
      const seen: Seen = { method, path, payload: payloadOf(body), status: 0 };
      relay.seen.push(seen);
      const canned = relay.intervene(seen);
      if (canned === "hold") return;
      const send = (status: number, fields: object, content: Buffer): void => {
        seen.status = status;
        response.writeHead(status, { ...fields, "content-length": content.length });
        response.end(method === "HEAD" ? undefined : content);
      };
      if (canned !== null) return send(canned.status, canned.headers ?? {}, Buffer.from(JSON.stringify(canned.body)));
      const target = { host: "127.0.0.1", port: pebblePort, ca: CA_PEM, agent: false as const, method, path, headers };
      const onward = httpsRequest(target, async (answer) => {
        const parts: Buffer[] = [];
        for await (const part of answer) parts.push(part as Buffer);
        let content = Buffer.concat(parts);
        if (path === "/dir" && relay.renewalInfo) {
          const renewalInfo = relay.directory.replace("/dir", "/renewal");
          content = Buffer.from(JSON.stringify({ ...JSON.parse(content.toString()), renewalInfo }));
        }
        const { "transfer-encoding": _, connection: __, ...fields } = answer.headers;
        send(answer.statusCode ?? 0, fields, content);
      });
      onward.on("error", () => response.destroy());
      onward.end(body);
    });
    return relay;
  }

  /** How many requests for paths that begin so got an answer below 400. */
  count(path: string): number {
    return this.seen.filter((each) => each.path.startsWith(path) && each.status > 0 && each.status < 400).length;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}

function payloadOf(body: Buffer): Seen["payload"] {
  if (body.length === 0) return null;
  const { payload } = JSON.parse(body.toString()) as { readonly payload: string };
  return payload === "" ? null : JSON.parse(Buffer.from(payload, "base64url").toString());
}
