// The log for operators: what happened to the proxy itself, one line each, on stderr. Requests go to the access log.
import { writeSync } from "node:fs";
import { wallClock } from "../core/clock.ts";

export type LogLevel = "debug" | "info" | "warn" | "error";
export type LogFields = Readonly<Record<string, string | number | boolean | null | undefined>>;

export interface Log {
  /** Whether lines of this level are written: spares the work of making expensive fields. */
  enabled(level: LogLevel): boolean;
  debug(message: string, fields?: LogFields): void;
  info(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
  error(message: string, fields?: LogFields): void;
  /** The same log with fields that every line carries. */
  with(fields: LogFields): Log;
}

/** A log whose level a reload may change; what `with` made of it before follows. */
export interface AdjustableLog extends Log {
  setLevel(level: LogLevel): void;
}

export interface LogOptions {
  /** Default `text`. */
  readonly format?: "text" | "json";
  /** Where lines go, each with its line end; stderr when absent. */
  readonly write?: (line: string) => void;
  /** Milliseconds since 1970, for tests. */
  readonly now?: () => number;
}

const RANK: Readonly<Record<LogLevel, number>> = { debug: 0, info: 1, warn: 2, error: 3 };
/** PIPE_BUF of Linux (pipe(7)): a write of up to this many bytes is never torn by one of another thread. */
const LINE_BYTES_MAX = 4096;
/** How long a text may be, tried in this order until the line fits. */
const TEXT_LIMITS: readonly number[] = [LINE_BYTES_MAX, 512, 64];
const STDERR = 2;
const WRITE_ATTEMPTS = 20;

/** A log that writes lines of `level` and above. Every thread makes its own: a line is one system call, so none is torn. */
export function createLog(level: LogLevel, options: LogOptions = {}): AdjustableLog {
  const write = options.write ?? writeToStderr;
  const now = options.now ?? wallClock;
  const format = options.format === "json" ? jsonLine : textLine;
  const threshold: Threshold = { rank: RANK[level] };
  const log = makeLog(
    threshold,
    (name, message, fields) => write(fitted(format, new Date(now()).toISOString(), name, message, fields)),
    {},
  );
  return {
    ...log,
    setLevel: (next) => {
      threshold.rank = RANK[next];
    },
  };
}

/** What a log and everything made from it share. */
interface Threshold {
  rank: number;
}
type Emit = (level: LogLevel, message: string, fields: LogFields) => void;
type Format = (time: string, level: LogLevel, message: string, fields: LogFields, textMax: number) => string;

function makeLog(threshold: Threshold, emit: Emit, base: LogFields): Log {
  const at = (level: LogLevel) => (message: string, fields?: LogFields) => {
    if (RANK[level] >= threshold.rank) emit(level, message, fields === undefined ? base : { ...base, ...fields });
  };
  return {
    enabled: (level) => RANK[level] >= threshold.rank,
    debug: at("debug"),
    info: at("info"),
    warn: at("warn"),
    error: at("error"),
    with: (fields) => makeLog(threshold, emit, { ...base, ...fields }),
  };
}

/** The first form of the line that fits into one atomic write; without its fields when even short ones are too many. */
function fitted(format: Format, time: string, level: LogLevel, message: string, fields: LogFields): string {
  for (const textMax of TEXT_LIMITS) {
    const line = format(time, level, message, fields, textMax);
    if (Buffer.byteLength(line) <= LINE_BYTES_MAX) return line;
  }
  return format(time, level, message, { truncated: true }, TEXT_LIMITS.at(-1)!);
}

function jsonLine(time: string, level: LogLevel, message: string, fields: LogFields, textMax: number): string {
  const line: Record<string, unknown> = { time, level, message: cut(message, textMax) };
  for (const [key, value] of Object.entries(fields))
    line[key] = typeof value === "string" ? cut(value, textMax) : value;
  return `${escapeControls(JSON.stringify(line))}\n`;
}

function textLine(time: string, level: LogLevel, message: string, fields: LogFields, textMax: number): string {
  let line = `${time} ${level.padEnd(5)} ${unbroken(cut(message, textMax))}`;
  for (const [key, value] of Object.entries(fields)) {
    if (value !== undefined) line += ` ${key}=${typeof value === "string" ? quoted(cut(value, textMax)) : value}`;
  }
  return `${line}\n`;
}

const cut = (text: string, max: number): string => (text.length <= max ? text : `${text.slice(0, max)}…`);
/** Plain when nothing in it could be mistaken for a separator, else as a JSON string. */
const quoted = (text: string): string =>
  /^[\w./:@+*%,[\]-]+$/.test(text) ? text : escapeControls(JSON.stringify(text));
/** A message stays readable without quotes, yet can neither end the line nor reach the terminal with an escape. */
const unbroken = (text: string): string => text.replace(/[\x00-\x1f\x7f-\x9f\u2028\u2029]/g, escapeOf);
/** JSON leaves DEL, C1 controls and the Unicode line ends alone; terminals and some readers do not. */
const escapeControls = (json: string): string => json.replace(/[\x7f-\x9f\u2028\u2029]/g, escapeOf);
const escapeOf = (char: string): string => `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`;

function writeToStderr(line: string): void {
  const bytes = Buffer.from(line);
  for (let attempt = 0; attempt < WRITE_ATTEMPTS; attempt += 1) {
    try {
      writeSync(STDERR, bytes);
      return;
    } catch (error) {
      // A full non-blocking pipe may take it in a moment; with stderr gone there is nobody left to tell.
      if ((error as NodeJS.ErrnoException).code !== "EAGAIN") return;
    }
  }
}
