// What is known of the fields of a selection: by the schema where there is one, else by the kind of the operation and
// the names of fields alone.
import {
  type GraphQLField,
  type GraphQLNamedType,
  type GraphQLSchema,
  getNamedType,
  getNullableType,
  isAbstractType,
  isInterfaceType,
  isListType,
  isObjectType,
} from "graphql/type/index.js";
import { listSize } from "./cost.ts";

export type OperationType = "query" | "mutation" | "subscription";

/** `Type.field`, where either may be `*` and the field may end in one; `Type` alone where it is about a type. */
export interface Rules {
  /** What a field costs that nothing else is said of. */
  readonly field: number;
  readonly weights: ReadonlyMap<string, number>;
  /** Arguments that say how long a list is, as paths: `first`, `page.size`. */
  readonly sizeArguments: readonly (readonly string[])[];
  /** How long lists are taken for that nothing is said of. */
  readonly assumedSize: number;
  /** Fields that may not be asked for. */
  readonly denied: readonly string[];
  /** The only fields of operations that may be asked for; null for all. */
  readonly allowed: readonly string[] | null;
}

export interface FieldRules {
  readonly weight: number;
  /** What each item of its list costs by its type, or the one that it is. */
  readonly each: number;
  /** How long it is taken for where no argument says so. */
  readonly size: number;
  /** The same where an argument is named that says nothing. */
  readonly assumed: number;
  readonly sizeArguments: readonly (readonly string[])[];
  readonly isDenied: boolean;
  readonly next: Scope;
}

export interface Scope {
  /** Tells scopes apart. */
  readonly key: string;
  /** Descriptions of the schema itself: neither deep nor dear, but bounded otherwise. */
  readonly isMeta: boolean;
  field(name: string): FieldRules;
  /** The same selection on a type; "" where none is named. */
  on(type: string): Scope;
}

export interface Scopes {
  root(type: OperationType): Scope;
  fragment(type: string): Scope;
}

const FREE = { weight: 0, each: 0, size: 1, assumed: 1, sizeArguments: [], isDenied: false } as const;

const META: Scope = {
  key: "__",
  isMeta: true,
  field: () => ({ ...FREE, next: META }),
  on: () => META,
};

const ROOT_NAMES: Readonly<Record<OperationType, string>> = {
  query: "Query",
  mutation: "Mutation",
  subscription: "Subscription",
};

/** What every scope knows: `__typename`, `__schema` and `__type`. */
const metaField = (name: string): FieldRules | null => (name.startsWith("__") ? { ...FREE, next: META } : null);

/** Whether one of the patterns is about this field. Names end in `*` for all that begin so. */
function matchesField(patterns: readonly string[], type: string, field: string): boolean {
  return patterns.some((pattern) => {
    const dot = pattern.indexOf(".");
    const of = pattern.slice(0, dot);
    return (of === "*" || of === type) && matchesName(pattern.slice(dot + 1), field);
  });
}

export const matchesName = (pattern: string, name: string): boolean =>
  pattern.endsWith("*") ? name.startsWith(pattern.slice(0, -1)) : pattern === name;

/** Without a schema: the fields of operations by their kind, and all others by their names. */
export class UntypedScopes implements Scopes {
  readonly #roots: Readonly<Record<OperationType, Scope>>;
  readonly #below: Scope;

  constructor(rules: Rules) {
    this.#below = new UntypedScope("", rules, null);
    const root = (type: OperationType): Scope => new UntypedScope(ROOT_NAMES[type], rules, this.#below);
    this.#roots = { query: root("query"), mutation: root("mutation"), subscription: root("subscription") };
  }
  root(type: OperationType): Scope {
    return this.#roots[type];
  }
  fragment(): Scope {
    return this.#below;
  }
}

class UntypedScope implements Scope {
  readonly key: string;
  readonly isMeta = false;
  readonly #rules: Rules;
  readonly #below: Scope | null;

  constructor(type: string, rules: Rules, below: Scope | null) {
    this.key = type;
    this.#rules = rules;
    this.#below = below;
  }

  field(name: string): FieldRules {
    const meta = metaField(name);
    if (meta !== null) return meta;
    const { weights, field, sizeArguments, assumedSize, denied, allowed } = this.#rules;
    const own = this.key === "" ? undefined : weights.get(`${this.key}.${name}`);
    const isAllowed = allowed === null || this.key === "" || matchesField(allowed, this.key, name);
    return {
      weight: own ?? weights.get(`*.${name}`) ?? field,
      each: 0,
      size: 1,
      assumed: assumedSize,
      sizeArguments,
      isDenied: !isAllowed || matchesField(denied, this.key, name),
      next: this.#below ?? this,
    };
  }

  /** Whatever a fragment calls the type, the fields of an operation stay those. */
  on(): Scope {
    return this;
  }
}

/** By a schema. Documents were held against it before, so all that is asked for is there. */
export class TypedScopes implements Scopes {
  readonly #scopes = new Map<string, TypedScope>();
  readonly #roots: Readonly<Record<OperationType, string>>;
  readonly schema: GraphQLSchema;
  readonly rules: Rules;

  constructor(schema: GraphQLSchema, rules: Rules) {
    this.schema = schema;
    this.rules = rules;
    this.#roots = {
      query: schema.getQueryType()?.name ?? "",
      mutation: schema.getMutationType()?.name ?? "",
      subscription: schema.getSubscriptionType()?.name ?? "",
    };
  }
  root(type: OperationType): Scope {
    return this.fragment(this.#roots[type]);
  }
  isRoot(type: string): boolean {
    return Object.values(this.#roots).includes(type);
  }
  fragment(type: string): Scope {
    const known = this.#scopes.get(type);
    if (known !== undefined) return known;
    const scope = new TypedScope(type, this);
    if (this.schema.getType(type) !== undefined) this.#scopes.set(type, scope);
    return scope;
  }
}

class TypedScope implements Scope {
  readonly key: string;
  readonly isMeta = false;
  readonly #scopes: TypedScopes;
  readonly #fields = new Map<string, FieldRules>();

  constructor(key: string, scopes: TypedScopes) {
    this.key = key;
    this.#scopes = scopes;
  }

  field(name: string): FieldRules {
    const known = this.#fields.get(name) ?? metaField(name);
    if (known !== null && known !== undefined) return known;
    const definition = fieldOf(this.#scopes.schema.getType(this.key), name);
    const rules = definition === null ? { ...FREE, next: META } : this.#rulesOf(name, definition);
    if (definition !== null) this.#fields.set(name, rules);
    return rules;
  }

  on(type: string): Scope {
    return type === "" ? this : this.#scopes.fragment(type);
  }

  #rulesOf(name: string, definition: GraphQLField<unknown, unknown>): FieldRules {
    const { rules, schema } = this.#scopes;
    const type = getNamedType(definition.type);
    const list = listDirective(definition);
    const sizes = list.arguments.length > 0 ? list.arguments.map((each) => each.split(".")) : rules.sizeArguments;
    const sizing = definition.args.filter(({ name: each }) => sizes.some(([first]) => first === each));
    const byDefault = Math.max(0, ...sizing.map(({ defaultValue }) => listSize(defaultValue)));
    const assumed = list.assumed || byDefault || rules.assumedSize;
    const isList = list.assumed > 0 || sizing.length > 0 || isListType(getNullableType(definition.type));
    const holders = this.#holders();
    const weights = holders.map((each) => this.#weightOf(each, name)).filter((each) => each !== undefined);
    const isAllowed =
      !this.#scopes.isRoot(this.key) || rules.allowed === null || matchesField(rules.allowed, this.key, name);
    return {
      weight: weights.length > 0 ? Math.max(...weights) : (rules.weights.get(`*.${name}`) ?? rules.field),
      each: Math.max(0, ...this.#possible(type).map((each) => rules.weights.get(each) ?? typeWeight(schema, each))),
      size: isList ? assumed : 1,
      assumed,
      sizeArguments: sizes,
      isDenied: !isAllowed || holders.some((each) => matchesField(rules.denied, each, name)),
      next: this.#scopes.fragment(type.name),
    };
  }

  /** The type, and all that an object behind it may be: what is said of one holds whatever it is asked through. */
  #holders(): readonly string[] {
    const type = this.#scopes.schema.getType(this.key);
    return type === undefined ? [this.key] : this.#possible(type);
  }

  #possible(type: GraphQLNamedType): readonly string[] {
    const { schema } = this.#scopes;
    if (isAbstractType(type)) return [type.name, ...schema.getPossibleTypes(type).map(({ name }) => name)];
    if (isObjectType(type)) return [type.name, ...type.getInterfaces().map(({ name }) => name)];
    return [type.name];
  }

  #weightOf(type: string, field: string): number | undefined {
    const { rules, schema } = this.#scopes;
    return rules.weights.get(`${type}.${field}`) ?? fieldWeight(schema, type, field);
  }
}

function fieldOf(type: GraphQLNamedType | undefined, name: string): GraphQLField<unknown, unknown> | null {
  return isObjectType(type) || isInterfaceType(type) ? (type.getFields()[name] ?? null) : null;
}

interface Described {
  readonly astNode?:
    | {
        readonly directives?: readonly {
          readonly name: { readonly value: string };
          readonly arguments?: readonly { readonly name: { readonly value: string }; readonly value: object }[];
        }[];
      }
    | null
    | undefined;
}

/** What an argument of a directive says: a text or number, or a list of them. */
function directive({ astNode }: Described, name: string, argument: string): readonly string[] {
  const found = astNode?.directives?.find((each) => each.name.value === name);
  const value = found?.arguments?.find((each) => each.name.value === argument)?.value;
  if (value === undefined) return [];
  const all = "values" in value && Array.isArray(value.values) ? (value.values as readonly object[]) : [value];
  return all.flatMap((each) => ("value" in each && typeof each.value === "string" ? [each.value] : []));
}

/** `@listSize(assumedSize, slicingArguments)` of the GraphQL Cost Directives. */
function listDirective(field: Described): { readonly assumed: number; readonly arguments: readonly string[] } {
  const [assumed = "0"] = directive(field, "listSize", "assumedSize");
  return { assumed: listSize(assumed), arguments: directive(field, "listSize", "slicingArguments") };
}

/** `@cost(weight)` of the same. */
function weightOf(described: Described): number | undefined {
  const [weight] = directive(described, "cost", "weight");
  const value = Number(weight);
  return weight === undefined || !(value >= 0) ? undefined : value;
}

function fieldWeight(schema: GraphQLSchema, type: string, name: string): number | undefined {
  const field = fieldOf(schema.getType(type), name);
  return field === null ? undefined : weightOf(field);
}

function typeWeight(schema: GraphQLSchema, name: string): number {
  const type = schema.getType(name);
  return type === undefined ? 0 : (weightOf(type) ?? 0);
}
