// What was used, as it is kept: hours and days of each series in SQLite, with sums that nothing is taken out of. One
// transaction for each look, so that a process that is killed has written all of a look or nothing.
import { Database, type Statement } from "bun:sqlite";
import { chmodSync, mkdirSync } from "node:fs";
import { dirname } from "node:path";
import { COUNTS, KINDS, type Series, type SubjectKind } from "../engines/usage/table.ts";

const HOUR_MS = 3_600_000;
const DAY_MS = 86_400_000;
/** Another program may read the file; it has to be through in this time. */
const BUSY_MS = 2000;
/** Ids of series that are remembered; of more they are looked up. */
const IDS_MAX = 100_000;
const FORM = 1;

/** The counts of a row by their names, in the order of engines/usage/table.ts. */
export const COLUMNS = [
  "requests",
  "errors",
  "bytes_in",
  "bytes_out",
  "units",
  "tokens_in",
  "tokens_out",
  "millis",
] as const;

const TABLES = ["hours", "days", "sums"] as const;

const SCHEMA = `
CREATE TABLE IF NOT EXISTS series (id INTEGER PRIMARY KEY, kind INTEGER NOT NULL, subject TEXT NOT NULL,
  route TEXT NOT NULL, class INTEGER NOT NULL, UNIQUE (kind, subject, route, class));
${TABLES.map(
  (name) => `CREATE TABLE IF NOT EXISTS ${name} (at INTEGER NOT NULL, series INTEGER NOT NULL,
  ${COLUMNS.map((column) => `${column} REAL NOT NULL`).join(", ")}, PRIMARY KEY (at, series)) WITHOUT ROWID;`,
).join("\n")}
CREATE TABLE IF NOT EXISTS notices (period TEXT NOT NULL, starts INTEGER NOT NULL, consumer TEXT NOT NULL,
  name TEXT NOT NULL, share INTEGER NOT NULL, PRIMARY KEY (period, consumer, name, share)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS deliveries (id INTEGER PRIMARY KEY, message TEXT NOT NULL, url TEXT NOT NULL,
  body TEXT NOT NULL, made INTEGER NOT NULL, tries INTEGER NOT NULL, due INTEGER NOT NULL);
CREATE INDEX IF NOT EXISTS due ON deliveries (due);
`;

/** What is to be added to a series. */
export interface Addition {
  readonly series: Series;
  /** In the order of COLUMNS. */
  readonly counts: ArrayLike<number>;
}

export interface UsageQuery {
  /** Milliseconds since 1970; `from` is part of it, `to` is not. */
  readonly from: number;
  readonly to: number;
  readonly by: "hour" | "day" | "month" | "all";
  /** What rows are told apart by beside the time. */
  readonly group: readonly Group[];
  readonly kind: SubjectKind | null;
  readonly subject: string | null;
  readonly route: string | null;
  readonly limit: number;
}

export const GROUPS = ["consumer", "route", "status"] as const;
export type Group = (typeof GROUPS)[number];

/** One row of an answer: what it is about, and the counts. */
export type UsageRow = Readonly<Record<(typeof COLUMNS)[number], number>> & {
  /** `2026-11-24T13`, `2026-11-24` or `2026-11`; "" for all. */
  readonly time: string;
  readonly kind: SubjectKind | "";
  readonly subject: string;
  readonly route: string;
  /** `2xx`; "" where it is not told apart. */
  readonly status: string;
};

export class UsageStore {
  readonly db: Database;
  readonly #ids = new Map<string, number>();
  readonly #add: Readonly<Record<(typeof TABLES)[number], Statement>>;
  readonly #find: Statement<{ id: number }, [number, string, string, number]>;
  readonly #make: Statement<{ id: number }, [number, string, string, number]>;

  /** `path` null: in memory. Throws an Error for a file that cannot be used. */
  constructor(path: string | null) {
    this.db = open(path);
    const add = (table: string): Statement =>
      this.db.query(
        `INSERT INTO ${table} VALUES (?, ?, ${COLUMNS.map(() => "?").join(", ")}) ON CONFLICT DO UPDATE SET ` +
          COLUMNS.map((column) => `${column} = ${column} + excluded.${column}`).join(", "),
      );
    this.#add = { hours: add("hours"), days: add("days"), sums: add("sums") };
    const where = "kind = ? AND subject = ? AND route = ? AND class = ?";
    this.#find = this.db.query(`SELECT id FROM series WHERE ${where}`);
    this.#make = this.db.query("INSERT INTO series (kind, subject, route, class) VALUES (?, ?, ?, ?) RETURNING id");
  }

  /** Adds all of it, or throws and adds nothing. */
  add(additions: readonly Addition[], nowMs: number): void {
    const hour = Math.floor(nowMs / HOUR_MS);
    const day = Math.floor(nowMs / DAY_MS);
    this.db.transaction(() => {
      for (const { series, counts } of additions) {
        const id = this.#idOf(series);
        const values = Array.from({ length: COUNTS }, (_, i) => counts[i]!);
        this.#add.hours.run(hour, id, ...values);
        this.#add.days.run(day, id, ...values);
        this.#add.sums.run(0, id, ...values);
      }
    })();
  }

  #idOf({ kind, subject, route, statusClass }: Series): number {
    const key = `${kind}\n${subject}\n${route}\n${statusClass}`;
    const known = this.#ids.get(key);
    if (known !== undefined) return known;
    const asked = [KINDS.indexOf(kind), subject, route, statusClass] as const;
    const { id } = this.#find.get(...asked) ?? this.#make.get(...asked)!;
    if (this.#ids.size >= IDS_MAX) this.#ids.clear();
    this.#ids.set(key, id);
    return id;
  }

  /** A transaction has been taken back: ids that were made in it are not there. */
  forgetIds(): void {
    this.#ids.clear();
  }

  /** Takes out what is older than is to be kept. Sums stay. */
  sweep(nowMs: number, keep: { readonly hours: number; readonly days: number }): void {
    this.db.transaction(() => {
      this.db.run("DELETE FROM hours WHERE at < ?", [Math.floor(nowMs / HOUR_MS) - keep.hours]);
      this.db.run("DELETE FROM days WHERE at < ?", [Math.floor(nowMs / DAY_MS) - keep.days]);
      this.db.run("DELETE FROM notices WHERE starts < ?", [nowMs - 62 * DAY_MS]);
    })();
  }

  /** At most `limit` rows in the order of their time, and one more where there are more. */
  query({ from, to, by, group, kind, subject, route, limit }: UsageQuery): UsageRow[] {
    const table = by === "hour" ? "hours" : by === "all" ? "sums" : "days";
    const unit = by === "hour" ? HOUR_MS : DAY_MS;
    const conditions: string[] = [];
    const values: (string | number)[] = [];
    const where = (text: string, ...given: (string | number)[]): void => {
      conditions.push(text);
      values.push(...given);
    };
    const [first, end] = [Math.floor(from / unit), Math.ceil(to / unit)];
    // Of one subject each time is looked up by itself: its rows are few among those of all others.
    if (by !== "all" && subject !== null)
      where("at IN (SELECT value FROM json_each(?))", this.#times(table, first, end));
    else if (by !== "all") where("at >= ? AND at < ?", first, end);
    if (kind !== null) where("kind = ?", KINDS.indexOf(kind));
    if (subject !== null) where("subject = ?", subject);
    if (route !== null) where("route = ?", route);
    const time = by === "month" ? `strftime('%Y-%m', at * 86400, 'unixepoch')` : by === "all" ? "0" : "at";
    const columns = {
      consumer: ["kind", "subject"],
      route: ["route"],
      status: ["class"],
    } as const;
    const grouped = ["time", ...group.flatMap((each) => columns[each])];
    const sql =
      `SELECT ${time} AS time, ${group.includes("consumer") ? "kind, subject" : "-1 AS kind, '' AS subject"}, ` +
      `${group.includes("route") ? "route" : "'' AS route"}, ${group.includes("status") ? "class" : "-1 AS class"}, ` +
      `${COLUMNS.map((column) => `sum(${column}) AS ${column}`).join(", ")} ` +
      `FROM ${subject === null ? `${table} JOIN series` : `series CROSS JOIN ${table}`} ON series.id = series ` +
      `${conditions.length === 0 ? "" : `WHERE ${conditions.join(" AND ")} `}` +
      `GROUP BY ${grouped.join(", ")} ` +
      `ORDER BY ${grouped.join(", ")} LIMIT ?`;
    const rows = this.db.query<Found, (string | number)[]>(sql).all(...values, limit + 1);
    return rows.map((row) => readRow(row, by));
  }

  /** The hours or days from one to another that there may be anything of, as JSON. */
  #times(table: "hours" | "days" | "sums", first: number, end: number): string {
    const { least, most } = this.db
      .query<{ least: number | null; most: number | null }, []>(
        `SELECT (SELECT min(at) FROM ${table}) AS least, (SELECT max(at) FROM ${table}) AS most`,
      )
      .get()!;
    const from = Math.max(first, least ?? end);
    const count = Math.max(0, Math.min(end, (most ?? from) + 1) - from);
    return JSON.stringify(Array.from({ length: count }, (_, i) => from + i));
  }

  close(): void {
    this.db.close();
  }
}

/** Opens the file, and makes it where it is not there. Throws an Error that names it. */
function open(path: string | null): Database {
  let db: Database | null = null;
  try {
    if (path !== null) mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
    db = new Database(path ?? ":memory:", { create: true, strict: true });
    // Who has used what is nobody else's business; SQLite gives its other files the same rights.
    if (path !== null) chmodSync(path, 0o600);
    db.run(`PRAGMA busy_timeout = ${BUSY_MS}`);
    const { user_version: form } = db.query<{ user_version: number }, []>("PRAGMA user_version").get()!;
    if (form > FORM) throw new Error("it was written by a newer version of Sluice");
    // What was committed is with the system, so it outlives a process that is killed.
    db.run("PRAGMA journal_mode = WAL");
    db.run("PRAGMA synchronous = NORMAL");
    db.run(SCHEMA);
    db.run(`PRAGMA user_version = ${FORM}`);
    return db;
  } catch (error) {
    db?.close();
    throw new Error(`usage cannot be kept in ${path}: ${(error as Error).message}`, { cause: error });
  }
}

type Found = Record<(typeof COLUMNS)[number], number> & {
  readonly time: number | string;
  readonly kind: number;
  readonly subject: string;
  readonly route: string;
  readonly class: number;
};

function readRow({ time, kind, subject, route, class: digit, ...counts }: Found, by: UsageQuery["by"]): UsageRow {
  return {
    time: timeText(time, by),
    kind: KINDS[kind] ?? "",
    subject,
    route,
    status: digit < 0 ? "" : digit === 0 ? "none" : `${digit}xx`,
    ...counts,
    millis: Math.round(counts.millis),
  };
}

function timeText(time: number | string, by: UsageQuery["by"]): string {
  if (by === "all") return "";
  if (typeof time === "string") return time;
  const text = new Date(time * (by === "hour" ? HOUR_MS : DAY_MS)).toISOString();
  return by === "hour" ? `${text.slice(0, 13)}:00Z` : text.slice(0, 10);
}
