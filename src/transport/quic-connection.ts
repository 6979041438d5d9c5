// One QUIC connection of a client.
import type { QuicSession, SessionHandshakeInfo } from "node:quic";
import { canonicalIp } from "../core/ip.ts";
import { beginTurn, endTurn } from "./outbox.ts";
import type { NativeStream } from "./quic-runtime.ts";
import { QuicStream, type QuicStreamHost } from "./quic-stream.ts";
import { handlerException } from "./socket.ts";
import type { TlsInfo } from "./tls-info.ts";

/** What a connection tells its owner. */
export interface QuicConnectionHandler {
  /** The client has opened a stream: it gets a handler, or is reset. */
  onStream(stream: QuicStream): void;
  /** The connection is gone. Its streams have been told. Called exactly once. */
  onClose(): void;
}

const INTERNAL = 0x102; // RFC 9114 §8.1

export class QuicConnection implements QuicStreamHost {
  handler: QuicConnectionHandler | null = null;
  /** Where the client was during the handshake; it may move on (RFC 9000 §9). */
  readonly remoteAddress: string;
  readonly remotePort: number;
  /** Our end: where the endpoint listens, "" for every address. */
  readonly localAddress: string;
  readonly localPort: number;
  readonly tls: TlsInfo;
  closed = false;
  /** Bytes that its streams hold for handlers that do not want them yet. */
  held = 0;
  readonly #session: QuicSession;
  #isClosing = false;

  /** A session whose handshake is through. */
  constructor(session: QuicSession, info: SessionHandshakeInfo) {
    this.#session = session;
    const { local, remote } = info;
    this.remoteAddress = canonicalIp(remote.address) ?? "";
    this.remotePort = remote.port;
    this.localAddress = isEverywhere(local.address) ? "" : (canonicalIp(local.address) ?? "");
    this.localPort = local.port;
    this.tls = {
      serverName: info.servername || null,
      version: "1.3",
      cipher: info.cipher,
      alpn: "h3",
      resumed: false, // the runtime does not tell
      authorized: false,
      clientCertificate: null,
      policy: null,
    };
    session.onstream = (opened) => {
      const native = opened as NativeStream;
      if (native.direction !== "bidi" || this.handler === null) return native.destroy();
      beginTurn();
      try {
        this.handler.onStream(new QuicStream(native, this));
      } catch (error) {
        this.broke(error);
      }
      endTurn();
    };
    session.closed.then(
      () => this.#gone(),
      () => this.#gone(),
    );
  }

  /** Bytes that have been sent so far, packets and what was sent again included. */
  get sent(): number {
    return this.closed ? 0 : Number(this.#session.stats.bytesSent);
  }

  /** The client is told to open no more streams (GOAWAY); the connection is closed once those that are open are over. */
  close(): void {
    if (this.closed || this.#isClosing) return;
    this.#isClosing = true;
    this.#session.close().catch(ignore);
  }

  /** Closes the connection at once, with an error code of RFC 9114 §8.1. */
  destroy(code = 0x100, reason = ""): void {
    if (this.closed) return;
    this.#session.destroy(undefined, { code: BigInt(code), type: "application", reason });
    this.#gone();
  }

  broke(error: unknown): void {
    handlerException(error);
    this.destroy(INTERNAL);
  }

  #gone(): void {
    if (this.closed) return;
    this.closed = true;
    // The streams of the session are told in the same turn, and first.
    queueMicrotask(() => {
      beginTurn();
      try {
        this.handler?.onClose();
      } catch (error) {
        handlerException(error);
      }
      endTurn();
    });
  }
}

const isEverywhere = (address: string): boolean => address === "::" || address === "0.0.0.0";
function ignore(): void {}
