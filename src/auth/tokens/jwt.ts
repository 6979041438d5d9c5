// `jwt`: tokens that issuers have signed (RFC 7519, RFC 6750, RFC 8725). One that was found good is known by its hash
// until it expires or its key is withdrawn, so that most requests wait for nothing.
import { within } from "../../config/compile-error.ts";
import type { JwtConfig, JwtIssuerConfig } from "../../config/schema-auth-tokens.ts";
import type { Exchange } from "../../pipeline/exchange.ts";
import type { Shared } from "../../pipeline/shared.ts";
import type { Audit } from "../audit.ts";
import type { Authenticator, Verdict } from "../authenticator.ts";
import type { AuthContext } from "../context.ts";
import { type Algorithm, HMACS, PUBLIC } from "./algorithms.ts";
import { ScopeRule } from "./claims.ts";
import { checkUrl } from "./fetch-json.ts";
import { Issuer } from "./issuer.ts";
import { type JwtText, readJwt } from "./jwt-text.ts";
import { Kept } from "./kept.ts";
import { configuredKeys, FixedKeys, type KeySource } from "./keys.ts";
import { RemoteKeys } from "./remote-keys.ts";
import { invalid, TokenSource } from "./token-source.ts";
import { tokenHash } from "./verified-tokens.ts";

/** Clocks of machines that are looked after differ by less. */
const LEEWAY_MAX_MS = 600_000;

const NO_TOKEN = invalid("no signed token", true);
const NO_ISSUER = invalid("the token is from another issuer");

const issuers = new Kept<Issuer>();
const keySources = new Kept<RemoteKeys>();

/** Throws CompileError for settings that cannot work, or that would let tokens of others in. */
export function compileJwt(config: JwtConfig, { shared, audit, following }: AuthContext): Authenticator {
  const many = Array.isArray(config);
  const accepted = (many ? config : [config]).map((each, at) => {
    const accept = (): Accepted => acceptedOf(each);
    return many ? within(at, accept) : accept();
  });
  shared.onStart(() => {
    for (const { issuer } of accepted) issuer.begin(shared);
  });
  return new Jwts(accepted, shared, audit, following.includes("introspection"));
}

/** An issuer, where its tokens stand, and what they have to be for on this route. */
interface Accepted {
  readonly source: TokenSource;
  readonly issuer: Issuer;
  readonly scopes: ScopeRule;
}

function acceptedOf(config: JwtIssuerConfig): Accepted {
  if (config.leeway > LEEWAY_MAX_MS)
    within("leeway", () => {
      throw new RangeError("clocks may differ by 10m at most");
    });
  return {
    source: new TokenSource(config),
    issuer: issuerOf(config),
    scopes: within("requireScopes", () => new ScopeRule(config.requireScopes)),
  };
}

function issuerOf(config: JwtIssuerConfig): Issuer {
  const algorithms = algorithmsOf(config);
  const keys = keysOf(config);
  const { issuer, audience, leeway, user, groups, plan } = config;
  const rules = {
    issuer,
    audience: audience === false ? undefined : [audience].flat(),
    leewayMs: leeway,
    ...{ user, groups, plan },
  };
  const make = (): Issuer => new Issuer(config, rules, algorithms, keys);
  // Keys of a file may have changed, so such an issuer is made anew.
  if (!(keys instanceof RemoteKeys)) return make();
  return issuers.of([config.jwks, config.insecureHttp, config.type, rules, algorithms], make);
}

function keysOf(config: JwtIssuerConfig): KeySource {
  const { issuer, jwks, discovery, keys, file, secret, insecureHttp } = config;
  const ways = [jwks, discovery || undefined, keys ?? file, secret].filter((way) => way !== undefined);
  if (ways.length !== 1)
    throw new RangeError("name one place that keys come from: `jwks`, `discovery`, `keys` or `file`, or `secret`");
  if (jwks === undefined && !discovery) return new FixedKeys(configuredKeys(config));
  if (issuer === undefined) throw new RangeError("name the `issuer`: others may have tokens signed with the same keys");
  if (jwks === undefined) checkUrl("issuer", issuer, insecureHttp);
  else checkUrl("jwks", jwks, insecureHttp);
  const options = { issuer, jwks: jwks ?? null, insecure: insecureHttp };
  return keySources.of(options, () => new RemoteKeys(options));
}

/** Secrets are for HMACs and public keys for signatures: a list with both would let one be taken for the other. */
function algorithmsOf({ algorithms, secret }: JwtIssuerConfig): readonly Algorithm[] {
  const possible = secret === undefined ? PUBLIC : HMACS;
  if (algorithms === undefined) return possible;
  const wrong = algorithms.find((name) => !possible.includes(name));
  if (wrong !== undefined)
    within("algorithms", () => {
      throw new RangeError(
        secret === undefined
          ? `${wrong} is made with a \`secret\`, and there is none`
          : `${wrong} is made with no secret`,
      );
    });
  return algorithms;
}

class Jwts implements Authenticator {
  readonly kind = "jwt";
  readonly challenge = "Bearer";
  readonly #accepted: readonly Accepted[];
  /** Each place once. */
  readonly #sources: readonly TokenSource[];
  readonly #shared: Shared;
  readonly #audit: Audit;
  /** Tokens of others are left to the next way. */
  readonly #passes: boolean;

  constructor(accepted: readonly Accepted[], shared: Shared, audit: Audit, passes: boolean) {
    this.#audit = audit;
    this.#accepted = accepted;
    this.#sources = accepted
      .map(({ source }) => source)
      .filter((source, at, all) => all.findIndex(({ name }) => name === source.name) === at);
    this.#shared = shared;
    this.#passes = passes;
  }

  authenticate(x: Exchange): Verdict | Promise<Verdict> {
    for (let i = 0; i < this.#sources.length; i += 1) {
      const source = this.#sources[i]!;
      const token = source.read(x);
      if (token === null) continue;
      return typeof token === "string" ? this.#judge(x, source.name, token) : token;
    }
    return null;
  }

  #judge(x: Exchange, place: string, token: string): Verdict | Promise<Verdict> {
    const hash = tokenHash.of(token);
    const all = this.#accepted;
    for (let i = 0; i < all.length; i += 1) {
      const { source, issuer, scopes } = all[i]!;
      if (source.name !== place) continue;
      const identity = issuer.known(hash, token, this.#shared);
      if (identity === null) continue;
      source.strip(x);
      return scopes.judge(identity);
    }
    return this.#verify(x, place, token, hash);
  }

  #verify(x: Exchange, place: string, token: string, hash: number): Verdict | Promise<Verdict> {
    const text = readJwt(token);
    const accepted = text === null ? undefined : this.#acceptedFor(place, text);
    if (text === null || accepted === undefined) return this.#passes ? null : text === null ? NO_TOKEN : NO_ISSUER;
    const { source, issuer, scopes } = accepted;
    source.strip(x); // at once: the head may be gone by the time that it is known
    return issuer.verify(hash, token, text, this.#shared).then((verdict) => {
      if (!("user" in verdict)) return verdict;
      this.#audit.tell(x, { kind: "jwt", result: "login", user: verdict.user, why: "" });
      return scopes.judge(verdict);
    });
  }

  /** The issuer that the token names, or else one whose tokens need not name any. */
  #acceptedFor(place: string, { claims }: JwtText): Accepted | undefined {
    const here = this.#accepted.filter(({ source }) => source.name === place);
    return (
      here.find(({ issuer }) => issuer.name === claims.iss) ?? here.find(({ issuer }) => issuer.name === undefined)
    );
  }
}
