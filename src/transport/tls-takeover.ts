// TLS on connections whose first bytes somebody has read already: behind a PROXY header, or where the hello's name
// decides. The runtime's sockets can begin TLS at any time, also as the server and with bytes that came before; its
// types and documentation know the client's side alone. tls-takeover.test.ts tells when an upgrade takes it away.
import type { Connection, ConnectionHandler } from "./connection.ts";
import { type BunSocket, SocketConnection } from "./socket.ts";
import { Handshakes, type TlsListenerOptions, tlsEvents } from "./tls.ts";
import { makeListenerContext, type TlsSettings } from "./tls-context.ts";
import type { HandshakePolicy } from "./tls-info.ts";

/** Settings in the form that the runtime uses. Making one parses certificates: do it once, and keep it. */
export interface TakeoverTerms {
  readonly native: object;
  /** Told of the connections that begin with them. */
  readonly policy: HandshakePolicy | null;
}

export interface TlsTakeover {
  /** Handshakes under way. */
  readonly handshakes: number;
  /**
   * Begins TLS on an open connection of a listener; `early` is all that has come and is not for others. From here on
   * the connection carries what was encrypted, with the addresses it had. It is handed to `accept` after its handshake;
   * one that fails is closed. With `terms` these hold in place of the listener's, in the handshake itself: the name is
   * known by now.
   */
  take(connection: Connection, early: Buffer, terms?: TakeoverTerms): void;
  /** Changes certificates and settings as TlsListener.update does. */
  update(settings: TlsSettings): void;
}

/** What the runtime calls for a server's side; its `upgradeTLS` is node:tls' way of wrapping an accepted socket. */
interface UpgradableSocket {
  upgradeTLS(options: {
    readonly isServer: true;
    readonly initialData: Buffer;
    readonly data: SocketConnection;
    readonly tls: object;
    readonly socket: object;
  }): readonly [below: BunSocket, tls: BunSocket] | undefined;
}

/**
 * Like listenTls, for connections that others have accepted. `accept` gets each one whose handshake is through and
 * returns its handler, or null to close it. Throws the runtime's error for a damaged certificate.
 */
export function takeOverTls(
  options: TlsListenerOptions,
  accept: (connection: Connection) => ConnectionHandler | null,
): TlsTakeover {
  const handshakes = new Handshakes(options, accept);
  const socket = tlsEvents(handshakes);
  let usual = takeoverTerms(options, null);
  return {
    get handshakes() {
      return handshakes.underWay;
    },
    take(connection, early, terms = usual) {
      if (!(connection instanceof SocketConnection)) throw new TypeError("TLS needs a connection of the system's");
      if (connection.closed || !handshakes.begin(connection, terms.policy)) return;
      try {
        connection.continueOver((own) => {
          const tls = terms.native;
          const upgrade = { isServer: true, initialData: early, data: connection, tls, socket } as const;
          const pair = (own as unknown as UpgradableSocket).upgradeTLS(upgrade);
          if (pair === undefined) throw new Error("a socket that cannot begin TLS");
          return pair[1];
        });
      } catch (error) {
        connection.destroy(true); // which ends the handshake too
        throw error;
      }
    },
    update(settings) {
      usual = takeoverTerms(settings, null);
    },
  };
}

/** Prepares settings for some of the connections. Throws the runtime's error for a damaged certificate. */
export function takeoverTerms(settings: TlsSettings, policy: HandshakePolicy | null): TakeoverTerms {
  const native = {
    secureContext: makeListenerContext(settings),
    requestCert: settings.requestClientCertificate,
    rejectUnauthorized: false,
  };
  return { native, policy };
}
