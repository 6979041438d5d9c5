// How much a peer may send us (RFC 9113 §5.2, §6.9): one window for a stream or the connection. It is given back when
// bytes have been used, and grows when a peer that is fast and far away uses it up.

/** Windows are given back in halves: fewer WINDOW_UPDATE frames than bytes would allow, and the peer never runs dry. */
const SHARE = 2;

export class ReceiveWindow {
  /** What the peer may still send. */
  left: number;
  /** Used bytes that the peer has not been told of. */
  owed = 0;
  /** What `left` and `owed` and all that is held come to. */
  size: number;
  readonly #most: number;
  /** When the peer was last told. */
  #since: number;

  constructor(size: number, most: number, now: number) {
    this.left = size;
    this.size = size;
    this.#most = most;
    this.#since = now;
  }

  /** Whether enough is owed to tell the peer. */
  get due(): boolean {
    return this.owed * SHARE >= this.size;
  }

  /**
   * What to tell the peer now: what is owed, and more where it needed the whole window within two round trips, of
   * `rtt` milliseconds each (negative: not known). The window is then larger by that.
   */
  announce(now: number, rtt: number): number {
    let increment = this.owed;
    // Half a window within one round trip is a whole one in two. Clocks tick in milliseconds, near peers are faster.
    if (rtt >= 0 && now - this.#since <= Math.max(1, rtt) && this.size < this.#most) {
      const size = Math.min(this.#most, this.size * 2);
      increment += size - this.size;
      this.size = size;
    }
    this.#since = now;
    this.owed = 0;
    this.left += increment;
    return increment;
  }

  /** Doubles the window, up to its limit; returns what to tell the peer, 0 where it is as large as it may be. */
  widen(): number {
    const size = Math.min(this.#most, this.size * 2);
    const increment = size - this.size;
    this.size = size;
    this.left += increment;
    return increment;
  }
}
