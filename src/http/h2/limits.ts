// What one HTTP/2 connection may cost. Every number stands here with its reason; glitches.ts has the budgets of abuse.
import { type HeadLimits, RESPONSE_LIMITS } from "../h1/limits.ts";

/** What a driver may choose for a connection. Start from `SERVER_DEFAULTS` or `CLIENT_DEFAULTS`. */
export interface SessionOptions {
  /** Limits of a message's head: those of the listener, or of answers of upstreams. Fields count 32 bytes extra each. */
  readonly head: HeadLimits;
  /** Streams that the peer may have open at a time (SETTINGS_MAX_CONCURRENT_STREAMS); server role only. */
  readonly concurrentStreams: number;
  /** Drop fields whose names contain `_`, as the HTTP/1.1 reader does. */
  readonly dropUnderscores: boolean;
  /** Offer extended CONNECT (RFC 8441); server role only. */
  readonly connectProtocol: boolean;
  /** The part of each budget of abuse (glitches.ts) that the peer has: 1 for those of whom nothing bad is known. */
  readonly patience: number;
  /** Bytes that a stream's peer may send ahead, at first and at most. */
  readonly streamWindow: number;
  readonly streamWindowMax: number;
  /** The same for the whole connection: what it can make us hold. */
  readonly connectionWindow: number;
  readonly connectionWindowMax: number;
}

const WINDOWS = {
  streamWindow: 65_536, // one chunk in flight for each stream: enough for nearly every request
  streamWindowMax: 1_048_576, // 100 Mbit/s at 80 ms
  connectionWindow: 262_144, // four streams at full speed
  connectionWindowMax: 4_194_304, // what one connection may make us hold
};

export const SERVER_DEFAULTS: SessionOptions = {
  head: { startLine: 8192, section: 65_536, fields: 128 },
  concurrentStreams: 128, // RFC 9113 §6.5.2 recommends at least 100
  dropUnderscores: true,
  connectProtocol: true,
  patience: 1,
  ...WINDOWS,
};

export const CLIENT_DEFAULTS: SessionOptions = {
  head: RESPONSE_LIMITS,
  concurrentStreams: 0, // servers push nothing to us
  dropUnderscores: false,
  connectProtocol: false,
  patience: 1,
  ...WINDOWS,
};

/** RFC 9113 §6.9.2: every window until SETTINGS and WINDOW_UPDATE say otherwise. */
export const WINDOW_DEFAULT = 65_535;
/** Bytes that wait in one stream: above HIGH its driver is told to stop, at LOW to go on. */
export const QUEUED_BYTES_HIGH = 65_536;
export const QUEUED_BYTES_LOW = 16_384;
/** Bytes of PING and SETTINGS acknowledgements, RST_STREAM and the like for a peer that does not read: 1,000 of them. */
export const CONTROL_BACKLOG_BYTES_MAX = 16_384;
/** Frames of one field block; the largest head that is taken at all fits in a dozen. */
export const CONTINUATIONS_MAX = 64;
/** Interim answers to one request: a few early hints are all that anybody sends. */
export const INTERIMS_MAX = 32;
/** Priorities of streams that have not been opened yet: as many as can be open (RFC 9218 §7.1). */
export const EARLY_PRIORITIES_MAX = 128;
/** Settings in one frame that are looked at for nothing; there are nine that mean something. */
export const SETTINGS_FREE = 32;
/** A section that counts this many times its limit is no mistake any more: the connection ends. */
export const SECTION_FACTOR_MAX = 2;
/** Milliseconds: a reset this soon after its request is a rapid one. The streams that may be open bound later ones. */
export const RAPID_MS = 1000;
/** How long a measured round trip is taken to be true: milliseconds. */
export const RTT_VALID_MS = 10_000;
/** Requests of ours that a server may have open before its SETTINGS come. */
export const STREAMS_BEFORE_SETTINGS = 100;
