// The events that have been taken and not been delivered yet, in one file: each is there once, and each destination
// has a
// place up to which it is done. Appended in transactions, so that what a crash takes is the last of them at most.
import { Database, type Statement } from "bun:sqlite";

export interface QueueOptions {
  /** The file; its folder must be there. */
  readonly path: string;
  /** Bytes of events beyond which something is dropped. */
  readonly bytesMax: number;
  /** What is dropped then: those that wait the longest, or those that come. */
  readonly whenFull: "oldest" | "newest";
  /**
   * Whether each transaction is forced to the disk: with it a machine that loses its power loses no more than a process
   * that is killed.
   */
  readonly sync: boolean;
}

export interface Queued {
  readonly seq: number;
  /** When it was taken: milliseconds since 1970. */
  readonly at: number;
  /** The event as JSON. */
  readonly body: string;
}

export interface DeadLetter extends Queued {
  readonly destination: string;
  readonly why: string;
}

/** Dead letters that are kept of each destination; the oldest go first. */
const DEAD_MAX = 100_000;
/** Rows that are removed at a time, so that no transaction takes long. */
const REMOVED_AT_ONCE = 5000;

const TABLES = `
  CREATE TABLE IF NOT EXISTS event (seq INTEGER PRIMARY KEY AUTOINCREMENT, at INTEGER NOT NULL, body TEXT NOT NULL);
  CREATE TABLE IF NOT EXISTS place (destination TEXT PRIMARY KEY, seq INTEGER NOT NULL) WITHOUT ROWID;
  CREATE TABLE IF NOT EXISTS dead (
    destination TEXT NOT NULL, seq INTEGER NOT NULL, at INTEGER NOT NULL, why TEXT NOT NULL, body TEXT NOT NULL,
    PRIMARY KEY (destination, seq)
  ) WITHOUT ROWID;
`;

export class Queue {
  readonly #db: Database;
  readonly #options: QueueOptions;
  readonly #insert: Statement;
  readonly #select: Statement<Queued, [number, number]>;
  /** Of each destination, the last event that is behind it. */
  readonly #places = new Map<string, number>();
  readonly #moved = new Set<string>();
  /** Bytes of the events in it. */
  #bytes: number;
  #last: number;
  /** Events that were dropped as there was no room, since it was opened. */
  dropped = 0;

  /** Throws an Error when the file cannot be opened or is none of ours. */
  constructor(options: QueueOptions) {
    this.#options = options;
    this.#db = new Database(options.path, { create: true, strict: true });
    this.#db.run("PRAGMA journal_mode = WAL");
    this.#db.run(`PRAGMA synchronous = ${options.sync ? "FULL" : "NORMAL"}`);
    this.#db.run(TABLES);
    this.#insert = this.#db.prepare("INSERT INTO event (at, body) VALUES (?, ?)");
    this.#select = this.#db.prepare("SELECT seq, at, body FROM event WHERE seq > ? ORDER BY seq LIMIT ?");
    const sum = this.#db
      .query<{ bytes: number | null }, []>("SELECT SUM(OCTET_LENGTH(body)) AS bytes FROM event")
      .get();
    this.#bytes = sum?.bytes ?? 0;
    const last = this.#db.query<{ seq: number }, []>("SELECT seq FROM sqlite_sequence WHERE name = 'event'").get();
    this.#last = last?.seq ?? 0;
    for (const { destination, seq } of this.#db
      .query<{ destination: string; seq: number }, []>("SELECT destination, seq FROM place")
      .all())
      this.#places.set(destination, seq);
  }

  /** Bytes that wait. */
  get bytes(): number {
    return this.#bytes;
  }

  /**
   * Takes events, all in one transaction, and gives the number of the first; 0 where there was no room for them. Throws
   * an Error when the disk does not take them: then none is in it.
   */
  append(bodies: readonly string[], nowMs: number): number {
    let size = 0;
    for (const body of bodies) size += Buffer.byteLength(body);
    const room = this.#options.bytesMax - this.#bytes;
    if (size > room) {
      if (this.#options.whenFull === "newest" || size > this.#options.bytesMax) {
        this.dropped += bodies.length;
        return 0;
      }
      this.#dropOldest(size - room);
    }
    this.#db.transaction(() => {
      for (const body of bodies) this.#insert.run(nowMs, body);
    })();
    this.#last += bodies.length;
    this.#bytes += size;
    return this.#last - bodies.length + 1;
  }

  /** Has this destination begin: with what comes from now on where it is new. */
  open(destination: string): void {
    if (this.#places.has(destination)) return;
    this.#places.set(destination, this.#last);
    this.#moved.add(destination);
  }

  /** Forgets destinations that are no longer there. */
  keepOnly(destinations: readonly string[]): void {
    for (const destination of [...this.#places.keys()]) {
      if (destinations.includes(destination)) continue;
      this.#places.delete(destination);
      this.#moved.delete(destination);
      this.#db.run("DELETE FROM place WHERE destination = ?", [destination]);
    }
  }

  /** The next events behind this one, oldest first. */
  after(seq: number, count: number): Queued[] {
    return this.#select.all(seq, count);
  }

  /** Up to where this destination is done. */
  placeOf(destination: string): number {
    return this.#places.get(destination) ?? this.#last;
  }

  /** Everything up to this event is done with, for this destination. Kept on the disk by the next `settle`. */
  done(destination: string, seq: number): void {
    this.#places.set(destination, seq);
    this.#moved.add(destination);
  }

  /** Events that this destination has still to get. */
  waiting(destination: string): number {
    const sql = "SELECT COUNT(*) AS count FROM event WHERE seq > ?";
    return this.#db.query<{ count: number }, [number]>(sql).get(this.placeOf(destination))?.count ?? 0;
  }

  /** When the oldest event that this destination has still to get was taken; null when there is none. */
  oldest(destination: string): number | null {
    return this.after(this.placeOf(destination), 1)[0]?.at ?? null;
  }

  /** Writes down the places, and removes what all destinations have behind them. To be called about once a second. */
  settle(): void {
    const write = this.#db.query("INSERT OR REPLACE INTO place (destination, seq) VALUES (?, ?)");
    this.#db.transaction(() => {
      for (const destination of this.#moved) write.run(destination, this.#places.get(destination)!);
    })();
    this.#moved.clear();
    const done = Math.min(this.#last, ...this.#places.values());
    while (this.#remove(done) === REMOVED_AT_ONCE);
  }

  #remove(upTo: number): number {
    const sql =
      "DELETE FROM event WHERE seq IN (SELECT seq FROM event WHERE seq <= ? ORDER BY seq LIMIT ?) RETURNING OCTET_LENGTH(body) AS size";
    const gone = this.#db.query<{ size: number }, [number, number]>(sql).all(upTo, REMOVED_AT_ONCE);
    for (const { size } of gone) this.#bytes -= size;
    return gone.length;
  }

  /** Makes room for so many bytes. */
  #dropOldest(bytes: number): void {
    const target = this.#bytes - bytes;
    while (this.#bytes > target) {
      const [first] = this.after(0, 1);
      if (first === undefined) return;
      const upTo = first.seq + DROPPED_AT_ONCE - 1;
      this.dropped += this.#remove(upTo);
    }
  }

  /** What this destination will never take. */
  bury(destination: string, { seq, at, body }: Queued, why: string): void {
    const sql = "INSERT OR REPLACE INTO dead (destination, seq, at, why, body) VALUES (?, ?, ?, ?, ?)";
    this.#db.query(sql).run(destination, seq, at, why.slice(0, 500), body);
    const over =
      "DELETE FROM dead WHERE destination = ? AND seq <= (SELECT seq FROM dead WHERE destination = ? ORDER BY seq DESC LIMIT 1 OFFSET ?)";
    this.#db.query(over).run(destination, destination, DEAD_MAX);
  }

  /** The oldest of a destination behind this one. */
  deadLetters(destination: string, behind: number, count: number): DeadLetter[] {
    const sql =
      "SELECT destination, seq, at, why, body FROM dead WHERE destination = ? AND seq > ? ORDER BY seq LIMIT ?";
    return this.#db.query<DeadLetter, [string, number, number]>(sql).all(destination, behind, count);
  }

  deadCount(destination: string): number {
    const sql = "SELECT COUNT(*) AS count FROM dead WHERE destination = ?";
    return this.#db.query<{ count: number }, [string]>(sql).get(destination)?.count ?? 0;
  }

  /** Dead letters that have arrived after all. */
  unbury(destination: string, letters: readonly DeadLetter[]): void {
    const remove = this.#db.query("DELETE FROM dead WHERE destination = ? AND seq = ?");
    this.#db.transaction(() => {
      for (const { seq } of letters) remove.run(destination, seq);
    })();
  }

  close(): void {
    this.settle();
    this.#db.close();
  }
}

/** Events that are dropped at a time where there is no room. */
const DROPPED_AT_ONCE = 100;
