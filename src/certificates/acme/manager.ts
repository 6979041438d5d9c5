// Automatic certificates: keeps one for every name that is wanted, and gets others when somebody asks for them.
import { monotonic } from "../../core/clock.ts";
import type { Log } from "../../observe/log.ts";
import type { SharedState, Unsubscribe } from "../../state/shared-state.ts";
import { readCertificate } from "../certificate.ts";
import { normalName, normalPattern } from "../selection.ts";
import { askForAdvice } from "./advice.ts";
import { type AcmeCertificate, type AcmeEvent, type OnDemandAnswer, placeholder, toServe } from "./announce.ts";
import { type AlpnCertificate, type ChallengeChange, Challenges } from "./challenges.ts";
import { Issuer, type Outcome } from "./issuer.ts";
import {
  type AcmeNameState,
  adviceDueAtMs,
  blank,
  dueAtMs,
  impossibility,
  type ManagedName,
  renewAtMs,
  stateOf,
} from "./managed.ts";
import { pause } from "./pauses.ts";
import { PermissionGate } from "./permission.ts";
import { certificateId } from "./renewal.ts";
import { type AcmeLimits, type AcmeSettings, DEFAULT_LIMITS, type OnDemandSettings } from "./settings.ts";
import { Slots } from "./slots.ts";
import { DnsSolver, ListenerSolver } from "./solve.ts";
import { type CertificateRecord, Vault } from "./vault.ts";

export interface AcmeManagerOptions {
  readonly state: SharedState;
  readonly log: Log;
  /** Milliseconds since 1970. */
  readonly now: () => number;
  /** In [0, 1). */
  readonly random: () => number;
  /** Called with what is in the store before `update` resolves, and with placeholders for all else. */
  readonly onCertificate: (certificate: AcmeCertificate) => void;
  /** Answers to challenges, for those who answer without asking `challengeResponse` and `alpnCertificate`. */
  readonly onChallenge?: (change: ChallengeChange) => void | Promise<void>;
  readonly onEvent?: (event: AcmeEvent) => void;
  /** How long to wait until other nodes have heard of a certificate for tls-alpn-01. Default 0. */
  readonly spreadMs?: number;
  readonly limits?: Partial<AcmeLimits>;
}

const TOPIC = "acme/certificates";
const QUESTIONS_IN_FLIGHT = 4;
/** The longest time between two looks: news from other nodes may get lost, and clocks may be set. */
const LOOK_EVERY_MS = 60_000;
const LOOK_SOONEST_MS = 50;
/** After finding another node at work, and after trouble with the shared state. */
const BUSY_MS = 2000;
const STATE_TROUBLE_MS = 15_000;
/** How long on-demand waits for another node that orders the same name. */
const OTHER_NODE_MS = 60_000;

export class AcmeManager {
  readonly #options: AcmeManagerOptions;
  readonly #limits: AcmeLimits;
  readonly #vault: Vault;
  readonly #challenges: Challenges;
  readonly #listenerSolver: ListenerSolver;
  readonly #issuer: Issuer;
  readonly #orders: Slots;
  /** About renewal: they must not keep orders waiting. */
  readonly #questions = new Slots(QUESTIONS_IN_FLIGHT);
  readonly #stopping = new AbortController();
  readonly #names = new Map<string, ManagedName>();
  #gates: readonly { readonly gate: PermissionGate; readonly settings: AcmeSettings }[] = [];
  #asking = new Map<string, Promise<OnDemandAnswer>>();
  #listening: Promise<Unsubscribe> | null = null;
  #timer: NodeJS.Timeout | null = null;

  constructor(options: AcmeManagerOptions) {
    const { state, log, now, random, onChallenge } = options;
    this.#options = options;
    this.#limits = { ...DEFAULT_LIMITS, ...options.limits };
    this.#vault = new Vault(state);
    const onError = (error: unknown): void => log.warn("acme: a challenge", { error: textOf(error) });
    this.#challenges = new Challenges({
      state,
      onError,
      ...(onChallenge === undefined ? {} : { onChange: onChallenge }),
    });
    this.#listenerSolver = new ListenerSolver(this.#challenges, now, options.spreadMs ?? 0);
    this.#orders = new Slots(this.#limits.ordersInFlight);
    this.#issuer = new Issuer({
      vault: this.#vault,
      limits: this.#limits,
      now,
      random,
      solverOf: ({ challenge, dns }) =>
        challenge === "dns-01" && dns !== undefined ? new DnsSolver(dns, now, onError) : this.#listenerSolver,
    });
  }

  /**
   * What is wanted from now on. Resolves when every name has a certificate to serve: the stored one, or a placeholder;
   * orders follow by themselves. Of two blocks with one name, the first counts.
   */
  async update(wanted: readonly AcmeSettings[]): Promise<void> {
    const { now, log } = this.#options;
    await this.#listen();
    const named = new Map<string, AcmeSettings>();
    for (const settings of wanted) {
      for (const domain of settings.domains) {
        const name = normalPattern(domain);
        if (name === null) log.error("acme: not a domain name", { domain });
        else if (!named.has(name)) named.set(name, settings);
      }
    }
    this.#gates = wanted.flatMap((settings) =>
      settings.onDemand === undefined ? [] : [{ gate: this.#gateOf(settings.onDemand), settings }],
    );
    for (const managed of this.#names.values())
      if (managed.onDemand ? this.#gates.length === 0 : !named.has(managed.name)) this.#names.delete(managed.name);
    const fresh: ManagedName[] = [];
    for (const [name, settings] of named) {
      const known = this.#names.get(name);
      const impossible = impossibility(name, settings);
      if (known !== undefined && !known.onDemand && known.impossible === impossible) known.settings = settings;
      else fresh.push(this.#manage({ ...blank(name, settings, false), impossible }));
    }
    await Promise.all(fresh.map((managed) => this.#import(managed)));
    for (const { name, served, impossible } of fresh) {
      if (served === null) this.#options.onCertificate(placeholder(name, now()));
      if (impossible !== null) log.error("acme: cannot order a certificate", { name, why: impossible });
    }
    this.#arm();
  }

  /** A certificate for a name that a client asked for, if that is permitted; the first order takes seconds. */
  async onDemand(asked: string): Promise<OnDemandAnswer> {
    const name = normalName(asked);
    if (name === null) return { kind: "refused", why: "it is not the name of a host" };
    const known = this.#names.get(name);
    const certificate = known === undefined ? null : this.#usable(known);
    if (certificate !== null) return { kind: "certificate", certificate };
    if (known?.onDemand === false) return { kind: "refused", why: "its certificate is being ordered" };
    const underway = this.#asking.get(name);
    if (underway !== undefined) return await underway;
    const asking = this.#demand(name);
    this.#asking.set(name, asking);
    try {
      const answer = await asking;
      if (answer.kind === "refused") this.#options.onEvent?.({ kind: "refused", name, why: answer.why });
      return answer;
    } finally {
      this.#asking.delete(name);
    }
  }

  /** The body of `/.well-known/acme-challenge/TOKEN`, if this node knows of it. */
  challengeResponse(token: string): string | null {
    return this.#challenges.response(token);
  }

  /** The same, with a look into the shared state: another node may have begun it just now. */
  findChallengeResponse(token: string): Promise<string | null> {
    return this.#challenges.findResponse(token);
  }

  /** What a client that offers `acme-tls/1` alone gets for its SNI (RFC 8737), if this node knows of it. */
  alpnCertificate(name: string): AlpnCertificate | null {
    return this.#challenges.certificate(normalName(name) ?? "");
  }

  async findAlpnCertificate(asked: string): Promise<AlpnCertificate | null> {
    const name = normalName(asked);
    return name === null ? null : await this.#challenges.findCertificate(name);
  }

  /** For the admin API, in the order of the names. */
  states(): AcmeNameState[] {
    return [...this.#names.values()].map(stateOf).sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  /** Begins all that is due, and resolves when that, and what was under way, is done. The timer does the same. */
  async check(): Promise<void> {
    await this.#listen();
    const nowMs = this.#options.now();
    const begun: Promise<void>[] = [];
    for (const managed of this.#names.values()) {
      if (managed.running !== null) begun.push(managed.running);
      else if (dueAtMs(managed) <= nowMs) begun.push(this.#run(managed, this.#orders, () => this.#renew(managed)));
      else if (adviceDueAtMs(managed) <= nowMs)
        begun.push(this.#run(managed, this.#questions, () => this.#advise(managed)));
    }
    this.#arm();
    await Promise.all(begun);
  }

  /** Calls off what is under way and resolves when that has ended; a later start goes on with the orders. */
  async stop(): Promise<void> {
    this.#stopping.abort(new Error("stopping"));
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    await Promise.all([...this.#names.values()].map(({ running }) => running));
    await Promise.all(this.#asking.values());
    await (await this.#listening?.catch(() => null))?.();
    await this.#challenges.stop();
  }

  async #demand(name: string): Promise<OnDemandAnswer> {
    const permitted = await this.#permission(name);
    if (typeof permitted === "string") return { kind: "refused", why: permitted };
    try {
      let managed = this.#names.get(name);
      if (managed === undefined) {
        managed = this.#manage(blank(name, permitted, true));
        this.#makeRoom();
        await this.#import(managed);
      }
      return await this.#orderNow(managed);
    } catch (error) {
      return { kind: "refused", why: textOf(error) };
    }
  }

  /** The settings that allow the name, or why none of them does. */
  async #permission(name: string): Promise<AcmeSettings | string> {
    let why = "on-demand certificates are not configured";
    for (const { gate, settings } of this.#gates) {
      const permission = await gate.check(name);
      if (permission.allowed) return settings;
      why = permission.why;
    }
    return why;
  }

  async #orderNow(managed: ManagedName): Promise<OnDemandAnswer> {
    for (let waitedMs = 0; ; waitedMs += BUSY_MS) {
      if (managed.running !== null) await managed.running;
      else if (this.#usable(managed) === null) await this.#run(managed, this.#orders, () => this.#renew(managed));
      const certificate = this.#usable(managed);
      if (certificate !== null) return { kind: "certificate", certificate };
      if (managed.attempt !== null) return { kind: "refused", why: managed.attempt.error };
      if (waitedMs >= OTHER_NODE_MS) return { kind: "refused", why: "another node is at work on it for too long" };
      await pause(BUSY_MS, this.#stopping.signal);
    }
  }

  /** The names that came by handshakes are as many as the limit says: those that came first are forgotten. */
  #makeRoom(): void {
    const byHandshake = [...this.#names.values()].filter(({ onDemand }) => onDemand);
    const tooMany = byHandshake.length - this.#limits.onDemandNamesMax;
    for (const { name } of byHandshake.slice(0, Math.max(0, tooMany))) this.#names.delete(name);
  }

  #gateOf(settings: OnDemandSettings): PermissionGate {
    return new PermissionGate({ settings, asksPerSecond: this.#limits.asksPerSecond, now: monotonic });
  }

  #manage(managed: ManagedName): ManagedName {
    this.#names.set(managed.name, managed);
    return managed;
  }

  /** What the store knows of a name. Trouble with the store must not keep the rest from starting. */
  async #import(managed: ManagedName): Promise<void> {
    const { name } = managed;
    try {
      const [record, attempt, renewal] = await Promise.all([
        this.#vault.certificate(name),
        this.#vault.attempt(name),
        this.#vault.renewal(name),
      ]);
      managed.attempt = attempt;
      managed.renewal = renewal;
      if (record !== null) this.#adopt(managed, record);
    } catch (error) {
      this.#troubled(managed, error);
    }
  }

  /** Serves a stored certificate; one that cannot be used counts as none. True when it is another one than before. */
  #adopt(managed: ManagedName, record: CertificateRecord): boolean {
    const { name, served } = managed;
    if (served?.record.chainPem === record.chainPem) return false;
    const { certificate, error } = readCertificate(record.chainPem, record.keyPem);
    if (error !== undefined || !certificate.names.includes(name)) {
      const why = error?.message ?? "it is for other names";
      this.#options.log.error("acme: a stored certificate cannot be used", { name, why });
      return false;
    }
    managed.served = { record, certificate, certificateId: certificateId(record.chainPem) };
    if (this.#names.get(name) === managed) this.#options.onCertificate(toServe(managed.served));
    return true;
  }

  #usable({ served }: ManagedName): AcmeCertificate | null {
    return served !== null && served.certificate.notAfterMs > this.#options.now() ? toServe(served) : null;
  }

  #run(managed: ManagedName, slots: Slots, work: () => Promise<void>): Promise<void> {
    const guarded = async (): Promise<void> => {
      try {
        if (!this.#stopping.signal.aborted) await work();
      } catch (error) {
        this.#troubled(managed, error);
      }
    };
    const running = slots.run(guarded).finally(() => {
      managed.running = null;
      this.#arm();
    });
    managed.running = running;
    return running;
  }

  /** The shared state did not do what was asked, or we stop. Authorities never lead here. */
  #troubled(managed: ManagedName, error: unknown): void {
    if (this.#stopping.signal.aborted) return;
    managed.notBeforeMs = this.#options.now() + STATE_TROUBLE_MS;
    this.#options.log.error("acme: the shared state failed", { name: managed.name, error: textOf(error) });
  }

  async #renew(managed: ManagedName): Promise<void> {
    const { now } = this.#options;
    const { name } = managed;
    if (managed.onDemand && managed.served !== null && typeof (await this.#permission(name)) === "string") {
      this.#names.delete(name); // its permission was taken back, so it is left to expire
      return;
    }
    const isDue = (record: CertificateRecord): boolean => {
      if (this.#adopt(managed, record)) this.#shared(managed);
      return renewAtMs(managed) <= now();
    };
    const { signal } = this.#stopping;
    managed.isOrdering = true;
    try {
      await this.#settle(managed, await this.#issuer.issue({ name, settings: managed.settings, isDue, signal }));
    } finally {
      managed.isOrdering = false;
    }
  }

  async #settle(managed: ManagedName, outcome: Outcome): Promise<void> {
    const { now, random, log, onEvent } = this.#options;
    const { name } = managed;
    switch (outcome.kind) {
      case "busy":
        managed.notBeforeMs = now() + BUSY_MS * (1 + random());
        return;
      case "waiting":
        managed.attempt = outcome.attempt;
        return;
      case "failed": {
        const { error, nextTryMs, failures } = (managed.attempt = outcome.attempt);
        log.warn("acme: no certificate", { name, error, failures, nextTry: new Date(nextTryMs).toISOString() });
        onEvent?.({ kind: "failed", name, error, nextTryMs });
        return;
      }
      case "found":
        managed.attempt = null;
        return;
      case "obtained": {
        const { record, replaced } = outcome;
        managed.attempt = null;
        this.#adopt(managed, record);
        const notAfterMs = managed.served?.certificate.notAfterMs ?? 0;
        log.info("acme: got a certificate", { name, directory: record.directory });
        onEvent?.({ kind: replaced ? "renewed" : "obtained", name, directory: record.directory, notAfterMs });
        await this.#options.state.publish(TOPIC, name);
      }
    }
  }

  /** Another node ordered it. */
  #shared({ name, served }: ManagedName): void {
    if (served === null) return;
    this.#options.log.info("acme: got a certificate from another node", { name });
    this.#options.onEvent?.({ kind: "shared", name, notAfterMs: served.certificate.notAfterMs });
  }

  async #advise(managed: ManagedName): Promise<void> {
    const { now, random, log } = this.#options;
    const { name, served, settings } = managed;
    if (served === null) return;
    const directory = this.#issuer.directory(served.record.directory, settings);
    const options = { vault: this.#vault, now, random, signal: this.#stopping.signal };
    const { renewal, problem } = await askForAdvice(name, served, directory, options);
    managed.renewal = renewal;
    if (problem !== null) log.debug("acme: no renewal information", { name, error: problem.message });
  }

  /** Other nodes tell the names of the certificates that they stored. Without them, each look at the store tells. */
  async #listen(): Promise<void> {
    if (this.#listening !== null) return;
    const { state, log } = this.#options;
    const onError = (error: unknown): void => log.warn("acme: news from another node", { error: textOf(error) });
    this.#listening = (async () => {
      await this.#challenges.start();
      return await state.subscribe(TOPIC, (name) => {
        this.#refresh(name).catch(onError);
      });
    })();
    await this.#listening.catch((error: unknown) => {
      this.#listening = null; // the next look tries again
      log.error("acme: the shared state failed", { error: textOf(error) });
    });
  }

  async #refresh(name: string): Promise<void> {
    const managed = this.#names.get(name);
    const record = managed === undefined ? null : await this.#vault.certificate(name);
    if (managed === undefined || record === null || !this.#adopt(managed, record)) return;
    managed.attempt = null;
    this.#shared(managed);
  }

  #arm(): void {
    if (this.#stopping.signal.aborted) return;
    if (this.#timer !== null) clearTimeout(this.#timer);
    let nextMs = Number.POSITIVE_INFINITY;
    for (const managed of this.#names.values())
      if (managed.running === null) nextMs = Math.min(nextMs, dueAtMs(managed), adviceDueAtMs(managed));
    const delayMs = Math.min(Math.max(nextMs - this.#options.now(), LOOK_SOONEST_MS), LOOK_EVERY_MS);
    this.#timer = setTimeout(() => void this.check(), delayMs);
    this.#timer.unref();
  }
}

const textOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));
