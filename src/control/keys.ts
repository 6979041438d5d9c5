// The book of keys (pipeline/key-book.ts), in the supervisor: shared with other machines where the configuration names a
// store for that, else of this machine alone, and then in a file where there is a folder for it.
import { join } from "node:path";
import type { Config } from "../config/schema.ts";
import { monotonic } from "../core/clock.ts";
import type { Log } from "../observe/log.ts";
import type { Claimed, KeptAnswer, KeyClaim } from "../pipeline/key-book.ts";
import { openState, type StateSettings } from "../state/open-state.ts";
import { stateOf } from "./compile.ts";
import { KeyFile } from "./key-file.ts";
import { LocalKeys } from "./local-keys.ts";
import { RemoteKeys } from "./remote-keys.ts";

const SWEEP_MS = 30_000;
/** A client waits for what the store says. */
const TIMEOUT_MS = 1000;
/** After the store could not be reached, it is tried again as often. */
const RETRY_MS = 1000;
const UNKNOWN: Claimed = { kind: "unknown" };

/** What a worker says of a key. */
export type KeyMessage =
  | { readonly do: "claim"; readonly claim: KeyClaim }
  | {
      readonly do: "finish";
      readonly id: string;
      readonly token: number;
      readonly answer: KeptAnswer | null;
      readonly ttlMs: number;
    };

export class Keys {
  readonly #log: Log;
  readonly #local: LocalKeys;
  #remote: Promise<RemoteKeys> | null = null;
  #settings: StateSettings | null = null;
  #where = "";
  #isTroubled = false;
  #retryAt = 0;
  #timer: NodeJS.Timeout | null = null;
  /** How often the worker of that number has ended. */
  readonly #ends = new Map<number, number>();

  constructor(log: Log) {
    this.#log = log;
    this.#local = new LocalKeys(0, (error) => this.#trouble(error));
  }

  /** The configuration that is in use from now on. */
  use(config: Config): void {
    const policies = [config.defaults, ...config.routes].flatMap(({ idempotency }) => idempotency || []);
    const settings = policies.length === 0 ? null : stateOf(config);
    const where = JSON.stringify([settings, policies.length > 0]);
    const isUsed = policies.length > 0;
    // What is in the file stays there for when it is wanted again.
    if (!isUsed) this.#local.use(null);
    this.#local.resize(Math.max(0, ...policies.map(({ memory }) => memory)));
    if (where === this.#where) return;
    this.#where = where;
    this.#settings = settings;
    this.#closeRemote();
    this.#retryAt = 0;
    if (settings?.kind === "redis") this.#local.use(null);
    else this.#openFile(settings);
    // The first client need not wait for the connection.
    if (settings?.kind === "redis") void this.#open(settings).catch(() => undefined);
    if (this.#timer !== null) clearInterval(this.#timer);
    this.#timer = policies.length === 0 ? null : setInterval(() => this.#sweep(), SWEEP_MS).unref();
  }

  #openFile(settings: Extract<StateSettings, { kind: "files" }> | null): void {
    try {
      this.#local.use(settings === null ? null : KeyFile.open(join(settings.folder, "..", "idempotency.db")));
    } catch (error) {
      this.#local.use(null);
      this.#trouble(error);
    }
  }

  #sweep(): void {
    this.#local.sweep();
    const { evicted } = this.#local;
    this.#local.evicted = 0;
    if (evicted > 0)
      this.#log.warn("answers to requests with keys were forgotten before their time: raise `idempotency.memory`", {
        answers: evicted,
      });
  }

  async claim(worker: number, claim: KeyClaim): Promise<Claimed> {
    const ends = this.#ends.get(worker) ?? 0;
    const claimed = await this.#claim(worker, claim);
    if (claimed.kind !== "taken" || ends === (this.#ends.get(worker) ?? 0)) return claimed;
    // Its worker has ended while it waited: nobody would ever finish it.
    this.finish(claim.id, claimed.token, null, 0);
    return UNKNOWN;
  }

  async #claim(worker: number, claim: KeyClaim): Promise<Claimed> {
    if (this.#settings?.kind !== "redis") return await this.#local.claim(worker, claim);
    try {
      const claimed = await (await this.#open(this.#settings)).claim(worker, claim);
      this.#isTroubled = false;
      return claimed;
    } catch (error) {
      this.#trouble(error);
      return UNKNOWN;
    }
  }

  finish(id: string, token: number, answer: KeptAnswer | null, ttlMs: number): void {
    if (this.#remote === null) return this.#local.finish(id, token, answer, ttlMs);
    void this.#remote.then((remote) => remote.finish(id, token, answer, ttlMs)).catch(() => undefined);
  }

  #open(settings: StateSettings): Promise<RemoteKeys> {
    if (this.#remote !== null) return this.#remote;
    if (monotonic() < this.#retryAt) throw new Error("the store could not be reached a moment ago");
    const timed = settings.kind === "redis" ? { ...settings, timeoutMs: TIMEOUT_MS } : settings;
    const opened = openState(timed, (error) => this.#trouble(error)).then(
      (state) => new RemoteKeys(state, (error) => this.#trouble(error)),
    );
    this.#remote = opened;
    opened.catch(() => {
      this.#retryAt = monotonic() + RETRY_MS;
      if (this.#remote === opened) this.#remote = null;
    });
    return opened;
  }

  #trouble(error: unknown): void {
    if (!this.#isTroubled)
      this.#log.warn("keys of requests cannot be looked up or kept as configured", {
        error: error instanceof Error ? error.message : String(error),
      });
    this.#isTroubled = true;
  }

  /** The thread with this number is gone. */
  forget(worker: number): void {
    this.#ends.set(worker, (this.#ends.get(worker) ?? 0) + 1);
    this.#local.forget(worker);
    void this.#remote?.then((remote) => remote.forget(worker)).catch(() => undefined);
  }

  #closeRemote(): void {
    void this.#remote?.then((remote) => remote.close()).catch(() => undefined);
    this.#remote = null;
  }

  stop(): void {
    if (this.#timer !== null) clearInterval(this.#timer);
    this.#closeRemote();
    this.#local.close();
  }
}
