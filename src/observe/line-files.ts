// Files that lines are appended to beside the access log: one writer for each in a thread, however many write to it.
import { BatchWriter } from "./batch-writer.ts";
import type { Log } from "./log.ts";

/** Longer lines are the writer's business to cut; one that is not is left out. */
const LINE_BYTES_MAX = 65_536;
const CLOSE_MS = 1000;
/** Losses are told at once, then summed up at this pace: a full disk must not fill the operators' log. */
const TELL_EVERY_MS = 10_000;
const LINE_END = 0x0a;

class LineFile {
  readonly writer: BatchWriter;
  readonly #path: string;
  readonly #log: Log;
  #toldAt = Number.NEGATIVE_INFINITY;
  #untold = 0;

  /** Throws an Error that names the file. */
  constructor(path: string, log: Log) {
    this.#path = path;
    this.#log = log;
    try {
      this.writer = new BatchWriter({ path, lineBytesMax: LINE_BYTES_MAX, onDropped: (n, why) => this.#lost(n, why) });
    } catch (error) {
      throw new Error(`cannot open ${path}: ${(error as Error).message}`, { cause: error });
    }
  }

  /** Takes a line without its end. Never waits. */
  write(line: string): void {
    const { writer } = this;
    if (Buffer.byteLength(line) >= LINE_BYTES_MAX) return this.#lost(1, "the line is too long");
    if (!writer.reserve()) return;
    const end = writer.at + writer.buffer.write(line, writer.at);
    writer.buffer[end] = LINE_END;
    writer.commit(end + 1);
  }

  #lost(lines: number, why: string): void {
    this.#untold += lines;
    const now = performance.now();
    if (now - this.#toldAt < TELL_EVERY_MS) return;
    this.#toldAt = now;
    this.#log.warn("lines of a log were dropped", { path: this.#path, lines: this.#untold, why });
    this.#untold = 0;
  }
}

export class LineFiles {
  readonly #files = new Map<string, LineFile>();
  readonly #log: Log;

  constructor(log: Log) {
    this.#log = log;
  }

  /** The file of this path, which is opened when it is not yet. Throws an Error that names it. */
  open(path: string): { write(line: string): void } {
    const known = this.#files.get(path);
    if (known !== undefined) return known;
    const file = new LineFile(path, this.#log);
    this.#files.set(path, file);
    return file;
  }

  /** Closes those that nobody writes to any more. */
  keep(paths: ReadonlySet<string>): void {
    for (const [path, { writer }] of this.#files) {
      if (paths.has(path)) continue;
      this.#files.delete(path);
      void writer.close(CLOSE_MS);
    }
  }

  /** Opens all anew, after they were renamed (log rotation); goes on with the old one where that fails. */
  async reopen(): Promise<void> {
    for (const [path, { writer }] of this.#files) {
      await writer.reopen().catch((error: Error) => {
        this.#log.error("cannot open a log again; going on with the old file", { path, error: error.message });
      });
    }
  }

  /** Writes what is left, for at most a second. */
  async close(): Promise<void> {
    await Promise.all([...this.#files.values()].map(({ writer }) => writer.close(CLOSE_MS)));
  }
}
