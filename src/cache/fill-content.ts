// Where the content of a fetch goes that is to be stored: to memory, of which fetches have a part, or to a file of the
// disk tier.
import { ID } from "../http/header-names.ts";
import type { RequestHead } from "../http/message.ts";
import { requestedRanges } from "../http/ranges.ts";
import type { Body } from "./body.ts";
import { BodyFile } from "./body-file.ts";
import type { LargeWriting } from "./large-file.ts";
import type { Visit } from "./visit.ts";

/** What the content of fetches may take. */
export interface ContentRoom {
  /** The largest content that is stored in memory for these visits, in bytes. */
  bodyMax(visit: Visit): number;
  /** Whether so many more bytes may be in fetches that are to be stored. */
  mayHold(bytes: number): boolean;
  held(bytes: number): void;
  /** A file of the disk tier for content of this length, or -1; null where it cannot have one. */
  beginFile(visit: Visit, length: number): LargeWriting | null;
}

/** A client waits for so much of what comes before the part that it wants: a second or less, where a server is near. */
const NEAR_BYTES = 16 * 1024 * 1024;

/** Whether a request wants a part that begins far behind what is there of content of this length. */
export function isFar({ headers }: RequestHead, there: number, total: number): boolean {
  const range = headers.received(ID.range) ? headers.getById(ID.range) : null;
  const outcome = range === null ? null : requestedRanges(range, total);
  return outcome?.kind === "partial" && outcome.ranges.some(({ first }) => first > there + NEAR_BYTES);
}

export class FillContent {
  readonly #room: ContentRoom;
  readonly #visit: Visit;
  readonly #body: Body;
  /** Told when the file has all of it, or can have no more. */
  readonly #onOver: (isWhole: boolean) => void;
  #file: BodyFile | null = null;
  #held = 0;

  constructor(room: ContentRoom, visit: Visit, body: Body, onOver: (isWhole: boolean) => void) {
    this.#room = room;
    this.#visit = visit;
    this.#body = body;
    this.#onOver = onOver;
  }

  /** Whether content of this length, or -1, can be stored, as far as that is known before it comes. */
  begin(length: number): boolean {
    const room = this.#room;
    return (length <= room.bodyMax(this.#visit) && room.mayHold(Math.max(0, length))) || this.#toFile(length);
  }

  /** The file that it goes to; null for memory. */
  get writing(): LargeWriting | null {
    return this.#file?.writing ?? null;
  }

  /** Whether there is room for so many bytes in all. */
  grow(length: number): boolean {
    if (this.#file !== null) return length <= this.#visit.rules.bodyMax;
    const room = this.#room;
    const more = length - this.#held;
    if (length > room.bodyMax(this.#visit) || !room.mayHold(more)) return this.#toFile(this.#body.total);
    this.#held += more;
    room.held(more);
    return true;
  }

  /** There is more, or the end. */
  onMore(): void {
    this.#file?.onMore();
  }

  #toFile(length: number): boolean {
    const writing = this.#room.beginFile(this.#visit, length);
    if (writing === null) return false;
    this.#letHeldGo();
    this.#file = new BodyFile(this.#body, writing, this.#onOver);
    return true;
  }

  /** It is stored by now, or never will be. */
  close(): void {
    this.#letHeldGo();
    this.#file?.close();
  }

  #letHeldGo(): void {
    this.#room.held(-this.#held);
    this.#held = 0;
  }
}
