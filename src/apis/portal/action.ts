// What a portal answers: its files to everybody, and to consumers what is theirs. Keys are changed by whoever keeps the
// consumers (pipeline/own-keys.ts); here it is seen to that no other page makes a browser ask for it.
import { PORTAL_KEYS } from "../../config/defaults.ts";
import type { RouteConfig } from "../../config/schema.ts";
import type { PortalConfig, PortalSource } from "../../config/schema-portal.ts";
import { parseDuration } from "../../core/units.ts";
import { PlanFilter } from "../../filters/rate-limit/plan-filter.ts";
import type { Action, Exchange, Filter, Outcome, ServeEnvironment } from "../../pipeline/exchange.ts";
import { requestBody } from "../../pipeline/held-body.ts";
import type { Identity } from "../../pipeline/identity.ts";
import type { KeyAnswer, KeyTerms, KeyWish } from "../../pipeline/own-keys.ts";
import type { Reply } from "../../pipeline/reply.ts";
import type { Shared } from "../../pipeline/shared.ts";
import { PortalDocs } from "./docs.ts";
import { pageAnswers } from "./page.ts";
import { json, problem, seeOther } from "./replies.ts";

/** A name, a time and 64 scopes of 100 characters: more is nothing that is asked for here. */
const BODY_MAX = 16_384;
const NAME_MAX = 100;
/** The shortest life of a key that is of any use. */
const TTL_MIN_S = 60;
/** Operators read names too: in terminals, and in lines of text that nothing turns around. */
const UNSEEN = /[\p{Cc}\p{Cs}\u2028\u2029\u202a-\u202e\u2066-\u2069]/u;
/** A field that only scripts of the same origin can send: other pages would need CORS for it. */
const OWN_FIELD = "x-portal";

/** What a route of a portal does. `quotas` gives the filters that hold consumers to their plans, once all are known. */
export function compilePortal(
  route: RouteConfig,
  name: string,
  shared: Shared,
  quotas: () => readonly Filter[],
): Action {
  const { portal, portalSource } = route;
  const source: PortalSource = portalSource ?? { part: "rest", apis: [], ways: [] };
  if (source.part === "page") return { kind: "reply", reply: pageAnswers(portal!, source.ways) };
  const desk = new PortalDesk(portal!, source, name, shared, quotas);
  return { kind: "serve", serve: (x, env) => desk.serve(x, env) };
}

class PortalDesk {
  readonly #config: PortalConfig;
  readonly #name: string;
  readonly #shared: Shared;
  readonly #quotas: () => readonly Filter[];
  readonly #terms: KeyTerms | null;
  readonly #docs: PortalDocs;

  constructor(
    config: PortalConfig,
    { apis }: PortalSource,
    name: string,
    shared: Shared,
    quotas: () => readonly Filter[],
  ) {
    this.#config = config;
    this.#name = name;
    this.#shared = shared;
    this.#quotas = quotas;
    this.#terms = termsOf(config);
    this.#docs = new PortalDocs(apis);
  }

  serve(x: Exchange, env: ServeEnvironment): void {
    try {
      const answer = this.#answer(x);
      if (!(answer instanceof Promise)) return env.answer(x, answer);
      answer.then(
        (outcome) => {
          if (!x.over) env.answer(x, outcome);
        },
        (error: unknown) => this.#failed(x, env, error),
      );
    } catch (error) {
      this.#failed(x, env, error);
    }
  }

  /** What should not happen must not leave a client waiting. */
  #failed(x: Exchange, env: ServeEnvironment, error: unknown): void {
    const detail = error instanceof Error ? error.message : String(error);
    this.#shared.tell("the portal failed", { route: this.#name, error: detail });
    if (!x.over) env.answer(x, problem(500, "This did not work: the operator has to look at it."));
  }

  #answer(x: Exchange): Outcome | Promise<Outcome> {
    const { identity } = x;
    const { method } = x.request;
    const rest = (x.request.path ?? "").slice(this.#config.path.length + 1);
    if (identity === null || identity.consumer === "") return problem(403, "This is for consumers, and you are none.");
    const isRead = method === "GET" || method === "HEAD";
    if (rest === "login") return isRead ? seeOther(`${this.#config.path}?signed-in`) : notHere(["GET"]);
    const [api, what = "", id, verb, ...more] = rest.split("/");
    if (api !== "api" || more.length > 0) return problem(404, "There is nothing here.");
    if (what === "keys" && this.#terms !== null) return this.#keys(x, identity, this.#terms, id, verb);
    if (!isRead) return notHere(["GET"]);
    if (what === "me" && id === undefined) return this.#me(identity);
    if (what === "usage" && id === undefined && this.#config.usage) return this.#usage(x, identity);
    if (what === "docs" && id !== undefined && verb === undefined) return this.#docs.answer(id);
    return problem(404, "There is nothing here.");
  }

  #me({ consumer, kind, plan, groups }: Identity): Reply {
    const terms = this.#terms;
    const keys =
      terms === null ? null : { max: terms.max, ttlMax: terms.expiryMs / 1000, overlapMax: terms.overlapMs / 1000 };
    return json({ consumer, kind, plan, groups, apis: this.#docs.names, keys, usage: this.#config.usage });
  }

  async #usage(x: Exchange, { consumer }: Identity): Promise<Reply> {
    let state: ReturnType<PlanFilter["describe"]> = null;
    for (const filter of this.#quotas()) if (filter instanceof PlanFilter) state ??= filter.describe(x);
    const usage = await this.#shared.usageOf("consumer", consumer);
    return json({ plan: state?.plan ?? null, limits: state?.limits ?? [], usage });
  }

  #keys(x: Exchange, identity: Identity, terms: KeyTerms, id?: string, verb?: string): Outcome | Promise<Outcome> {
    const { method } = x.request;
    if (id === undefined) {
      if (method === "GET" || method === "HEAD") return this.#ask(x, identity, terms, { do: "list" });
      return method === "POST" ? this.#withBody(x, identity, terms, wishToMake) : notHere(["GET", "POST"]);
    }
    if (verb === "rotate")
      return method === "POST"
        ? this.#withBody(x, identity, terms, (body, t) => wishToRotate(id, body, t))
        : notHere(["POST"]);
    if (verb !== undefined) return problem(404, "There is nothing here.");
    if (method !== "DELETE") return notHere(["DELETE"]);
    return foreign(x, identity) ?? this.#ask(x, identity, terms, { do: "revoke", id });
  }

  #withBody(
    x: Exchange,
    identity: Identity,
    terms: KeyTerms,
    read: (body: Body, terms: KeyTerms) => KeyWish | Reply,
  ): Outcome | Promise<Outcome> {
    const refused = foreign(x, identity);
    if (refused !== null) return refused;
    const type = (x.request.header("content-type") ?? "").split(";", 1)[0]!.trim().toLowerCase();
    if (type !== "application/json") return problem(415, "This takes JSON.");
    return requestBody(x, BODY_MAX).then((bytes) => {
      if (bytes === null) return problem(413, "The body is too long.");
      const wish = read(parsed(bytes), terms);
      return "status" in wish ? wish : this.#ask(x, identity, terms, wish);
    });
  }

  async #ask(x: Exchange, identity: Identity, terms: KeyTerms, wish: KeyWish): Promise<Outcome> {
    const { consumer, kind, scopes } = identity;
    const { ip, requestId } = x;
    const owner = { consumer, kind, scopes, ip, route: this.#name, requestId };
    return answerOf(await this.#shared.ownKeys({ owner, terms, wish }));
  }
}

function termsOf({ keys }: PortalConfig): KeyTerms | null {
  if (keys === false) return null;
  const { max, expiry, scopes = null, perDay, overlap } = keys === true ? { ...PORTAL_KEYS, scopes: null } : keys;
  return { max, expiryMs: expiry, scopes, perDay, overlapMs: overlap };
}

/**
 * A request that another page may have made a browser send, with the cookies, certificate or password that it has; null
 * for one of our own page, or of a program. `SameSite` would not keep pages of the same site away.
 */
function foreign(x: Exchange, { kind }: Identity): Reply | null {
  const site = x.header("sec-fetch-site");
  const origin = x.header("origin");
  const own = `${x.scheme}://${x.request.authority}`.toLowerCase();
  const isNamed = site !== null || origin !== null;
  // Programs say neither; but what browsers send by themselves is not to be believed without.
  const isOwn = (site ?? "same-origin") === "same-origin" && (origin ?? own).toLowerCase() === own;
  if (isOwn && (isNamed || kind === "apiKey") && x.header(OWN_FIELD) === "1") return null;
  return problem(403, "This was not asked for by the portal itself.");
}

type Body = Readonly<Record<string, unknown>>;
const NO_BODY: Body = {};

function parsed(bytes: Buffer): Body {
  try {
    const body: unknown = JSON.parse(bytes.toString("utf8"));
    return typeof body === "object" && body !== null && !Array.isArray(body) ? (body as Body) : NO_BODY;
  } catch {
    return NO_BODY;
  }
}

function wishToMake({ name, ttl, scopes = null }: Body, { expiryMs }: KeyTerms): KeyWish | Reply {
  if (typeof name !== "string" || name.trim() === "" || name.length > NAME_MAX || UNSEEN.test(name))
    return problem(422, `A key needs a name of up to ${NAME_MAX} characters.`, "name");
  const seconds = ttl ?? expiryMs / 1000;
  if (typeof seconds !== "number" || !(seconds >= Math.min(TTL_MIN_S, expiryMs / 1000) && seconds * 1000 <= expiryMs))
    return problem(422, `A key lives for ${Math.floor(expiryMs / 1000)} seconds at most.`, "ttl");
  const isList = Array.isArray(scopes) && scopes.every((scope) => typeof scope === "string");
  if (scopes !== null && !isList) return problem(422, "Scopes are a list of names.", "scopes");
  const list = scopes === null ? null : [...new Set(scopes as string[])];
  return { do: "make", name: name.trim(), ttlMs: Math.floor(seconds * 1000), scopes: list };
}

function wishToRotate(id: string, { overlap = "0s" }: Body, { overlapMs }: KeyTerms): KeyWish | Reply {
  const ms = typeof overlap === "string" ? parseDuration(overlap) : null;
  if (ms === null || ms > overlapMs)
    return problem(422, `The old key goes on for ${Math.floor(overlapMs / 1000)}s at most.`, "overlap");
  return { do: "rotate", id, overlapMs: ms };
}

function answerOf(answer: KeyAnswer): Reply {
  switch (answer.kind) {
    case "keys":
      return json({ keys: answer.keys, scopes: answer.scopes });
    case "made":
      return json({ ...answer.made, key: answer.key }, 201);
    case "revoked":
      return json({ id: answer.id, revoked: true });
    case "refused": {
      const reply = problem(answer.status, answer.why);
      if (answer.retryAfter > 0) reply.headers.add("retry-after", String(answer.retryAfter));
      return reply;
    }
  }
}

function notHere(methods: readonly string[]): Reply {
  const reply = problem(405, "This cannot be done here.");
  reply.headers.add("allow", methods.includes("GET") ? ["HEAD", ...methods].join(", ") : methods.join(", "));
  return reply;
}
