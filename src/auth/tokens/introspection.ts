// `introspection`: an authorization server is asked about tokens (RFC 7662). What it says is believed for a while, one
// question is under way for a token at a time, and without an answer nobody gets in.
import { within } from "../../config/compile-error.ts";
import type { IntrospectionConfig } from "../../config/schema-auth-tokens.ts";
import { fault } from "../../core/faults.ts";
import type { Exchange } from "../../pipeline/exchange.ts";
import type { Identity } from "../../pipeline/identity.ts";
import type { Shared } from "../../pipeline/shared.ts";
import type { Audit } from "../audit.ts";
import type { Answered, Authenticator, Refused, Verdict } from "../authenticator.ts";
import type { AuthContext } from "../context.ts";
import { type ClaimRules, claimProblem, identityOf, ScopeRule } from "./claims.ts";
import { checkUrl, fetchJson } from "./fetch-json.ts";
import { Kept } from "./kept.ts";
import type { JsonObject } from "./strict-json.ts";
import { invalid, TokenSource } from "./token-source.ts";
import { tokenHash, VerifiedTokens } from "./verified-tokens.ts";

/** Questions of one thread that are under way: more at a time would only pile up at the server. */
const QUESTIONS_MAX = 256;
/** How far clocks may differ. */
const LEEWAY_MS = 60_000;
const MAX_TTL_MS = 3_600_000;

const INACTIVE = invalid("the token is not active");
const NOBODY = invalid("the answer names nobody");

type Known = Identity | Refused;

const kept = new Kept<Introspections>();

/** Throws CompileError for settings that cannot work. */
export function compileIntrospection(config: IntrospectionConfig, { shared, audit }: AuthContext): Authenticator {
  const { endpoint, insecureHttp, requireScopes, header, cookie, query, forwardToken, ...asked } = config;
  checkUrl("endpoint", endpoint, insecureHttp);
  if (config.cache.ttl > MAX_TTL_MS)
    within("cache", () =>
      within("ttl", () => {
        throw new RangeError("an answer is believed for 1h at most");
      }),
    );
  const source = new TokenSource({ header, cookie, query, forwardToken });
  const scopes = within("requireScopes", () => new ScopeRule(requireScopes));
  const server = kept.of([endpoint, asked], () => new Introspections(config));
  return new Introspected(source, scopes, server, shared, audit);
}

class Introspected implements Authenticator {
  readonly kind = "introspection";
  readonly challenge = "Bearer";
  readonly #source: TokenSource;
  readonly #scopes: ScopeRule;
  readonly #server: Introspections;
  readonly #shared: Shared;
  readonly #audit: Audit;

  constructor(source: TokenSource, scopes: ScopeRule, server: Introspections, shared: Shared, audit: Audit) {
    this.#audit = audit;
    this.#source = source;
    this.#scopes = scopes;
    this.#server = server;
    this.#shared = shared;
  }

  authenticate(x: Exchange): Verdict | Promise<Verdict> {
    const token = this.#source.read(x);
    if (typeof token !== "string") return token;
    this.#source.strip(x);
    const verdict = this.#server.judge(token, this.#shared);
    if (!(verdict instanceof Promise)) return this.#judge(verdict);
    return verdict.then((settled) => {
      if ("user" in settled) this.#audit.tell(x, { kind: this.kind, result: "login", user: settled.user, why: "" });
      return this.#judge(settled);
    });
  }

  #judge(verdict: Known | Answered): Verdict {
    return "user" in verdict ? this.#scopes.judge(verdict) : verdict;
  }
}

/** What is known from one server. */
class Introspections {
  readonly #config: IntrospectionConfig;
  readonly #rules: ClaimRules;
  readonly #issuer: string | null;
  readonly #known = new VerifiedTokens<Known>();
  readonly #pending = new Map<string, Promise<Known | Answered>>();

  constructor(config: IntrospectionConfig) {
    const { issuer, audience, user, groups, plan } = config;
    this.#config = config;
    this.#rules = {
      issuer: undefined,
      audience: audience === undefined ? undefined : [audience].flat(),
      leewayMs: LEEWAY_MS,
      ...{ user, groups, plan },
    };
    this.#issuer = issuer ?? null;
  }

  judge(token: string, shared: Shared): Known | Answered | Promise<Known | Answered> {
    const hash = tokenHash.of(token);
    const known = this.#known.find(hash, token, shared.wallNow());
    if (known !== undefined) return known;
    const pending = this.#pending.get(token);
    if (pending !== undefined) return pending;
    if (this.#pending.size >= QUESTIONS_MAX) return unavailable("too many tokens are being asked about");
    const asked = this.#ask(hash, token, shared).finally(() => this.#pending.delete(token));
    this.#pending.set(token, asked);
    return asked;
  }

  async #ask(hash: number, token: string, shared: Shared): Promise<Known | Answered> {
    const { endpoint, timeout, cache } = this.#config;
    const form = new URLSearchParams({ token, token_type_hint: "access_token" });
    const headers: Record<string, string> = {};
    this.#authenticate(form, headers);
    const fetched = await fetchJson(endpoint, { timeoutMs: timeout, form, headers });
    if ("failed" in fetched) {
      shared.tell("a token could not be asked about", { endpoint, why: fetched.failed });
      return unavailable(fetched.failed);
    }
    const now = shared.wallNow();
    const found = this.#read(fetched.json, now);
    if ("user" in found) {
      const { exp } = fetched.json;
      const expiry = typeof exp === "number" ? exp * 1000 : Number.POSITIVE_INFINITY;
      this.#known.keep(hash, token, found, Math.min(now + cache.ttl, expiry));
    } else this.#known.keep(hash, token, found, now + cache.negativeTtl);
    return found;
  }

  /** RFC 6749 section 2.3.1. */
  #authenticate(form: URLSearchParams, headers: Record<string, string>): void {
    const { clientId, clientSecret, clientAuth } = this.#config;
    if (clientAuth === "basic") {
      const pair = `${formEncoded(clientId)}:${formEncoded(clientSecret)}`;
      headers.authorization = `Basic ${Buffer.from(pair).toString("base64")}`;
      return;
    }
    form.set("client_id", clientId);
    form.set("client_secret", clientSecret);
  }

  #read(answer: JsonObject, now: number): Known {
    if (answer.active !== true) return INACTIVE;
    // The server has looked at the time already: what it says beside `active` may still be checked.
    const problem = claimProblem(answer, this.#rules, now, false);
    if (problem !== null) return problem;
    if (this.#issuer !== null && answer.iss !== undefined && answer.iss !== this.#issuer) return INACTIVE;
    const found = identityOf("introspection", named(answer, this.#rules.user), this.#rules);
    if (found === null) return NOBODY;
    // A server that does not say who it is still is who it was configured to be. What stands for a subject is none:
    // people may choose their names themselves.
    const issuer = found.issuer === "" ? (this.#issuer ?? "") : found.issuer;
    return Object.freeze({ ...found, issuer, claims: answer });
  }
}

/** Tokens of programs have no subject: they are who they are as clients. */
function named(answer: JsonObject, user: string): JsonObject {
  if (user !== "sub" || answer.sub !== undefined) return answer;
  const name = answer.username ?? answer.client_id;
  return name === undefined ? answer : { ...answer, sub: name };
}

const formEncoded = (text: string): string => new URLSearchParams([["", text]]).toString().slice(1);

const unavailable = (why: string): Answered => ({ answer: fault("auth.unavailable", why) });
