// The worker threads together: all of them run the same configuration, and one that ends is replaced.

import { Changes } from "../cache/changes.ts";
import { type PeerMessage, Peers } from "../cache/peers.ts";
import type { Purge } from "../cache/purge.ts";
import type { CertificateUpdate } from "../certificates/served.ts";
import { monotonic } from "../core/clock.ts";
import type { Log, LogLevel } from "../observe/log.ts";
import type { MetricsStore } from "../observe/metrics-store.ts";
import type { ChallengeAnswer } from "../server/challenge-answers.ts";
import { Board, type BoardMemory } from "../upstream/board.ts";
import type { UpstreamMembership } from "../upstream/member.ts";
import type { CacheDisk } from "./cache-disk.ts";
import { changedSince } from "./watch.ts";
import { type Answers, WorkerHandle } from "./worker-handle.ts";
import type { ConfigSource, Knowledge } from "./worker-messages.ts";

/** A worker that lived shorter than this after its start counts as one that did not work. */
const HEALTHY_MS = 5000;
/** The first replacement comes at once; when that does not work either they wait, twice as long each time. */
const BACKOFF_MS = 250;
const BACKOFF_MAX_MS = 10_000;

export interface CrewOptions {
  readonly via: string;
  readonly log: Log;
  /** The level that new workers log at until they have their configuration. */
  readonly level: LogLevel;
  readonly store: MetricsStore;
  readonly board: BoardMemory;
  readonly secret: Uint8Array;
  /** Where answers are stored on the disk. */
  readonly disk: CacheDisk;
  /** Who the servers are now. */
  readonly knowledge: () => Knowledge;
  readonly answers: Answers;
  /** Whether somebody watches what is served. */
  readonly isWatched: () => boolean;
  /** What the worker with that id had in flight is over. */
  readonly onEnd: (id: number) => void;
  /** A worker has ended and will be replaced. */
  readonly onRestart: () => void;
}

/** A configuration that all workers have made ready. One of the two is called. */
export interface Change {
  /** Puts it into use. `names` are those of its listeners (listener-names.ts). */
  commit(): Promise<void>;
  discard(): void;
}

export class Crew {
  readonly #options: CrewOptions;
  readonly #workers = new Map<number, WorkerHandle>();
  readonly #restarts = new Map<number, number>();
  /** How many workers of that id in a row did not live long. */
  readonly #shortLived = new Map<number, number>();
  #source: ConfigSource;
  #ports: ReadonlyMap<string, number> = new Map();
  readonly #cacheChanges = Changes.memory();
  readonly #cacheDirectory = Peers.memory();
  #wanted = 0;
  #replacing = false;

  constructor(options: CrewOptions, source: ConfigSource) {
    this.#options = options;
    this.#source = source;
  }

  /** Those that are there, by id; one that ended is missing until it is replaced. */
  get workers(): WorkerHandle[] {
    return [...this.#workers.values()].sort((a, b) => a.id - b.id);
  }
  get ready(): WorkerHandle[] {
    return this.workers.filter(({ state }) => state === "ready");
  }
  /** How many there should be. */
  get wanted(): number {
    return this.#wanted;
  }
  /** The port of each listener by name. */
  get ports(): ReadonlyMap<string, number> {
    return this.#ports;
  }
  restartsOf(id: number): number {
    return this.#restarts.get(id) ?? 0;
  }

  /** Starts the first workers. Rejects when one of them cannot start; `terminate` ends the others. */
  async start(count: number): Promise<void> {
    this.#wanted = count;
    // The first worker's ports are everybody's, where the system is to choose one.
    await this.#start(0);
    await Promise.all(Array.from({ length: count - 1 }, (_, i) => this.#start(i + 1)));
    this.#replacing = true;
    this.#fill(); // one of them may have ended already
  }

  /** Starts more workers, until there are `count`. They are tried again and again, as replacements are. */
  grow(count: number): void {
    if (count > this.#wanted) {
      this.#wanted = count;
      for (const worker of this.workers) worker.setThreads(count); // before others take their parts
    }
    this.#fill();
  }

  #fill(): void {
    for (let id = 0; id < this.#wanted; id += 1) this.#replace(id);
  }

  async #start(id: number): Promise<void> {
    const { via, level, store, board, secret } = this.#options;
    const startedAt = monotonic();
    Board.addRow(board, id + 1); // the first is this thread's
    const worker: WorkerHandle = new WorkerHandle(
      {
        id,
        primary: id === 0,
        via,
        level,
        board,
        secret,
        threads: this.#wanted,
        cacheChanges: this.#cacheChanges,
        cacheDirectory: this.#cacheDirectory,
      },
      store.source(),
      { ...this.#options.answers, relay: (from, to, message) => this.#relay(from, to, message) },
      (error) => this.#ended(worker, monotonic() - startedAt, error),
    );
    this.#workers.set(id, worker);
    const disk = this.#options.disk.access();
    if (disk !== null) worker.setDisk(disk);
    if (this.#options.isWatched()) worker.setWatched(true);
    await this.#bring(worker);
    if (worker.state === "starting") worker.state = "ready";
  }

  /** Gives the worker the configuration in use, which may change meanwhile. */
  async #bring(worker: WorkerHandle): Promise<void> {
    while (worker.source !== this.#source) {
      const ports = await worker.prepare(this.#source, this.#ports, this.#options.knowledge());
      this.#ports = new Map([...ports, ...this.#ports]);
      await worker.commit();
      this.#freshen(worker);
    }
  }

  /** Certificates may have changed while a worker made a configuration ready with those of before. */
  #freshen(worker: WorkerHandle): void {
    for (const update of this.#options.knowledge().certificates)
      if (!worker.knows(update)) worker.setCertificates(update);
  }

  /** Who speaks to a worker that is gone is told so. */
  #relay(from: WorkerHandle, to: number, message: PeerMessage): void {
    const worker = this.#workers.get(to);
    if (worker !== undefined) worker.tellPeer(from.id, message);
    else if (message.kind !== "gone") from.tellPeer(to, { kind: "gone" });
  }

  #ended(worker: WorkerHandle, livedMs: number, error: Error | null): void {
    const { id } = worker;
    this.#workers.delete(id);
    this.#options.onEnd(id);
    Peers.forget(this.#cacheDirectory, id);
    for (const other of this.workers) other.tellPeer(id, { kind: "gone" });
    if (!this.#replacing) return;
    const short = worker.dismissed || livedMs >= HEALTHY_MS ? 0 : (this.#shortLived.get(id) ?? 0) + 1;
    this.#shortLived.set(id, short);
    this.#restarts.set(id, this.restartsOf(id) + 1);
    this.#options.onRestart();
    const delayMs = short <= 1 ? 0 : Math.min(BACKOFF_MS * 2 ** (short - 2), BACKOFF_MAX_MS);
    const fields = { worker: id, delayMs };
    if (worker.dismissed) this.#options.log.warn("a worker was ended; it is replaced", fields);
    else {
      const why = error?.stack ?? error?.message ?? "no exception";
      this.#options.log.error("a worker ended; it is replaced", { ...fields, error: why });
    }
    if (delayMs === 0) this.#replace(id);
    else setTimeout(() => this.#replace(id), delayMs);
  }

  #replace(id: number): void {
    if (!this.#replacing || this.#workers.has(id)) return;
    const source = this.#source;
    if (source.kind === "file" && changedSince(source.files, source.readAt)) {
      // Plugins are functions, which only their file can give to a thread.
      this.#options.log.warn(
        "the configuration has changed on disk: the new worker reads it as it is now; reload the others",
        {
          worker: id,
          file: source.path,
        },
      );
    }
    this.#start(id).catch((error: Error) => {
      const worker = this.#workers.get(id);
      if (worker !== undefined) this.#giveUp(worker, error);
    });
  }

  /** Its end brings the next try. */
  #giveUp(worker: WorkerHandle, error: Error): void {
    this.#options.log.error("a worker cannot work", { worker: worker.id, error: error.message });
    void worker.terminate();
  }

  /** Has every worker make the configuration ready. Rejects, and nothing has changed, when one of them cannot. */
  async prepare(source: ConfigSource, names: readonly string[], knowledge: Knowledge): Promise<Change> {
    const [first, ...others] = this.ready;
    const prepared: WorkerHandle[] = [];
    const discard = (): void => {
      for (const worker of prepared) worker.discard();
    };
    let ports = this.#ports;
    const prepare = async (worker: WorkerHandle): Promise<void> => {
      ports = await worker.prepare(source, ports, knowledge);
      prepared.push(worker);
    };
    if (first !== undefined) await prepare(first);
    const failed = (await Promise.allSettled(others.map(prepare))).find((result) => result.status === "rejected");
    if (failed !== undefined) {
      discard();
      throw failed.reason;
    }
    return {
      discard,
      commit: async () => {
        this.#source = source;
        this.#ports = new Map([...ports].filter(([name]) => names.includes(name)));
        // One that has ended meanwhile is replaced by one that begins with this configuration.
        await Promise.all(prepared.map((worker) => worker.commit().catch(() => undefined)));
        for (const worker of prepared) this.#freshen(worker);
        // One that became ready meanwhile has the configuration from before.
        await Promise.all(
          this.ready.map((worker) => this.#bring(worker).catch((error: Error) => this.#giveUp(worker, error))),
        );
      },
    };
  }

  /** Sends every worker what it has not of the certificates of a listener. */
  setCertificates(update: (known: ReadonlySet<string>) => CertificateUpdate | null, listener: string): void {
    for (const worker of this.workers) {
      const own = update(worker.certificatesOf(listener));
      if (own !== null) worker.setCertificates(own);
    }
  }

  setChallenge(change: ChallengeAnswer): void {
    for (const worker of this.workers) worker.setChallenge(change);
  }

  setMemory(name: string, memory: SharedArrayBuffer): void {
    for (const worker of this.workers) worker.setMemory(name, memory);
  }

  setMembers(upstream: string, membership: UpstreamMembership): void {
    for (const worker of this.workers) worker.setMembers(upstream, membership);
  }

  /** Resolves when all workers know what they were told so far. */
  async hears(): Promise<void> {
    await Promise.all(this.workers.map((worker) => worker.hears()));
  }

  /** Has stored answers forgotten by all workers; resolves to how many these were. */
  async purge(purge: Purge): Promise<number> {
    Changes.purge(this.#cacheChanges);
    const counts = await Promise.all(this.workers.map((worker) => worker.purge(purge)));
    return counts.reduce((sum, count) => sum + count, 0);
  }

  /** The disk tier is another one. */
  useDisk(disk: CacheDisk): void {
    for (const worker of this.workers) worker.setDisk(disk.access());
  }

  /** Somebody watches what is served, or nobody does any more. */
  setWatched(isWatched: boolean): void {
    for (const worker of this.workers) worker.setWatched(isWatched);
  }

  reopenLogs(): void {
    for (const worker of this.workers) worker.reopenLogs();
  }

  /** Ends one worker at once; another takes its place. False when there is none with that id. */
  restart(id: number): boolean {
    const worker = this.#workers.get(id);
    if (worker === undefined) return false;
    worker.dismissed = true;
    void worker.terminate();
    return true;
  }

  /** Ends all gracefully within `ms`. */
  async drain(ms: number): Promise<void> {
    this.#replacing = false;
    await Promise.all(this.workers.map((worker) => (worker.state === "ready" ? worker.drain(ms) : worker.terminate())));
  }

  async terminate(): Promise<void> {
    this.#replacing = false;
    await Promise.all(this.workers.map((worker) => worker.terminate()));
  }
}
