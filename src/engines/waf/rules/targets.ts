// From the variables of a rule to columns, chosen entries and readers.
import { SecLangError } from "../seclang/error.ts";
import type { Selector, TargetSyntax } from "../seclang/syntax.ts";
import { COLUMN, isCollection } from "../transaction/columns.ts";
import { type Variable, variableOf } from "../variables.ts";
import type { ColumnTarget, CountTarget, LiveTarget, Target, TxTarget } from "./compiled-rule.ts";
import type { Layout } from "./layout.ts";
import type { Step } from "./steps.ts";

type Entries = ColumnTarget | LiveTarget | TxTarget;

/**
 * Compiles the targets of one link.
 *
 * @param stages the chain of transformations after each of whose steps values are compared; the last one alone
 *   without `multiMatch`
 */
export function compileTargets(
  syntaxes: readonly TargetSyntax[],
  stages: readonly (Step | null)[],
  layout: Layout,
): Target[] {
  const targets: Target[] = [];
  for (const syntax of syntaxes) {
    const variable = known(syntax);
    if (syntax.mode === "except") continue;
    const except = syntaxes.filter((other) => other.mode === "except" && other.variable === syntax.variable);
    if (except.some(({ selector }) => selector === null)) continue;
    const selectors = except.flatMap(({ selector }) => (selector === null ? [] : [selector]));
    const entries = entriesOf(syntax, variable, selectors, stages, layout);
    if (syntax.mode === "take") targets.push(...entries);
    else targets.push(countOf(syntax, entries));
  }
  return targets;
}

function known(syntax: TargetSyntax): Variable {
  const variable = variableOf(syntax.variable);
  if (variable === null) {
    throw new SecLangError(syntax.place, `there is no variable ${syntax.variable}; correct its name`);
  }
  if (variable.kind === "refused") throw new SecLangError(syntax.place, `${syntax.variable}: ${variable.why}`);
  return variable;
}

function countOf({ variable, selector }: TargetSyntax, of: readonly Entries[]): CountTarget {
  return { kind: "count", prefix: variable, key: selector?.kind === "name" ? selector.name : "", of };
}

function entriesOf(
  syntax: TargetSyntax,
  variable: Variable,
  except: readonly Selector[],
  stages: readonly (Step | null)[],
  layout: Layout,
): Entries[] {
  const { selector } = syntax;
  const prefix = syntax.variable;
  if (variable.kind === "columns") {
    if (prefix === "XML") return xmlEntries(syntax, except, stages, layout);
    return variable.columns.map((column) => {
      if (selector !== null && !isCollection(column)) {
        throw new SecLangError(syntax.place, `${prefix} is one value and has no entries; leave the part after ":" out`);
      }
      return columnTarget(prefix, column, layout.view(column, selector, except), stages, layout);
    });
  }
  if (variable.kind === "refused") return [];
  if (prefix === "TX" && selector?.kind === "name" && except.length === 0) {
    return [{ kind: "tx", prefix, key: selector.name, place: layout.txNames.place(selector.name) }];
  }
  return [
    {
      kind: "live",
      prefix,
      read: variable.read,
      name: selector?.kind === "name" ? selector.name : null,
      regex: selector?.kind === "regex" ? layout.nameRegex(selector.source) : null,
      exceptNames: except.flatMap((each) => (each.kind === "name" ? [each.name] : [])),
      exceptRegexes: except.flatMap((each) => (each.kind === "regex" ? [layout.nameRegex(each.source)] : [])),
    },
  ];
}

/** Of XPath there are the two expressions that firewalls need: the text of all elements, and all attributes. */
function xmlEntries(
  { selector, place }: TargetSyntax,
  except: readonly Selector[],
  stages: readonly (Step | null)[],
  layout: Layout,
): Entries[] {
  const path = selector?.kind === "name" ? selector.name : null;
  const text = path === null || isText(path);
  const attributes = path === null || isAttributes(path);
  if (!text && !attributes) {
    throw new SecLangError(place, "of XML there are XML:/* (all text) and XML://@* (all attributes); use one of these");
  }
  const left = (is: (path: string) => boolean): boolean =>
    !except.some((each) => each.kind === "name" && is(each.name));
  const columns = [
    ...(text && left(isText) ? [COLUMN.XML_TEXT] : []),
    ...(attributes && left(isAttributes) ? [COLUMN.XML_ATTRIBUTES] : []),
  ];
  return columns.map((column) => columnTarget("XML", column, -1, stages, layout));
}

const isText = (path: string): boolean => path === "/*" || path === "//*" || path === "/";
const isAttributes = (path: string): boolean => path === "//@*" || path === "/@*";

function columnTarget(
  prefix: string,
  column: number,
  view: number,
  stages: readonly (Step | null)[],
  layout: Layout,
): ColumnTarget {
  return { kind: "column", prefix, column, view, pairs: stages.map((step) => layout.pair(column, step)) };
}
