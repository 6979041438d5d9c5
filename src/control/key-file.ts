// Kept answers on disk: a small database beside what else outlives the process. What was written is with the system
// before the call returns, so it outlives a process that is killed; a machine that loses its power may lose the last
// moments.
import { Database, type Statement } from "bun:sqlite";
import { chmodSync, closeSync, mkdirSync, openSync, rmSync } from "node:fs";
import { dirname } from "node:path";
import type { KeptAnswer } from "../pipeline/key-book.ts";

export interface KeptRow {
  readonly id: string;
  /** Milliseconds since 1970. */
  readonly untilMs: number;
  readonly answer: KeptAnswer;
}

interface Row {
  readonly id: string;
  readonly until: number;
  readonly status: number;
  readonly fields: string;
  readonly body: Uint8Array | null;
  readonly fingerprint: string;
}

const SCHEMA = `CREATE TABLE IF NOT EXISTS answers (id TEXT PRIMARY KEY, until REAL NOT NULL, status INTEGER NOT NULL,
fields TEXT NOT NULL, body BLOB, fingerprint TEXT NOT NULL)`;

export class KeyFile {
  readonly #database: Database;
  readonly #put: Statement;
  readonly #delete: Statement;

  private constructor(database: Database) {
    this.#database = database;
    this.#put = database.prepare("INSERT OR REPLACE INTO answers VALUES (?, ?, ?, ?, ?, ?)");
    this.#delete = database.prepare("DELETE FROM answers WHERE id = ?");
  }

  /** A file that is no database is begun anew. Throws an Error where the folder cannot be used. */
  static open(path: string): KeyFile {
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
    try {
      return KeyFile.#open(path);
    } catch (error) {
      if (
        (error as { code?: string }).code !== "SQLITE_NOTADB" &&
        (error as { code?: string }).code !== "SQLITE_CORRUPT"
      )
        throw error;
      for (const end of ["", "-wal", "-shm"]) rmSync(path + end, { force: true });
      return KeyFile.#open(path);
    }
  }

  static #open(path: string): KeyFile {
    closeSync(openSync(path, "a", 0o600)); // answers are somebody's; its companions get the same rights
    chmodSync(path, 0o600);
    const database = new Database(path, { create: true, strict: true });
    // Nothing waits for the disk: see above.
    database.exec("PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF; PRAGMA busy_timeout = 1000;");
    database.exec(SCHEMA);
    return new KeyFile(database);
  }

  /** All that hold, the oldest first. */
  *rows(now: number): Generator<KeptRow> {
    const all = this.#database.prepare<Row, [number]>("SELECT * FROM answers WHERE until > ? ORDER BY until");
    for (const { id, until, status, fields, body, fingerprint } of all.iterate(now))
      yield { id, untilMs: until, answer: { status, fields: JSON.parse(fields), body, fingerprint } };
  }

  put({ id, untilMs, answer }: KeptRow): void {
    const { status, fields, body, fingerprint } = answer;
    this.#put.run(id, untilMs, status, JSON.stringify(fields), body, fingerprint);
  }

  delete(id: string): void {
    this.#delete.run(id);
  }

  /** Removes those whose time is over. */
  sweep(now: number): void {
    this.#database.prepare("DELETE FROM answers WHERE until <= ?").run(now);
  }

  close(): void {
    this.#database.close();
  }
}
