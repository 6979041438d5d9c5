// `forward`: another server says who may, as with Traefik's ForwardAuth and nginx's auth_request. It gets the head of
// each request; what it answers with 2xx goes on, with fields that it gives; what else it answers is the answer.
import { within } from "../../config/compile-error.ts";
import type { ForwardConfig } from "../../config/schema-auth.ts";
import { fault } from "../../core/faults.ts";
import { HeaderBlock, isFieldName } from "../../http/header-block.ts";
import type { Exchange } from "../../pipeline/exchange.ts";
import type { Identity } from "../../pipeline/identity.ts";
import type { Answered, Authenticator, Verdict } from "../authenticator.ts";
import type { AuthContext } from "../context.ts";
import { questionOf } from "./question.ts";

/** A page that says no is small; more is not passed on. */
const BODY_MAX = 65_536;
/** Questions of a thread at a time: an auth server that hangs must not pile up all requests there are. */
const ASKED_MAX = 1000;
/** Decisions that are remembered. */
const REMEMBERED = 4096;
const DIGEST_BYTES = 32;
/** What a client has to know of a refusal. */
const ANSWER_FIELDS = [
  "location",
  "www-authenticate",
  "content-type",
  "content-language",
  "cache-control",
  "retry-after",
  "vary",
];
/** Where it is found who somebody is, if nothing is configured. */
const USER_FIELDS = ["x-forwarded-user", "x-auth-request-user", "remote-user", "x-user"];

/** What an auth server has said of a request that may go on. */
interface Decision {
  readonly identity: Identity;
  /** What the request gets; "" for a field that it must not have. */
  readonly fields: readonly (readonly [name: string, value: string])[];
  readonly cookies: readonly string[];
  readonly until: number;
}

/** Throws CompileError for addresses and names that are none. */
export function compileForward(config: ForwardConfig, context: AuthContext): Authenticator {
  const url = within("url", () => {
    const parsed = URL.parse(config.url);
    if (parsed === null || !/^https?:$/.test(parsed.protocol))
      throw new RangeError(`"${config.url}" is not a URL like http://127.0.0.1:9000/verify`);
    if (parsed.username !== "" || parsed.password !== "") throw new RangeError("a URL has no password in it");
    return parsed;
  });
  for (const key of ["copyHeaders", "answerHeaders", "headers"] as const)
    within(key, () => {
      for (const [at, name] of (config[key] ?? []).entries())
        within(at, () => {
          if (!isFieldName(name)) throw new RangeError(`"${name}" is not a field name`);
        });
    });
  const servers = within("url", () => upstreamServers(url, config.url, context));
  return new ForwardAuth(config, servers ?? [{ url: url.href, unix: null }], context);
}

/** Where an auth server is asked. */
interface Place {
  readonly url: string;
  /** Path of its socket; null for a TCP connection. */
  readonly unix: string | null;
}

/** The servers of the upstream that a URL names in place of a host; null where it names none. */
function upstreamServers({ pathname, search }: URL, text: string, { servers }: AuthContext): readonly Place[] | null {
  const name = /^http:\/\/([^/?#:]+)(?:[/?#]|$)/.exec(text)?.[1];
  const found = name === undefined ? null : servers(name);
  if (found === null) return null;
  if (found.length === 0)
    throw new RangeError(`the upstream "${name}" names no servers: write the address of one here`);
  return found.map((server) => {
    if (server.startsWith("unix:")) return { url: `http://localhost${pathname}${search}`, unix: server.slice(5) };
    if (/^h2c?:/i.test(server)) throw new RangeError(`${server}: an auth server is asked over HTTP/1.1`);
    const origin = /^https?:\/\//i.test(server) ? server.replace(/\/$/, "") : `http://${server}`;
    return { url: `${origin}${pathname}${search}`, unix: null };
  });
}

class ForwardAuth implements Authenticator {
  readonly kind = "forward";
  readonly challenge = "";
  readonly #config: ForwardConfig;
  readonly #places: readonly Place[];
  #next = 0;
  readonly #context: AuthContext;
  readonly #secret: string;
  readonly #digest = Buffer.alloc(DIGEST_BYTES);
  readonly #known = new Map<string, Decision>();
  #asked = 0;

  constructor(config: ForwardConfig, places: readonly Place[], context: AuthContext) {
    this.#config = config;
    this.#places = places;
    this.#context = context;
    this.#secret = context.secretFor(`forward ${context.scope}`).toString("latin1");
  }

  authenticate(x: Exchange): Verdict | Promise<Verdict> {
    const key = this.#config.cache === 0 ? "" : this.#keyOf(x);
    const known = key === "" ? undefined : this.#known.get(key);
    if (known !== undefined && known.until > this.#context.shared.now()) return admit(x, known);
    if (this.#asked >= ASKED_MAX) return { answer: fault("limit.busy", "questions to the auth server", 1) };
    return this.#ask(x, key);
  }

  /** What a decision depends on: the request's address and method, who asks, and what they say of themselves. */
  #keyOf({ request, scheme, ip }: Exchange): string {
    let text = `${this.#secret}${request.method} ${scheme}://${request.authority}${request.target}\n${ip}`;
    for (const name of this.#config.cacheKey) text += `\n${request.header(name) ?? ""}`;
    Bun.SHA256.hash(text, this.#digest);
    return this.#digest.latin1Slice(0, DIGEST_BYTES);
  }

  async #ask(x: Exchange, key: string): Promise<Verdict> {
    this.#asked += 1;
    try {
      const response = await this.#fetch(questionOf(x, this.#config.headers));
      if (response.ok) {
        await response.body?.cancel();
        const decision = this.#decisionOf(response);
        if (key !== "") this.#remember(key, decision);
        // Another request may have its head by now.
        return x.over ? null : admit(x, decision);
      }
      if (response.status < 300 || response.status >= 500) {
        await response.body?.cancel();
        return this.#unavailable(x, `status ${response.status}`);
      }
      const answer = await this.#answerOf(response);
      return answer ?? this.#unavailable(x, `an answer of more than ${BODY_MAX} bytes`);
    } catch (error) {
      return this.#unavailable(x, error instanceof Error ? error.message : String(error));
    } finally {
      this.#asked -= 1;
    }
  }

  /** Asks the servers in turn; one that cannot be reached leaves it to the next. */
  async #fetch(headers: [string, string][]): Promise<Response> {
    const { method, timeout } = this.#config;
    const signal = AbortSignal.timeout(timeout);
    for (let tries = 1; ; tries += 1) {
      const { url, unix } = this.#places[this.#next++ % this.#places.length]!;
      try {
        return await fetch(url, { method, headers, redirect: "manual", signal, ...(unix === null ? {} : { unix }) });
      } catch (error) {
        if (signal.aborted || tries >= this.#places.length) throw error;
      }
    }
  }

  #unavailable({ ip, requestId }: Exchange, why: string): Answered {
    this.#context.audit.tell({ ip, requestId }, { kind: "forward", result: "failed", user: "", why });
    return { answer: fault("auth.unavailable", why) };
  }

  #decisionOf({ headers }: Response): Decision {
    const { copyHeaders, userHeader, groupsHeader, cache } = this.#config;
    const from = userHeader === undefined ? USER_FIELDS : [userHeader];
    const user = from.map((name) => headers.get(name) ?? "").find((value) => value !== "") ?? "unknown";
    const groups = (groupsHeader === undefined ? null : headers.get(groupsHeader))?.split(/[,|]/) ?? [];
    const email =
      headers.get("x-forwarded-email") ?? headers.get("x-auth-request-email") ?? headers.get("remote-email");
    return {
      identity: {
        kind: "forward",
        user,
        issuer: "",
        groups: groups.map((group) => group.trim()).filter((group) => group !== ""),
        scopes: [],
        plan: "",
        consumer: "",
        limits: null,
        // The auth server vouches for what it says.
        claims: email === null ? {} : { email, email_verified: true },
      },
      fields: copyHeaders.map((name) => [name, headers.get(name) ?? ""] as const),
      cookies: headers.getSetCookie(),
      until: this.#context.shared.now() + cache,
    };
  }

  #remember(key: string, decision: Decision): void {
    if (this.#known.size >= REMEMBERED) this.#known.delete(this.#known.keys().next().value!);
    // What sets cookies is about this one answer.
    this.#known.set(key, { ...decision, cookies: [] });
  }

  /** What the auth server answers those who may not; null where it is too much. */
  async #answerOf(response: Response): Promise<Answered | null> {
    const pieces: Uint8Array[] = [];
    let length = 0;
    for await (const piece of response.body ?? []) {
      length += piece.length;
      if (length > BODY_MAX) return null;
      pieces.push(piece);
    }
    const headers = new HeaderBlock();
    for (const name of new Set([...ANSWER_FIELDS, ...this.#config.answerHeaders])) {
      const value = response.headers.get(name);
      if (value !== null) headers.add(name, value);
    }
    for (const cookie of response.headers.getSetCookie()) headers.add("set-cookie", cookie);
    if (!headers.has("cache-control")) headers.add("cache-control", "no-store");
    return { answer: { status: response.status, headers, body: Buffer.concat(pieces) } };
  }

  /** Cookies of the auth server; those that servers' answers get are added where these are forwarded. */
  response(x: Exchange): void {
    if (x.setCookies === null || x.route?.action.kind === "forward") return;
    for (const cookie of x.setCookies) x.response.headers.add("set-cookie", cookie);
  }
}

function admit(x: Exchange, { identity, fields, cookies }: Decision): Identity {
  const { headers } = x.request;
  for (const [name, value] of fields) {
    headers.remove(name);
    if (value !== "") headers.add(name, value);
  }
  for (const cookie of cookies) (x.setCookies ??= []).push(cookie);
  return identity;
}
