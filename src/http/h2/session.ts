// A whole HTTP/2 connection, for both roles, without a socket: bytes in, calls and bytes out (RFC 9113).
import type { H2Output, PeerSettings, SessionOwner } from "./contracts.ts";
import { FrameReader } from "./frame-reader.ts";
import { ERROR, PREFACE } from "./frames.ts";
import { type SessionOptions, WINDOW_DEFAULT } from "./limits.ts";
import { Receiver } from "./receiver.ts";
import { SessionCore } from "./session-core.ts";
import { ownSettings } from "./settings.ts";
import type { H2Stream, StreamHandler } from "./stream.ts";

export type { H2Output, PeerSettings, SessionOwner } from "./contracts.ts";
export { CLIENT_DEFAULTS, SERVER_DEFAULTS, type SessionOptions } from "./limits.ts";

export class H2Session {
  readonly role: "server" | "client";
  readonly #core: SessionCore;
  readonly #receiver: Receiver;
  readonly #reader: FrameReader;
  /** Bytes of the client's preface that are still to come (RFC 9113 §3.4). */
  #prefaceLeft: number;

  constructor(role: "server" | "client", options: SessionOptions, out: H2Output, owner: SessionOwner) {
    this.role = role;
    this.#core = new SessionCore(role === "server", options, out, owner);
    this.#receiver = new Receiver(this.#core);
    this.#reader = new FrameReader(this.#receiver);
    this.#prefaceLeft = role === "server" ? PREFACE.length : 0;
  }

  /** Streams that count as open, those whose work goes on after a reset included. */
  get openStreams(): number {
    return this.#core.table.open;
  }
  get peer(): PeerSettings {
    return this.#core.peer;
  }
  /** No new streams: the peer or we have said so. */
  get draining(): boolean {
    return this.#core.draining;
  }
  get broken(): boolean {
    return this.#core.broken;
  }
  /** A PING of ours has not been answered: that of `ping`, or the one between the steps of `goaway`. */
  get awaitingPong(): boolean {
    return this.#core.awaitingPong || this.#core.isWarning;
  }
  /** A field block or a frame has begun, and waits for its rest: nothing else can be read before. */
  get isInside(): boolean {
    return this.#receiver.isInside || this.#reader.isInside;
  }
  /** Our SETTINGS have not been acknowledged. Who waits too long for that may end it: `goaway(SETTINGS_TIMEOUT)`. */
  get awaitingSettings(): boolean {
    return this.#core.settingsPending > 0;
  }

  /** Writes what a connection begins with: (the preface and) SETTINGS, and the connection's window. */
  start(): void {
    const { options, sender, isServer } = this.#core;
    if (!isServer) sender.preface();
    sender.settings(ownSettings(isServer, options));
    this.#core.settingsPending += 1;
    const more = options.connectionWindow - WINDOW_DEFAULT;
    if (more > 0) sender.windowUpdate(0, more);
  }

  /** Bytes of the peer; `now` in milliseconds, monotonic. Returns whether anything of the chunk may be kept. */
  receive(chunk: Buffer, now: number): boolean {
    const core = this.#core;
    if (core.broken) return false;
    core.now = now;
    core.passedOn = false;
    const at = this.#prefaceLeft === 0 ? 0 : this.#preface(chunk);
    if (at >= 0) this.#reader.read(chunk, at);
    return core.passedOn;
  }

  /** Returns where the frames begin; -1 when the client speaks something else. */
  #preface(chunk: Buffer): number {
    let at = 0;
    while (this.#prefaceLeft > 0 && at < chunk.length) {
      if (chunk[at] !== PREFACE[PREFACE.length - this.#prefaceLeft]) {
        this.#core.connectionError(ERROR.protocol, "not the preface of HTTP/2");
        return -1;
      }
      at += 1;
      this.#prefaceLeft -= 1;
    }
    return at;
  }

  /** The output is no longer full: what was held goes on, by priority. */
  writable(): void {
    if (!this.#core.broken) this.#core.writable();
  }

  /**
   * Client role: a stream for a request; null when no more may be opened now. Its id comes with `beginHead`, and its
   * driver sets `method` unless it is GET.
   */
  open(handler: StreamHandler): H2Stream | null {
    return this.#core.open(handler);
  }

  /** Takes no new streams. Without an error (code 0) in two steps, so that no request is lost (RFC 9113 §6.8). */
  goaway(code: number): void {
    this.#core.goaway(code);
  }
  /** Asks for a sign of life: see `awaitingPong`. */
  ping(): void {
    this.#core.ping();
  }
  /** The connection is gone: all streams are told, nothing is written any more. */
  lost(): void {
    this.#core.lost();
  }
}
