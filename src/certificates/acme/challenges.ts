// The answers to challenges that are under way, on every node: whichever of them the authority asks must know them.
import type { SharedState, Unsubscribe } from "../../state/shared-state.ts";

/** The certificate of a name for `acme-tls/1` (RFC 8737). */
export interface AlpnCertificate {
  readonly chainPem: string;
  readonly keyPem: string;
}

/** For whoever answers without asking the manager each time, such as workers. Null ends it. */
export type ChallengeChange =
  | { readonly kind: "http-01"; readonly token: string; readonly response: string | null }
  | { readonly kind: "tls-alpn-01"; readonly name: string; readonly certificate: AlpnCertificate | null };

export interface ChallengesOptions {
  readonly state: SharedState;
  /** Awaited before the authority is told to look. */
  readonly onChange?: (change: ChallengeChange) => void | Promise<void>;
  readonly onError: (error: unknown) => void;
}

type Kind = ChallengeChange["kind"];

/** Longer than an authority keeps looking. */
const KEPT_MS = 3_600_000;
/** RFC 8555 §8.3: base64url. What else comes in a URL needs no look at the store. */
const TOKEN = /^[A-Za-z0-9_-]{16,128}$/;
/** Anybody can ask for tokens; what is not known here costs a look at the store, so there are few of these at a time. */
const LOOKS_MAX = 32;
const TOPIC = "acme/challenges";

export class Challenges {
  readonly #options: ChallengesOptions;
  readonly #responses = new Map<string, string>();
  readonly #certificates = new Map<string, AlpnCertificate>();
  #unsubscribe: Unsubscribe | null = null;
  #looks = 0;

  constructor(options: ChallengesOptions) {
    this.#options = options;
  }

  /** Learns what other nodes have under way, from now on and already. */
  async start(): Promise<void> {
    const { state } = this.#options;
    this.#unsubscribe = await state.subscribe(TOPIC, (key) => {
      this.#refresh(key).catch(this.#options.onError);
    });
    for (const key of await state.list("acme/challenge/")) await this.#refresh(key);
  }

  async stop(): Promise<void> {
    await this.#unsubscribe?.();
    this.#unsubscribe = null;
  }

  /** What `/.well-known/acme-challenge/TOKEN` answers; null when this node does not know of it. */
  response(token: string): string | null {
    return this.#responses.get(token) ?? null;
  }

  certificate(name: string): AlpnCertificate | null {
    return this.#certificates.get(name) ?? null;
  }

  /** The same, looking into the store: the news from another node may not be here yet. */
  async findResponse(token: string): Promise<string | null> {
    const known = this.response(token);
    if (known !== null || !TOKEN.test(token)) return known;
    await this.#look(keyOf("http-01", token));
    return this.response(token);
  }

  async findCertificate(name: string): Promise<AlpnCertificate | null> {
    const known = this.certificate(name);
    if (known !== null) return known;
    await this.#look(keyOf("tls-alpn-01", name));
    return this.certificate(name);
  }

  putResponse(token: string, response: string): Promise<void> {
    return this.#put("http-01", token, response);
  }

  putCertificate(name: string, certificate: AlpnCertificate): Promise<void> {
    return this.#put("tls-alpn-01", name, JSON.stringify(certificate));
  }

  async remove(kind: Kind, what: string): Promise<void> {
    const key = keyOf(kind, what);
    await this.#options.state.delete(key);
    await this.#apply(kind, what, null);
    await this.#options.state.publish(TOPIC, key);
  }

  async #put(kind: Kind, what: string, value: string): Promise<void> {
    const key = keyOf(kind, what);
    await this.#options.state.set(key, value, { ttlMs: KEPT_MS });
    await this.#apply(kind, what, value);
    await this.#options.state.publish(TOPIC, key);
  }

  async #look(key: string): Promise<void> {
    if (this.#looks >= LOOKS_MAX) return;
    this.#looks += 1;
    try {
      await this.#refresh(key);
    } finally {
      this.#looks -= 1;
    }
  }

  async #refresh(key: string): Promise<void> {
    const [, , kind, ...rest] = key.split("/");
    if (kind !== "http-01" && kind !== "tls-alpn-01") return;
    await this.#apply(kind, rest.join("/"), await this.#options.state.get(key));
  }

  async #apply(kind: Kind, what: string, value: string | null): Promise<void> {
    const before = kind === "http-01" ? this.#responses.get(what) : this.#certificates.get(what);
    if (before === undefined && value === null) return;
    if (kind === "http-01") {
      put(this.#responses, what, value);
      if (before !== value) await this.#options.onChange?.({ kind, token: what, response: value });
      return;
    }
    const certificate = value === null ? null : (JSON.parse(value) as AlpnCertificate);
    put(this.#certificates, what, certificate);
    const isNews =
      certificate === null || before === undefined || (before as AlpnCertificate).keyPem !== certificate.keyPem;
    if (isNews) await this.#options.onChange?.({ kind, name: what, certificate });
  }
}

const keyOf = (kind: Kind, what: string): string => `acme/challenge/${kind}/${what}`;

/** Entries whose end was never told (a node died, a message was lost) are dropped, the oldest first, beyond this. */
const ENTRIES_MAX = 10_000;

function put<T>(table: Map<string, T>, key: string, value: T | null): void {
  table.delete(key);
  if (value === null) return;
  table.set(key, value);
  if (table.size > ENTRIES_MAX) for (const oldest of table.keys()) return void table.delete(oldest);
}
