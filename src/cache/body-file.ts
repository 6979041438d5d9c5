// Content that goes to a file of the disk tier while it comes: who follows it may be anywhere in it, and what the file
// has is not kept in memory.
import type { Backing, Body } from "./body.ts";
import type { LargeWriting } from "./large-file.ts";

export class BodyFile implements Backing {
  readonly writing: LargeWriting;
  readonly #body: Body;
  /** Told when the file has all of it, or can have no more. */
  readonly #onEnd: (isWhole: boolean) => void;
  #isBusy = false;
  #isOver = false;
  #isLeft = false;
  #isClosed = false;
  /** The number of the piece that is written next. */
  #piece: number;

  /** Nothing of the body has been let go yet. */
  constructor(body: Body, writing: LargeWriting, onEnd: (isWhole: boolean) => void) {
    this.writing = writing;
    this.#body = body;
    this.#onEnd = onEnd;
    this.#piece = body.firstPiece;
    body.backWith(this);
    this.onMore();
  }

  /** There is more of it, or its end. */
  onMore(): void {
    if (this.#isBusy || this.#isOver) return;
    const body = this.#body;
    // A piece is written as a whole: writes are few then.
    if (this.#piece + 1 < body.pieces || (body.done && this.#piece < body.pieces)) return void this.#write();
    if (body.done) this.#end(true);
  }

  async #write(): Promise<void> {
    const body = this.#body;
    const piece = body.piece(this.#piece)!;
    this.#isBusy = true;
    const isWritten = await this.writing.write(piece.subarray(0, body.filled(this.#piece)));
    this.#isBusy = false;
    if (this.#isOver) return;
    if (!isWritten) return this.#end(false);
    this.#piece += 1;
    body.backed(this.writing.written);
    this.onMore();
  }

  #end(isWhole: boolean): void {
    this.#isOver = true;
    this.#onEnd(isWhole);
  }

  /** Nobody can begin to follow any more. What is not stored by now is removed; those who follow it can still read it. */
  close(): void {
    this.#isOver = this.#isLeft = true;
    this.writing.abort();
    this.#body.rest();
  }

  // ——— Backing

  read(at: number): Promise<Buffer | null> {
    return this.writing.read(at);
  }

  rest(): void {
    if (!this.#isLeft || this.#isClosed) return;
    this.#isClosed = true;
    this.writing.close();
  }
}
