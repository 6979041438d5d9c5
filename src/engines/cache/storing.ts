// Which answers a shared cache may store (RFC 9111 §3), and which it should not although it may: what is for one user
// only, and what a request can make up to harm others.
import type { HeaderBlock } from "../../http/header-block.ts";
import { ID } from "../../http/header-names.ts";
import type { RequestHead, ResponseHead } from "../../http/message.ts";
import { initialAge, parseAge } from "./age.ts";
import { ABSENT, parseRequestDirectives } from "./cache-control.ts";
import { dateOf, type Lifetime, lifetimeOf, type UseTimes, useTimes } from "./freshness.ts";
import type { CachePolicy } from "./policy.ts";
import { isUnderstood } from "./statuses.ts";
import { type Instructions, instructionsOf } from "./targeted.ts";
import { type VaryRule, varyRule } from "./vary.ts";

/** Why an answer is not stored; a token, for the `detail` of Cache-Status (RFC 9211 §2.8). */
export type Refusal =
  | "method"
  | "request-body"
  | "request-no-store"
  | "path"
  | "status"
  | "no-store"
  | "private"
  | "authorization"
  | "cookie"
  | "set-cookie"
  | "vary"
  | "no-freshness"
  | "expired";

/** What is to be known of an answer that may be stored. */
export interface Admission {
  readonly times: UseTimes;
  readonly vary: VaryRule;
  /** Lower-case names of fields that must not be stored. */
  readonly withheld: readonly string[];
  readonly noTransform: boolean;
}

/** What is looked at of an answer. */
type Answered = Pick<ResponseHead, "status" | "headers">;

/** The answer may not be stored, and why. */
export interface Refused {
  readonly refusal: Refusal;
}

const REFUSED: Readonly<Record<Refusal, Refused>> = {
  method: { refusal: "method" },
  "request-body": { refusal: "request-body" },
  "request-no-store": { refusal: "request-no-store" },
  path: { refusal: "path" },
  status: { refusal: "status" },
  "no-store": { refusal: "no-store" },
  private: { refusal: "private" },
  authorization: { refusal: "authorization" },
  cookie: { refusal: "cookie" },
  "set-cookie": { refusal: "set-cookie" },
  vary: { refusal: "vary" },
  "no-freshness": { refusal: "no-freshness" },
  expired: { refusal: "expired" },
};

/**
 * Whether the answer to this request may be stored for others; times are milliseconds since 1970. For a complete
 * answer to GET, and for a 206 whose body is stored as the part that it is; a 304 and the answer to a HEAD change what
 * is stored already (validation.ts).
 */
export function admit(
  request: RequestHead,
  response: Answered,
  requestTime: number,
  responseTime: number,
  policy: CachePolicy,
): Admission | Refused {
  if (request.method !== "GET") return REFUSED.method;
  const age = parseAge(response.headers.getById(ID.age));
  return admitUpdated(request, response, age, requestTime, responseTime, policy);
}

/** The same for a head whose age is told apart from it, in seconds: one that a 304 has changed (validation.ts). */
export function admitUpdated(
  request: RequestHead,
  response: Answered,
  age: number,
  requestTime: number,
  responseTime: number,
  policy: CachePolicy,
): Admission | Refused {
  const early = refusalOfRequest(request);
  if (early !== null) return REFUSED[early];
  const { headers } = response;
  const instructions = instructionsOf(headers);
  const forbidden = refusalOfAnswer(request.headers, response, instructions, policy);
  if (forbidden !== null) return REFUSED[forbidden];
  const vary = varyRule(headers, policy.keyedHeaders);
  if (vary === null) return REFUSED.vary;
  const date = dateOf(headers, responseTime);
  const lifetime = lifetimeOf(response.status, headers, instructions, date, policy);
  if (lifetime.source === "none" && !statesReuse(instructions)) return REFUSED["no-freshness"];
  if (isUnsureForCookies(request.headers, instructions, lifetime, policy)) return REFUSED.cookie;
  if (isUnsureForPath(request, lifetime)) return REFUSED.path;
  const bornAt = responseTime - initialAge(age, date, requestTime, responseTime);
  const times = useTimes(bornAt, instructions.directives, lifetime, policy);
  if (!isOfUse(times, headers, responseTime)) return REFUSED.expired;
  return {
    times,
    vary,
    withheld: withheldFields(instructions, policy),
    noTransform: instructions.directives.noTransform,
  };
}

/** Whether a request may lead to a stored answer at all. */
function refusalOfRequest(request: RequestHead): Refusal | null {
  if (request.body !== "none") return "request-body"; // the body is no part of the key, but may be one of the answer
  const control = request.headers.getById(ID["cache-control"]);
  return control !== null && parseRequestDirectives(control).noStore ? "request-no-store" : null;
}

function refusalOfAnswer(
  request: HeaderBlock,
  { status, headers }: Answered,
  { directives }: Instructions,
  policy: CachePolicy,
): Refusal | null {
  if (status < 200 || status === 304) return "status";
  if (directives.mustUnderstand && !isUnderstood(status)) return "status";
  // Who knows the status obeys must-understand in place of no-store (RFC 9111 §5.2.2.3).
  if (directives.noStore && !directives.mustUnderstand) return "no-store";
  if (directives.private && !policy.storePrivate) return "private";
  if (hasCredentials(request) && !isForAll(directives)) return "authorization";
  const cookie = policy.setCookie === "refuse" && headers.getById(ID["set-cookie"]) !== null;
  return cookie && !directives.withheld.includes("set-cookie") ? "set-cookie" : null;
}

/** Whoever `auth` has found out is told to servers: their answers may be theirs alone, as those to Authorization. */
const hasCredentials = (request: HeaderBlock): boolean =>
  request.personal || request.getById(ID.authorization) !== null;

/** RFC 9111 §3.5: what allows to store the answer to a request with credentials. */
function isForAll({ public: isPublic, sharedMaxAge, mustRevalidate }: Instructions["directives"]): boolean {
  return isPublic || mustRevalidate || sharedMaxAge !== ABSENT;
}

/** Whether the server says itself that the answer may be stored, though not for how long. */
function statesReuse({ directives }: Instructions): boolean {
  return directives.noCache || directives.public;
}

/**
 * Whether the answer to a request with cookies may be one user's: the server has not said that it is fresh for a while,
 * and what an operator or a heuristic says was not meant for this answer.
 */
function isUnsureForCookies(
  request: HeaderBlock,
  { directives }: Instructions,
  lifetime: Lifetime,
  policy: CachePolicy,
): boolean {
  if (policy.cookieRequests || directives.public || request.getById(ID.cookie) === null) return false;
  return lifetime.source !== "server" || lifetime.ms === 0;
}

/** Whether it can be given out without a question, now or when the servers fail, or there is a question to ask. */
function isOfUse(times: UseTimes, headers: HeaderBlock, now: number): boolean {
  if (times.freshUntil > now || times.refreshUntil > now || times.errorUntil > now || times.downUntil > now)
    return true;
  return headers.getById(ID.etag) !== null || headers.getById(ID["last-modified"]) !== null;
}

function withheldFields({ directives }: Instructions, policy: CachePolicy): readonly string[] {
  return policy.setCookie === "strip" ? [...directives.withheld, "set-cookie"] : directives.withheld;
}

const HIDDEN: ReadonlySet<string> = new Set(["2F", "5C", "3B", "23", "3F", "00", "0A", "0D"]);

/**
 * Whether the answer may be another page than its path says: a server that decodes a delimiter may answer with a user's
 * page where everybody else sees the name of a style sheet: `/account%2Fx.css`, `/account%3Bx.css` (cache deception).
 * Such are stored only where the server says itself that they may be, to a request that names no user.
 */
function isUnsureForPath({ path, headers }: RequestHead, { source }: Lifetime): boolean {
  if (path === null || !hidesDelimiter(path)) return false;
  return source !== "server" || headers.getById(ID.cookie) !== null || hasCredentials(headers);
}

/** Whether the normalised path has a delimiter encoded. */
function hidesDelimiter(path: string): boolean {
  for (let at = path.indexOf("%"); at >= 0; at = path.indexOf("%", at + 1)) {
    if (HIDDEN.has(path.slice(at + 1, at + 3))) return true;
  }
  return false;
}
