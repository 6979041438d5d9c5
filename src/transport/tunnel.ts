// Two connections joined: bytes of one go to the other, with back-pressure, until both sides have ended or one is gone.
// An orderly end passes on as one, and a reset as a reset: what was cut short must not look complete.
import { Timer, type TimerWheel } from "../core/timers.ts";
import type { Connection, ConnectionHandler } from "./connection.ts";
import { flushOutbox, inOutbox, write } from "./outbox.ts";
import { closeFrame, type WebSocketFrames } from "./websocket-frames.ts";

/** Once a tunnel is over, a side that takes nothing of what is queued for it within this time is cut off. */
const FLUSH_MS = 10_000;
/** A frame of the server's that is under way when a WebSocket is ended may take this long to pass. */
const FRAME_MS = 2000;

/**
 * Why a tunnel is over: both sides had ended, nothing came for too long, `close` or `cut` was called, or the connection
 * of one side broke.
 */
export type TunnelOutcome = "ended" | "idle" | "closed" | "cut" | "lostA" | "lostB";

class Half implements ConnectionHandler {
  readonly from: Connection;
  readonly to: Connection;
  readonly tunnel: Tunnel;
  bytes = 0;
  ended = false;

  constructor(from: Connection, to: Connection, tunnel: Tunnel) {
    this.from = from;
    this.to = to;
    this.tunnel = tunnel;
  }

  onData(whole: Buffer): void {
    const chunk = this.tunnel.passing(this, whole);
    this.bytes += chunk.length;
    this.tunnel.touch();
    const { to } = this;
    // The outbox is for pieces that leave together; a chunk that is alone would only be copied.
    if (inOutbox(to)) write(to, chunk, 0, chunk.length, true);
    else to.send(chunk, 0, chunk.length, false, true);
    if (to.full) this.from.pause();
    this.tunnel.passed(this);
  }
  onDrain(): void {
    // `from` takes bytes again: the other side may be read on.
    this.tunnel.touch();
    this.to.resume();
  }
  onEnd(): void {
    this.ended = true;
    this.to.end();
    this.tunnel.halfEnded();
  }
  onClose(error: Error | null): void {
    this.tunnel.gone(this, error);
  }
}

export class Tunnel {
  readonly #a: Half;
  readonly #b: Half;
  readonly #wheel: TimerWheel;
  readonly #idleMs: number;
  readonly #timer: Timer;
  readonly #closed: (fromA: number, fromB: number, outcome: TunnelOutcome) => void;
  #over = false;
  #sentAtCheck = -1;
  readonly #frames: WebSocketFrames | null;
  /** The frame that ends a WebSocket, once the one that is under way has passed. */
  #last: Buffer | null = null;

  /**
   * Joins `a` and `b`. `earlyA` and `earlyB` are bytes of each that arrived before. After `idleMs` without a byte in
   * either direction both are closed. `closed` is told once, with the bytes that came from each and why. `frames`
   * follows what comes from `b`, where that is a WebSocket that may have to be ended.
   */
  constructor(
    a: Connection,
    earlyA: Buffer | null,
    b: Connection,
    earlyB: Buffer | null,
    idleMs: number,
    wheel: TimerWheel,
    closed: (fromA: number, fromB: number, outcome: TunnelOutcome) => void,
    frames: WebSocketFrames | null = null,
  ) {
    this.#frames = frames;
    this.#wheel = wheel;
    this.#idleMs = idleMs;
    this.#closed = closed;
    this.#timer = new Timer(() => this.#onTimer());
    this.#a = new Half(a, b, this);
    this.#b = new Half(b, a, this);
    a.handler = this.#a;
    b.handler = this.#b;
    this.touch();
    if (earlyB !== null && earlyB.length > 0) this.#b.onData(earlyB);
    if (earlyA !== null && earlyA.length > 0) this.#a.onData(earlyA);
    if (!b.full) a.resume();
    if (!a.full) b.resume();
  }

  touch(): void {
    if (this.#last === null) this.#wheel.arm(this.#timer, this.#idleMs);
  }

  /** What of a chunk goes on: all of it, unless the WebSocket is about to end. */
  passing(half: Half, chunk: Buffer): Buffer {
    if (this.#frames === null || half !== this.#b || this.#over) return chunk;
    return chunk.subarray(0, this.#frames.pass(chunk, this.#last !== null));
  }
  passed(half: Half): void {
    if (this.#last !== null && half === this.#b && this.#frames!.isBetween) this.#sayLast(this.#last);
  }

  /** Ends a WebSocket with this status, between two frames of the server's; anything else is cut off. */
  endEarly(status: number): void {
    if (this.#over || this.#last !== null) return;
    if (this.#frames === null) return this.cut();
    this.#last = closeFrame(status);
    if (this.#frames.isBetween) this.#sayLast(this.#last);
    else this.#wheel.arm(this.#timer, FRAME_MS);
  }
  #sayLast(frame: Buffer): void {
    write(this.#a.from, frame, 0, frame.length, true);
    flushOutbox(); // it may not be a turn in which this happens, and what is closed sends nothing any more
    this.close();
  }

  /** `a` had closed its sending side before the tunnel was there to be told. */
  endedEarly(): void {
    this.#a.onEnd();
  }

  halfEnded(): void {
    if (this.#a.ended && this.#b.ended) this.#end("ended");
  }

  gone(half: Half, error: Error | null): void {
    if (this.#over) return this.#flushed();
    // Without an error it had ended, and so had the other before it.
    const outcome = error === null ? "ended" : half === this.#a ? "lostA" : "lostB";
    this.#over = true;
    // One that broke after its end has said everything, and that still leaves. What one sent that broke before is not
    // the whole, so it does no harm that a reset takes the rest of it along.
    if (error === null || half.ended) half.to.close();
    else half.to.destroy(true);
    this.#finished(outcome);
  }

  /** Ends both sides. */
  close(): void {
    this.#end("closed");
  }

  /** Cuts both sides off at once: each sees a reset. */
  cut(): void {
    const wasOver = this.#over;
    this.#over = true;
    this.#a.from.destroy(true);
    this.#b.from.destroy(true);
    if (!wasOver) this.#finished("cut");
  }

  #end(outcome: TunnelOutcome): void {
    if (this.#over) return;
    this.#over = true;
    this.#a.from.close();
    this.#b.from.close();
    this.#finished(outcome);
  }

  #finished(outcome: TunnelOutcome): void {
    this.#closed(this.#a.bytes, this.#b.bytes, outcome);
    this.#flushed();
  }

  /** What is queued still leaves, but nobody else looks after a peer that does not read it. */
  #flushed(): void {
    if (this.#a.from.closed && this.#b.from.closed) this.#wheel.drop(this.#timer);
    else this.#wheel.arm(this.#timer, FLUSH_MS);
  }

  #onTimer(): void {
    if (!this.#over) return this.#end("idle");
    const sent = this.#a.from.sent + this.#b.from.sent;
    if (sent !== this.#sentAtCheck) {
      this.#sentAtCheck = sent;
      this.#wheel.arm(this.#timer, FLUSH_MS);
      return;
    }
    // One with nothing queued is closed already, or about to be.
    this.#a.from.destroy(this.#a.from.queued > 0);
    this.#b.from.destroy(this.#b.from.queued > 0);
  }
}
