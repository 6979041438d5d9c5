// QUIC of the runtime: one UDP port, and the clients' connections on it. Only the files quic*.ts touch node:quic, which
// speaks HTTP/3 by itself: it hands over fields and content, not frames. What it cannot do is in docs/http3.md.
import { createPrivateKey } from "node:crypto";
import type { QuicEndpoint, QuicSession, SessionHandshakeInfo, SNIEntry } from "node:quic";
import { QuicConnection, type QuicConnectionHandler } from "./quic-connection.ts";
import { ignoreIcmp } from "./quic-icmp.ts";
import { quic } from "./quic-runtime.ts";

/** A certificate and the names that it is shown for. */
export interface QuicIdentity {
  readonly certPem: string;
  readonly keyPem: string;
}

/** Certificates by name (`*.name` for one label); "*" is for all other names, and for clients that ask for none. */
export type QuicIdentities = ReadonlyMap<string, QuicIdentity>;

export interface QuicListenerOptions {
  readonly identities: QuicIdentities;
  /** Longest handshake. */
  readonly handshakeMs: number;
  /** A connection without a packet is dropped after this long. */
  readonly silenceMs: number;
  /** Open connections, handshakes included; more are refused. */
  readonly connections: number;
  /** Requests that one connection may have under way. */
  readonly streams: number;
  /** Lines and bytes of the largest field section; the runtime drops what is beyond. */
  readonly fieldLines: number;
  readonly fieldBytes: number;
  /** The handshake is through. Null refuses the connection. */
  accept(connection: QuicConnection): QuicConnectionHandler | null;
  /** The port is lost: nobody comes by it any more. */
  onFailed(error: Error): void;
  onHandshake(result: "ok" | "failed"): void;
  /** ICMP errors of other clients cost packets (quic-icmp.ts), and nothing can be done about it. */
  onIcmp(): void;
}

export interface QuicListener {
  /** Certificates for the next handshakes. Throws the runtime's error; then those of before stay. */
  update(identities: QuicIdentities): void;
  /** Accepts from now on: before, clients are refused. */
  serve(): void;
  /** Accepts no more connections. The port is free once those that are open are gone. */
  stop(): void;
}

/** What clients may send of a stream and of a connection at once; the runtime widens both as it receives. */
const STREAM_WINDOW = 262_144;
const CONNECTION_WINDOW = 1_048_576;
/** Without an answer for so long the client is asked for a sign of life, so that long requests outlive the silence. */
const KEEP_ALIVE_MS = 15_000;
const CONNECTIONS_MAX = 65_535; // what the runtime counts to

/**
 * Listens on a UDP port, which must be given. Throws an Error when it cannot be had, or the runtime's
 * error for certificates that it does not take.
 */
export function listenQuic(host: string, port: number, options: QuicListenerOptions): QuicListener {
  const { QuicEndpoint: Endpoint, listen } = quic();
  const family = host.includes(":") ? "ipv6" : "ipv4";
  const endpoint: QuicEndpoint = new Endpoint({
    address: { address: host, port, family } as never,
    maxConnectionsTotal: Math.min(options.connections, CONNECTIONS_MAX),
    maxConnectionsPerHost: 0,
  });
  let isStopped = false;
  let isOpen = false;
  let failure: unknown = null;
  endpoint.closed.then(
    () => {},
    (error: Error) => {
      if (isOpen && !isStopped) options.onFailed(error);
    },
  );
  const entries = entriesOf(options.identities);
  listen((session) => begin(session, options), {
    endpoint,
    alpn: ["h3"],
    sni: Object.fromEntries(entries),
    enableEarlyData: false, // a replayed request is one that nobody sent (RFC 8470)
    handshakeTimeout: options.handshakeMs,
    keepAlive: KEEP_ALIVE_MS,
    transportParams: {
      maxIdleTimeout: Math.ceil(options.silenceMs / 1000),
      initialMaxStreamsBidi: options.streams,
      initialMaxStreamDataBidiRemote: STREAM_WINDOW,
      initialMaxData: CONNECTION_WINDOW,
    },
    application: {
      maxHeaderPairs: options.fieldLines,
      maxHeaderLength: options.fieldBytes,
      enableConnectProtocol: true,
      enableDatagrams: false,
    },
    onerror() {}, // what is wrong with a session is told by its end
  } as never).catch((error: unknown) => {
    failure = error;
  });
  if (endpoint.destroyed || endpoint.address === undefined) throw portError(host, port, failure);
  isOpen = true;
  if (!ignoreIcmp(port)) options.onIcmp();
  endpoint.busy = true;
  const known = new Map(options.identities);
  return {
    update: (identities) => update(endpoint, known, identities),
    serve: () => {
      if (!isStopped) endpoint.busy = false;
    },
    stop: () => {
      if (isStopped) return;
      isStopped = true;
      if (!endpoint.destroyed) endpoint.close().catch(() => {});
    },
  };
}

function begin(session: QuicSession, options: QuicListenerOptions): void {
  let isThrough = false;
  session.onhandshake = (info: SessionHandshakeInfo) => {
    isThrough = true;
    options.onHandshake("ok");
    const connection = new QuicConnection(session, info);
    const handler = options.accept(connection);
    if (handler === null) connection.destroy(0x107);
    else connection.handler = handler;
  };
  session.closed.then(undefined, () => {
    if (!isThrough) options.onHandshake("failed");
  });
}

/** The runtime takes about 2 ms and 1 MB for each name: only those that are others are given to it. */
function update(endpoint: QuicEndpoint, known: Map<string, QuicIdentity>, wanted: QuicIdentities): void {
  const others = new Map<string, QuicIdentity>();
  for (const [name, identity] of wanted) {
    const before = known.get(name);
    if (before?.certPem !== identity.certPem || before.keyPem !== identity.keyPem) others.set(name, identity);
  }
  const isLess = [...known.keys()].some((name) => !wanted.has(name));
  if (!isLess && others.size === 0) return;
  endpoint.setSNIContexts(Object.fromEntries(entriesOf(isLess ? wanted : others)), { replace: isLess });
  if (isLess) known.clear();
  for (const [name, identity] of isLess ? wanted : others) known.set(name, identity);
}

function entriesOf(identities: QuicIdentities): [string, SNIEntry][] {
  // `authoritative` would list all names to every client (RFC 8336).
  return [...identities].map(([name, { certPem, keyPem }]) => [
    name,
    { keys: [createPrivateKey(keyPem)], certs: [Buffer.from(certPem)], authoritative: false } as SNIEntry,
  ]);
}

function portError(host: string, port: number, failure: unknown): Error {
  if (failure instanceof Error) return failure;
  // The runtime tells the system's reason too late.
  return new Error(`UDP port ${port} of ${host}, for HTTP/3, is in use or not allowed`);
}
