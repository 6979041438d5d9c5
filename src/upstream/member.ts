// The servers of an upstream as all threads know them. The supervisor decides who they are; workers follow.
import type { Address, ServerHttp } from "../config/address.ts";

/** What an operator has asked of a server: everything, nothing new, nothing new but its sticky clients, nothing at all. */
export type ServerMode = "ready" | "drain" | "drain-sticky" | "disabled";

export interface Member {
  /** `host:port` or `unix:/path`. It is the same server for as long as this is the same, whatever list it came from. */
  readonly id: string;
  readonly address: Address;
  /** It is spoken to over TLS. */
  readonly tls: boolean;
  readonly http: ServerHttp;
  /** 0 to 1000; 0 gets nothing. */
  readonly weight: number;
  readonly backup: boolean;
  readonly zone: string;
  readonly mode: ServerMode;
  /** Its place on the board (board.ts). */
  readonly slot: number;
  /** Where it is listed. */
  readonly origin: "config" | "discovered" | "api";
}

/** The servers of an upstream. Survives structured cloning. */
export interface UpstreamMembership {
  readonly members: readonly Member[];
  /** The upstream's own places on the board: this one for its circuit breaker, the next for its queue. */
  readonly slot: number;
  /** Later ones are greater. */
  readonly version: number;
}
