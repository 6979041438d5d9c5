// The access log: one line for each finished request, cheap enough for the hot path.
import { wallClock } from "../core/clock.ts";
import { type AccessEntry, LINE_BYTES_MAX, LineWriter, type SessionEntry } from "./access-line.ts";
import { BatchWriter } from "./batch-writer.ts";
import type { Log } from "./log.ts";

/** The `log.access` of the configuration. */
export interface AccessLogOptions {
  /** `stdout`, `stderr` or a file. */
  readonly path: string;
  readonly format: "json" | "combined" | "common" | "off";
  /** Share of the requests that are logged: `10%`. */
  readonly sample: string;
}

export interface AccessLogHooks {
  /** Where it is said that lines were lost. */
  readonly log?: Log;
  /** Called with the number of lines that were lost, for metrics. */
  readonly onDropped?: (lines: number) => void;
  /** Milliseconds since 1970 and a number from 0 up to 1, for tests. */
  readonly now?: () => number;
  readonly random?: () => number;
}

export interface AccessLog {
  /** False when nothing is ever written: the caller can spare itself the entry. */
  readonly enabled: boolean;
  /** Lines lost since the start. */
  readonly dropped: number;
  /** Takes the line of a request. Never waits and never throws; reads all of `entry` before it returns. */
  record(entry: AccessEntry): void;
  /** The same for a connection or session of layer 4. */
  recordSession(entry: SessionEntry): void;
  /** Resolves once every line recorded so far is written, or lost and counted. */
  flush(): Promise<void>;
  /** Opens the file again after it was renamed (log rotation); goes on with the old one when that fails. */
  reopen(): Promise<void>;
  /** Writes what is left, for at most a second. */
  close(): Promise<void>;
}

const CLOSE_MS = 1000;
/** Losses are told at once, then summed up at this pace: a full disk must not fill the operators' log. */
const TELL_EVERY_MS = 10_000;

/** An access log that writes nothing. */
export const NO_ACCESS_LOG: AccessLog = Object.freeze({
  enabled: false,
  dropped: 0,
  record() {},
  recordSession() {},
  flush: () => Promise.resolve(),
  reopen: () => Promise.resolve(),
  close: () => Promise.resolve(),
});

/** Opens the access log of this thread. Throws, naming the file, when it cannot be opened. */
export function createAccessLog(options: AccessLogOptions | false, hooks: AccessLogHooks = {}): AccessLog {
  if (options === false || options.format === "off") return NO_ACCESS_LOG;
  const share = Number.parseFloat(options.sample) / 100;
  return share <= 0 ? NO_ACCESS_LOG : new FileAccessLog(options.path, options.format, share, hooks);
}

class FileAccessLog implements AccessLog {
  readonly enabled = true;
  dropped = 0;
  readonly #path: string;
  readonly #share: number;
  readonly #lines: LineWriter;
  readonly #writer: BatchWriter;
  readonly #hooks: AccessLogHooks;
  readonly #now: () => number;
  readonly #random: () => number;
  #toldAt = Number.NEGATIVE_INFINITY;
  #untold = 0;

  constructor(path: string, format: "json" | "combined" | "common", share: number, hooks: AccessLogHooks) {
    this.#path = path;
    this.#share = share;
    this.#lines = new LineWriter(format);
    this.#hooks = hooks;
    this.#now = hooks.now ?? wallClock;
    this.#random = hooks.random ?? Math.random;
    try {
      this.#writer = new BatchWriter({
        path,
        lineBytesMax: LINE_BYTES_MAX,
        onDropped: (lines, why) => this.#lost(lines, why),
      });
    } catch (error) {
      throw new Error(`cannot open the access log ${path}: ${(error as Error).message}`, { cause: error });
    }
  }

  record(entry: AccessEntry): void {
    if (this.#share < 1 && this.#random() >= this.#share) return;
    const writer = this.#writer;
    if (!writer.reserve()) return;
    writer.commit(this.#lines.write(writer.buffer, writer.at, entry, this.#now()));
  }

  recordSession(entry: SessionEntry): void {
    if (this.#share < 1 && this.#random() >= this.#share) return;
    const writer = this.#writer;
    if (!writer.reserve()) return;
    writer.commit(this.#lines.writeSession(writer.buffer, writer.at, entry, this.#now()));
  }

  flush(): Promise<void> {
    return this.#writer.flush();
  }

  async reopen(): Promise<void> {
    try {
      await this.#writer.reopen();
    } catch (error) {
      this.#hooks.log?.error("cannot open the access log again; going on with the old file", {
        path: this.#path,
        error: (error as Error).message,
      });
    }
  }

  async close(): Promise<void> {
    await this.#writer.close(CLOSE_MS);
    if (this.#untold > 0) this.#tell("until the end");
  }

  #lost(lines: number, why: string): void {
    this.dropped += lines;
    this.#untold += lines;
    this.#hooks.onDropped?.(lines);
    const now = this.#now();
    if (now - this.#toldAt < TELL_EVERY_MS) return;
    this.#toldAt = now;
    this.#tell(why);
  }

  #tell(why: string): void {
    this.#hooks.log?.warn("access log lines were dropped", { path: this.#path, lines: this.#untold, why });
    this.#untold = 0;
  }
}
