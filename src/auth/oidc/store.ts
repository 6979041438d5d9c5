// Where sessions, locks and what has been ended are shared: memory for the threads of one machine, and the state that
// the configuration names for other machines, and for the time after a restart.
import type { Shared } from "../../pipeline/shared.ts";
import { openState, type StateSettings } from "../../state/open-state.ts";
import type { SharedState } from "../../state/shared-state.ts";
import { MemoryRecords, type Records, tagOf } from "./memory-records.ts";
import { type Revocation, Revocations } from "./revocations.ts";

const TOPIC = "auth/revoked";
const REVOKED = "auth/revoked/";
/** Messages may be lost: what was written is looked at this often. */
const LOOK_EVERY_MS = 60_000;
const RETRY_MS = 2000;

/** One connection for all that use the same state in this thread, closed when nobody does any more. */
const OPEN = new Map<string, { readonly state: Promise<SharedState>; users: number }>();

async function release(key: string): Promise<void> {
  const open = OPEN.get(key);
  if (open === undefined) return;
  open.users -= 1;
  if (open.users > 0) return;
  OPEN.delete(key);
  await open.state.then((state) => state.close()).catch(() => undefined);
}

export class Store {
  readonly #revocations: Revocations;
  /** Those that browsers have told of. */
  readonly #heard: Revocations;
  readonly #shared: Shared;
  readonly #settings: StateSettings | null;
  readonly #memory: MemoryRecords;
  #state: Promise<SharedState> | null = null;
  #retryAt = 0;
  #lookAt = 0;
  #ended = false;
  #troubled = false;

  constructor(settings: StateSettings | null, shared: Shared) {
    this.#settings = settings;
    this.#shared = shared;
    this.#memory = new MemoryRecords(shared.memory("oidc records", MemoryRecords.bytes), () => shared.wallNow());
    const salt = Buffer.from(shared.secret).toString("base64url");
    const ended = (name: string): Revocations =>
      new Revocations(shared.memory(name, Revocations.bytes), () => shared.wallNow(), salt);
    this.#revocations = ended("oidc ended sessions");
    this.#heard = ended("oidc sessions that browsers have ended");
    if (settings !== null) shared.onTick({ tick: () => this.#tick() });
    shared.onEnd(() => this.#end());
  }

  /** Another number whenever sessions have been ended. */
  get generation(): number {
    return this.#revocations.generation + this.#heard.generation;
  }

  /** Whether one of these has been ended, of those that began at `createdAt`. */
  isRevoked(keys: readonly string[], createdAt: number): boolean {
    return this.#revocations.has(keys, createdAt) || this.#heard.has(keys, createdAt);
  }

  #add(revocation: Revocation): void {
    (revocation.heard === true ? this.#heard : this.#revocations).add(revocation);
  }

  /** For what lives for moments: of several machines, all have to see it. */
  async records(): Promise<Records> {
    return this.#settings?.kind === "redis" ? await this.state() : this.#memory;
  }

  /** What outlives the process. @throws Error where it cannot be reached */
  async state(): Promise<SharedState> {
    const settings = this.#settings;
    if (settings === null || this.#ended) throw new Error("there is no shared state");
    if (this.#state !== null) return await this.#state;
    if (this.#shared.wallNow() < this.#retryAt) throw new Error("the shared state could not be reached a moment ago");
    const key = JSON.stringify(settings);
    const open = OPEN.get(key) ?? { state: openState(settings, (error) => this.#trouble(error)), users: 0 };
    open.users += 1;
    OPEN.set(key, open);
    this.#state = open.state;
    try {
      return await open.state;
    } catch (error) {
      this.#state = null;
      this.#retryAt = this.#shared.wallNow() + RETRY_MS;
      await release(key);
      throw error;
    }
  }

  /** Ends sessions, here at once and elsewhere in a moment. Resolves also where others could not be told. */
  async revoke(revocation: Revocation): Promise<void> {
    this.#add(revocation);
    if (this.#settings === null) return;
    try {
      const state = await this.state();
      const text = JSON.stringify(revocation);
      const [low, high] = tagOf(revocation.what);
      const ttlMs = Math.max(1, Math.ceil(revocation.until - this.#shared.wallNow()));
      // What anybody can make up is told to others, and takes no room there.
      if (revocation.heard !== true)
        await state.set(`${REVOKED}${low.toString(36)}.${high.toString(36)}`, text, { ttlMs });
      await state.publish(TOPIC, text);
    } catch (error) {
      this.#trouble(error);
    }
  }

  /** In the first thread: hears of what other machines have ended, and of what was ended before the start. */
  #tick(): void {
    const now = this.#shared.wallNow();
    if (now < this.#lookAt || this.#ended) return;
    const isFirst = this.#lookAt === 0;
    this.#lookAt = now + LOOK_EVERY_MS;
    this.#look(isFirst).catch((error: unknown) => {
      this.#lookAt = isFirst ? 0 : this.#lookAt;
      this.#trouble(error);
    });
  }

  async #look(isFirst: boolean): Promise<void> {
    const state = await this.state();
    if (isFirst) await state.subscribe(TOPIC, (text) => this.#learn(text));
    for (const key of await state.list(REVOKED)) this.#learn(await state.get(key));
    this.#troubled = false;
  }

  #learn(text: string | null): void {
    if (text === null) return;
    const { what, at, until, heard } = JSON.parse(text) as Partial<Revocation>;
    if (typeof what === "string" && typeof at === "number" && typeof until === "number")
      this.#add({ what, at, until, ...(heard === true ? { heard } : {}) });
  }

  #trouble(error: unknown): void {
    if (!this.#troubled)
      this.#shared.tell("what is shared of sessions cannot be reached", { error: String((error as Error).message) });
    this.#troubled = true;
  }

  #end(): void {
    this.#ended = true;
    if (this.#state !== null) void release(JSON.stringify(this.#settings));
    this.#state = null;
  }
}
