// Automatic certificates as the supervisor runs them: the engine, its store, and what it wants from listeners.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { AcmeCertificate, AcmeEvent, OnDemandAnswer } from "../certificates/acme/announce.ts";
import type { ChallengeChange } from "../certificates/acme/challenges.ts";
import type { AcmeManager } from "../certificates/acme/manager.ts";
import type { AcmeSettings, DnsSettings } from "../certificates/acme/settings.ts";
import { defaultStorageFolder } from "../certificates/storage-folder.ts";
import type { Config } from "../config/schema.ts";
import type { ListenerTls } from "../config/schema-tls.ts";
import type { Log } from "../observe/log.ts";
import { openState, type StateSettings } from "../state/open-state.ts";
import type { SharedState } from "../state/shared-state.ts";

type AcmeConfig = NonNullable<ListenerTls["acme"]>;

export interface AcmeOptions {
  readonly log: Log;
  /** Milliseconds since 1970. */
  readonly now: () => number;
  readonly random: () => number;
  /** There is a certificate, or a placeholder, to serve for a name. */
  onCertificate(certificate: AcmeCertificate): void;
  onEvent(event: AcmeEvent): void;
  /** Resolves when all workers know what to answer an authority. */
  onChallenge(change: ChallengeChange): Promise<void>;
}

/** How long other machines get to hear of a proof that they cannot ask for: a message takes some milliseconds. */
const SPREAD_MS = 500;

export class Acme {
  readonly #options: AcmeOptions;
  /** What is being asked by authorities, for workers that start meanwhile. */
  readonly #challenges = new Map<string, ChallengeChange>();
  #state: SharedState | null = null;
  #where = "";
  #manager: AcmeManager | null = null;

  constructor(options: AcmeOptions) {
    this.#options = options;
  }

  /**
   * Follows a configuration. Resolves when every name has the certificate that is stored, or a placeholder; orders go
   * on by themselves. Rejects when the store cannot be used.
   */
  async follow(config: Config): Promise<void> {
    const blocks = config.listeners.flatMap(({ tls }) => (tls?.acme === undefined ? [] : [settingsOf(tls.acme)]));
    if (blocks.length === 0 && this.#manager === null) return;
    const manager = await this.#managerFor(config);
    await manager.update(blocks);
  }

  async #managerFor(config: Config): Promise<AcmeManager> {
    const settings = storeOf(config);
    const where = JSON.stringify(settings);
    if (this.#manager !== null && where === this.#where) return this.#manager;
    await this.stop();
    const { log, now, random, onCertificate, onEvent, onChallenge } = this.#options;
    const state = await openState(settings, (error) =>
      log.warn("the shared state is in trouble", { error: error.message }),
    );
    this.#state = state;
    this.#where = where;
    // Loaded where it is asked for only: most configurations bring their certificates themselves.
    const engine = await import("../certificates/acme/manager.ts");
    this.#manager = new engine.AcmeManager({
      state,
      log,
      now,
      random,
      onCertificate,
      onEvent,
      spreadMs: settings.kind === "redis" ? SPREAD_MS : 0,
      onChallenge: (change) => {
        this.#note(change);
        return onChallenge(change);
      },
    });
    return this.#manager;
  }

  #note(change: ChallengeChange): void {
    const key = change.kind === "http-01" ? change.token : change.name;
    const isOver = change.kind === "http-01" ? change.response === null : change.certificate === null;
    if (isOver) this.#challenges.delete(key);
    else this.#challenges.set(key, change);
  }

  get challenges(): ChallengeChange[] {
    return [...this.#challenges.values()];
  }

  /** What an authority is answered that asks for this token, of whichever machine. Never rejects. */
  async responseTo(token: string): Promise<string | null> {
    try {
      return (await this.#manager?.findChallengeResponse(token)) ?? null;
    } catch (error) {
      this.#options.log.warn("an authority's question could not be looked up", { error: String(error) });
      return null;
    }
  }

  async onDemand(name: string): Promise<OnDemandAnswer> {
    if (this.#manager === null) return { kind: "refused", why: "nothing is ordered on demand" };
    return this.#manager.onDemand(name);
  }

  states(): ReturnType<AcmeManager["states"]> {
    return this.#manager?.states() ?? [];
  }

  async stop(): Promise<void> {
    await this.#manager?.stop();
    await this.#state?.close();
    this.#manager = null;
    this.#state = null;
  }
}

function storeOf({ cluster, storage }: Config): StateSettings {
  if (cluster !== undefined) return { kind: "redis", url: cluster.redis, prefix: cluster.prefix };
  return { kind: "files", folder: join(storage ?? defaultStorageFolder(), "state") };
}

/** The configuration's words in those of the engine. */
function settingsOf({
  domains,
  directory,
  email,
  challenge,
  keyType,
  dns,
  eab,
  onDemand,
  ca,
}: AcmeConfig): AcmeSettings {
  return {
    domains,
    directories: [directory].flat(),
    challenge,
    keyType,
    ...(email === undefined ? {} : { email }),
    ...(dns === undefined ? {} : { dns: dnsOf(dns) }),
    ...(eab === undefined ? {} : { eab }),
    ...(onDemand === undefined ? {} : { onDemand: onDemandOf(onDemand) }),
    ...(ca === undefined ? {} : { ca: readFileSync(ca, "utf8") }),
  };
}

function onDemandOf({ ask, allow }: NonNullable<AcmeConfig["onDemand"]>): NonNullable<AcmeSettings["onDemand"]> {
  if (ask === undefined) return { allow: allow ?? [] };
  return { ask: new URL(ask), ...(allow === undefined ? {} : { allow }) };
}

function dnsOf(dns: NonNullable<AcmeConfig["dns"]>): DnsSettings {
  const { servers, resolvers, timeout } = dns.propagation ?? {};
  const propagation = {
    ...(servers === undefined ? {} : { servers }),
    ...(resolvers === undefined ? {} : { resolvers }),
    ...(timeout === undefined ? {} : { timeoutMs: timeout }),
  };
  if (dns.provider === "exec") {
    const [program = "", ...more] = dns.command;
    return { provider: "exec", command: [program, ...more], timeoutMs: dns.timeout, propagation };
  }
  const { server, zone, key } = dns;
  return {
    provider: "rfc2136",
    server,
    ...(zone === undefined ? {} : { zone }),
    ...(key === undefined ? {} : { key }),
    propagation,
  };
}
