// The firewall of one route: transactions that are used again, and what is counted and told of them.
import type { WafConfig } from "../../config/schema-waf.ts";
import { Collections, type Host, type Report, type RuleSet, Transaction } from "../../engines/waf/index.ts";
import type { Exchange } from "../../pipeline/exchange.ts";
import { Places } from "../../pipeline/places.ts";
import type { LineSink, Shared } from "../../pipeline/shared.ts";
import { auditLine } from "./audit.ts";
import { Blocklists, geoOf } from "./lookups.ts";
import { matchOf, recordOf, type Trial, type Verdict, verdictOf, worstOf } from "./record.ts";
import { Secrets } from "./secrets.ts";

// A transaction takes some 100 KB with the Core Rule Set; requests that wait for their body have one each.
const POOL_MAX = 64;
/** Lines of the log in a second and thread: an attack is thousands of requests. All are counted. */
const LINES_MAX = 20;
/** The same for what is told to the admin API, and written to the audit log: the latter is to be whole. */
const RECORDS_MAX = 50;
const AUDITED_MAX = 1000;
const SECOND_MS = 1000;

/** So many in a second of the clock. */
class Allowance {
  readonly #max: number;
  #second = 0;
  #count = 0;

  constructor(max: number) {
    this.#max = max;
  }

  take(nowMs: number): boolean {
    const second = Math.floor(nowMs / SECOND_MS);
    this.#count = second === this.#second ? this.#count + 1 : 1;
    this.#second = second;
    return this.#count <= this.#max;
  }
}

export class Firewall {
  readonly #sample: number;
  readonly #random: () => number;
  readonly #rules: RuleSet;
  readonly #shared: Shared;
  readonly #route: string;
  readonly #host: Host;
  readonly #trial: Trial | null;
  readonly #audit: LineSink | null;
  readonly #secrets: Secrets;
  readonly #pool: Transaction[] = [];
  readonly #lines = new Allowance(LINES_MAX);
  readonly #records = new Allowance(RECORDS_MAX);
  readonly #audited = new Allowance(AUDITED_MAX);

  constructor(
    rules: RuleSet,
    { sample, dryRun, audit, geo }: WafConfig,
    route: string,
    shared: Shared,
    random: () => number = Math.random,
  ) {
    this.#rules = rules;
    this.#sample = sample;
    this.#random = random;
    this.#route = route;
    this.#shared = shared;
    this.#trial = dryRun === undefined ? null : { threshold: dryRun.threshold ?? 0 };
    this.#audit = audit === undefined ? null : shared.lines(audit.path);
    this.#secrets = new Secrets(audit?.redact ?? []);
    const places = geo === undefined ? null : shared.live(`database ${geo}`, (memory) => new Places(memory));
    const lists = new Blocklists(shared);
    this.#host = {
      now: () => shared.wallNow(),
      collections: new Collections(shared.memory(Collections.MEMORY, Collections.BYTES), shared.seed),
      geo: (address) => (places === null ? null : geoOf(places.current, address)),
      listed: (name) => lists.listed(name),
    };
  }

  /** Whether the next request is one of those that are looked at. */
  looks(): boolean {
    return this.#sample >= 1 || this.#random() < this.#sample;
  }

  take(): Transaction {
    const known = this.#pool.pop();
    if (known !== undefined) return known;
    const made = new Transaction(this.#rules.program, this.#host);
    made.keepsBodies = this.#audit !== null;
    return made;
  }

  /** The exchange has ended: its last phase, counts and log. */
  finish(x: Exchange, tx: Transaction): void {
    const report = tx.logging(x.status);
    const isTold = report.matches.length > 0;
    const audit = this.#audit !== null && report.audit ? this.#audit : null;
    if (isTold || audit !== null) {
      const verdict = verdictOf(report, tx, this.#trial);
      this.#secrets.begin(tx);
      if (isTold) this.#tell(x, report, verdict);
      if (audit !== null && this.#audited.take(this.#shared.now())) {
        const audited = { x, route: this.#route, tx, report, verdict, at: this.#shared.wallNow() };
        audit.write(auditLine(audited, this.#secrets));
      }
    }
    if (this.#pool.length < POOL_MAX) this.#pool.push(tx);
  }

  #tell(x: Exchange, report: Report, verdict: Verdict): void {
    const { decision } = verdict;
    const { matches } = report;
    for (const { rule, dry } of matches) {
      const action = dry && decision !== "pass" ? "detect" : decision;
      this.#shared.count("sluice_waf_matches_total", [String(rule.id), action]);
    }
    const now = this.#shared.now();
    if (this.#records.take(now)) {
      this.#shared.event({ kind: "waf", ...recordOf(x, this.#route, report, verdict, this.#secrets) });
    }
    if (!this.#lines.take(now)) return;
    const { message, variable, value } = matchOf(worstOf(matches)!, this.#secrets);
    this.#shared.tell("firewall rules matched", {
      route: this.#route,
      requestId: x.requestId,
      ip: x.ip,
      decision,
      rules: matches.map(({ rule }) => rule.id).join(","),
      message,
      variable,
      value,
      reason: this.#secrets.text(verdict.reason),
    });
  }
}
