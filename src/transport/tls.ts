// TLS listeners. What the runtime offers for choosing certificates and protocols per connection is what its node:tls
// stands on; its types leave it out. It is used nowhere but here, and tls.test.ts tells when an upgrade takes it away.
import { Timer, type TimerWheel } from "../core/timers.ts";
import type { Connection, ConnectionHandler } from "./connection.ts";
import { beginTurn, endTurn } from "./outbox.ts";
import type { SocketListener } from "./socket.ts";
import { type BunSocket, NOBODY, SOCKET_EVENTS, type SocketAddress, SocketConnection } from "./socket.ts";
import { makeListenerContext, replaceListenerContext, type TlsContext, type TlsSettings } from "./tls-context.ts";
import { type HandshakeReason, reasonOf } from "./tls-errors.ts";
import { type HandshakePolicy, type TlsInfo, type TlsSocket, tlsInfoOf } from "./tls-info.ts";

/** How a handshake ended. `refused`: we would not have it; `failed`: it broke, or client and listener do not match. */
export type HandshakeResult = "ok" | "resumed" | "failed" | "timeout" | "refused";

export interface TlsListenerOptions extends TlsSettings {
  /**
   * Certificates for the name of a client; null for the fallback. With a promise the handshake waits: one that rejects
   * ends it. Not asked for clients that name no host.
   */
  select(name: string): TlsContext | null | Promise<TlsContext | null>;
  /**
   * Certificate that proves the control over a name to a certificate authority (RFC 8737); null while there is none.
   * As long as there is one, all clients of the name get it: the runtime tells the protocols that a client offers after
   * the choice of the certificate only, and then it cannot be exchanged.
   */
  challenge?(name: string): TlsContext | null;
  /**
   * Protocols in the listener's order of preference. A client that offers others only is refused (RFC 7301 §3.2), one
   * that offers none is not. Empty: what clients offer is not looked at.
   */
  readonly alpn: readonly string[];
  /** A handshake that takes longer is cut off; a TLS handshake on a bad network takes some seconds. */
  readonly handshakeMs?: number;
  /** Handshakes under way at a time; connections beyond that are closed at once. */
  readonly handshakesMax?: number;
  readonly wheel: TimerWheel;
  /** Gets the lines of an NSS key log, which decrypts all traffic. For debugging only. */
  keyLog?(line: string): void;
  /** Told of every handshake once it is over. `version` is "" for one that was not through, `reason` for one that was. */
  onHandshake?(result: HandshakeResult, version: string, reason: HandshakeReason | ""): void;
}

export interface TlsListener extends SocketListener {
  /** Handshakes under way. */
  readonly handshakes: number;
  /**
   * Changes certificates and settings for the handshakes from now on, without touching connections. Throws the
   * runtime's error for a damaged certificate, and then nothing has changed.
   */
  update(settings: TlsSettings): void;
}

const HANDSHAKE_MS = 10_000;
/** Each costs about 10 KB until it is over. */
const HANDSHAKES_MAX = 4096;
const PROOF_PROTOCOL = "acme-tls/1";

interface IncomingSocket extends Omit<BunSocket, keyof TlsSocket>, TlsSocket {
  /** Goes on with a handshake that `serverName` held; with `failed` it ends. */
  resumeSNI(context: unknown, failed: boolean): void;
}

/** Looks after a connection until its handshake is through. */
class Handshake implements ConnectionHandler {
  readonly connection: SocketConnection;
  readonly #owner: Handshakes;
  readonly #timer: Timer;
  readonly policy: HandshakePolicy | null;
  /** The protocol agreed on. */
  alpn: string | null = null;
  over = false;

  constructor(connection: SocketConnection, owner: Handshakes, policy: HandshakePolicy | null) {
    this.connection = connection;
    this.#owner = owner;
    this.policy = policy;
    this.#timer = new Timer(() => {
      this.end("timeout", "", "");
      connection.destroy(true);
    });
    owner.options.wheel.arm(this.#timer, owner.options.handshakeMs ?? HANDSHAKE_MS);
    owner.underWay += 1;
  }

  onData(): void {}
  onDrain(): void {}
  onEnd(): void {
    this.end("failed", "", "closed");
    this.connection.destroy();
  }
  onClose(): void {
    this.end("failed", "", "closed");
  }

  end(result: HandshakeResult, version: string, reason: HandshakeReason | ""): void {
    if (this.over) return;
    this.over = true;
    const owner = this.#owner;
    owner.underWay -= 1;
    owner.options.wheel.drop(this.#timer);
    owner.options.onHandshake?.(result, version, reason);
  }
}

/** The handshakes of one listener. */
export class Handshakes {
  readonly options: TlsListenerOptions;
  readonly #accept: (connection: Connection) => ConnectionHandler | null;
  underWay = 0;

  constructor(options: TlsListenerOptions, accept: (connection: Connection) => ConnectionHandler | null) {
    this.options = options;
    this.#accept = accept;
  }

  /** Looks after a connection that begins with a handshake. False: there are too many, and it is closed. */
  begin(connection: SocketConnection, policy: HandshakePolicy | null = null): boolean {
    if (this.underWay < (this.options.handshakesMax ?? HANDSHAKES_MAX)) {
      connection.handler = new Handshake(connection, this, policy);
      return true;
    }
    this.options.onHandshake?.("refused", "", "too many handshakes");
    connection.destroy(true);
    return false;
  }

  /** What to serve: the runtime's context, undefined for the fallback, true to wait, an error to end the handshake. */
  select(name: string, socket: IncomingSocket): unknown {
    let selected: TlsContext | null | Promise<TlsContext | null>;
    const proof = this.options.challenge?.(name) ?? null;
    if (proof !== null) return proof.native;
    try {
      selected = this.options.select(name);
    } catch (error) {
      return error;
    }
    if (!(selected instanceof Promise)) return selected?.native;
    selected.then(
      (context) => this.#resume(socket, context?.native, false),
      () => this.#resume(socket, undefined, true),
    );
    return true;
  }

  #resume(socket: IncomingSocket, context: unknown, failed: boolean): void {
    if (socket.data.closed || handshakeOf(socket) === null) return;
    socket.resumeSNI(context, failed);
  }

  /** The protocol for a client's offer; false for none, undefined to refuse the client. */
  protocolFor(socket: IncomingSocket, name: string | undefined, wire: Buffer): string | false | undefined {
    const { alpn } = this.options;
    const handshake = handshakeOf(socket);
    const offered = protocolsOf(wire);
    const isProof = offered.length === 1 && offered[0] === PROOF_PROTOCOL && name !== undefined;
    const chosen =
      isProof && (this.options.challenge?.(name) ?? null) !== null
        ? PROOF_PROTOCOL
        : alpn.find((protocol) => offered.includes(protocol));
    if (handshake !== null) handshake.alpn = chosen ?? null;
    return chosen === undefined && alpn.length === 0 ? false : chosen;
  }

  /** The runtime says that a handshake is over. */
  finish(socket: IncomingSocket, ok: boolean, error: unknown): void {
    const handshake = handshakeOf(socket);
    if (handshake === null || handshake.over) return;
    const { connection } = handshake;
    if (!ok) {
      handshake.end("failed", "", reasonOf(error));
      return; // the runtime has sent the alert, and closes
    }
    const info: TlsInfo = tlsInfoOf(socket, handshake.alpn, handshake.policy);
    handshake.end(info.resumed ? "resumed" : "ok", info.version, "");
    connection.tls = info;
    // Who checks a name wanted to see the certificate, and has.
    const handler = handshake.alpn === PROOF_PROTOCOL ? null : this.#accept(connection);
    if (handler === null) connection.close();
    else connection.handler = handler;
  }
}

function handshakeOf(socket: IncomingSocket): Handshake | null {
  const { handler } = socket.data;
  return handler instanceof Handshake ? handler : null;
}

/** The names in a list of protocols (RFC 7301 §3.1), which the runtime has checked. */
function protocolsOf(wire: Buffer): string[] {
  const names: string[] = [];
  for (let at = 0; at < wire.length; at += 1 + wire[at]!) names.push(wire.latin1Slice(at + 1, at + 1 + wire[at]!));
  return names;
}

/** The events of sockets whose handshakes these are. */
export function tlsEvents(handshakes: Handshakes) {
  const { options } = handshakes;
  const { keyLog } = options;
  return {
    ...SOCKET_EVENTS,
    handshake(socket: IncomingSocket, ok: boolean, error: unknown): void {
      beginTurn();
      handshakes.finish(socket, ok, error);
      endTurn();
    },
    serverName: (_data: unknown, name: string, socket: IncomingSocket): unknown => handshakes.select(name, socket),
    alpnCallback: (socket: IncomingSocket, name: string | undefined, wire: Buffer) =>
      handshakes.protocolFor(socket, name, wire),
    ...(keyLog === undefined
      ? {}
      : { keylog: (_socket: unknown, line: Buffer) => keyLog.call(options, line.latin1Slice().trimEnd()) }),
  };
}

/**
 * Listens for TLS. `accept` gets each connection whose handshake is through and returns its handler, or null to close
 * it. Handshakes under way when the listener is stopped go on, and are accepted. Throws as listenOn does, and the
 * runtime's error for a damaged certificate.
 */
export function listenTls(
  address: SocketAddress,
  options: TlsListenerOptions,
  accept: (connection: Connection) => ConnectionHandler | null,
): TlsListener {
  const handshakes = new Handshakes(options, accept);
  const socket = {
    ...tlsEvents(handshakes),
    open(socket: BunSocket): void {
      const connection = new SocketConnection(socket, NOBODY);
      socket.data = connection;
      handshakes.begin(connection);
    },
  };
  const to =
    address.kind === "unix" ? { unix: address.path } : { hostname: address.host, port: address.port, reusePort: true };
  const tls = { secureContext: makeListenerContext(options), rejectUnauthorized: false };
  const listener = Bun.listen({ ...to, socket, allowHalfOpen: true, tls } as unknown as Bun.TCPSocketListenOptions);
  return {
    port: address.kind === "unix" ? 0 : listener.port,
    get handshakes() {
      return handshakes.underWay;
    },
    stop: () => listener.stop(),
    update: (settings) => replaceListenerContext(listener, settings),
  };
}
