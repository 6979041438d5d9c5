// What is told of a request in which rules matched.
import type { Match, Report, Transaction } from "../../engines/waf/index.ts";
import type { WafDecision, WafMatch, WafRecord } from "../../pipeline/events.ts";
import type { Exchange } from "../../pipeline/exchange.ts";
import { readable, type Secrets } from "./secrets.ts";

/** Of a request that matches everything, what comes first says enough. */
const MATCHES_MAX = 32;
/** Of the target of a request, and of a text of a rule. */
const TEXT_MAX = 1024;
const TAGS_MAX = 16;
const FIRST_RESPONSE_PHASE = 3;
/** Of rules that do not say how severe they are, such as those that add up. */
const LEAST_SEVERE = 8;

/** Where the rules keep what counts: the Core Rule Set 4 and 3, and the starter rules. */
const INBOUND = ["blocking_inbound_anomaly_score", "anomaly_score", "score"];
const OUTBOUND = ["blocking_outbound_anomaly_score", "outbound_anomaly_score"];

/** What is tried beside what blocks. */
export interface Trial {
  /** Score from which a request would be refused; 0 for the threshold of the rules. */
  readonly threshold: number;
}

export interface Verdict {
  readonly decision: WafDecision;
  readonly rule: number;
  readonly reason: string;
  readonly score: number;
  readonly triedScore: number;
  readonly threshold: number;
}

const cut = (text: string): string => (text.length > TEXT_MAX ? `${text.slice(0, TEXT_MAX)}…` : text);

/** The first one of the most severe. */
export function worstOf(matches: readonly Match[]): Match | null {
  const rank = ({ rule }: Match): number => (rule.severity < 0 ? LEAST_SEVERE : rule.severity);
  return matches.reduce<Match | null>(
    (worst, match) => (worst === null || rank(match) < rank(worst) ? match : worst),
    null,
  );
}

/** What was decided, or would have been, and of which score. */
export function verdictOf(report: Report, tx: Transaction, trial: Trial | null): Verdict {
  const { interruption, detected, matches } = report;
  const rule = (interruption ?? detected)?.rule ?? 0;
  // The rule that decided says the score, where it is one that adds up.
  const deciding = matches.find((match) => match.rule.id === rule) ?? worstOf(matches);
  const outbound = rule !== 0 && (deciding?.phase ?? 0) >= FIRST_RESPONSE_PHASE;
  const { tx: values } = tx.state;
  const number = (names: readonly string[]): number => {
    const text = names.map((name) => values.get(name)).find((value) => value !== null && value !== "0") ?? "0";
    return Number.parseInt(text, 10) || 0;
  };
  const score = number(outbound ? OUTBOUND : INBOUND);
  const threshold = number(
    outbound ? ["outbound_anomaly_score_threshold"] : ["inbound_anomaly_score_threshold", "threshold"],
  );
  const triedScore = Math.max(score, outbound ? report.outboundScore : report.inboundScore);
  const enough = trial === null ? 0 : trial.threshold || threshold;
  const tried = enough > 0 && triedScore >= enough;
  const decision = interruption !== null ? "block" : detected !== null || tried ? "detect" : "pass";
  return { decision, rule, reason: deciding?.message ?? "", score, triedScore, threshold };
}

export function recordOf(x: Exchange, route: string, report: Report, verdict: Verdict, secrets: Secrets): WafRecord {
  const { request } = x;
  return {
    requestId: x.requestId,
    route,
    ip: x.ip,
    method: request.method,
    host: readable(cut(request.authority)),
    target: readable(secrets.text(cut(request.target))),
    status: x.status,
    ...verdict,
    reason: readable(secrets.text(verdict.reason)),
    matches: report.matches.slice(0, MATCHES_MAX).map((match) => matchOf(match, secrets)),
  };
}

export function matchOf(match: Match, secrets: Secrets): WafMatch {
  const { rule } = match;
  const hidden = secrets.variableIs(match.variable);
  const clean = (text: string): string => readable(secrets.text(text));
  return {
    rule: rule.id,
    phase: match.phase,
    // What a rule says may have the value in it, changed by transformations: then what stands in the rule is said.
    message: hidden ? (rule.msg?.text ?? "") : clean(match.message),
    severity: rule.severity,
    tags: rule.tags.slice(0, TAGS_MAX),
    variable: readable(match.variable),
    value: hidden ? "***" : clean(match.value),
    count: match.count,
    variables: match.variables.map(readable),
    matched: hidden ? "" : clean(match.matched),
    data: hidden ? "" : clean(match.data),
    score: match.score,
    dry: match.dry,
  };
}
