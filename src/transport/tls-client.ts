// TLS connections to servers: verified before anything is sent, with sessions taken up again.
import { isIP } from "node:net";
import { checkServerIdentity, createSecureContext, getCACertificates, type PeerCertificate } from "node:tls";
import { monotonic } from "../core/clock.ts";
import type { Connection, ConnectionHandler } from "./connection.ts";
import { beginTurn, endTurn } from "./outbox.ts";
import { type BunSocket, type Dial, NOBODY, SOCKET_EVENTS, type SocketAddress, SocketConnection } from "./socket.ts";
import { nativeOf } from "./tls-context.ts";
import { brokeOff, type TlsError, tlsError } from "./tls-errors.ts";
import { type TlsSocket, tlsInfoOf } from "./tls-info.ts";

export interface TlsClientOptions {
  /** The name that the server has to prove, and that is asked for (SNI). It may be an address, which has no SNI. */
  readonly serverName: string;
  /** PEM of the CAs that are trusted; the system's when it is missing, or the runtime's where the system has none. */
  readonly ca?: string;
  /** PEM of the certificate with its chain, and of its key, for servers that ask who we are. */
  readonly cert?: string;
  readonly key?: string;
  /** Without it any certificate is good, so that anybody in between can read and change all. */
  readonly verify: boolean;
  /** Protocols that are offered, best first; none: no offer. */
  readonly alpn?: readonly string[];
  /** 1.2 when it is missing. */
  readonly minVersion?: "1.2" | "1.3";
  /** For servers that break off at the newest version. */
  readonly maxVersion?: "1.2" | "1.3";
}

/** Addresses whose sessions are kept. */
const ADDRESSES_MAX = 256;
/** A server gives two tickets for each connection as a rule; a session is about 1 KB. */
const SESSIONS_MAX = 4;
/** A resumed connection verifies nothing anew, so that an expired or revoked certificate is noticed after this time. */
const SESSION_MS = 3_600_000;

interface OutgoingSocket extends Omit<BunSocket, keyof TlsSocket | "getPeerCertificate">, TlsSocket {
  setSession(session: Buffer): void;
  getPeerCertificate(): PeerCertificate | undefined;
}
interface Session {
  readonly ticket: Buffer;
  readonly since: number;
}

/**
 * All connections that are made with the same settings. Sessions are kept here and nowhere else, since one that was
 * verified under other settings must not be taken up again. Throws the runtime's error for a damaged certificate.
 */
export class TlsClient {
  readonly options: TlsClientOptions;
  /** What the runtime is given for each connection. */
  readonly native: object;
  readonly #byAddress: boolean;
  readonly #sessions = new Map<string, Session[]>();
  readonly #now: () => number;

  constructor(options: TlsClientOptions, now: () => number = monotonic) {
    const { serverName, verify, alpn = [] } = options;
    this.options = options;
    this.#now = now;
    this.#byAddress = isIP(serverName) !== 0;
    this.native = {
      secureContext: contextFor(options),
      // An address is no name to ask for (RFC 6066 §3). The runtime checks names that it asks for; `objection` others.
      serverName: this.#byAddress ? "" : serverName,
      rejectUnauthorized: verify,
      ...(alpn.length === 0 ? {} : { ALPNProtocols: wireOf(alpn) }),
    };
  }

  /** The session to offer to a server, each once: who sees one twice knows the client again (RFC 8446 §C.4). */
  takeSession(address: string): Buffer | null {
    const session = this.#sessions.get(address)?.pop();
    return session !== undefined && this.#now() - session.since < SESSION_MS ? session.ticket : null;
  }

  keepSession(address: string, ticket: Buffer): void {
    const sessions = this.#sessions.get(address) ?? [];
    this.#sessions.delete(address);
    if (this.#sessions.size >= ADDRESSES_MAX) this.#sessions.delete(this.#sessions.keys().next().value!);
    this.#sessions.set(address, sessions);
    sessions.push({ ticket, since: this.#now() });
    if (sessions.length > SESSIONS_MAX) sessions.shift();
  }

  /** What is wrong with a server whose handshake the runtime calls over; null when it may be talked to. */
  objection(socket: OutgoingSocket, ok: boolean, error: unknown): TlsError | null {
    const { verify, serverName } = this.options;
    if (!verify) return ok || !brokeOff(error) ? null : tlsError(error, serverName);
    if (!ok || !socket.authorized) return tlsError(error, serverName);
    if (!this.#byAddress) return null;
    const certificate = socket.getPeerCertificate();
    const wrong = certificate && checkServerIdentity(serverName, certificate);
    return certificate !== undefined && wrong === undefined ? null : tlsError(wrong, serverName);
  }
}

/** One connect, and the connection's handler until it is through. */
class TlsDial implements Dial, ConnectionHandler {
  readonly promise: Promise<Connection>;
  readonly #client: TlsClient;
  readonly #address: string;
  #resolve: (connection: Connection) => void;
  #reject: (error: unknown) => void;
  #connection: SocketConnection | null = null;
  #over = false;
  /** Tickets that came before the server was found good. */
  readonly #early: Buffer[] = [];
  #good = false;

  constructor(client: TlsClient, address: string) {
    const { promise, resolve, reject } = Promise.withResolvers<Connection>();
    this.promise = promise;
    this.#resolve = resolve;
    this.#reject = reject;
    this.#client = client;
    this.#address = address;
  }

  cancel(): void {
    this.fail(new Error("cancelled"));
  }

  fail(error: unknown): void {
    if (this.#over) return;
    this.#over = true;
    this.#reject(error);
    this.#connection?.destroy(true);
  }

  opened(socket: OutgoingSocket): void {
    const connection = new SocketConnection(socket as unknown as BunSocket, NOBODY);
    socket.data = connection;
    if (this.#over) return connection.destroy(true);
    this.#connection = connection;
    connection.handler = this;
    socket.setNoDelay(true);
    const session = this.#client.takeSession(this.#address);
    if (session !== null) socket.setSession(session);
  }

  session(ticket: Buffer): void {
    if (this.#good) this.#client.keepSession(this.#address, ticket);
    else if (this.#early.length < SESSIONS_MAX) this.#early.push(ticket);
  }

  finished(socket: OutgoingSocket, ok: boolean, error: unknown): void {
    const connection = this.#connection;
    if (this.#over || connection === null) return;
    const objection = this.#client.objection(socket, ok, error);
    if (objection !== null) return this.fail(objection);
    this.#over = true;
    this.#good = true;
    for (const ticket of this.#early) this.session(ticket);
    const { alpnProtocol } = socket;
    connection.tls = tlsInfoOf(socket, typeof alpnProtocol === "string" ? alpnProtocol : null);
    connection.handler = NOBODY;
    this.#resolve(connection);
  }

  onData(): void {}
  onDrain(): void {}
  onEnd(): void {
    this.fail(tlsError(null, this.#client.options.serverName));
  }
  onClose(error: Error | null): void {
    this.fail(tlsError(error, this.#client.options.serverName));
  }
}

/**
 * Connects to an address given as numbers. The promise resolves once the server has proved who it is, before which
 * nothing but the handshake is sent. It rejects with a TlsError, or with the system's error without a connection.
 */
export function dialTls(address: SocketAddress, client: TlsClient): Dial {
  const dial = new TlsDial(client, address.kind === "unix" ? address.path : `${address.host} ${address.port}`);
  const socket = {
    ...SOCKET_EVENTS,
    open: (socket: OutgoingSocket) => dial.opened(socket),
    handshake(socket: OutgoingSocket, ok: boolean, error: unknown): void {
      beginTurn();
      dial.finished(socket, ok, error);
      endTurn();
    },
    session: (_socket: unknown, ticket: Buffer) => dial.session(ticket),
    connectError: (_socket: unknown, error: Error) => dial.fail(error),
  };
  const to = address.kind === "unix" ? { unix: address.path } : { hostname: address.host, port: address.port };
  const options = { ...to, socket, allowHalfOpen: true, tls: client.native };
  Bun.connect(options as unknown as Bun.TCPSocketConnectOptions<unknown>).catch((error: unknown) => dial.fail(error));
  return dial;
}

/** Protocols as RFC 7301 §3.1 lists them. */
const wireOf = (protocols: readonly string[]): Buffer =>
  Buffer.concat(protocols.map((name) => Buffer.concat([Buffer.from([name.length]), Buffer.from(name, "latin1")])));

/** What clients without a CA and a certificate of their own have in common: the system's CAs are 300 KB and 3 ms. */
let common: unknown = null;

function contextFor({ ca, cert, key, minVersion = "1.2", maxVersion = "1.3" }: TlsClientOptions): unknown {
  const versions = { minVersion: `TLSv${minVersion}`, maxVersion: `TLSv${maxVersion}` } as const;
  if (ca === undefined && cert === undefined && minVersion === "1.2" && maxVersion === "1.3") {
    common ??= nativeOf(createSecureContext({ ca: systemCas(), ...versions }));
    return common;
  }
  const own = cert === undefined ? {} : { cert, key: key ?? cert };
  return nativeOf(createSecureContext({ ca: ca ?? systemCas(), ...own, ...versions }));
}

/** Small images have no CAs of their own; the runtime brings those that Mozilla trusts. */
function systemCas(): string[] {
  const system = getCACertificates("system");
  return system.length > 0 ? [...system, ...getCACertificates("extra")] : getCACertificates("default");
}
