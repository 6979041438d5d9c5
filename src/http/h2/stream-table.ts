// The streams of a connection by id, how many count as open, and what is remembered of those that are over.
import type { H2Stream } from "./stream.ts";

/** Streams that we have reset, remembered because frames may be on their way to them: some times what can be open. */
const RESETS_REMEMBERED = 256;
/** Gaps in the peer's ids. Only a peer that leaves some has any, and only the code of an error depends on them. */
const GAPS_REMEMBERED = 16;

export class StreamTable {
  readonly byId: Map<number, H2Stream> = new Map();
  /** Streams that count as open. */
  open = 0;
  /** The highest id that the peer has opened, and the next one of ours (client role). */
  lastPeer = 0;
  nextLocal = 1;
  /** A ring, made with the first reset. */
  #resets: Int32Array | null = null;
  #resetCount = 0;
  /** The highest id that has fallen out of the ring. */
  #forgotten = 0;
  /** First and last id of each gap. */
  #gaps: number[] | null = null;

  /** The peer has opened this stream; all below it that it has not used are closed (RFC 9113 §5.1.1). */
  peerOpened(id: number): void {
    const expected = this.lastPeer === 0 ? 1 : this.lastPeer + 2;
    if (id > expected) {
      this.#gaps ??= [];
      this.#gaps.push(expected, id - 2);
      if (this.#gaps.length > GAPS_REMEMBERED * 2) this.#gaps.splice(0, 2);
    }
    this.lastPeer = id;
  }

  /** Whether the id was left out by the peer, so that there never was such a stream. */
  wasSkipped(id: number): boolean {
    const gaps = this.#gaps;
    if (gaps === null) return false;
    for (let i = 0; i < gaps.length; i += 2) if (id >= gaps[i]! && id <= gaps[i + 1]!) return true;
    return false;
  }

  rememberReset(id: number): void {
    this.#resets ??= new Int32Array(RESETS_REMEMBERED);
    const slot = this.#resetCount % RESETS_REMEMBERED;
    if (this.#resetCount >= RESETS_REMEMBERED) this.#forgotten = Math.max(this.#forgotten, this.#resets[slot]!);
    this.#resets[slot] = id;
    this.#resetCount += 1;
  }

  /** Whether we have reset the stream, or may have: then its peer's frames may still be on their way. */
  wasReset(id: number): boolean {
    if (this.#resets === null) return false;
    return id <= this.#forgotten || this.#resets.includes(id);
  }
}
