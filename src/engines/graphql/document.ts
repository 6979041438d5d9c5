// A document of GraphQL as what limits look at: its operations, each with its depth, its counts and its cost. The work
// is in proportion to the text: a fragment is looked at once, and counted wherever it is used.
import { GraphQLError } from "graphql/error/index.js";
import {
  type ArgumentNode,
  type DefinitionNode,
  type DocumentNode,
  type FieldNode,
  type FragmentDefinitionNode,
  Kind,
  type OperationDefinitionNode,
  parse,
  type SelectionSetNode,
  type ValueNode,
} from "graphql/language/index.js";
import type { GraphQLSchema } from "graphql/type/index.js";
import { valueFromASTUntyped } from "graphql/utilities/valueFromASTUntyped.js";
import { OverlappingFieldsCanBeMergedRule, specifiedRules, validate } from "graphql/validation/index.js";
import { type Cost, CostBuilder, type ListSize, listSize, type VariablePath } from "./cost.ts";
import {
  type FieldRules,
  type OperationType,
  type Rules,
  type Scope,
  type Scopes,
  TypedScopes,
  UntypedScopes,
} from "./scopes.ts";

/** An error as clients of GraphQL know it. */
export interface GraphqlError {
  readonly message: string;
  readonly locations?: readonly { readonly line: number; readonly column: number }[];
}

/** What a selection comes to, with all below it. */
export interface Sum {
  readonly depth: number;
  readonly aliases: number;
  readonly directives: number;
  readonly introspects: boolean;
  /** A field that may not be asked for; "" for none. */
  readonly denied: string;
  readonly cost: Cost;
  /** How many lists lie in each other where the schema is asked for. */
  readonly lists: number;
}

export interface Operation {
  /** "" for none. */
  readonly name: string;
  readonly type: OperationType;
  readonly sum: Sum;
  /** Values of variables that a request does not give. */
  readonly defaults: ReadonlyMap<string, unknown>;
}

export interface Document {
  readonly kind: "document";
  /** By their names, "" for one without. */
  readonly operations: ReadonlyMap<string, Operation>;
}

/** Why a text is no document to be looked at: it cannot be read, it makes no sense, or it is only too large. */
export interface NoDocument {
  readonly kind: "syntax" | "invalid" | "limit";
  readonly errors: readonly GraphqlError[];
}

/** Texts are shown to clients in part only. */
const ERRORS_MAX = 5;
const MESSAGE_MAX = 200;
/** Lists of a description that lie in each other are made to be long; the usual questions have two. */
export const INTROSPECTION_LISTS_MAX = 2;
const INTROSPECTION_LISTS = ["fields", "interfaces", "possibleTypes", "inputFields"];

// Whether fields can be merged takes time that grows with the square of their number, and the server looks at it
// anyway.
const RULES = specifiedRules.filter((rule) => rule !== OverlappingFieldsCanBeMergedRule);

export class Documents {
  readonly #scopes: Scopes;
  readonly #schema: GraphQLSchema | null;

  constructor(schema: GraphQLSchema | null, rules: Rules) {
    this.#schema = schema;
    this.#scopes = schema === null ? new UntypedScopes(rules) : new TypedScopes(schema, rules);
  }

  /** Reads a text of `tokensMax` tokens at most. */
  read(text: string, tokensMax: number): Document | NoDocument {
    try {
      const parsed = parse(text, { noLocation: true, maxTokens: tokensMax });
      const errors = this.#errors(parsed);
      if (errors.length > 0) return { kind: "invalid", errors };
      return new Reading(parsed, this.#scopes).document();
    } catch (error) {
      if (error instanceof GraphQLError) {
        // The one thing that the parser says of its limit is its message.
        const isLimit = /more tha[tn] \d+ (?:lexical )?tokens/.test(error.message);
        return isLimit
          ? tooLarge(`The document has more than ${tokensMax} tokens`)
          : { kind: "syntax", errors: [told(error)] };
      }
      if (error instanceof RangeError) return tooLarge("The document is nested too deep"); // the stack is at its end
      throw error;
    }
  }

  #errors(parsed: DocumentNode): GraphqlError[] {
    if (this.#schema === null) return structureErrors(parsed.definitions);
    return validate(this.#schema, parsed, RULES, { maxErrors: ERRORS_MAX, hideSuggestions: true })
      .slice(0, ERRORS_MAX)
      .map(told);
  }
}

const tooLarge = (message: string): NoDocument => ({ kind: "limit", errors: [{ message }] });

const invalid = (message: string): NoDocument => ({ kind: "invalid", errors: [{ message }] });

function told({ message, locations }: GraphQLError): GraphqlError {
  const short = message.length > MESSAGE_MAX ? `${message.slice(0, MESSAGE_MAX)}…` : message;
  return locations === undefined ? { message: short } : { message: short, locations: [...locations] };
}

/** Without a schema: what two readers could take for two things. */
function structureErrors(definitions: readonly DefinitionNode[]): GraphqlError[] {
  const operations = new Set<string>();
  const fragments = new Set<string>();
  for (const definition of definitions) {
    if (definition.kind === Kind.OPERATION_DEFINITION) {
      const name = definition.name?.value ?? "";
      if (operations.has(name)) return [{ message: `There can be only one operation named "${name}".` }];
      operations.add(name);
    } else if (definition.kind === Kind.FRAGMENT_DEFINITION) {
      const name = definition.name.value;
      if (fragments.has(name)) return [{ message: `There can be only one fragment named "${name}".` }];
      fragments.add(name);
    } else return [{ message: "A document has operations and fragments alone." }];
  }
  if (operations.size === 0) return [{ message: "The document has no operation." }];
  if (operations.has("") && operations.size > 1)
    return [{ message: "An operation without a name must be the only one." }];
  return [];
}

const NOTHING: Sum = { depth: 0, aliases: 0, directives: 0, introspects: false, denied: "", cost: 0, lists: 0 };

/** Looks through one document. */
class Reading {
  readonly #document: DocumentNode;
  readonly #scopes: Scopes;
  readonly #fragments = new Map<string, FragmentDefinitionNode>();
  /** Fragments by name and scope; null while one is looked at. */
  readonly #sums = new Map<string, Sum | null>();
  #problem = "";

  constructor(document: DocumentNode, scopes: Scopes) {
    this.#document = document;
    this.#scopes = scopes;
    for (const each of document.definitions)
      if (each.kind === Kind.FRAGMENT_DEFINITION) this.#fragments.set(each.name.value, each);
  }

  document(): Document | NoDocument {
    const operations = new Map<string, Operation>();
    for (const each of this.#document.definitions) {
      if (each.kind !== Kind.OPERATION_DEFINITION) continue;
      const operation = this.#operation(each);
      operations.set(operation.name, operation);
    }
    // A fragment that nobody uses is no reason for the server to stop at its own mistakes.
    return this.#problem === "" ? { kind: "document", operations } : invalid(this.#problem);
  }

  #operation(node: OperationDefinitionNode): Operation {
    const defaults = new Map<string, unknown>();
    let directives = node.directives?.length ?? 0;
    for (const { variable, defaultValue, directives: own } of node.variableDefinitions ?? []) {
      directives += own?.length ?? 0;
      if (defaultValue !== undefined) defaults.set(variable.name.value, valueFromASTUntyped(defaultValue));
    }
    const sum = this.#selection(node.selectionSet, this.#scopes.root(node.operation));
    const all = { ...sum, directives: sum.directives + directives };
    return { name: node.name?.value ?? "", type: node.operation, sum: all, defaults };
  }

  #selection({ selections }: SelectionSetNode, scope: Scope): Sum {
    const total = new Total();
    for (const selection of selections) {
      total.directives += selection.directives?.length ?? 0;
      if (selection.kind === Kind.FIELD) this.#field(selection, scope, total);
      else if (selection.kind === Kind.FRAGMENT_SPREAD) total.add(this.#fragment(selection.name.value, scope));
      else total.add(this.#selection(selection.selectionSet, scope.on(selection.typeCondition?.name.value ?? "")));
    }
    return total.sum;
  }

  #field(node: FieldNode, scope: Scope, total: Total): void {
    const name = node.name.value;
    const rules = scope.field(name);
    if (node.alias !== undefined) total.aliases += 1;
    if (rules.isDenied && total.denied === "") total.denied = scope.key === "" ? name : `${scope.key}.${name}`;
    if (name === "__schema" || name === "__type") total.introspects = true;
    const below = node.selectionSet === undefined ? NOTHING : this.#selection(node.selectionSet, rules.next);
    const list = scope.isMeta && INTROSPECTION_LISTS.includes(name) ? 1 : 0;
    // What describes the schema is bounded by its lists.
    total.addBelow(below, scope.isMeta || rules.next.isMeta ? 0 : 1, list);
    const each = new CostBuilder();
    each.add(rules.each);
    each.add(below.cost);
    total.cost.add(rules.weight);
    total.cost.addTimes(sizeOf(node, rules), each.cost);
  }

  #fragment(name: string, scope: Scope): Sum {
    const fragment = this.#fragments.get(name);
    if (fragment === undefined) {
      this.#problem ||= `There is no fragment named "${name}".`;
      return NOTHING;
    }
    const own = scope.on(fragment.typeCondition.name.value);
    const key = `${name} ${own.key}`;
    const known = this.#sums.get(key);
    if (known === null) this.#problem ||= `The fragment "${name}" leads to itself.`;
    if (known !== undefined) return known ?? NOTHING;
    this.#sums.set(key, null);
    const sum = this.#selection(fragment.selectionSet, own);
    const directives = sum.directives + (fragment.directives?.length ?? 0);
    const all = directives === sum.directives ? sum : { ...sum, directives };
    this.#sums.set(key, all);
    return all;
  }
}

/** Adds up what stands side by side. */
class Total {
  depth = 0;
  aliases = 0;
  directives = 0;
  introspects = false;
  denied = "";
  lists = 0;
  readonly cost = new CostBuilder();

  /** All but the cost, which is not the same below a list. */
  addBelow(below: Sum, deeper: number, lists: number): void {
    this.depth = Math.max(this.depth, below.depth + deeper);
    this.aliases += below.aliases;
    this.directives += below.directives;
    this.introspects ||= below.introspects;
    this.denied ||= below.denied;
    this.lists = Math.max(this.lists, below.lists + lists);
  }
  add(sum: Sum): void {
    this.addBelow(sum, 0, 0);
    this.cost.add(sum.cost);
  }
  get sum(): Sum {
    const { depth, aliases, directives, introspects, denied, lists } = this;
    return { depth, aliases, directives, introspects, denied, lists, cost: this.cost.cost };
  }
}

/** How long the list of a field may be: the most of what its arguments say. */
function sizeOf({ arguments: given = [] }: FieldNode, rules: FieldRules): number | ListSize {
  let literal = 0;
  let isNamed = false;
  const variables: VariablePath[] = [];
  for (const path of rules.sizeArguments) {
    const argument = given.find((each: ArgumentNode) => each.name.value === path[0]);
    if (argument === undefined) continue;
    const found = valueAt(argument.value, path, 1);
    if (found === null) continue;
    isNamed = true;
    if (typeof found === "number") literal = Math.max(literal, found);
    else variables.push(found);
  }
  if (variables.length > 0) return { literal, variables, assumed: rules.assumed };
  if (literal > 0) return literal;
  return isNamed ? rules.assumed : rules.size;
}

/** What lies at a path in the value of an argument; null for nothing. */
function valueAt(value: ValueNode, path: readonly string[], from: number): number | VariablePath | null {
  if (value.kind === Kind.VARIABLE) return { name: value.name.value, path: path.slice(from) };
  if (from < path.length) {
    if (value.kind !== Kind.OBJECT) return null;
    const field = value.fields.find((each) => each.name.value === path[from]);
    return field === undefined ? null : valueAt(field.value, path, from + 1);
  }
  return "value" in value && typeof value.value === "string" ? listSize(value.value) : 0;
}
