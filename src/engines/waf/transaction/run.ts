// Runs the rules of one phase.
import type { ColumnTarget, CompiledRule, CountTarget, LiveTarget, Target } from "../rules/compiled-rule.ts";
import { transformed } from "../rules/steps.ts";
import { Found } from "../variables.ts";
import { work } from "../work.ts";
import { FIRST_RESPONSE_COLUMN } from "./columns.ts";
import type { Pair } from "./pairs.ts";
import { fullName, type State } from "./state.ts";

// What a log line can bear of a value that an attacker chose.
const SHOWN_MAX = 256;
const MATCHES_MAX = 256;
/** A request may match in each of a thousand arguments. */
const VARIABLES_MAX = 8;
/** Of a long value, this much before what was found in it is shown. */
const BEFORE_MATCH = 64;

export const LOGGING = 5;

const shown = (text: string): string => (text.length > SHOWN_MAX ? `${text.slice(0, SHOWN_MAX)}…` : text);

/** What a target, a link or a chain says when the work of the step is done before it is through. */
const PENDING = -1;
const MISSED = 0;

// What is counted besides what values cost.
const WORK_OF_RULE = 30;
const WORK_OF_COMPARISON = 50;
const WORK_OF_MATCH = 500;
const WORK_OF_NAME = 4;
const WORK_TO_TRANSFORM = 8;

/** Before the first of its rules. False when the phase is not to be run. */
export function beginPhase(state: State, phase: number): boolean {
  state.place.begin();
  state.scan.clear();
  if (state.engine === "off" || (state.interruption !== null && phase !== LOGGING)) return false;
  if (state.allowed === 3 && phase !== LOGGING) return false;
  if (state.allowed === 2 && phase <= 2) return false;
  if (state.allowed === 1) state.allowed = 0;
  state.phase = phase;
  return true;
}

/** Runs the rules of a phase that was begun, until one ends it. False when the work of this step is done before. */
export function runPhase(state: State, rules: readonly CompiledRule[]): boolean {
  const { place } = state;
  for (let at = place.rule; at < rules.length; ) {
    if (work.left <= 0) {
      place.rule = at;
      return false;
    }
    const rule = rules[at]!;
    if (place.link < 0) {
      at += 1;
      if (state.anyRemoved && state.removed[rule.index] === 1) continue;
      work.left -= WORK_OF_RULE;
      state.rule = rule;
      state.forgetMatched();
      state.jump = -1;
    } else at += 1;
    const outcome = runChain(state, rule);
    if (outcome === MISSED) continue;
    if (outcome === PENDING) {
      place.rule = at - 1;
      return false;
    }
    if (state.jump >= 0) at = state.jump;
    if (state.phase !== LOGGING && (state.interruption !== null || state.allowed !== 0)) return true;
    if (turnedOff(state)) return true;
  }
  return true;
}

/** By a ctl of a rule that ran. */
const turnedOff = (state: State): boolean => state.engine === "off";

/** Whether a link and all after it match. */
function runChain(state: State, head: CompiledRule): number {
  const { place } = state;
  let rule = head;
  for (let link = 0; link < place.link; link += 1) rule = rule.next!;
  let link = Math.max(0, place.link);
  place.link = -1;
  for (;;) {
    const found = rule.operator === null ? runAction(state, rule) : runTargets(state, head, rule);
    if (found === MISSED) return MISSED;
    if (found === PENDING) {
      place.link = link;
      return PENDING;
    }
    if (rule === head) place.headFound = found;
    if (rule.next === null) break;
    rule = rule.next;
    link += 1;
  }
  complete(state, head);
  finish(state, head, place.headFound);
  return 1;
}

/** What the links of a chain do that has matched, from the last one. */
function complete(state: State, rule: CompiledRule): void {
  if (rule.next !== null) complete(state, rule.next);
  const { actions } = rule;
  for (let at = 0; at < actions.length; at += 1) actions[at]!(state);
  if (rule.jump >= 0) state.jump = rule.jump;
}

function runAction(state: State, rule: CompiledRule): number {
  for (let at = 0; at < rule.setVars.length; at += 1) rule.setVars[at]!.run(state);
  return 1;
}

function runTargets(state: State, head: CompiledRule, rule: CompiledRule): number {
  const { targets } = rule;
  const { place } = state;
  let found = 0;
  let from = 0;
  if (place.within) {
    found = place.found;
    from = place.target;
  } else if (rule.group >= 0) {
    const bit = rule.requestBit >= 0 ? rule.requestBit : rule.responseBit;
    const group = state.groups[rule.group]!;
    if (!group.advance(state.phase)) return PENDING;
    if (!group.mayMatch(bit >>> 5, 1 << (bit & 31))) return MISSED;
  }
  for (let at = from; at < targets.length; at += 1) {
    const more = runTarget(state, head, rule, targets[at]!);
    if (more === PENDING) {
      place.suspend(at, found);
      return PENDING;
    }
    place.within = false;
    found += more;
  }
  return found;
}

function runTarget(state: State, head: CompiledRule, rule: CompiledRule, target: Target): number {
  if (target.kind === "column") return runColumn(state, head, rule, target);
  if (target.kind === "live") return runEntries(state, head, rule, target);
  if (target.kind === "count") {
    return runLive(state, head, rule, target.prefix, target.key, String(countOf(state, head, target)));
  }
  const value = state.tx.placed[target.place]!;
  return value === null ? 0 : runLive(state, head, rule, target.prefix, target.key, value);
}

function runColumn(state: State, head: CompiledRule, rule: CompiledRule, target: ColumnTarget): number {
  const count = state.columns[target.column]!.keys.length;
  if (count === 0) return 0;
  const { place } = state;
  const bit = target.column < FIRST_RESPONSE_COLUMN ? rule.requestBit : rule.responseBit;
  const word = bit >>> 5;
  const mask = 1 << (bit & 31);
  let found = 0;
  let each = 0;
  if (place.within) {
    found = place.foundWithin;
    each = place.stage;
  }
  for (; each < target.pairs.length; each += 1) {
    const wanted = state.pairs[target.pairs[each]!]!;
    if (!wanted.advance()) return place.waitAt(each, 0, found);
    const pair = wanted.resolved;
    // With multiMatch, a step that changed nothing is not compared again.
    const before = each === 0 ? null : state.pairs[target.pairs[each - 1]!]!.resolved;
    if (pair === before) continue;
    if (bit >= 0) {
      if (!pair.scan()) return place.waitAt(each, 0, found);
      if ((pair.union[word]! & mask) === 0) continue;
    }
    const more = runPair(state, head, rule, target, pair, before, bit);
    if (more === PENDING) return place.waitAt(each, place.entry, found + place.foundWithin);
    found += more;
  }
  return found;
}

/** The entries of a column after one chain of transformations. `before` is what came before its last step. */
function runPair(
  state: State,
  head: CompiledRule,
  rule: CompiledRule,
  target: ColumnTarget,
  pair: Pair,
  before: Pair | null,
  bit: number,
): number {
  const { place } = state;
  const { keys } = state.columns[target.column]!;
  const word = bit >>> 5;
  const mask = 1 << (bit & 31);
  let indexes: readonly number[] | null = null;
  let entries = keys.length;
  if (target.view >= 0) {
    const view = state.views[target.view]!;
    view.update();
    indexes = view.indexes;
    entries = indexes.length;
  }
  let found = 0;
  const from = place.within ? place.entry : -1;
  for (let entry = place.takeEntry(); entry < entries; entry += 1) {
    const index = indexes === null ? entry : indexes[entry]!;
    const known = pair.known(index);
    if (bit >= 0 && !known.mayMatch(word, mask)) {
      // Another transaction, with the same value, may have found that out while this one was waiting.
      if (entry === from) state.scan.clear();
      continue;
    }
    if (before !== null && before.known(index) === known) continue;
    if (state.exclusions.length > 0 && excluded(state, head, target.prefix, keys[index]!)) continue;
    // What goes on here has all of a step before it.
    if (work.left <= rule.weight * known.value.length && entry !== from) return place.waitAt(0, entry, found);
    const more = compare(state, rule, target.prefix, keys[index]!, known.value);
    if (more === PENDING) return place.waitAt(0, entry, found);
    if (more === 0 && bit >= 0 && !state.gaveUp) known.doesNotMatch(word, mask);
    found += more;
  }
  return found;
}

/** Compares one value that came transformed; what matches is noted, and what the rule remembers set. */
function compare(state: State, rule: CompiledRule, prefix: string, key: string, value: string): number {
  work.left -= WORK_OF_COMPARISON + rule.weight * value.length;
  state.gaveUp = false;
  const matches = rule.operator!.match(state, value, rule.capture && !rule.negated);
  if (!matches && state.scan.waits) return PENDING;
  if (matches === rule.negated) return 0;
  work.left -= WORK_OF_MATCH + key.length * WORK_OF_NAME;
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
  const { place } = state;
  const { stages } = rule;
  if (stages === null) {
    if (rule.step !== null) work.left -= value.length * WORK_TO_TRANSFORM;
    place.takeEntry();
    const more = compare(state, rule, prefix, key, transformed(rule.step, value));
    return more === PENDING ? place.waitAt(0, 0, 0) : more;
  }
  const from = place.within ? place.stage : 0;
  let found = place.within ? place.foundWithin : 0;
  place.takeEntry();
  let last = from === 0 ? null : transformed(stages[from - 1]!, value);
  for (let at = from; at < stages.length; at += 1) {
    const next = transformed(stages[at]!, value);
    work.left -= value.length * WORK_TO_TRANSFORM;
    const more = next === last ? 0 : compare(state, rule, prefix, key, next);
    if (more === PENDING) return place.waitAt(at, 0, found);
    found += more;
    last = next;
  }
  return found;
}

// Read to the end before the next rule runs, so that one is enough; a chain's next link starts after this one is done.
// Who is suspended within keeps it, and another one takes its place.
let scratch = new Found();

function runEntries(state: State, head: CompiledRule, rule: CompiledRule, target: LiveTarget): number {
  const { place } = state;
  const suspended = place.within ? place.entries : null;
  const from = suspended === null ? 0 : place.liveEntry;
  let found = suspended === null ? 0 : place.liveFound;
  const entries = suspended ?? scratch;
  const late = suspended === null ? -1 : from;
  if (suspended === null) {
    scratch.clear();
    target.read(state, scratch);
  }
  for (let at = from; at < entries.keys.length; at += 1) {
    const key = entries.keys[at]!;
    const isLate = work.left <= 0 && at !== late;
    if (!isLate && !chosen(target, key)) continue;
    const more = isLate ? place.waitAt(0, 0, 0) : runLive(state, head, rule, target.prefix, key, entries.values[at]!);
    if (more === PENDING) {
      if (entries === scratch) scratch = new Found();
      place.keep(entries, at, found);
      return PENDING;
    }
    found += more;
  }
  place.entries = null;
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
  const matched = rule.capture && !rule.negated ? (state.tx.placed[0] ?? "") : "";
  state.matches.push({
    rule,
    phase: state.phase,
    variable: at < 0 ? "" : shown(fullName(state.allPrefixes[at]!, state.allKeys[at]!)),
    value: at < 0 ? "" : around(state.allValues[at]!, matched),
    message: rule.msg === null ? "" : shown(rule.msg.expand(state)),
    data: rule.logdata === null ? "" : shown(rule.logdata.expand(state)),
    count,
    variables: variablesOf(state, at + 1),
    matched: shown(matched),
    score: state.scoredBy === rule ? state.scored : 0,
    dry: rule.dry,
  });
}

/** The different names of the first entries that matched. */
function variablesOf({ allPrefixes, allKeys }: State, count: number): string[] {
  const names: string[] = [];
  for (let at = 0; at < count && names.length < VARIABLES_MAX; at += 1) {
    const name = shown(fullName(allPrefixes[at]!, allKeys[at]!));
    if (!names.includes(name)) names.push(name);
  }
  return names;
}

/** As much of a value as a log can bear, with what was found in it. */
function around(value: string, matched: string): string {
  const from = value.length > SHOWN_MAX && matched !== "" ? value.indexOf(matched) : 0;
  if (from + matched.length <= SHOWN_MAX) return shown(value);
  const start = Math.max(0, from - BEFORE_MATCH);
  return `…${shown(value.slice(start))}`;
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
    if (state.engine === "on" && !rule.dry)
      state.allowed = disruption === "allow" ? 3 : disruption === "allow-request" ? 2 : 1;
    return;
  }
  if (disruption === "none" || disruption === "pass") return;
  const interruption = { action: disruption, status, url, rule: rule.id };
  if (state.engine === "on" && !rule.dry) state.interruption = interruption;
  else state.detected ??= interruption;
}

/** RFC 9110 section 15.4: only these statuses lead elsewhere. */
function statusOf({ disruption, status }: CompiledRule): number {
  if (disruption !== "redirect") return status === 0 ? 403 : status;
  return status === 301 || status === 302 || status === 303 || status === 307 || status === 308 ? status : 302;
}
