// Consumers in a file of SQLite: what was written holds whatever happens to the process, and other processes that have
// the same file see it too.
import { Database } from "bun:sqlite";
import { closeSync, mkdirSync, openSync } from "node:fs";
import { dirname } from "node:path";
import { type ConsumerRecord, type Content, REMOVED_MS } from "./consumer-record.ts";

/** How long another process may hold up a change. */
const BUSY_MS = 2000;

interface Row {
  readonly name: string;
  readonly version: number;
  readonly changed_at: number;
  readonly content: string | null;
}

export class ConsumerStore {
  readonly #db: Database;
  /** The number of the last change that was seen here. */
  #seen = 0;
  #dataVersion = -1;

  /** Opens a file, or memory for null. Throws an Error that says why it cannot be used. */
  constructor(file: string | null, now: number) {
    if (file !== null) {
      mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
      closeSync(openSync(file, "a", 0o600)); // its companions get the same rights
    }
    this.#db = new Database(file ?? ":memory:", { create: true, strict: true });
    this.#db.run(`PRAGMA busy_timeout = ${BUSY_MS}`);
    this.#db.run("PRAGMA journal_mode = WAL");
    // A key is shown once: it must not be lost with the power either.
    this.#db.run("PRAGMA synchronous = FULL");
    this.#db.run(
      "CREATE TABLE IF NOT EXISTS consumers (name TEXT PRIMARY KEY, version INTEGER NOT NULL, changed_at INTEGER NOT NULL, seq INTEGER NOT NULL, content TEXT) WITHOUT ROWID",
    );
    this.#db.run("CREATE INDEX IF NOT EXISTS by_seq ON consumers (seq)");
    this.#db.run("CREATE TABLE IF NOT EXISTS marks (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID");
    this.#db.query("DELETE FROM consumers WHERE content IS NULL AND changed_at < ?").run(now - REMOVED_MS);
  }

  /** As `every`, for the start: what others write later is news. */
  all(): Generator<ConsumerRecord> {
    this.#seen = this.#lastSeq();
    this.#dataVersion = this.#readDataVersion();
    return this.every();
  }

  /** All of them, removed ones included, without having all in memory at a time. */
  *every(): Generator<ConsumerRecord> {
    const rows = this.#db.query<Row, []>("SELECT name, version, changed_at, content FROM consumers").iterate();
    for (const row of rows) yield recordOf(row);
  }

  get(name: string): ConsumerRecord | null {
    const row = this.#db
      .query<Row, [string]>("SELECT name, version, changed_at, content FROM consumers WHERE name = ?")
      .get(name);
    return row === null ? null : recordOf(row);
  }

  /** Those after a name whose names begin so, in their order. */
  page(after: string, prefix: string, limit: number): ConsumerRecord[] {
    return this.#db
      .query<Row, [string, string, string, number]>(
        "SELECT name, version, changed_at, content FROM consumers WHERE name > ? AND name >= ? AND name < ? AND content IS NOT NULL ORDER BY name LIMIT ?",
      )
      .all(after, prefix, `${prefix}\x7f`, limit)
      .map(recordOf);
  }

  /**
   * Writes a record in place of the one with this version; 0 for none that is there. False where it is another by now.
   */
  write(record: ConsumerRecord, before: number): boolean {
    return this.#db
      .transaction((): boolean => {
        if ((this.get(record.name)?.version ?? 0) !== before) return false;
        this.put(record);
        return true;
      })
      .immediate();
  }

  /** Writes a record in place of whatever is there. */
  put({ name, version, changedAt, content }: ConsumerRecord): void {
    const text = content === null ? null : JSON.stringify(content);
    this.#db
      .query("INSERT OR REPLACE INTO consumers (name, version, changed_at, seq, content) VALUES (?, ?, ?, ?, ?)")
      .run(name, version, changedAt, this.#lastSeq() + 1, text);
  }

  /** What has been written since the last time, by other processes or this one. Cheap where nothing was by others. */
  news(): ConsumerRecord[] {
    const dataVersion = this.#readDataVersion();
    if (dataVersion === this.#dataVersion) return [];
    const rows = this.#db
      .query<Row & { seq: number }, [number]>(
        "SELECT name, version, changed_at, content, seq FROM consumers WHERE seq > ? ORDER BY seq",
      )
      .all(this.#seen);
    for (const { seq } of rows) this.#seen = seq;
    this.#dataVersion = dataVersion; // what could not be read is still news
    return rows.map(recordOf);
  }

  /** A number that is kept under a name; 0 at first. */
  mark(name: string): number {
    return this.#db.query<{ value: number }, [string]>("SELECT value FROM marks WHERE name = ?").get(name)?.value ?? 0;
  }
  setMark(name: string, value: number): void {
    this.#db.query("INSERT OR REPLACE INTO marks (name, value) VALUES (?, ?)").run(name, value);
  }

  /** Runs many changes as one. */
  together(work: () => void): void {
    this.#db.transaction(work).immediate();
  }

  close(): void {
    this.#db.close();
  }

  #lastSeq(): number {
    return this.#db.query<{ seq: number | null }, []>("SELECT MAX(seq) AS seq FROM consumers").get()?.seq ?? 0;
  }
  /** It changes when another connection has written. */
  #readDataVersion(): number {
    return this.#db.query<{ data_version: number }, []>("PRAGMA data_version").get()!.data_version;
  }
}

const recordOf = ({ name, version, changed_at: changedAt, content }: Row): ConsumerRecord => ({
  name,
  version,
  changedAt,
  content: content === null ? null : (JSON.parse(content) as Content),
});
