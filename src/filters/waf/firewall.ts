// The firewall of one route: transactions that are used again, and what is counted and logged of them.
import {
  type Host,
  type Match,
  MemoryCollections,
  type Report,
  type RuleSet,
  Transaction,
} from "../../engines/waf/index.ts";
import type { Exchange } from "../../pipeline/exchange.ts";
import type { Shared } from "../../pipeline/shared.ts";

// A transaction takes some 100 KB with the Core Rule Set; requests that wait for their body have one each.
const POOL_MAX = 64;
/** Lines of the log in a second and thread: an attack is thousands of requests. All are counted. */
const LINES_MAX = 20;
const SECOND_MS = 1000;
/** Of rules that do not say how severe they are, such as those that add up. */
const LEAST_SEVERE = 8;

export class Firewall {
  readonly #rules: RuleSet;
  readonly #shared: Shared;
  readonly #route: string;
  readonly #host: Host;
  readonly #pool: Transaction[] = [];
  #second = 0;
  #lines = 0;

  constructor(rules: RuleSet, route: string, shared: Shared) {
    this.#rules = rules;
    this.#route = route;
    this.#shared = shared;
    this.#host = {
      now: () => shared.wallNow(),
      collections: new MemoryCollections(),
      geo: () => null,
      listed: () => false,
    };
  }

  take(): Transaction {
    return this.#pool.pop() ?? new Transaction(this.#rules.program, this.#host);
  }

  /** The exchange has ended: its last phase, counts and log. */
  finish(x: Exchange, tx: Transaction): void {
    const report = tx.logging(x.status);
    if (report.matches.length > 0) this.#tell(x, report);
    if (this.#pool.length < POOL_MAX) this.#pool.push(tx);
  }

  #tell(x: Exchange, report: Report): void {
    const decision = decisionOf(report);
    for (const { rule } of report.matches) {
      this.#shared.count("sluice_waf_matches_total", [String(rule.id), decision]);
    }
    const second = Math.floor(this.#shared.now() / SECOND_MS);
    this.#lines = second === this.#second ? this.#lines + 1 : 1;
    this.#second = second;
    if (this.#lines > LINES_MAX) return;
    const { interruption, detected, matches } = report;
    const worst = worstOf(matches);
    // The rule that decided says the score, where it is one that adds up.
    const deciding = matches.find(({ rule }) => rule.id === (interruption ?? detected)?.rule) ?? worst;
    this.#shared.tell("firewall rules matched", {
      route: this.#route,
      requestId: x.requestId,
      ip: x.ip,
      decision,
      rules: matches.map(({ rule }) => rule.id).join(","),
      message: worst.message,
      variable: worst.variable,
      value: worst.value,
      reason: deciding.message,
    });
  }
}

/** The first one of the most severe. */
function worstOf(matches: readonly Match[]): Match {
  const rank = ({ rule }: Match): number => (rule.severity < 0 ? LEAST_SEVERE : rule.severity);
  return matches.reduce((worst, match) => (rank(match) < rank(worst) ? match : worst));
}

/** What was decided, or would have been. */
const decisionOf = ({ interruption, detected }: Report): "block" | "detect" | "pass" =>
  interruption !== null ? "block" : detected !== null ? "detect" : "pass";
