// Why a request goes where it goes: every route up to the hit, tested one by one, in words.
import { type Condition, compileConditions } from "./conditions.ts";
import { matchesHost, matchesPath, normalizeHost } from "./pattern.ts";
import type { RouteSubject } from "./subject.ts";
import type { RouteSource } from "./table.ts";

/** What one route made of a request. All values are fit for JSON. */
export interface RouteVerdict {
  readonly route: string;
  readonly matched: boolean;
  /** The first key that did not match: `host`, `path`, `method`, `header.NAME`, … Null for a match. */
  readonly key: string | null;
  readonly wanted: string | true | readonly string[] | null;
  /** What the request has there; null for nothing. */
  readonly got: string | null;
  /** The same as a sentence. */
  readonly text: string;
}

/** The verdicts of all routes before the first match and of that one. Not for the hot path: compiles as it goes. */
export function explainMatch(routes: readonly RouteSource<unknown>[], subject: RouteSubject): RouteVerdict[] {
  const verdicts: RouteVerdict[] = [];
  for (const route of routes) {
    const verdict = judge(route, subject);
    verdicts.push(verdict);
    if (verdict.matched) break;
  }
  return verdicts;
}

function judge({ name, match }: RouteSource<unknown>, subject: RouteSubject): RouteVerdict {
  const { hosts, paths, others } = compileConditions(match);
  const conditions: readonly Condition[] = [
    {
      key: "host",
      wanted: match?.host ?? true,
      test: ({ host }) => hosts === null || hosts.some((pattern) => matchesHost(pattern, normalizeHost(host))),
      got: ({ host }) => host || null,
    },
    {
      key: "path",
      wanted: match?.path ?? true,
      test: ({ path }) => paths === null || (path !== null && paths.some((pattern) => matchesPath(pattern, path))),
      got: ({ path }) => path,
    },
    ...others,
  ];
  const failed = conditions.find((condition) => !condition.test(subject));
  if (failed === undefined) {
    const text = match === undefined || Object.keys(match).length === 0 ? "matches every request" : "every key matches";
    return { route: name, matched: true, key: null, wanted: null, got: null, text };
  }
  const { key, wanted } = failed;
  const got = failed.got(subject);
  return { route: name, matched: false, key, wanted, got, text: sentence(key, wanted, got) };
}

function sentence(key: string, wanted: Condition["wanted"], got: string | null): string {
  const has = got === null ? "the request has none" : `the request has "${got}"`;
  if (wanted === true) return `${key} must be present; ${has}`;
  if (typeof wanted === "string") return `${key} must ${verb(wanted)}; ${has}`;
  const [only] = wanted;
  if (wanted.length === 1 && only !== undefined) return `${key} must ${verb(only)}; ${has}`;
  return `${key} must be one of ${wanted.map((value) => `"${value}"`).join(", ")}; ${has}`;
}

const verb = (wanted: string): string =>
  wanted.startsWith("~") ? `match the regular expression "${wanted.slice(1)}"` : `be "${wanted}"`;
