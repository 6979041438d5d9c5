// One provider: what is known of it, codes and refresh tokens redeemed there. What it is, it tells by discovery, which
// is tried when it is needed, with longer and longer pauses where it fails: nothing waits for it before.
import type { JWTPayload } from "jose";
import type { Configuration } from "openid-client";
import type { ProviderConfig } from "../../config/schema-auth-oidc.ts";
import { type Grant, issuerIn, textsOf } from "./claims.ts";
import { boundedFetch, TIMEOUT_MS } from "./outgoing.ts";
import { plainClaims, plainEndpoints, plainScopes } from "./plain-oauth2.ts";

/** Clocks of providers and proxies differ. */
const SKEW_S = 120;
const PAUSE_MS = 1000;
const PAUSE_MS_MAX = 60_000;
/** What a provider tells of itself is asked for again after this. */
const KNOWN_MS = 3_600_000;
/** An unknown key has the set of keys fetched anew, but not more often than this. */
const KEYS_COOLDOWN_MS = 1000;

/** The provider cannot be reached, or is not well: what is known stays as it is. */
export class ProviderDown extends Error {}
/** The provider says no. */
export class ProviderRefuses extends Error {}

/** What has to come back as it went out. */
export interface LoginChecks {
  readonly state: string;
  readonly nonce: string;
  readonly verifier: string;
}

type Library = typeof import("openid-client");
type Keys = (claims: { token: string }) => Promise<JWTPayload>;

/** What is known of a provider. */
interface Known {
  readonly library: Library;
  readonly configuration: Configuration;
  /** Verifies a signed token of the provider, its time and audience included; null for plain OAuth 2.0. */
  readonly verify: Keys | null;
  readonly since: number;
}

export class Provider {
  readonly name: string;
  readonly config: ProviderConfig;
  readonly #now: () => number;
  #known: Known | null = null;
  #asking: Promise<Known> | null = null;
  #failures = 0;
  #retryAt = 0;

  constructor(name: string, config: ProviderConfig, now: () => number) {
    this.name = name;
    this.config = config;
    this.#now = now;
  }

  get title(): string {
    return this.config.title ?? (this.config.type === "github" ? "GitHub" : this.name);
  }

  get isPlain(): boolean {
    return plainEndpoints(this.config) !== null;
  }

  /** Begins to find out, unless that is known, under way, or has failed a moment ago. */
  prepare(): void {
    this.#ask().catch(() => undefined); // who needs it asks again, and is told
  }

  /** @throws ProviderDown while it is not known and cannot be found out */
  async #ask(): Promise<Known> {
    const known = this.#known;
    const now = this.#now();
    const isFresh = known !== null && now - known.since < KNOWN_MS;
    if (isFresh) return known;
    if (this.#asking === null && now >= this.#retryAt) {
      this.#asking = this.#discover()
        .then((found) => this.#found(found))
        .catch((error: unknown) => this.#failed(error))
        .finally(() => {
          this.#asking = null;
        });
    }
    if (known !== null) {
      this.#asking?.catch(() => undefined);
      return known; // until something newer is known
    }
    if (this.#asking === null) throw new ProviderDown("it could not be reached a moment ago");
    return await this.#asking;
  }

  #found(known: Known): Known {
    this.#known = known;
    this.#failures = 0;
    this.#retryAt = 0;
    return known;
  }

  #failed(error: unknown): never {
    this.#retryAt = this.#now() + Math.min(PAUSE_MS * 2 ** this.#failures, PAUSE_MS_MAX);
    this.#failures += 1;
    throw new ProviderDown(messageOf(error));
  }

  async #discover(): Promise<Known> {
    const library = await import("openid-client"); // costs megabytes, so only where somebody signs in
    const { clientId, clientSecret, clientAuth } = this.config;
    const secretAuth = clientAuth === "post" ? library.ClientSecretPost : library.ClientSecretBasic;
    const auth = clientSecret === undefined ? library.None() : secretAuth(clientSecret);
    const metadata = { [library.clockTolerance]: SKEW_S };
    const plain = plainEndpoints(this.config);
    const since = this.#now();
    if (plain !== null) {
      const issuer = new URL(plain.authorization).origin;
      const server = { issuer, authorization_endpoint: plain.authorization, token_endpoint: plain.token };
      const configuration = new library.Configuration(server, clientId, metadata, auth);
      prepared(configuration, library);
      if (plain.token.startsWith("http:")) library.allowInsecureRequests(configuration);
      return { library, configuration, verify: null, since };
    }
    const issuer = new URL(this.config.issuer!);
    const configuration = await library.discovery(issuer, clientId, metadata, auth, {
      execute: issuer.protocol === "http:" ? [library.allowInsecureRequests] : [],
      timeout: TIMEOUT_MS / 1000,
      [library.customFetch]: (url, init) => boundedFetch(url, init as RequestInit),
    });
    prepared(configuration, library);
    return { library, configuration, verify: await verifierOf(configuration, clientId), since };
  }

  /** Where the browser goes to sign in. @throws ProviderDown */
  async loginUrl(
    redirectUri: string,
    checks: LoginChecks,
    more: Readonly<Record<string, string>> = {},
  ): Promise<string> {
    const { library, configuration } = await this.#ask();
    const { state, nonce, verifier } = checks;
    const fallback = this.isPlain ? plainScopes(this.config) : ["openid", "email", "profile"];
    const parameters = {
      ...this.config.parameters,
      ...more,
      redirect_uri: redirectUri,
      scope: (this.config.scopes ?? fallback).join(" "),
      state,
      code_challenge: await library.calculatePKCECodeChallenge(verifier),
      code_challenge_method: "S256",
      ...(this.isPlain ? {} : { nonce }),
    };
    return library.buildAuthorizationUrl(configuration, parameters).href;
  }

  /** Who has come back: `url` is the callback's address with what the provider added. @throws ProviderDown, ProviderRefuses */
  async redeem(url: URL, { state, nonce, verifier }: LoginChecks): Promise<Grant> {
    const known = await this.#ask();
    const { library, configuration, verify } = known;
    const checks = { expectedState: state, pkceCodeVerifier: verifier };
    const expected = verify === null ? checks : { ...checks, expectedNonce: nonce, idTokenExpected: true };
    const tokens = await this.#said(library, () => library.authorizationCodeGrant(configuration, url, expected));
    return this.#grant(known, tokens, await this.#claims(known, tokens, ""), "");
  }

  /**
   * New tokens for the old one, which is none any more. @throws ProviderDown when nothing is known of what became of
   * it, ProviderRefuses when the session has ended there
   */
  async refresh(refreshToken: string, subject: string): Promise<Grant> {
    const known = await this.#ask();
    const { library, configuration } = known;
    let tokens: Tokens;
    try {
      tokens = await library.refreshTokenGrant(configuration, refreshToken);
    } catch (error) {
      // Any other error, such as a client secret that is wrong for a while, says nothing about who signed in.
      if (error instanceof library.ResponseBodyError && error.error === "invalid_grant")
        throw new ProviderRefuses(messageOf(error));
      throw new ProviderDown(messageOf(error));
    }
    // From here on the old token is none any more: what cannot be asked now stays as it is known.
    const claims = await this.#claims(known, tokens, subject).catch((error: unknown) => {
      if (error instanceof ProviderRefuses) throw error;
      return null;
    });
    return this.#grant(known, tokens, claims, subject);
  }

  /** Who it is, by all that the provider tells. */
  async #claims(known: Known, tokens: Tokens, subject: string): Promise<Record<string, unknown> | null> {
    const { library, configuration, verify } = known;
    const accessToken = tokens.access_token;
    const plain = plainEndpoints(this.config);
    if (plain !== null) return await this.#said(library, () => plainClaims(plain, this.config, accessToken));
    const token = tokens.id_token;
    const told = token === undefined ? {} : await this.#said(library, () => verify!({ token }));
    const sub = told.sub ?? subject;
    if (configuration.serverMetadata().userinfo_endpoint === undefined) return token === undefined ? null : told;
    const info = await this.#said(library, () => library.fetchUserInfo(configuration, accessToken, sub));
    // Both are about one address, or what one says of its own is not said of the other's.
    const isAnother = told.email !== undefined && told.email_verified === undefined && info.email !== told.email;
    return { ...info, ...(isAnother ? { email_verified: false } : {}), ...told, sub };
  }

  #grant(known: Known, tokens: Tokens, claims: Record<string, unknown> | null, subject: string): Grant {
    const told = typeof claims?.sub === "string" ? claims.sub : subject;
    if (told === "" || (subject !== "" && told !== subject)) throw new ProviderRefuses("it is somebody else now");
    return {
      issuer: issuerIn(known.configuration.serverMetadata().issuer, claims ?? {}),
      subject: told,
      claims,
      accessToken: tokens.access_token,
      scopes: textsOf((tokens.scope ?? "").split(" ")),
      refreshToken: tokens.refresh_token ?? "",
      idToken: tokens.id_token ?? "",
      expiresInS: tokens.expires_in ?? 0,
    };
  }

  /** Tells a refusal from trouble. */
  async #said<T>(library: Library, ask: () => Promise<T>): Promise<T> {
    try {
      return await ask();
    } catch (error) {
      if (error instanceof ProviderRefuses) throw error;
      if (isRefusal(error, library)) throw new ProviderRefuses(messageOf(error));
      throw new ProviderDown(messageOf(error));
    }
  }

  /** Where the browser goes to end the session there too; null where the provider offers no such thing. */
  async logoutUrl(idToken: string, after: string, state: string): Promise<string | null> {
    if (this.isPlain) return null;
    const { library, configuration } = await this.#ask();
    if (configuration.serverMetadata().end_session_endpoint === undefined) return null;
    const hint = idToken === "" ? {} : { id_token_hint: idToken };
    return library.buildEndSessionUrl(configuration, { ...hint, post_logout_redirect_uri: after, state }).href;
  }

  /** The claims of a token that the provider has signed for this client. @throws ProviderDown, ProviderRefuses */
  async verified(token: string): Promise<JWTPayload & { readonly issuer: string }> {
    const { library, configuration, verify } = await this.#ask();
    if (verify === null) throw new ProviderRefuses("it signs nothing");
    const claims = await this.#said(library, () => verify({ token }));
    return { ...claims, issuer: issuerIn(configuration.serverMetadata().issuer, claims) };
  }
}

/** What both ways to get tokens give. */
interface Tokens {
  readonly access_token: string;
  readonly refresh_token?: string | undefined;
  readonly id_token?: string | undefined;
  readonly scope?: string | undefined;
  readonly expires_in?: number | undefined;
}

function prepared(configuration: Configuration, library: Library): void {
  configuration.timeout = TIMEOUT_MS / 1000;
  configuration[library.customFetch] = (url, init) => boundedFetch(url, init as RequestInit);
}

/** Checks signatures with the provider's keys, which it may change at any time. */
async function verifierOf(configuration: Configuration, audience: string): Promise<Keys> {
  const { createRemoteJWKSet, customFetch, jwtVerify } = await import("jose");
  const server = configuration.serverMetadata();
  if (server.jwks_uri === undefined) throw new Error("the provider names no keys");
  const keys = createRemoteJWKSet(new URL(server.jwks_uri), {
    cooldownDuration: KEYS_COOLDOWN_MS,
    timeoutDuration: TIMEOUT_MS,
    [customFetch]: (url: string, init: RequestInit) => boundedFetch(url, init),
  });
  const told = server.id_token_signing_alg_values_supported;
  const algorithms = (told ?? ["RS256"]).filter((name) =>
    /^(?:RS|PS|ES)(?:256|384|512)$|^(?:EdDSA|Ed25519)$/.test(name),
  );
  return async ({ token }) => {
    const { payload } = await jwtVerify(token, keys, { audience, algorithms, clockTolerance: SKEW_S });
    if (payload.iss !== issuerIn(server.issuer, payload)) throw new ProviderRefuses("a token of another issuer");
    return payload;
  };
}

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

/** An answer of the provider that is its last word; what did not come through, or came with 5xx, is not. */
function isRefusal(error: unknown, library: Library): boolean {
  if (error instanceof library.ResponseBodyError) return error.status < 500 && error.status !== 429;
  if (error instanceof library.AuthorizationResponseError) return true;
  if (error instanceof library.WWWAuthenticateChallengeError) return error.status < 500;
  const { code } = error as { readonly code?: unknown };
  return typeof code === "string" && REFUSALS.test(code) && !isUnwell(error);
}

const REFUSALS =
  /^ERR_(?:JWT_|JWS_|JWKS_NO_MATCHING_KEY|JOSE_ALG)|^OAUTH_(?:JWT_|INVALID_RESPONSE|KEY_SELECTION|PARSE_ERROR|RESPONSE_IS)/;

/** Something else than the provider answered for it. */
function isUnwell(error: unknown): boolean {
  const cause = (error as { readonly cause?: unknown }).cause;
  return cause instanceof Response && cause.status >= 500;
}
