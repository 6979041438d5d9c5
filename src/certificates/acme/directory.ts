// One directory of an authority with our account there: the account, the budget of orders, and rest after outages.
import { generateKeyPairSync } from "node:crypto";
import type { Client } from "acme-client";
import { keyToPem } from "../issue.ts";
import { pause } from "./pauses.ts";
import { AcmeProblem, isOutage } from "./problem.ts";
import type { AcmeLimits, AcmeSettings } from "./settings.ts";
import { type AcmeLibrary, type CallContext, getDocument, loadAcmeClient, withContext } from "./transport.ts";
import { type AccountRecord, accountId, type Vault } from "./vault.ts";

export interface DirectoryOptions {
  readonly url: string;
  readonly settings: Pick<AcmeSettings, "email" | "eab" | "ca" | "directories">;
  readonly vault: Vault;
  readonly limits: Pick<AcmeLimits, "ordersPerDirectory">;
  readonly now: () => number;
}

/** What a directory says of itself (RFC 8555 §7.1.1, RFC 9773 §4.1). */
interface DirectoryDocument {
  readonly renewalInfo: string | null;
  readonly needsBinding: boolean;
}

/** A client of the library in a state in which orders can be made. */
export interface Session {
  readonly library: AcmeLibrary;
  readonly client: Client;
}

/** Bounds for how long everybody may hold the locks of this file; their work takes well under a second. */
const LOCK_MS = 90_000;
const LOCK_RETRY_MS = 100;
const DOCUMENT_KEPT_MS = 86_400_000;
/** How long a directory that failed as a whole is left alone by this process. */
const REST_MS = 60_000;

export class Directory {
  readonly url: string;
  /** Of the account: the same on all nodes. */
  readonly id: string;
  readonly #options: DirectoryOptions;
  #document: { readonly value: DirectoryDocument; readonly atMs: number } | null = null;
  #session: Session | null = null;
  #restUntilMs = 0;

  constructor(options: DirectoryOptions) {
    this.url = options.url;
    this.id = accountId(options.url, options.settings.email, options.settings.eab?.kid);
    this.#options = options;
  }

  /** When it may be asked again, ms since 1970; the past when now. */
  get restUntilMs(): number {
    return this.#restUntilMs;
  }

  /** Notes what a failure says about the directory as a whole. */
  failed(error: unknown): void {
    if (isOutage(error)) this.#restUntilMs = this.#options.now() + ((error as AcmeProblem).retryAfterMs ?? REST_MS);
  }

  /**
   * A client whose account exists; it is made when first needed, once by the whole cluster.
   *
   * @throws AcmeProblem
   */
  async session(signal: AbortSignal): Promise<Session> {
    if (this.#session !== null) return this.#session;
    const library = await loadAcmeClient();
    const { vault } = this.#options;
    let account = await vault.account(this.id);
    if (account === null) {
      const lock = await this.#lock(`account/${this.id}`, signal);
      try {
        account = (await vault.account(this.id)) ?? (await this.#register(library, signal));
      } finally {
        await lock.release();
      }
    }
    const client = new library.Client({ ...this.#clientOptions(account.keyPem), accountUrl: account.url });
    this.#session = { library, client };
    return this.#session;
  }

  /** The authority does not know the account any more: the next session makes a new one, unless another node has. */
  async forgetAccount(): Promise<void> {
    const url = this.#session?.client.getAccountUrl();
    this.#session = null;
    const stored = await this.#options.vault.account(this.id);
    if (stored?.url === url) await this.#options.vault.forgetAccount(this.id);
  }

  /** One call of the library, or several, with the roots and the signal that belong to them. */
  call<T>(signal: AbortSignal, work: (context: CallContext) => Promise<T>): Promise<T> {
    const context = this.#context(signal);
    return withContext(context, () => work(context));
  }

  /**
   * Counts a new order of the cluster.
   *
   * @throws AcmeProblem `budget` with the time until there is room again
   */
  async spend(signal: AbortSignal): Promise<void> {
    const { vault, now, limits } = this.#options;
    const { count, perMs } = limits.ordersPerDirectory;
    const lock = await this.#lock(`budget/${this.id}`, signal);
    try {
      const begun = (await vault.ordersBegun(this.id)).filter((at) => at > now() - perMs);
      const oldest = begun[begun.length - count];
      if (oldest !== undefined) {
        const detail = `${count} orders were begun at ${this.url} in the last ${perMs / 60_000} minutes`;
        throw new AcmeProblem({ type: "budget", detail, retryAfterMs: oldest + perMs - now() });
      }
      await vault.saveOrdersBegun(this.id, [...begun, now()], perMs);
    } finally {
      await lock.release();
    }
  }

  /** Where to ask for renewal information; null when the directory has none. */
  async renewalInfoUrl(signal: AbortSignal): Promise<string | null> {
    return (await this.#read(signal)).renewalInfo;
  }

  /** A document of the directory that needs no signature, and when to look at it again. */
  async get(url: string, signal: AbortSignal): Promise<{ document: unknown; retryAfterMs: number | null }> {
    const context = this.#context(signal);
    const document = await getDocument(url, context);
    return { document, retryAfterMs: context.retryAfterMs };
  }

  async #read(signal: AbortSignal): Promise<DirectoryDocument> {
    const { now } = this.#options;
    if (this.#document !== null && now() - this.#document.atMs < DOCUMENT_KEPT_MS) return this.#document.value;
    const raw = (await getDocument(this.url, this.#context(signal))) as {
      readonly newOrder?: unknown;
      readonly renewalInfo?: unknown;
      readonly meta?: { readonly externalAccountRequired?: unknown };
    } | null;
    if (typeof raw?.newOrder !== "string")
      throw new AcmeProblem({ type: "unusable", detail: `${this.url} is not an ACME directory` });
    const value = {
      renewalInfo: typeof raw.renewalInfo === "string" ? raw.renewalInfo : null,
      needsBinding: raw.meta?.externalAccountRequired === true,
    };
    this.#document = { value, atMs: now() };
    return value;
  }

  async #register(library: AcmeLibrary, signal: AbortSignal): Promise<AccountRecord> {
    const { settings, vault } = this.#options;
    const keyPem = keyToPem(generateKeyPairSync("ec", { namedCurve: "prime256v1" }).privateKey);
    const { needsBinding } = await this.#read(signal);
    const { eab } = settings;
    if (needsBinding && eab === undefined)
      throw new AcmeProblem({ type: "externalAccountRequired", detail: `${this.url} wants eab: { kid, hmacKey }` });
    const binds = eab !== undefined && (needsBinding || settings.directories.length === 1);
    const client = new library.Client({
      ...this.#clientOptions(keyPem),
      ...(binds ? { externalAccountBinding: { kid: eab.kid, hmacKey: eab.hmacKey } } : {}),
    });
    const contact = settings.email === undefined ? {} : { contact: [`mailto:${settings.email}`] };
    await this.call(signal, () => client.createAccount({ termsOfServiceAgreed: true, ...contact }));
    const record = { url: client.getAccountUrl(), keyPem };
    await vault.saveAccount(this.id, record);
    return record;
  }

  #clientOptions(accountKey: string): { directoryUrl: string; accountKey: string } {
    return { directoryUrl: this.url, accountKey };
  }

  #context(signal: AbortSignal): CallContext {
    return { ca: this.#options.settings.ca ?? null, signal, retryAfterMs: null };
  }

  async #lock(what: string, signal: AbortSignal): Promise<{ release(): Promise<void> }> {
    for (;;) {
      const lock = await this.#options.vault.lock(what, LOCK_MS);
      if (lock !== null) return lock;
      await pause(LOCK_RETRY_MS, signal);
    }
  }
}
