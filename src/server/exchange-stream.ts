// What an exchange needs of its stream and of its connection: the same of HTTP/2 and HTTP/3.
import type { StreamHandler } from "../http/h2/stream.ts";
import type { HeaderBlock, SkipSet } from "../http/header-block.ts";
import type { TlsInfo } from "../transport/tls-info.ts";

/** Takes the fields of one head. Names of single fields are in lower case. */
export interface HeadEncoder {
  status(code: number): void;
  fields(block: HeaderBlock, skip: SkipSet): void;
  field(name: string, value: string): void;
}

/** One stream of a client. The calls mean what they mean for `H2Stream`; codes are those of RFC 9113 §7. */
export interface ExchangeStream {
  handler: StreamHandler;
  readonly remoteEnded: boolean;
  readonly queued: number;
  readonly full: boolean;
  /** Content that is not `queued` has been copied: nobody looks at its bytes any more. */
  readonly copies: boolean;
  readonly urgency: number;
  readonly incremental: boolean;
  /** Not above 0: it is the client that lets nothing out. */
  readonly sendWindow: number;
  beginHead(room: number): HeadEncoder;
  finishHead(end: boolean): void;
  sendData(bytes: Buffer, from: number, to: number, end?: boolean): void;
  sendEnd(trailers: HeaderBlock | null): void;
  reset(code: number): void;
  release(): void;
  reprioritise(urgency: number, incremental: boolean): void;
  pause(): void;
  resume(): void;
}

/** The connection that carries streams. */
export interface Carrier {
  readonly remoteAddress: string;
  readonly remotePort: number;
  readonly localAddress: string;
  readonly localPort: number;
  readonly tls: TlsInfo | null;
  /** Bytes that have left so far. */
  readonly sent: number;
}
