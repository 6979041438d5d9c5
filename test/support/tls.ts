// Certificates in files, clients that speak TLS, and servers that do, for tests of the proxy as users run it.
import { mkdirSync, renameSync } from "node:fs";
import { join } from "node:path";
import { type ConnectionOptions, connect, createServer, type Server, type TLSSocket, type TlsOptions } from "node:tls";
import { TestCa } from "../../src/transport/tls.testing.ts";
import { type Message, request } from "./message.ts";
import { Peer } from "./peer.ts";
import { Folder, runConfig, type SluiceProcess } from "./sluice.ts";
import { DEADLINE_MS } from "./wait.ts";

/** Files of a certificate, as a configuration names them. */
export interface Files {
  readonly cert: string;
  readonly key: string;
}
type Kind = Parameters<TestCa["issue"]>[0];

/** A folder with a CA (`ca.pem`) and what it issues. */
export class Pki implements Disposable {
  readonly folder = new Folder();
  readonly ca: TestCa;
  readonly caFile: string;

  private constructor(ca: TestCa) {
    this.ca = ca;
    this.caFile = this.folder.write("ca.pem", ca.pem);
  }
  static async make(): Promise<Pki> {
    return new Pki(await TestCa.make());
  }

  /** Issues a certificate into `name.crt` and `name.key`. */
  async files(name: string, kind: Kind, ca = this.ca): Promise<Files> {
    const { certPem, keyPem } = await ca.issue(kind);
    return { cert: this.folder.write(`${name}.crt`, certPem), key: this.folder.write(`${name}.key`, keyPem) };
  }

  /** Issues a certificate as text. */
  async pems(kind: Kind): Promise<{ readonly cert: string; readonly key: string }> {
    const { certPem, keyPem } = await this.ca.issue(kind);
    return { cert: certPem, key: keyPem };
  }

  /** Puts another certificate where one was, as tools do: each file is renamed over the old one. */
  async replace(name: string, kind: Kind): Promise<void> {
    const { certPem, keyPem } = await this.ca.issue(kind);
    for (const [end, text] of [
      ["key", keyPem],
      ["crt", certPem],
    ] as const)
      renameSync(this.folder.write(`${name}.new`, text), join(this.folder.path, `${name}.${end}`));
  }

  /** Writes a list of revoked certificates that holds this one; answers with its file. */
  async revoke(certPem: string): Promise<string> {
    const { X509Certificate, X509CrlGenerator, X509CrlReason } = await import("@peculiar/x509");
    const crl = await X509CrlGenerator.create({
      issuer: new X509Certificate(this.ca.pem).subject,
      thisUpdate: new Date(Date.now() - 60_000),
      nextUpdate: new Date(Date.now() + 3_600_000),
      entries: [
        {
          serialNumber: new X509Certificate(certPem).serialNumber,
          revocationDate: new Date(Date.now() - 60_000),
          reason: X509CrlReason.keyCompromise,
        },
      ],
      signingAlgorithm: { name: "ECDSA", hash: "SHA-256" },
      signingKey: this.ca.signingKey,
    });
    return this.folder.write(
      "revoked.crl",
      `${crl.toString("pem").replaceAll(" CRL", " X509 CRL").replaceAll("X509 X509", "X509")}\n`,
    );
  }

  /** A proxy of two workers with the admin API. */
  run(config: Readonly<Record<string, unknown>>): Promise<SluiceProcess> {
    return runConfig(this.folder, this.config(config));
  }
  /** Puts another configuration into use; answers with the admin API's answer. */
  async reload(proxy: SluiceProcess, config: Readonly<Record<string, unknown>>): ReturnType<SluiceProcess["reload"]> {
    this.folder.write("sluice.json", { admin: { address: "127.0.0.1:0" }, ...this.config(config) });
    return proxy.reload();
  }
  config(config: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> {
    return { workers: 2, shutdown: { drain: "20ms" }, ...config };
  }

  /** A place for what the proxy keeps. */
  storage(): string {
    const path = join(this.folder.path, "storage");
    mkdirSync(path, { recursive: true, mode: 0o700 });
    return path;
  }

  [Symbol.dispose](): void {
    this.folder[Symbol.dispose]();
  }
}

/** A listener with TLS on a free port. */
export const secure = (tls: object, more: object = {}): object => ({ address: "127.0.0.1:0", tls, ...more });

/** A client whose handshake is through. */
export class TlsPeer extends Peer {
  readonly tls: TLSSocket;
  constructor(socket: TLSSocket) {
    super(socket);
    this.tls = socket;
  }
  /** The name in the server's certificate that comes first. */
  get name(): string {
    return (
      this.tls
        .getPeerCertificate()
        .subjectaltname?.split(", ")[0]
        ?.replace(/^(?:DNS|IP Address):/, "") ?? ""
    );
  }
  /** Hexadecimal. */
  get serial(): string {
    return this.tls.getPeerCertificate().serialNumber;
  }
  async get(target = "/", fields: readonly string[] = []): Promise<Message> {
    return await this.send(request(target, fields)).response();
  }
}

/** Connects with TLS, by default without looking at the certificate. Rejects when the handshake fails. */
export function connectTls(port: number, options: ConnectionOptions = {}): Promise<TlsPeer> {
  const { promise, resolve, reject } = Promise.withResolvers<TlsPeer>();
  const socket = connect({ host: "127.0.0.1", port, servername: "localhost", rejectUnauthorized: false, ...options });
  const timer = setTimeout(() => socket.destroy(new Error("no handshake in time")), DEADLINE_MS);
  socket.once("secureConnect", () => {
    clearTimeout(timer);
    resolve(new TlsPeer(socket));
  });
  socket.once("error", (error) => {
    clearTimeout(timer);
    reject(error);
  });
  socket.once("close", () => reject(new Error("closed during the handshake")));
  return promise;
}

/** One request on a connection of its own. */
export async function getTls(port: number, options: ConnectionOptions = {}, target = "/"): Promise<Message> {
  await using client = await connectTls(port, options);
  return await client.get(target);
}

/** Runs a program to its end; what it wrote, both streams together. */
export async function program(command: readonly string[], input = ""): Promise<string> {
  const child = Bun.spawn([...command], { stdin: Buffer.from(input), stdout: "pipe", stderr: "pipe", timeout: 8000 });
  const [out, err] = await Promise.all([new Response(child.stdout).text(), new Response(child.stderr).text()]);
  return out + err;
}

/** What `openssl s_client` says of a connection. */
export const sClient = (port: number, ...args: readonly string[]): Promise<string> =>
  program(["openssl", "s_client", "-connect", `127.0.0.1:${port}`, ...args]);

/** An HTTP server over TLS that keeps what it was sent. */
export class TlsBackend implements AsyncDisposable {
  readonly #server: Server;
  readonly #sockets = new Set<TLSSocket>();
  readonly requests: Message[] = [];
  /** For each handshake that came through. */
  readonly handshakes: { readonly resumed: boolean; readonly sni: string | false; readonly client: string }[] = [];
  /** Every byte that came decrypted. */
  bytesIn = 0;

  private constructor(server: Server, respond: (message: Message) => string) {
    this.#server = server;
    server.on("tlsClientError", () => {});
    server.on("secureConnection", (socket: TLSSocket) => {
      this.#sockets.add(socket);
      socket.on("close", () => this.#sockets.delete(socket));
      socket.on("data", (chunk: Buffer) => {
        this.bytesIn += chunk.length;
      });
      const client = String(socket.getPeerCertificate()?.subject?.CN ?? "");
      this.handshakes.push({ resumed: socket.isSessionReused(), sni: socket.servername ?? false, client });
      void this.#serve(new TlsPeer(socket), respond).catch(() => {});
    });
  }

  static async start(options: TlsOptions, respond: (message: Message) => string): Promise<TlsBackend> {
    const server = createServer(options);
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    return new TlsBackend(server, respond);
  }

  async #serve(peer: TlsPeer, respond: (message: Message) => string): Promise<void> {
    while (!peer.ended) {
      const message = await peer.request();
      this.requests.push(message);
      peer.send(respond(message));
    }
  }

  get port(): number {
    return (this.#server.address() as { port: number }).port;
  }
  /** Closes what is open, so that the next request takes a new connection. */
  cut(): void {
    for (const socket of this.#sockets) socket.destroy();
  }
  async [Symbol.asyncDispose](): Promise<void> {
    const closed = new Promise((resolve) => this.#server.close(resolve));
    this.cut();
    await closed;
  }
}
