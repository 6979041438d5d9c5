// The endpoint of the admin API about what consumers have used.
import { hostname } from "node:os";
import { wallClock } from "../core/clock.ts";
import { json, problem, text } from "./admin-answers.ts";
import type { AdminCall, Endpoint } from "./admin-call.ts";
import { csvOf, itemOf, openMetricsOf } from "./usage-formats.ts";
import { GROUPS, type Group, type UsageQuery } from "./usage-store.ts";

export const USAGE_ENDPOINTS: readonly Endpoint[] = [{ method: "GET", path: "/api/usage", handle: usage }];

const DAY_MS = 86_400_000;
/** What is asked about where it is not said. */
const SPAN_MS = { hour: DAY_MS, day: 31 * DAY_MS, month: 366 * DAY_MS } as const;
/** Rows of an answer, which is made in memory. */
const ROWS_MAX = 50_000;
const FORMATS = ["json", "csv", "openmetrics"] as const;
const PARAMETERS = ["consumer", "user", "route", "from", "to", "by", "group", "format"];

function usage({ request, backend }: AdminCall): Response {
  const asked = new URL(request.url, "http://localhost").searchParams;
  const unknown = [...asked.keys()].find((name) => !PARAMETERS.includes(name));
  if (unknown !== undefined) return problem(400, `There is no parameter "${unknown}": use ${PARAMETERS.join(", ")}.`);
  const format = asked.get("format") ?? "json";
  if (!isOneOf(FORMATS, format)) return problem(400, `"format" is one of ${FORMATS.join(", ")}.`);
  const query = queryOf(asked, format === "openmetrics");
  if (typeof query === "string") return problem(400, query);
  const rows = backend.commons.usage.query(query);
  if (rows === null) return problem(404, "Nothing is metered: the configuration has neither `plans` nor `usage`.");
  const items = rows.slice(0, ROWS_MAX).map(itemOf);
  const isCut = rows.length > ROWS_MAX;
  if (isCut && format !== "json") return problem(422, `These are more than ${ROWS_MAX} rows: ask for less at a time.`);
  if (format === "csv") return text(csvOf(items), "text/csv; charset=utf-8; header=present");
  if (format === "openmetrics")
    return text(openMetricsOf(items), "application/openmetrics-text; version=1.0.0; charset=utf-8");
  const { from, to, by } = query;
  const span = by === "all" ? {} : { from: new Date(from).toISOString(), to: new Date(to).toISOString(), by };
  return json({ machine: hostname(), ...span, complete: !isCut, usage: items });
}

const isOneOf = <T extends string>(all: readonly T[], text: string): text is T =>
  (all as readonly string[]).includes(text);

/** What is asked for, or what is wrong with it. */
function queryOf(asked: URLSearchParams, isSum: boolean): UsageQuery | string {
  const consumer = asked.get("consumer");
  const user = asked.get("user");
  if (consumer !== null && user !== null) return `Ask for a "consumer" or a "user", not both.`;
  const group = (asked.get("group") ?? GROUPS.join(",")).split(",").filter((each) => each !== "");
  const wrong = group.find((each) => !isOneOf(GROUPS, each));
  if (wrong !== undefined) return `"group" is a list of ${GROUPS.join(", ")}.`;
  const common = {
    group: GROUPS.filter((each): each is Group => group.includes(each)),
    kind: consumer !== null ? ("consumer" as const) : user !== null ? ("user" as const) : null,
    subject: consumer ?? user,
    route: asked.get("route"),
    limit: ROWS_MAX,
  };
  if (isSum) {
    const span = ["from", "to", "by"].find((name) => asked.has(name));
    if (span !== undefined) return `"${span}" goes with json and csv: openmetrics has sums since metering began.`;
    return { ...common, from: 0, to: 0, by: "all" };
  }
  const by = asked.get("by") ?? "day";
  if (!isOneOf(["hour", "day", "month"] as const, by)) return `"by" is hour, day or month.`;
  const to = timeOf(asked.get("to"), wallClock());
  const from = timeOf(asked.get("from"), (to ?? 0) - SPAN_MS[by]);
  if (from === null || to === null) return `"from" and "to" are dates like 2026-11-24 or 2026-11-24T13:00Z.`;
  if (from >= to) return `"from" is not before "to".`;
  return { ...common, from, to, by };
}

/** A date, or a date and time with its zone; null for anything else. */
function timeOf(text: string | null, otherwise: number): number | null {
  if (text === null) return otherwise;
  if (!/^\d{4}-\d{2}-\d{2}(?:T\d{2}:\d{2}(?::\d{2}(?:\.\d{1,3})?)?(?:Z|[+-]\d{2}:\d{2}))?$/.test(text)) return null;
  const ms = Date.parse(text);
  return Number.isNaN(ms) ? null : ms;
}
