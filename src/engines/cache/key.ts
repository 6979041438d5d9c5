// The key of an answer: what tells it from all others (RFC 9111 §2). It is made of the parsed request alone, and what
// it leaves out is left out of the request to the server as well: nothing can change an answer that is not in its key.
import { cookieValues, receivedCookies } from "../../http/cookies.ts";
import type { HeaderBlock } from "../../http/header-block.ts";
import type { RequestHead } from "../../http/message.ts";
import { deviceClass } from "./device.ts";
import { queryPieces } from "./query-pieces.ts";
import { normalValue } from "./vary.ts";

/** Which parameters of the query count. */
export interface QueryRule {
  /** Names that do not; a `*` at the end stands for anything. */
  readonly ignore: readonly string[];
  /** Names that alone do, written alike; null for all. */
  readonly allow: readonly string[] | null;
  /** The order of parameters with different names means nothing. */
  readonly sort: boolean;
}

/** What a key is made of beside the address. */
export interface KeyRule {
  /** Null: the query as it is. */
  readonly query: QueryRule | null;
  /** Lower-case names of fields and names of cookies whose values count. */
  readonly headers: readonly string[];
  readonly cookies: readonly string[];
  readonly device: boolean;
}

export const PLAIN_KEY: KeyRule = { query: null, headers: [], cookies: [], device: false };

/** Longer keys are not worth their memory: an address of a page has some hundred characters. */
const KEY_LENGTH_MAX = 4096;

/** Neither addresses nor field values can hold it. */
const BETWEEN = "\n";

/**
 * The target under which the answer is stored, and which the server is to be asked for: the normalised path and what
 * counts of the query. Only for requests whose path is not null.
 */
export function keyedTarget(request: RequestHead, rule: KeyRule): string {
  const path = request.path!;
  if (request.queryAt < 0) return path;
  if (rule.query === null) return `${path}?${request.query}`;
  const query = countedQuery(request.query, rule.query);
  return query === "" ? path : `${path}?${query}`;
}

/** The key of an address without what is added to it: every key of this address begins with it. */
export function addressKey(scheme: string, authority: string, target: string): string {
  return scheme + BETWEEN + authority + BETWEEN + target + BETWEEN;
}

/** The key of a request; null when it would be too long, and the answer is not to be stored. */
export function requestKey(scheme: string, request: RequestHead, target: string, rule: KeyRule): string | null {
  let key = addressKey(scheme, request.authority, target);
  if (rule.headers.length > 0 || rule.cookies.length > 0 || rule.device) key += extras(request.headers, rule);
  return key.length > KEY_LENGTH_MAX ? null : key;
}

function extras(headers: HeaderBlock, rule: KeyRule): string {
  let extra = "";
  for (const name of rule.headers) extra += normalValue(name, headers) + BETWEEN;
  if (rule.cookies.length > 0) {
    const field = receivedCookies(headers);
    // No value of a cookie can hold the semicolon.
    for (const name of rule.cookies) extra += cookieValues(field, name).join(";") + BETWEEN;
  }
  return rule.device ? extra + deviceClass(headers) + BETWEEN : extra;
}

function countedQuery(query: string, rule: QueryRule): string {
  const pieces = queryPieces(query).filter(({ name }) => counts(name, rule));
  if (rule.sort) pieces.sort((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0)); // stable
  return pieces.map(({ written }) => written).join("&");
}

function counts(name: string, { ignore, allow }: QueryRule): boolean {
  if (allow !== null && !allow.some((pattern) => fits(name, pattern))) return false;
  return !ignore.some((pattern) => fits(name, pattern));
}

function fits(name: string, pattern: string): boolean {
  return pattern.endsWith("*") ? name.startsWith(pattern.slice(0, -1)) : name === pattern;
}
