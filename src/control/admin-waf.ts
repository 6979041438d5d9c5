// The endpoints of the admin API about what happens: events as they come, what the firewall refused and why, and what
// to leave out of its rules.
import { EVENT_KINDS } from "../pipeline/events.ts";
import { json, problem, stream } from "./admin-answers.ts";
import type { AdminCall, Endpoint } from "./admin-call.ts";
import type { EventKind } from "./events.ts";
import { suggestionsOf, usesOfRecords } from "./waf-suggestions.ts";

const COUNT_DEFAULT = 50;
const COUNT_MAX = 500;

export const WAF_ENDPOINTS: readonly Endpoint[] = [
  { method: "GET", path: "/api/events", handle: events },
  { method: "GET", path: "/api/waf/blocks", handle: blocks },
  { method: "GET", path: "/api/waf/suggestions", handle: suggestions },
];

const queryOf = (request: Request): URLSearchParams => new URL(request.url, "http://localhost").searchParams;

const isKind = (text: string): text is EventKind => (EVENT_KINDS as readonly string[]).includes(text);

function events({ request, backend }: AdminCall): Response {
  const named = queryOf(request).get("kinds");
  const kinds = named === null ? null : named.split(",").filter((each) => each !== "");
  const wrong = kinds?.find((kind) => !isKind(kind));
  if (wrong !== undefined) return problem(400, `There are no events "${wrong}": use ${EVENT_KINDS.join(", ")}.`);
  if (request.method === "HEAD") return stream(null);
  const made = backend.events.connect(kinds === null ? null : new Set(kinds.filter(isKind)));
  if (made === null) return problem(503, "Too many watch already.", {}, { "retry-after": "10" });
  return stream(made);
}

function blocks({ request, backend }: AdminCall): Response {
  const query = queryOf(request);
  const text = query.get("last") ?? String(COUNT_DEFAULT);
  const count = /^\d{1,6}$/.test(text) ? Math.min(Number(text), COUNT_MAX) : 0;
  if (count === 0) return problem(400, `"last" is a number from 1 to ${COUNT_MAX}.`);
  return json(backend.wafBlocks.last(count, query.get("id")));
}

function suggestions({ backend }: AdminCall): Response {
  return json(suggestionsOf(usesOfRecords(backend.wafBlocks.last(COUNT_MAX))));
}
