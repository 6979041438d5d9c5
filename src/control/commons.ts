// All that threads share beside the servers: what filters count in, files, and addresses that are denied at run time.
// One object for the whole process.
import { randomBytes } from "node:crypto";
import { CONSUMERS } from "../auth/consumers/consumers.ts";
import type { Config } from "../config/schema.ts";
import { type RefusedClient, RefusedClients } from "../engines/rate-limit/refused-clients.ts";
import { Collections } from "../engines/waf/index.ts";
import type { Log } from "../observe/log.ts";
import type { Claimed, KeyBook } from "../pipeline/key-book.ts";
import { type Ban, LIMIT_SEED, type Shared } from "../pipeline/shared.ts";
import { SWITCHES } from "../pipeline/switches.ts";
import { TROUBLES } from "../tagging/troubles.ts";
import { AddressDenials, writtenAddress } from "./address-denials.ts";
import { addressOf, BanBook } from "./ban-book.ts";
import { stateOf } from "./compile.ts";
import { ConsumerBook } from "./consumer-book.ts";
import { FirewallBook } from "./firewall-book.ts";
import { type KeyMessage, Keys } from "./keys.ts";
import { OwnKeys } from "./own-keys.ts";
import { DENIED, type Memories, SharedMemories } from "./shared.ts";
import { SharedEntries } from "./shared-entries.ts";
import { SharedFiles } from "./shared-files.ts";
import { SharedLimits } from "./shared-limits.ts";
import { SwitchBook } from "./switch-book.ts";
import { Tagging } from "./tagging.ts";
import { Usage } from "./usage.ts";
import type { Answers } from "./worker-handle.ts";

/** A ban everywhere and the denial that comes of it begin at almost the same time. */
const SLACK_MS = 1000;

/** What a configuration needs, not in use yet: nothing has to be taken back where it is not used. */
export interface PreparedCommons {
  /** For compiling the configuration, which names there what it counts in. */
  readonly shared: Shared;
  /** Once it is compiled. */
  readonly memories: Memories;
  /** Resolves when what was kept for longer than the process holds; never rejects. */
  commit(): Promise<void>;
}

export class Commons {
  readonly denials: AddressDenials;
  readonly bans: BanBook;
  readonly switches: SwitchBook;
  readonly consumers: ConsumerBook;
  /** What consumers do about their keys themselves. */
  readonly consumerKeys: OwnKeys;
  /** The same for all threads until the program ends. */
  readonly secret: Uint8Array = randomBytes(32);
  readonly #counted = new SharedMemories();
  readonly #files: SharedFiles;
  readonly #firewall = new FirewallBook();
  readonly #keys: Keys;
  readonly #entries: SharedEntries;
  readonly #limits: SharedLimits;
  /** What consumers have used. */
  readonly usage: Usage;
  /** Events of pages on their way to those who get them. */
  readonly tagging: Tagging;
  readonly #folder: (config: Config) => string | null;

  /**
   * `changed` gets what has changed under its name, for all threads; `onLimitsAlone` is called when limits begin to be
   * counted without other machines. `folder` is where consumers are kept; null for nowhere.
   */
  constructor(
    log: Log,
    changed: (name: string, memory: SharedArrayBuffer) => void,
    onLimitsAlone = (): void => {},
    folder = ({ storage }: Config): string | null => storage ?? null,
  ) {
    this.#folder = folder;
    this.consumers = new ConsumerBook(log, (memory) => changed(CONSUMERS, memory));
    this.consumerKeys = new OwnKeys(this.consumers, log);
    this.#files = new SharedFiles(log, changed);
    this.denials = new AddressDenials(
      (memory) => changed(DENIED, memory),
      (entry) => this.#entries.changed("denials", entry),
    );
    this.bans = new BanBook((entry) => this.#entries.changed("bans", entry));
    this.switches = new SwitchBook(
      (entry) => this.#entries.changed("switches", entry),
      (memory) => changed(SWITCHES, memory),
    );
    this.#entries = new SharedEntries(log, [this.denials, this.bans, this.#firewall, this.switches]);
    const onSeed = (seed: SharedArrayBuffer): void => changed(LIMIT_SEED, seed);
    this.#keys = new Keys(log);
    this.usage = new Usage(log);
    this.tagging = new Tagging(log, (memory) => changed(TROUBLES, memory));
    this.#limits = new SharedLimits({ log, onSeed, onOutage: onLimitsAlone });
  }

  /** What is in use. */
  get memories(): Memories {
    return this.#with(this.#counted.memories, this.#files.memories);
  }

  /** Throws an Error for a file that cannot be used. `threads` is for how many there should be room. */
  prepare(config: Config, threads: number): PreparedCommons {
    const shared = this.#counted.prepare(threads, this.secret);
    const files = this.#files.prepare(config);
    const usage = this.usage.prepare(config);
    const tagging = this.tagging.prepare(config);
    const consumers = this.consumers.prepare(config, this.#folder(config));
    const merged = (): Memories => this.#with(shared.gathered, files.memories).set(CONSUMERS, consumers.memory);
    return {
      shared,
      get memories() {
        return merged();
      },
      commit: async () => {
        this.#counted.commit(shared.gathered);
        files.commit();
        this.usage.commit(config, usage, shared.gathered);
        this.bans.use(shared.banLists);
        this.#keys.use(config);
        const state = stateOf(config);
        const isNew = this.#firewall.use(shared.gathered.get(Collections.MEMORY) ?? null, shared.seed);
        await Promise.all([
          this.#entries.follow(state, isNew),
          this.#limits.follow(state, shared.gathered),
          consumers.commit(state),
          tagging.commit(),
        ]);
        this.denials.flush(); // before the first request
      },
    };
  }

  #with(counted: Memories, files: Memories): Map<string, SharedArrayBuffer> {
    return new Map([
      ...counted,
      ...files,
      [DENIED, this.denials.memory],
      [LIMIT_SEED, this.#limits.seed],
      [SWITCHES, this.switches.memory],
      [CONSUMERS, this.consumers.memory],
      [TROUBLES, this.tagging.memory],
    ]);
  }

  /** The thread with this number is gone: what it had under way is over. */
  forget(thread: number): void {
    this.#counted.forget(thread);
    this.#keys.forget(thread);
  }

  /** What a thread says of a key; null where there is nothing to answer. */
  key(thread: number, message: KeyMessage): Promise<Claimed> | null {
    if (message.do === "claim") return this.#keys.claim(thread, message.claim);
    this.#keys.finish(message.id, message.token, message.answer, message.ttlMs);
    return null;
  }

  /** What workers say and ask of what is kept here. */
  get answers(): Pick<Answers, "ban" | "key" | "usageOf"> {
    return {
      ban: (ban) => this.ban(ban),
      key: (thread, message) => this.key(thread, message),
      usageOf: async (who, subject) => this.usage.of(who, subject),
    };
  }

  /** The book for this very thread. */
  get ownKeys(): KeyBook {
    const keys = this.#keys;
    return {
      claim: (claim) => keys.claim(0, claim),
      finish: (id, token, answer, ttlMs) => keys.finish(id, token, answer, ttlMs),
    };
  }

  /** Clients that limits refused the most. */
  refusedClients(count: number): RefusedClient[] {
    const memory = this.#counted.memories.get(RefusedClients.memory);
    return memory === undefined ? [] : new RefusedClients(memory).top(count);
  }

  /** A filter has banned somebody. */
  ban(ban: Ban): void {
    this.bans.made(ban);
    const address = addressOf(ban);
    if (ban.scope === "everywhere" && address !== "") this.denials.deny(address, ban.forMs, ban.why);
  }

  /** Ends a ban; false when there is none with this id. */
  lift(id: string): boolean {
    const lifted = this.bans.lift(id);
    // What an operator has denied for longer stays.
    if (lifted?.ban.scope === "everywhere") this.denials.forgive(addressOf(lifted.ban), lifted.leftMs + SLACK_MS);
    return lifted !== null;
  }

  /** Denies an address or network no more, with the bans that led to it; false when it is not denied. */
  forgive(address: string): boolean {
    this.bans.forgive(writtenAddress(address) ?? "");
    return this.denials.forgive(address);
  }

  /** Resolves when what was changed before outlives this process, or cannot now. */
  kept(): Promise<void> {
    return this.#entries.kept();
  }

  async stop(): Promise<void> {
    this.#files.stop();
    this.#keys.stop();
    this.denials.stop();
    await this.#entries.stop();
    await this.#limits.stop();
    await this.consumers.stop();
    await this.tagging.close();
  }
}
