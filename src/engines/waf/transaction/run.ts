// Runs the rules of one phase.
import type { ColumnTarget, CompiledRule, CountTarget, LiveTarget, Target } from "../rules/compiled-rule.ts";
import { transformed } from "../rules/steps.ts";
import { Found } from "../variables.ts";
import { FIRST_RESPONSE_COLUMN } from "./columns.ts";
import { fullName, type State } from "./state.ts";

// What a log line can bear of a value that an attacker chose.
const SHOWN_MAX = 256;
const MATCHES_MAX = 256;

export const LOGGING = 5;

const shown = (text: string): string => (text.length > SHOWN_MAX ? `${text.slice(0, SHOWN_MAX)}…` : text);

/** Where a phase goes on; -1 when it is over. */
type Place = number;

/** Runs the rules of a phase from `from` on, `most` of them at a time, until one ends the phase. */
export function runPhase(
  state: State,
  phase: number,
  rules: readonly CompiledRule[],
  from = 0,
  most = Number.POSITIVE_INFINITY,
): Place {
  if (from === 0 && !beginsPhase(state, phase)) return -1;
  let left = most;
  for (let at = from; at < rules.length; left -= 1) {
    if (left <= 0) return at;
    const rule = rules[at]!;
    at += 1;
    if (state.anyRemoved && state.removed[rule.index] === 1) continue;
    state.rule = rule;
    state.forgetMatched();
    state.jump = -1;
    if (!runLink(state, rule, rule)) continue;
    if (state.jump >= 0) at = state.jump;
    if (phase !== LOGGING && (state.interruption !== null || state.allowed !== 0)) return -1;
    if (turnedOff(state)) return -1;
  }
  return -1;
}

function beginsPhase(state: State, phase: number): boolean {
  if (state.engine === "off" || (state.interruption !== null && phase !== LOGGING)) return false;
  if (state.allowed === 3 && phase !== LOGGING) return false;
  if (state.allowed === 2 && phase <= 2) return false;
  if (state.allowed === 1) state.allowed = 0;
  state.phase = phase;
  return true;
}

/** By a ctl of a rule that ran. */
const turnedOff = (state: State): boolean => state.engine === "off";

/** Whether a link and all after it match. */
function runLink(state: State, head: CompiledRule, rule: CompiledRule): boolean {
  const found = rule.operator === null ? runAction(state, rule) : runTargets(state, head, rule);
  if (found === 0) return false;
  if (rule.next !== null && !runLink(state, head, rule.next)) return false;
  const { actions } = rule;
  for (let at = 0; at < actions.length; at += 1) actions[at]!(state);
  if (rule.jump >= 0) state.jump = rule.jump;
  if (rule === head) finish(state, head, found);
  return true;
}

function runAction(state: State, rule: CompiledRule): number {
  for (let at = 0; at < rule.setVars.length; at += 1) rule.setVars[at]!.run(state);
  return 1;
}

function runTargets(state: State, head: CompiledRule, rule: CompiledRule): number {
  const { targets } = rule;
  if (rule.group >= 0) {
    const bit = rule.requestBit >= 0 ? rule.requestBit : rule.responseBit;
    if (!state.groups[rule.group]!.mayMatch(state.phase, bit >>> 5, 1 << (bit & 31))) return 0;
  }
  let found = 0;
  for (let at = 0; at < targets.length; at += 1) {
    const target = targets[at]!;
    if (target.kind === "column") found += runColumn(state, head, rule, target);
    else if (target.kind === "tx") {
      const value = state.tx.placed[target.place]!;
      if (value !== null) found += runLive(state, head, rule, target.prefix, target.key, value);
    } else if (target.kind === "live") found += runEntries(state, head, rule, target);
    else found += runLive(state, head, rule, target.prefix, target.key, String(countOf(state, head, target)));
  }
  return found;
}

function runColumn(state: State, head: CompiledRule, rule: CompiledRule, target: ColumnTarget): number {
  const column = state.columns[target.column]!;
  const count = column.keys.length;
  if (count === 0) return 0;
  const bit = target.column < FIRST_RESPONSE_COLUMN ? rule.requestBit : rule.responseBit;
  const word = bit >>> 5;
  const mask = 1 << (bit & 31);
  let found = 0;
  for (let each = 0; each < target.pairs.length; each += 1) {
    const pair = state.pairs[target.pairs[each]!]!.resolve();
    // With multiMatch, a step that changed nothing is not compared again.
    const before = each === 0 ? null : state.pairs[target.pairs[each - 1]!]!.resolve();
    if (pair === before) continue;
    if (bit >= 0) {
      pair.scan();
      if ((pair.union[word]! & mask) === 0) continue;
    }
    let indexes: readonly number[] | null = null;
    let entries = count;
    if (target.view >= 0) {
      const view = state.views[target.view]!;
      view.update();
      indexes = view.indexes;
      entries = indexes.length;
    }
    for (let entry = 0; entry < entries; entry += 1) {
      const index = indexes === null ? entry : indexes[entry]!;
      if (bit >= 0 && !pair.mayMatch(index, word, mask)) continue;
      const value = pair.value(index);
      if (before !== null && before.value(index) === value) continue;
      if (state.exclusions.length > 0 && excluded(state, head, target.prefix, column.keys[index]!)) continue;
      found += compare(state, rule, target.prefix, column.keys[index]!, value);
    }
  }
  return found;
}

/** Compares one value that came transformed; what matches is noted, and what the rule remembers set. */
function compare(state: State, rule: CompiledRule, prefix: string, key: string, value: string): number {
  if (rule.operator!.match(state, value, rule.capture && !rule.negated) === rule.negated) return 0;
  state.matched(prefix, key, value);
  const { setVars } = rule;
  for (let at = 0; at < setVars.length; at += 1) setVars[at]!.run(state);
  return 1;
}

/** A value that is not part of a column: transformed here. */
function runLive(
  state: State,
  head: CompiledRule,
  rule: CompiledRule,
  prefix: string,
  key: string,
  value: string,
): number {
  if (state.exclusions.length > 0 && excluded(state, head, prefix, key)) return 0;
  if (rule.stages === null) return compare(state, rule, prefix, key, transformed(rule.step, value));
  let found = 0;
  let last: string | null = null;
  for (let at = 0; at < rule.stages.length; at += 1) {
    const next = transformed(rule.stages[at]!, value);
    if (next !== last) found += compare(state, rule, prefix, key, next);
    last = next;
  }
  return found;
}

// Read to the end before the next rule runs, so that one is enough; a chain's next link starts after this one is done.
const scratch = new Found();

function runEntries(state: State, head: CompiledRule, rule: CompiledRule, target: LiveTarget): number {
  scratch.clear();
  target.read(state, scratch);
  let found = 0;
  for (let at = 0; at < scratch.keys.length; at += 1) {
    const key = scratch.keys[at]!;
    if (chosen(target, key)) found += runLive(state, head, rule, target.prefix, key, scratch.values[at]!);
  }
  return found;
}

function chosen(target: LiveTarget, key: string): boolean {
  if (target.name !== null) {
    if (key.toLowerCase() !== target.name) return false;
  } else if (target.regex !== null && !target.regex.test(key)) return false;
  const { exceptNames, exceptRegexes } = target;
  for (let at = 0; at < exceptNames.length; at += 1) if (key.toLowerCase() === exceptNames[at]) return false;
  for (let at = 0; at < exceptRegexes.length; at += 1) if (exceptRegexes[at]!.test(key)) return false;
  return true;
}

function countOf(state: State, head: CompiledRule, target: CountTarget): number {
  let count = 0;
  for (let at = 0; at < target.of.length; at += 1) count += countEntries(state, head, target.of[at]!);
  return count;
}

function countEntries(state: State, head: CompiledRule, target: Target): number {
  if (target.kind === "tx") return state.tx.placed[target.place] === null ? 0 : 1;
  if (target.kind === "live") {
    scratch.clear();
    target.read(state, scratch);
    let count = 0;
    for (let at = 0; at < scratch.keys.length; at += 1) if (chosen(target, scratch.keys[at]!)) count += 1;
    return count;
  }
  if (target.kind === "count") return 0;
  const column = state.columns[target.column]!;
  if (target.view < 0 && state.exclusions.length === 0) return column.keys.length;
  let count = 0;
  const view = target.view < 0 ? null : state.views[target.view]!;
  view?.update();
  const entries = view === null ? column.keys.length : view.indexes.length;
  for (let entry = 0; entry < entries; entry += 1) {
    const index = view === null ? entry : view.indexes[entry]!;
    if (!excluded(state, head, target.prefix, column.keys[index]!)) count += 1;
  }
  return count;
}

/** Whether a ctl took the entry out of the targets of the rule. */
function excluded(state: State, head: CompiledRule, prefix: string, key: string): boolean {
  const { exclusions } = state;
  for (let at = 0; at < exclusions.length; at += 1) {
    const each = exclusions[at]!;
    if (each.rules[head.index] !== 1 || each.variable !== prefix) continue;
    if (each.regex !== null ? each.regex.test(key) : each.name === null || each.name === key.toLowerCase()) return true;
  }
  return false;
}

/** Notes what a rule says. The matches of its first link stand before those of the others. */
function note(state: State, rule: CompiledRule, count: number): void {
  const at = Math.min(count, state.allValues.length) - 1;
  state.matches.push({
    rule,
    phase: state.phase,
    variable: at < 0 ? "" : shown(fullName(state.allPrefixes[at]!, state.allKeys[at]!)),
    value: at < 0 ? "" : shown(state.allValues[at]!),
    message: rule.msg === null ? "" : shown(rule.msg.expand(state)),
    data: rule.logdata === null ? "" : shown(rule.logdata.expand(state)),
    count,
  });
}

/** All of a rule has matched: it is noted, and decides about the request. */
function finish(state: State, rule: CompiledRule, count: number): void {
  if (rule.severity >= 0 && rule.severity < state.highestSeverity) state.highestSeverity = rule.severity;
  if (rule.auditLog) state.toAudit = true;
  if (rule.log && state.matches.length < MATCHES_MAX) note(state, rule, count);
  if (rule.disruption === "pass" || rule.disruption === "none" || state.phase === LOGGING) return;
  decide(state, rule);
}

function decide(state: State, rule: CompiledRule): void {
  const { disruption } = rule;
  const url = rule.redirect === null || disruption !== "redirect" ? "" : rule.redirect.expand(state);
  const status = statusOf(rule);
  if (disruption === "allow" || disruption === "allow-phase" || disruption === "allow-request") {
    if (state.engine === "on") state.allowed = disruption === "allow" ? 3 : disruption === "allow-request" ? 2 : 1;
    return;
  }
  if (disruption === "none" || disruption === "pass") return;
  const interruption = { action: disruption, status, url, rule: rule.id };
  if (state.engine === "on") state.interruption = interruption;
  else state.detected ??= interruption;
}

/** RFC 9110 section 15.4: only these statuses lead elsewhere. */
function statusOf({ disruption, status }: CompiledRule): number {
  if (disruption !== "redirect") return status === 0 ? 403 : status;
  return status === 301 || status === 302 || status === 303 || status === 307 || status === 308 ? status : 302;
}
