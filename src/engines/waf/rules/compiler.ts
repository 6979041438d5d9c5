// From statements to a program: operators made, transformations numbered, jumps resolved.
import type { Operator } from "../operators/operator.ts";
import { operatorMaker } from "../operators/registry.ts";
import { RegexError } from "../regex/regex.ts";
import { SecLangError } from "../seclang/error.ts";
import type { ActionSyntax } from "../seclang/syntax.ts";
import { FIRST_RESPONSE_COLUMN } from "../transaction/columns.ts";
import {
  type Action,
  compileExpireVar,
  compileInitCol,
  compileOwner,
  compileSetEnv,
  compileSetVar,
  OPENS,
  setsStored,
} from "./actions.ts";
import { type CollectOptions, Collector, type Item, type Link, type RuleItem, type Source } from "./collector.ts";
import type { CompiledRule, Disruption, Target } from "./compiled-rule.ts";
import { compileControl } from "./control.ts";
import type { Draft } from "./draft.ts";
import { Layout } from "./layout.ts";
import { compileMacro, type Macro } from "./macro.ts";
import type { Program } from "./program.ts";
import type { RuleIndex } from "./rule-index.ts";
import type { Settings } from "./settings.ts";
import type { Step } from "./steps.ts";
import { compileTargets } from "./targets.ts";

export interface CompileOptions {
  /** Reads what `Include` names; see CollectOptions. None by default. */
  readonly include?: CollectOptions["include"];
  /** The text of a data file, by its name and the file that names it; null when there is none. */
  readonly data?: (name: string, from: string) => string | null;
  /** Settings that hold where no directive says otherwise. */
  readonly settings?: Partial<Settings>;
  /** Whether literals decide which rules run at all; on by default. Decisions are the same without. */
  readonly prefilter?: boolean;
  /** Ids and ranges of ids, and tags, of rules that are only tried: they are told of, but neither decide nor count. */
  readonly dry?: readonly (number | string)[];
}

/** Rules that are ready to run, and what there was to remark on. */
export interface RuleSet {
  readonly program: Program;
  /** Each begins with `file:line:column`. */
  readonly warnings: readonly string[];
}

/** Compiles rule files in the order given. Throws SecLangError with `file:line:column` and what to do. */
export function compileRules(sources: readonly Source[], options: CompileOptions = {}): RuleSet {
  const collector = new Collector({ include: options.include ?? (() => null), settings: options.settings ?? {} });
  for (const source of sources) collector.addFile(source);
  const { items, index } = collector.finish();
  for (const [at, name] of (options.dry ?? []).entries()) {
    if (!index.named([name]).includes(1)) collector.warnings.push(`dryRun.rules[${at}]:1:1: ${name} finds no rule`);
  }
  const compiler = new Compiler(collector, items, index, options);
  return { program: compiler.compile(), warnings: collector.warnings };
}

/** Where each item stands in the programs of the phases. */
interface Positions {
  /** For each item, how many rules of each phase stand before it. */
  readonly before: readonly (readonly number[])[];
}

class Compiler {
  readonly #collector: Collector;
  readonly #items: readonly Item[];
  readonly #index: RuleIndex;
  readonly #options: CompileOptions;
  readonly #layout: Layout;
  readonly #operators = new Map<string, Operator>();
  readonly #positions: Positions;
  /** By the number of the rule: 1 where it is only tried. */
  readonly #dry: Uint8Array;

  constructor(collector: Collector, items: readonly Item[], index: RuleIndex, options: CompileOptions) {
    this.#collector = collector;
    this.#items = items;
    this.#index = index;
    this.#options = options;
    this.#layout = new Layout(options.prefilter ?? true);
    this.#positions = positionsOf(items);
    this.#dry = index.named(options.dry ?? []);
  }

  compile(): Program {
    const phases: CompiledRule[][] = [[], [], [], [], [], []];
    let index = 0;
    for (const [at, item] of this.#items.entries()) {
      if (item.kind === "marker") continue;
      if (item.kept) phases[phaseOf(item)]!.push(this.#chain(item, at, index));
      index += 1;
    }
    const { txNames, atoms, views, pairs, groups } = this.#layout;
    const [requestValues, responseValues] = [this.#layout.values(false), this.#layout.values(true)];
    const { settings } = this.#collector;
    return { settings, txNames, atoms, views, pairs, groups, requestValues, responseValues, phases, ruleCount: index };
  }

  #chain(item: RuleItem, at: number, index: number): CompiledRule {
    let next: CompiledRule | null = null;
    for (let link = item.links.length - 1; link >= 0; link -= 1) {
      next = this.#link(item, item.links[link]!, at, index, next, link === 0);
    }
    return next!;
  }

  #link(item: RuleItem, link: Link, at: number, index: number, next: CompiledRule | null, head: boolean): CompiledRule {
    const { draft, syntax } = link;
    const place = syntax.place;
    const defaults = item.defaults;
    const chain = this.#steps(draft, defaults);
    const step = chain.at(-1) ?? null;
    const stages = draft.multiMatch ? [null, ...chain] : [step];
    const operator = this.#operator(link);
    const targets = this.#targets(link, stages);
    const negated = syntax.operator?.negated ?? false;
    const log = draft.log ?? defaults?.log ?? true;
    const dry = this.#dry[index] === 1;
    const { txNames } = this.#layout;
    // A rule may set what it opens itself.
    const sets = draft.setVars.some(({ value }) => setsStored(value));
    const first = sets ? draft.others.filter(({ name }) => OPENS.has(name)) : [];
    return {
      index,
      id: draft.id,
      place,
      targets,
      operator,
      negated,
      weight: operator?.weight ?? 0,
      ...this.#bits(operator, negated, targets),
      step,
      stages: draft.multiMatch ? stages : null,
      capture: draft.capture,
      setVars: [
        ...first.map((action) => ({ run: this.#action(action) })),
        ...draft.setVars.map((action) => compileSetVar(action.value, txNames, action.place, dry)),
      ],
      actions: draft.others.filter((action) => !first.includes(action)).map((action) => this.#action(action)),
      next,
      disruption: head ? disruptionOf(draft, defaults) : "none",
      status: draft.status || defaults?.status || 0,
      redirect: this.#macro(draft.redirect || (defaults?.redirect ?? ""), link),
      jump: this.#jump(draft, item, at, link),
      dry,
      log,
      auditLog: draft.auditLog ?? (draft.log === null ? defaults?.auditLog : draft.log) ?? log,
      msg: this.#macro(draft.msg, link),
      logdata: this.#macro(draft.logdata, link),
      tags: draft.tags,
      severity: draft.severity,
      rev: draft.rev,
      ver: draft.ver,
    };
  }

  /** Where the operator stands in the prefilters, for the targets that these know. */
  #bits(
    operator: Operator | null,
    negated: boolean,
    targets: readonly Target[],
  ): Pick<CompiledRule, "requestBit" | "responseBit" | "group"> {
    const requests = operator !== null && hasColumn(targets, false);
    const responses = operator !== null && hasColumn(targets, true);
    const requestBit = requests ? this.#layout.bit(operator, negated, false) : -1;
    const responseBit = responses ? this.#layout.bit(operator, negated, true) : -1;
    const pairs = targets.flatMap((target) => (target.kind === "column" ? target.pairs : []));
    const one = targets.every(({ kind }) => kind === "column") && requests !== responses;
    const grouped = one && Math.max(requestBit, responseBit) >= 0;
    return { requestBit, responseBit, group: grouped ? this.#layout.group(pairs) : -1 };
  }

  #macro(text: string, link: Link): Macro | null {
    return text === "" ? null : compileMacro(text, this.#layout.txNames, link.syntax.place);
  }

  #targets(link: Link, stages: readonly (Step | null)[]): Target[] {
    try {
      return compileTargets(link.targets, stages, this.#layout);
    } catch (error) {
      if (error instanceof RegexError) throw new SecLangError(link.targets[0]!.place, error.message);
      throw error;
    }
  }

  /** The transformations of a rule, from the first to the last. */
  #steps(draft: Draft, defaults: Draft | null): Step[] {
    const inherited = draft.ownTransformations ? [] : (defaults?.transformations ?? []);
    const steps: Step[] = [];
    for (const { value, place } of [...inherited, ...draft.transformations]) {
      const step = this.#layout.steps.child(steps.at(-1) ?? null, value);
      if (step === undefined) throw new SecLangError(place, `there is no transformation ${value}; correct its name`);
      steps.push(step);
    }
    return steps;
  }

  /** One operator for all rules with the same text: its expression is compiled once. */
  #operator({ syntax }: Link): Operator | null {
    if (syntax.operator === null) return null;
    const { name, argument, place, argumentPlace } = syntax.operator;
    const key = `${name} ${name.endsWith("file") || name.endsWith("f") ? place.file : ""} ${argument}`;
    const known = this.#operators.get(key);
    if (known !== undefined) return known;
    const maker = operatorMaker(name);
    if (typeof maker === "string") throw new SecLangError(place, maker);
    const operator = maker(argument, {
      place: argumentPlace,
      names: this.#layout.txNames,
      data: (file) => this.#options.data?.(file, place.file) ?? null,
      warn: (problem) => this.#collector.warn(place, problem),
    });
    this.#operators.set(key, operator);
    return operator;
  }

  #action({ name, value, place }: ActionSyntax): Action {
    const names = this.#layout.txNames;
    if (name === "ctl") {
      return compileControl(value, {
        place,
        index: this.#index,
        warn: (problem) => this.#collector.warn(place, problem),
      });
    }
    if (name === "initcol") return compileInitCol(value, names, place);
    if (name === "expirevar") return compileExpireVar(value, names, place);
    if (name === "setenv") return compileSetEnv(value, names, place);
    return compileOwner(name, value, names, place);
  }

  #jump(draft: Draft, item: RuleItem, at: number, link: Link): number {
    const phase = phaseOf(item);
    const here = this.#positions.before[at]![phase]!;
    if (draft.skip > 0) return here + 1 + draft.skip;
    if (draft.skipAfter === "") return -1;
    for (let later = at + 1; later < this.#items.length; later += 1) {
      const other = this.#items[later]!;
      if (other.kind === "marker" ? other.name === draft.skipAfter : isRule(other, draft.skipAfter)) {
        return this.#positions.before[later + 1]![phase]!;
      }
    }
    this.#collector.warn(
      link.syntax.place,
      `skipAfter:${draft.skipAfter} has no such marker after it: it skips all rules`,
    );
    return Number.MAX_SAFE_INTEGER;
  }
}

const isRule = (item: RuleItem, id: string): boolean => String(item.links[0]!.draft.id) === id;

function phaseOf({ links }: RuleItem): number {
  const { phase } = links[0]!.draft;
  return phase === 0 ? 2 : phase;
}

function positionsOf(items: readonly Item[]): Positions {
  const counts = [0, 0, 0, 0, 0, 0];
  const before = items.map((item) => {
    const here = [...counts];
    if (item.kind === "rule" && item.kept) counts[phaseOf(item)] = counts[phaseOf(item)]! + 1;
    return here;
  });
  return { before: [...before, counts] };
}

function hasColumn(targets: readonly Target[], response: boolean): boolean {
  return targets.some((target) => target.kind === "column" && target.column >= FIRST_RESPONSE_COLUMN === response);
}

/** `block` is what the default of the phase says; rules without any of these take the default as well. */
function disruptionOf(draft: Draft, defaults: Draft | null): Disruption {
  if (draft.disruption !== "none" && draft.disruption !== "block") return draft.disruption;
  const inherited = defaults?.disruption ?? "none";
  return inherited === "none" || inherited === "block" ? "pass" : inherited;
}
