// One thread's side of metering: finds the row of a request that has ended, and counts it there.
import { createHash } from "node:crypto";
import { type Series, type SubjectKind, shortName, UsageTable, type Used } from "./table.ts";

/** What is looked at of an exchange that has ended. */
export interface Ended {
  readonly route: { readonly name: string; readonly index: number } | null;
  readonly identity: { readonly consumer: string; readonly user: string; readonly issuer: string } | null;
  readonly status: number;
  readonly fault: unknown;
  readonly bytesIn: number;
  readonly bytesOut: number;
  readonly cost: number;
  readonly tokens: { readonly input: number; readonly output: number } | null;
}

/** First digits of statuses, and 0 for none. */
const CLASSES = 6;
const SECOND_MS = 1000;
/** Rows that wait for the supervisor to be free again are not looked for more often than this. */
const FULL_MS = 100;

const digest = (text: string): string => createHash("sha256").update(text).digest("hex");

/** The name under which somebody's use is written down. */
export function subjectOf({ consumer, user, issuer }: NonNullable<Ended["identity"]>): string {
  const subject = consumer !== "" ? consumer : issuer === "" ? user : `${user} (${issuer})`;
  return shortName(subject, "subject", digest);
}

export class UsageMeter {
  readonly #table: UsageTable;
  readonly #names: readonly string[];
  /** The same names as rows have them. */
  readonly #routes: readonly string[];
  /** Rows of those who have some, by route and class of status: there may be many routes, of which few have a row. */
  readonly #known: Readonly<Record<SubjectKind, Map<string, Map<number, number>>>> = {
    nobody: new Map(),
    user: new Map(),
    consumer: new Map(),
  };
  /** Subjects of users by issuer, so that no text is made for each request. */
  readonly #issuers = new Map<string, Map<string, string>>();
  readonly #max: number;
  readonly #used: { -readonly [Key in keyof Used]: Used[Key] } = {
    isError: false,
    bytesIn: 0,
    bytesOut: 0,
    units: 0,
    tokensIn: 0,
    tokensOut: 0,
    ms: 0,
  };
  #fullUntil = 0;

  /** `memory` is this thread's alone. */
  constructor(memory: SharedArrayBuffer, routes: readonly string[]) {
    this.#table = new UsageTable(memory);
    this.#names = routes;
    this.#routes = routes.map((name) => shortName(name, "route", digest));
    this.#max = this.#table.room;
    const places = new Map(this.#routes.map((name, at) => [name, at]));
    this.#table.forEach((row, series) => {
      const route = places.get(series.route);
      if (route !== undefined) this.#remember(series.kind, series.subject, route * CLASSES + series.statusClass, row);
    });
  }

  /** Counts a request that has ended after `ms`; one that no route has taken is nobody's use. */
  record(x: Ended, ms: number, nowMs: number): void {
    const { route, identity, tokens } = x;
    if (route === null || this.#max === 0) return;
    const kind = identity === null ? "nobody" : identity.consumer === "" ? "user" : "consumer";
    const subject = kind === "nobody" ? "" : kind === "consumer" ? identity!.consumer : this.#userOf(identity!);
    const statusClass = Math.floor(x.status / 100) % CLASSES;
    const at = this.#placeOf(route) * CLASSES + statusClass;
    const row = this.#known[kind].get(subject)?.get(at) ?? this.#add(kind, subject, at, nowMs);
    const used = this.#used;
    used.isError = x.fault !== null || x.status >= 500;
    used.bytesIn = x.bytesIn;
    used.bytesOut = x.bytesOut;
    used.units = x.cost;
    used.tokensIn = tokens === null ? 0 : tokens.input;
    used.tokensOut = tokens === null ? 0 : tokens.output;
    used.ms = ms;
    this.#table.count(row, used, Math.floor(nowMs / SECOND_MS));
  }

  /** The route may be one of a plan that a reload has replaced since; one that is gone counts beyond the last place. */
  #placeOf({ name, index }: NonNullable<Ended["route"]>): number {
    if (this.#names[index] === name) return index;
    const at = this.#names.indexOf(name);
    return at < 0 ? this.#names.length : at;
  }

  #userOf(identity: NonNullable<Ended["identity"]>): string {
    const { user, issuer } = identity;
    if (issuer === "") return user;
    let users = this.#issuers.get(issuer);
    if (users === undefined) this.#issuers.set(issuer, (users = new Map()));
    let subject = users.get(user);
    if (subject !== undefined) return subject;
    if (users.size > this.#max) users.clear();
    subject = subjectOf(identity);
    users.set(user, subject);
    return subject;
  }

  #add(kind: SubjectKind, subject: string, at: number, nowMs: number): number {
    const route = this.#routes[Math.floor(at / CLASSES)];
    if (route === undefined || nowMs < this.#fullUntil) return 0;
    const series = { kind, subject: shortName(subject, "subject", digest), route, statusClass: at % CLASSES };
    const row = this.#table.add(series, Math.floor(nowMs / SECOND_MS), (freed, former) => this.#forget(freed, former));
    if (row === 0) this.#fullUntil = nowMs + FULL_MS;
    else this.#remember(kind, subject, at, row);
    return row;
  }

  /** Only those who have a row are remembered, so that there are no more of them than rows. */
  #remember(kind: SubjectKind, subject: string, at: number, row: number): void {
    const all = this.#known[kind];
    let rows = all.get(subject);
    if (rows === undefined) all.set(subject, (rows = new Map()));
    rows.set(at, row);
  }

  /** A row belongs to another series from now on. */
  #forget(row: number, { kind, subject, route, statusClass }: Series): void {
    const place = this.#routes.indexOf(route);
    if (place < 0) return; // of a configuration before this one
    const at = place * CLASSES + statusClass;
    const all = this.#known[kind];
    if (this.#clear(all, subject, at, row)) return;
    // A name that was too long to be kept whole.
    for (const name of all.keys()) if (this.#clear(all, name, at, row)) return;
  }

  #clear(all: Map<string, Map<number, number>>, subject: string, at: number, row: number): boolean {
    const rows = all.get(subject);
    if (rows === undefined || rows.get(at) !== row) return false;
    rows.delete(at);
    if (rows.size === 0) all.delete(subject);
    return true;
  }
}
