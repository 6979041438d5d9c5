// Another worker that follows the content of a fetch here: it is sent the pieces as they fill, in shared memory, one
// message at a time, so that a worker that is busy is not flooded. Where content is let go, its slowest client counts
// like one of ours.
import type { Body, BodyReader } from "./body.ts";
import type { Entry } from "./entry.ts";
import type { Peers, Progress } from "./peers.ts";

export class PeerReader implements BodyReader {
  offset = 0;
  readonly isElsewhere = true;
  /** Who follows. */
  readonly worker: number;
  readonly #question: number;
  readonly #peers: Peers;
  readonly #body: Body;
  readonly #entry: Entry;
  readonly #onEnd: () => void;
  /** What the other has been sent. */
  #pieces = 0;
  #length = -1;
  #progress: Progress = "open";
  #waits = false; // for the other to take what it was sent last

  constructor(peers: Peers, worker: number, question: number, entry: Entry, onEnd: () => void) {
    this.#peers = peers;
    this.worker = worker;
    this.#question = question;
    this.#body = entry.body;
    this.#entry = entry;
    this.#onEnd = onEnd;
  }

  start(): void {
    const answer = this.#entry.share([]);
    this.#peers.send(this.worker, { kind: "begin", question: this.#question, answer, total: this.#body.total });
    this.#body.follow(this);
    this.onMore();
  }

  onMore(): void {
    const body = this.#body;
    const progress = progressOf(body);
    if (this.#waits || (body.length === this.#length && progress === this.#progress)) return;
    const pieces = body.sharedFrom(Math.max(this.#pieces, body.firstPiece));
    this.#pieces = body.pieces;
    this.#length = body.length;
    this.#progress = progress;
    const { length, fault } = body;
    this.#peers.send(this.worker, { kind: "more", question: this.#question, pieces, length, progress, fault });
    if (progress === "done" || progress === "broken") this.leave();
    else this.#waits = true;
  }

  /** The other has it up to here. */
  onTaken(offset: number): void {
    this.#waits = false;
    if (offset > this.offset) this.offset = offset;
    this.#body.taken();
    this.onMore();
  }

  leave(): void {
    this.#onEnd();
    this.#body.leave(this);
  }
}

function progressOf(body: Body): Progress {
  if (body.fault !== null) return "broken";
  return body.done ? "done" : body.windowed || body.backing !== null ? "window" : "open";
}
