// Goes through the statements of all files in order: settings, defaults, chains, markers, and changes of rules.
import { directiveUse } from "../seclang/directives.ts";
import { type Place, SecLangError, showPlace } from "../seclang/error.ts";
import { parseActionText, parseSecLang } from "../seclang/parser.ts";
import type { ActionSyntax, DirectiveSyntax, RuleSyntax, TargetSyntax } from "../seclang/syntax.ts";
import { parseTargets } from "../seclang/targets.ts";
import { type Draft, draftOf, updatedActions } from "./draft.ts";
import { RuleIndex } from "./rule-index.ts";
import { applySetting, DEFAULT_SETTINGS, type Settings } from "./settings.ts";

/** A file of rules. */
export interface Source {
  readonly file: string;
  readonly text: string;
}

/** A rule with all links of its chain. */
export interface RuleItem {
  readonly kind: "rule";
  readonly links: readonly Link[];
  /** What SecDefaultAction said where the rule stands. */
  readonly defaults: Draft | null;
  /** What `RuleIndex` finds it by; false once it was removed. */
  kept: boolean;
}

export interface Link {
  readonly syntax: RuleSyntax;
  targets: readonly TargetSyntax[];
  actions: readonly ActionSyntax[];
  draft: Draft;
}

interface MarkerItem {
  readonly kind: "marker";
  readonly name: string;
}

export type Item = RuleItem | MarkerItem;

export interface CollectOptions {
  /** The files that `Include` names, in order; null when there are none. Optional ones may be missing. */
  readonly include: (pattern: string, from: string) => readonly Source[] | null;
  readonly settings: Partial<Settings>;
}

// Include within include within include: a file that includes itself ends here.
const DEPTH_MAX = 16;

export class Collector {
  readonly settings: Settings;
  readonly items: Item[] = [];
  readonly warnings: string[] = [];
  readonly #options: CollectOptions;
  readonly #defaults: (Draft | null)[] = [null, null, null, null, null, null];
  readonly #ids = new Map<number, Place>();
  readonly #late: DirectiveSyntax[] = [];
  #chain: Link[] | null = null;

  constructor(options: CollectOptions) {
    this.#options = options;
    this.settings = { ...DEFAULT_SETTINGS, ...options.settings };
  }

  addFile(source: Source, depth = 0): void {
    for (const statement of parseSecLang(source.file, source.text)) {
      if (statement.kind === "rule") this.#addRule(statement);
      else {
        this.#endChain(statement.place);
        this.#addDirective(statement, depth);
      }
    }
    if (this.#chain !== null) this.#endChain(this.#chain.at(-1)!.syntax.place);
  }

  /** All rules, after the directives that change or remove some. */
  finish(): { readonly items: readonly Item[]; readonly index: RuleIndex } {
    const rules = this.items.filter((item) => item.kind === "rule");
    const index = new RuleIndex(
      rules.map(({ links }) => ({ id: links[0]!.draft.id, tags: links[0]!.draft.tags, msg: links[0]!.draft.msg })),
    );
    for (const directive of this.#late) this.#change(directive, rules, index);
    return { items: this.items, index };
  }

  warn(place: Place, problem: string): void {
    this.warnings.push(`${showPlace(place)}: ${problem}`);
  }

  #endChain(place: Place): void {
    if (this.#chain === null) return;
    throw new SecLangError(place, "the rule before has `chain`, so another SecRule has to follow it");
  }

  #addRule(syntax: RuleSyntax): void {
    const draft = draftOf(syntax.actions);
    const link: Link = { syntax, targets: syntax.targets, actions: syntax.actions, draft };
    const head = this.#chain === null;
    const chain = this.#chain ?? [];
    chain.push(link);
    if (head) this.#checkHead(draft, syntax.place);
    else if (draft.disruption !== "none" && draft.disruption !== "pass" && draft.disruption !== "block") {
      throw new SecLangError(syntax.place, `${draft.disruption} belongs to the first rule of a chain`);
    }
    if (draft.chain) {
      this.#chain = chain;
      return;
    }
    this.#chain = null;
    const phase = chain[0]!.draft.phase === 0 ? 2 : chain[0]!.draft.phase;
    this.items.push({ kind: "rule", links: chain, defaults: this.#defaults[phase]!, kept: true });
  }

  #checkHead(draft: Draft, place: Place): void {
    if (draft.id === 0) throw new SecLangError(place, "a rule needs an id; add an action as id:100001");
    const known = this.#ids.get(draft.id);
    if (known !== undefined) {
      throw new SecLangError(
        place,
        `there is a rule ${draft.id} already, at ${showPlace(known)}; give this one another id`,
      );
    }
    this.#ids.set(draft.id, place);
  }

  #addDirective(directive: DirectiveSyntax, depth: number): void {
    const { name, words, place } = directive;
    const { use, why } = directiveUse(name);
    if (use === "refused") throw new SecLangError(place, `${name} is not supported: ${why}`);
    if (use === "ignored") {
      this.warn(place, `${name} has no effect: ${why}`);
      return;
    }
    if (words.length === 0 && name !== "SecResponseBodyMimeTypesClear") {
      throw new SecLangError(place, `${name} needs a value`);
    }
    if (name === "Include" || name === "IncludeOptional") this.#include(directive, depth);
    else if (name === "SecMarker") this.items.push({ kind: "marker", name: words[0]! });
    else if (name === "SecDefaultAction") this.#setDefault(directive);
    else if (name.startsWith("SecRuleRemove") || name.startsWith("SecRuleUpdate")) this.#late.push(directive);
    else {
      const expected = applySetting(this.settings, name, words);
      if (expected !== null) throw new SecLangError(directive.places[0] ?? place, `${name} needs ${expected}`);
    }
  }

  #include({ name, words, place }: DirectiveSyntax, depth: number): void {
    if (depth >= DEPTH_MAX) throw new SecLangError(place, `files include each other more than ${DEPTH_MAX} deep`);
    const sources = this.#options.include(words[0]!, place.file);
    if (sources === null && name === "Include") {
      throw new SecLangError(place, `there is no file ${words[0]!}; correct the path, or use IncludeOptional`);
    }
    for (const source of sources ?? []) this.addFile(source, depth + 1);
  }

  #setDefault({ words, places }: DirectiveSyntax): void {
    const draft = draftOf(parseActionText(words[0]!, places[0]!));
    if (draft.phase === 0) throw new SecLangError(places[0]!, "SecDefaultAction needs a phase, as phase:2,log,pass");
    if (draft.id !== 0 || draft.chain) throw new SecLangError(places[0]!, "defaults have neither an id nor a chain");
    this.#defaults[draft.phase] = draft;
  }

  #change(directive: DirectiveSyntax, rules: readonly RuleItem[], index: RuleIndex): void {
    const { name, words, place, places } = directive;
    const selected = select(name, name.startsWith("SecRuleRemove") ? words.join(" ") : words[0]!, index, place);
    if (!selected.includes(1)) this.warn(place, `${name} ${words[0]!} finds no rule`);
    for (const [at, rule] of rules.entries()) {
      if (selected[at] === 0) continue;
      const head = rule.links[0]!;
      if (name.startsWith("SecRuleRemove")) rule.kept = false;
      else if (words[1] === undefined) throw new SecLangError(place, `${name} needs rules and what to change`);
      else if (name === "SecRuleUpdateActionById") {
        head.actions = updatedActions(head.actions, parseActionText(words[1], places[1]!));
        head.draft = draftOf(head.actions);
      } else head.targets = updatedTargets(head.targets, words, places);
    }
  }
}

function select(name: string, text: string, index: RuleIndex, place: Place): Uint8Array {
  if (name.endsWith("ByTag")) return index.byTag(text);
  if (name.endsWith("ByMsg")) return index.byMsg(text);
  const selected = index.byId(text);
  if (selected === null)
    throw new SecLangError(place, `${name} needs ids or ranges of ids, as 942100 or 942000-942999`);
  return selected;
}

/** Targets are added; with a third word they take the place of the variable that it names. */
function updatedTargets(
  old: readonly TargetSyntax[],
  words: readonly string[],
  places: readonly Place[],
): readonly TargetSyntax[] {
  const added = parseTargets(words[1]!, () => places[1]!);
  if (words[2] === undefined) return [...old, ...added];
  const replaced = parseTargets(words[2], () => places[2]!);
  const gone = (target: TargetSyntax): boolean =>
    replaced.some(
      ({ variable, selector }) =>
        variable === target.variable && JSON.stringify(selector) === JSON.stringify(target.selector),
    );
  return [...old.filter((target) => !gone(target)), ...added];
}
