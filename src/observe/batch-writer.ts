// Lines gathered in memory and written to a file in large pieces, away from the event loop. Bounded: when the disk or
// the reader cannot keep up, lines are dropped and counted, never kept.
import { close, fstatSync, openSync, write } from "node:fs";

export interface BatchOptions {
  /** `stdout`, `stderr` or a file, which is made when missing. */
  readonly path: string;
  /** No line may be longer. */
  readonly lineBytesMax: number;
  /** A line was lost: the disk is full, the reader is gone, or either is too slow. */
  readonly onDropped: (lines: number, why: string) => void;
}

/** Half a second of 300-byte lines at 1,700 a second, or 13 ms at 65,000: room for a disk that stalls for a moment. */
const CAPACITY_BYTES = 256 * 1024;
const FLUSH_BYTES = 64 * 1024;
const FLUSH_MS = 100;
/** PIPE_BUF of Linux (pipe(7)): pieces of whole lines up to this size are never torn by other writers of a pipe. */
const PIPE_PIECE_BYTES = 4096;
const RETRY_MS = 10;
const FILE_MODE = 0o640; // addresses of people are in it
const NEWLINE = 0x0a;

export class BatchWriter {
  /** Where the next line goes, after `reserve()` has said yes. */
  buffer: Buffer = Buffer.alloc(CAPACITY_BYTES);
  at = 0;
  readonly #options: BatchOptions;
  #spare: Buffer = Buffer.alloc(CAPACITY_BYTES);
  #fd: number;
  #isFile: boolean;
  #timer: ReturnType<typeof setTimeout> | null = null;
  #closed = false;
  /** The batch on its way out; `#batchEnd` is 0 when there is none. */
  #batch: Buffer = this.#spare;
  #batchFd = -1;
  #batchAt = 0;
  #batchEnd = 0;
  readonly #waiting: (() => void)[] = [];
  /** Made once, so that neither a timer nor a write makes a closure. */
  readonly #onTimer = () => {
    this.#timer = null;
    if (this.#batchEnd === 0) this.#start();
  };
  readonly #onWritten = (error: NodeJS.ErrnoException | null, written: number) => this.#written(error, written);
  readonly #step = () => this.#writeNext();

  /** Throws the error of open(2) when the file cannot be opened. */
  constructor(options: BatchOptions) {
    this.#options = options;
    this.#fd = openPath(options.path);
    this.#isFile = fstatSync(this.#fd).isFile();
  }

  /** Whether there is room for one more line; when not, the line counts as dropped. */
  reserve(): boolean {
    if (this.at + this.#options.lineBytesMax <= this.buffer.length && !this.#closed) return true;
    if (this.#batchEnd === 0 && !this.#closed) {
      this.#start();
      return true;
    }
    this.#options.onDropped(1, this.#closed ? "the log is closed" : "what reads or stores it is too slow");
    return false;
  }

  /** Takes what was written into `buffer` up to `end`. */
  commit(end: number): void {
    this.at = end;
    if (this.#batchEnd !== 0) return; // the end of that batch looks again
    if (end >= FLUSH_BYTES) this.#start();
    else this.#timer ??= setTimeout(this.#onTimer, FLUSH_MS);
  }

  /** Resolves once every line taken so far is written or lost. */
  async flush(): Promise<void> {
    if (this.#batchEnd !== 0) await this.#batchDone();
    if (this.#batchEnd === 0) this.#start(); // else a batch of later lines, which holds ours as well, has begun
    if (this.#batchEnd !== 0) await this.#batchDone();
  }

  /** Opens the path anew (after a rotation renamed the file) and closes the old one. Throws as the constructor does. */
  async reopen(): Promise<void> {
    if (isStandardStream(this.#options.path)) return;
    const old = this.#fd;
    this.#fd = openPath(this.#options.path);
    this.#isFile = fstatSync(this.#fd).isFile();
    if (this.#batchEnd !== 0) await this.#batchDone();
    close(old, ignore);
  }

  /** Flushes, but waits no longer than `timeoutMs`: nobody may read the pipe any more. Later lines are dropped. */
  async close(timeoutMs: number): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    let timer: ReturnType<typeof setTimeout> | undefined;
    const timeout = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, timeoutMs);
    });
    await Promise.race([this.flush(), timeout]);
    clearTimeout(timer);
    if (this.#timer !== null) clearTimeout(this.#timer);
    if (this.#batchEnd === 0 && !isStandardStream(this.#options.path)) close(this.#fd, ignore);
  }

  #batchDone(): Promise<void> {
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  #start(): void {
    if (this.at === 0) return;
    this.#batch = this.buffer;
    this.#batchFd = this.#fd;
    this.#batchAt = 0;
    this.#batchEnd = this.at;
    this.buffer = this.#spare;
    this.#spare = this.#batch;
    this.at = 0;
    this.#writeNext();
  }

  #writeNext(): void {
    let end = this.#batchEnd;
    if (!this.#isFile && end - this.#batchAt > PIPE_PIECE_BYTES) {
      end = this.#batch.lastIndexOf(NEWLINE, this.#batchAt + PIPE_PIECE_BYTES - 1) + 1;
      // Only after a torn write can a piece without a line end be left.
      if (end <= this.#batchAt) end = this.#batchAt + PIPE_PIECE_BYTES;
    }
    write(this.#batchFd, this.#batch, this.#batchAt, end - this.#batchAt, null, this.#onWritten);
  }

  #written(error: NodeJS.ErrnoException | null, written: number): void {
    if (error !== null && (error.code === "EAGAIN" || error.code === "EINTR")) {
      setTimeout(this.#step, RETRY_MS);
      return;
    }
    if (error === null) this.#batchAt += written;
    else this.#lose(error);
    if (this.#batchAt < this.#batchEnd) {
      this.#writeNext();
      return;
    }
    this.#batchEnd = 0;
    for (const resolve of this.#waiting.splice(0)) resolve();
    if (this.at >= FLUSH_BYTES) this.#start();
    else if (this.at > 0) this.#timer ??= setTimeout(this.#onTimer, FLUSH_MS);
  }

  #lose(error: NodeJS.ErrnoException): void {
    let lines = 0;
    for (let i = this.#batchAt; i < this.#batchEnd; i += 1) if (this.#batch[i] === NEWLINE) lines += 1;
    this.#batchAt = this.#batchEnd;
    this.#options.onDropped(lines, error.message);
  }
}

const isStandardStream = (path: string): boolean => path === "stdout" || path === "stderr";
/** A file that will not close takes nothing from us. */
const ignore = (): void => {};

/** Appending: several workers write to one file, and each write of whole lines lands in one piece. */
function openPath(path: string): number {
  return path === "stdout" ? 1 : path === "stderr" ? 2 : openSync(path, "a", FILE_MODE);
}
