// What a session needs of the driver of its connection.
import type { Fault } from "../../core/faults.ts";
import type { RequestHead, ResponseHead } from "../message.ts";
import type { GlitchKind } from "./glitches.ts";
import type { H2Stream, StreamHandler } from "./stream.ts";

/** Where a session's bytes go: a buffer with room, and pieces that are sent from where they lie. */
export interface H2Output {
  /** A buffer with at least `bytes` free from `at` on. */
  room(bytes: number): Buffer;
  /** Where the next byte goes in the buffer that `room` returned last. */
  readonly at: number;
  /** The buffer has been written up to `end`. */
  wrote(end: number): void;
  /** Bytes to be sent behind what has been written; they stay as they are. */
  piece(bytes: Buffer, from: number, to: number): void;
  /** More waits to be sent than should. The driver calls `H2Session.writable` when that is over. */
  readonly full: boolean;
}

export interface SessionOwner {
  /** A head by role, from a pool; the builder resets it. */
  takeHead(): RequestHead | ResponseHead;
  /** Server role: a whole valid head. Content follows unless `stream.remoteEnded`. */
  onRequest(stream: H2Stream, head: RequestHead): StreamHandler;
  /** Server role: a head that breaks a limit of ours; the driver answers with the error, and content is dropped. */
  onRefused(fault: Fault, head: RequestHead, stream: H2Stream): StreamHandler;
  /** SETTINGS of the peer have come: `session.peer` may have changed. */
  onPeerSettings(): void;
  /** The peer takes no new streams; those above its last id have been told `onReset(REFUSED_STREAM)`. */
  onGoaway(code: number): void;
  /** The stream no longer counts as open. */
  onStreamGone(stream: H2Stream): void;
  /** Something that abuse consists of has been seen; for metrics. Most of them are harmless one by one. */
  onGlitch(kind: GlitchKind): void;
  /**
   * A connection error: GOAWAY has been written and all streams have been told. Nothing is read any more; close the
   * connection once the output is flushed.
   */
  onBroken(fault: Fault): void;
}

/** What the peer's SETTINGS say (RFC 9113 §6.5.2), with the defaults before they come. */
export interface PeerSettings {
  /** The first SETTINGS frame has come. */
  readonly received: boolean;
  readonly headerTableSize: number;
  readonly maxConcurrentStreams: number;
  readonly initialWindow: number;
  readonly maxFrame: number;
  /** Bytes; Infinity when the peer names none. */
  readonly maxHeaderList: number;
  readonly enableConnectProtocol: boolean;
  /** RFC 9218 §2.1: the peer does not use the priorities of RFC 7540. */
  readonly noRfc7540Priorities: boolean;
}
