// UDP sockets of the runtime: one that receives from everybody, and ones that talk to one peer each.
import { beginTurn, endTurn } from "./outbox.ts";

export interface UdpAddress {
  /** In numbers; names are not looked up. */
  readonly host: string;
  readonly port: number;
}

/** A socket that receives from everybody. */
export interface UdpListener {
  /** The port it got, where 0 was asked for. */
  readonly port: number;
  /** Sends one datagram; false when the system would not take it (its buffer is full, or the datagram is too large). */
  send(bytes: Buffer, port: number, address: string): boolean;
  stop(): void;
}

/** A socket that talks to one peer: what others send to it does not arrive. */
export interface UdpConnection {
  /** As UdpListener's. */
  send(bytes: Buffer): boolean;
  close(): void;
}

/** Told of each datagram; the bytes may be kept. `address` is IPv4-mapped where the socket is one of IPv6. */
export type OnDatagram = (bytes: Buffer, port: number, address: string) => void;

/** What a UdpConnection tells its owner. */
export interface UdpHandler {
  onDatagram(bytes: Buffer): void;
  /** The system says that the peer cannot be reached, or that nobody listens there (`code` ECONNREFUSED, …). */
  onUnreachable(error: Error): void;
}

/** LIBUS_LISTEN_REUSE_PORT of the runtime, which its own `node:dgram` passes; the types leave `flags` out. */
const REUSE_PORT = 4;
/** Said of one datagram that was too large for the way; the peer is still there. */
const TOO_LARGE = "EMSGSIZE";
interface Flags {
  readonly truncated: boolean;
}

/**
 * Receives on an address, which several threads may share: the system gives all datagrams of one peer to the same one,
 * as long as it is the same threads. Throws the system's error (`code` EADDRINUSE and the like).
 */
export function listenUdp({ host, port }: UdpAddress, onDatagram: OnDatagram): UdpListener {
  const options = {
    hostname: host,
    port,
    flags: REUSE_PORT,
    socket: {
      data(_socket: unknown, bytes: Buffer, fromPort: number, address: string, { truncated }: Flags): void {
        if (truncated) return;
        beginTurn();
        onDatagram(bytes, fromPort, address);
        endTurn();
      },
      error(): void {}, // Some client that was answered is gone; the system does not say which.
    },
  };
  const socket = opened(Bun.udpSocket<"buffer">(options));
  return {
    port: socket.port,
    send(bytes, toPort, address) {
      try {
        return socket.send(bytes, toPort, address);
      } catch {
        return false;
      }
    },
    stop: () => socket.close(),
  };
}

/** Whether somebody receives on an address already, even somebody who would share it. */
export function isUdpTaken({ host, port }: UdpAddress): boolean {
  try {
    opened(Bun.udpSocket({ hostname: host, port })).close();
    return false;
  } catch (error) {
    return (error as { code?: string }).code === "EADDRINUSE";
  }
}

/** A socket of its own for one peer. Throws the system's error: there are no more files, or no way to that address. */
export function connectUdp({ host, port }: UdpAddress, handler: UdpHandler): UdpConnection {
  const socket = opened(
    Bun.udpSocket<"buffer">({
      connect: { hostname: host, port },
      socket: {
        data(_socket, bytes, _port, _address, { truncated }): void {
          if (truncated) return;
          beginTurn();
          handler.onDatagram(bytes);
          endTurn();
        },
        // The types say that the socket comes first; the runtime passes the error alone.
        error(...told: unknown[]): void {
          const error = told.find((each) => each instanceof Error);
          if (error === undefined || socket.closed || (error as { code?: string }).code === TOO_LARGE) return;
          beginTurn();
          handler.onUnreachable(error);
          endTurn();
        },
      },
    }),
  );
  return {
    send(bytes) {
      try {
        return socket.send(bytes);
      } catch {
        return false; // An error that came back for an earlier datagram is told by itself.
      }
    },
    close: () => socket.close(),
  };
}

/** The runtime opens UDP sockets at once and throws if it cannot: the promise is a form only (see udp.test.ts). */
function opened<T>(promise: Promise<T>): T {
  const socket = Bun.peek(promise);
  if (socket instanceof Promise) throw new Error("the runtime opens UDP sockets later than it used to");
  return socket;
}
