// From the configuration of an `aggregate` to what is run: calls in their order, and which of them wait for which.
import { within } from "../config/compile-error.ts";
import type { AggregateCallConfig, AggregateConfig } from "../config/schema-aggregate.ts";
import type { JsonNode } from "../engines/transform/json-node.ts";
import { type JsonPath, parsePath } from "../engines/transform/json-path.ts";
import { StatusRanges } from "../http/status-ranges.ts";
import type { Template } from "../pipeline/template.ts";
import { constantNode, type JsonMaker, Templates } from "./values.ts";

export interface FieldTemplate {
  readonly name: string;
  readonly value: Template;
}

export interface Call {
  readonly name: string;
  readonly upstream: string;
  readonly method: string;
  readonly path: Template;
  readonly fields: readonly FieldTemplate[];
  /** Lower-case names of the client's fields that it gets. */
  readonly passHeaders: readonly string[];
  /** `request` for what the client has sent; null for nothing. */
  readonly body: "request" | JsonMaker | null;
  readonly when: Template | null;
  /** 0 for that of the whole. */
  readonly timeoutMs: number;
  readonly statuses: StatusRanges;
  readonly pass: readonly number[];
  readonly select: JsonPath | null;
  /** In place of an answer that fails; null where the whole fails with it. */
  readonly fallback: JsonNode | null;
  /** Places of the calls that it waits for, and of those that wait for it. */
  readonly needs: readonly number[];
  readonly neededBy: number[];
}

export type Merge = { readonly kind: "object" | "list" | "flat" } | { readonly kind: "json"; readonly make: JsonMaker };

export interface AggregatePlan {
  readonly route: string;
  readonly calls: readonly Call[];
  readonly merge: Merge;
  /** The client's content is read: as JSON where templates look into it. */
  readonly readsBody: "no" | "bytes" | "json";
  readonly missing: string;
  readonly status: number;
  readonly fields: readonly FieldTemplate[];
  readonly timeoutMs: number;
  readonly bodyMax: number;
  readonly totalMax: number;
}

export interface PlanContext {
  readonly route: string;
  /** Names of the route's path parameters. */
  readonly params: readonly string[];
  /** The name of the upstream that a text means. Throws RangeError for one that there is not. */
  upstream(text: string): string;
}

/** Throws CompileError, or RangeError, for what cannot be. */
export function compileAggregate(config: AggregateConfig, context: PlanContext): AggregatePlan {
  const names = Object.keys(config.calls);
  const bodies = { used: false, read: false };
  const calls = within("calls", () =>
    names.map((name) =>
      within(name, () => {
        const templates = new Templates(names, context.params);
        const { passHeaders, ...own } = config.calls[name]!;
        const call = compileCall(name, { ...own, passHeaders: passHeaders ?? config.passHeaders }, templates, context);
        bodies.used ||= call.body === "request";
        bodies.read ||= templates.usesBody;
        return call;
      }),
    ),
  );
  for (const [at, call] of calls.entries()) for (const need of call.needs) calls[need]!.neededBy.push(at);
  const round = findRound(calls);
  if (round !== null)
    within("calls", () => {
      throw new RangeError(`these calls wait for each other: ${round.map((at) => names[at]).join(" → ")}`);
    });
  const templates = new Templates(names, context.params);
  const merge = within(
    "merge",
    (): Merge =>
      typeof config.merge === "string" ? { kind: config.merge } : { kind: "json", make: templates.json(config.merge) },
  );
  const fields = within("headers", () => compileFields(config.headers, templates));
  bodies.read ||= templates.usesBody;
  return {
    route: context.route,
    calls,
    merge,
    readsBody: bodies.read ? "json" : bodies.used ? "bytes" : "no",
    missing: config.missing ?? "",
    status: config.status,
    fields,
    timeoutMs: config.timeout,
    bodyMax: config.maxBody,
    totalMax: config.maxTotal,
  };
}

function compileCall(name: string, config: AggregateCallConfig, templates: Templates, context: PlanContext): Call {
  const { method, body, when, select } = config;
  if (body !== undefined && (method === "GET" || method === "HEAD"))
    throw new RangeError(`a ${method} has no body: give it another \`method\``);
  if (config.path.includes("#")) throw new RangeError("a path has no fragment");
  const upstream = within("to", () => context.upstream(config.to));
  const path = within("path", () => templates.text(config.path, "uri"));
  const fields = within("headers", () => compileFields(config.headers, templates));
  const made = within("body", () => (body === undefined || body === "request" ? (body ?? null) : templates.json(body)));
  const condition = within("when", () => (when === undefined ? null : templates.text(when, "text")));
  return {
    name,
    upstream,
    method,
    path,
    fields,
    passHeaders: (config.passHeaders ?? []).map((name) => name.toLowerCase()),
    body: made,
    when: condition,
    timeoutMs: config.timeout ?? 0,
    statuses: within("statuses", () => StatusRanges.parse(config.statuses)),
    pass: config.pass,
    select: within("select", () => (select === undefined ? null : parsePath(select))),
    fallback: config.default === undefined ? null : within("default", () => constantNode(config.default)),
    needs: [...templates.used],
    neededBy: [],
  };
}

const compileFields = (fields: Readonly<Record<string, string>>, templates: Templates): FieldTemplate[] =>
  Object.entries(fields).map(([name, value]) => within(name, () => ({ name, value: templates.text(value, "field") })));

/** Calls that wait for each other, from one of them back to it; null where there are none. */
function findRound(calls: readonly Call[]): readonly number[] | null {
  const done = new Set<number>();
  const way: number[] = [];
  const visit = (at: number): readonly number[] | null => {
    if (done.has(at)) return null;
    if (way.includes(at)) return [...way.slice(way.indexOf(at)), at];
    way.push(at);
    for (const need of calls[at]!.needs) {
      const round = visit(need);
      if (round !== null) return round;
    }
    way.pop();
    done.add(at);
    return null;
  };
  for (let at = 0; at < calls.length; at += 1) {
    const round = visit(at);
    if (round !== null) return round;
  }
  return null;
}
