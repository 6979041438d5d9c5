// What single operations may be: kinds, names, fields and limits.
import type { GraphqlConfig } from "../../config/schema-graphql.ts";
import {
  costOf,
  INTROSPECTION_LISTS_MAX,
  type Message,
  matchesName,
  type Operation,
} from "../../engines/graphql/index.ts";
import type { Exchange } from "../../pipeline/exchange.ts";
import { type ReasonName, type Refusal, refuse } from "./refusal.ts";

/** Why an operation may not run; null where it may, as far as its cost is not asked. `isKnown`: it is of the list. */
export function operationRefusal(
  { operations, introspection, ...limits }: GraphqlConfig,
  x: Exchange,
  operation: Operation,
  isKnown: boolean,
): Refusal | null {
  const { name, type, sum } = operation;
  const { method } = x.request;
  if (method !== "POST" && type !== "query" && !(type === "subscription" && wantsEvents(x)))
    return refuse("method", `A ${type} is sent with POST.`);
  if (!operations.types.includes(type)) return refuse("operation", `There are no operations of the kind ${type} here.`);
  if (name === "" && !operations.anonymous) return refuse("operation", "An operation has a name here.");
  const { allow, deny } = operations;
  const isNamed = (patterns: readonly string[]): boolean => patterns.some((pattern) => matchesName(pattern, name));
  if ((allow !== undefined && !isNamed(allow)) || isNamed(deny))
    return refuse("operation", `The operation "${name}" may not be run here.`);
  if (sum.introspects && !mayIntrospect(introspection, x))
    return refuse("introspection", "The schema may not be asked for here.");
  if (sum.denied !== "") return refuse("field", `The field "${sum.denied}" may not be asked for here.`);
  return isKnown ? null : limitRefusal(limits, sum);
}

/** Of a subscription whose events come in an answer to GET. */
const wantsEvents = (x: Exchange): boolean => x.request.header("accept")?.includes("text/event-stream") === true;

function mayIntrospect(introspection: GraphqlConfig["introspection"], { identity }: Exchange): boolean {
  if (typeof introspection === "boolean") return introspection;
  return identity?.groups.some((group) => introspection.groups.includes(group)) === true;
}

type Limits = Pick<GraphqlConfig, "maxDepth" | "maxAliases" | "maxDirectives">;

function limitRefusal({ maxDepth, maxAliases, maxDirectives }: Limits, sum: Operation["sum"]): Refusal | null {
  if (sum.depth > maxDepth) return over("depth", "depth", sum.depth, maxDepth);
  if (sum.lists > INTROSPECTION_LISTS_MAX)
    return over("depth", "depth of the schema", sum.lists, INTROSPECTION_LISTS_MAX);
  if (sum.aliases > maxAliases) return over("aliases", "number of aliases", sum.aliases, maxAliases);
  if (sum.directives > maxDirectives) return over("directives", "number of directives", sum.directives, maxDirectives);
  return null;
}

const over = (reason: ReasonName, what: string, got: number, max: number): Refusal =>
  refuse(reason, `The operation's ${what} is ${got}, where ${max} is the most.`);

export const costOfOperation = ({ sum, defaults }: Operation, { variables }: Message): number =>
  costOf(sum.cost, variables, defaults);

export const costRefusal = (cost: number, maxCost: number | undefined): Refusal | null =>
  maxCost !== undefined && cost > maxCost
    ? refuse("cost", `It would cost ${Math.ceil(cost)}, where ${maxCost} is the most.`)
    : null;
