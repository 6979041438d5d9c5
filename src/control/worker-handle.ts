// One worker thread as the supervisor sees it: started, told what to do, and heard until its end.
import { isDeepStrictEqual } from "node:util";
import { type MessagePort, Worker } from "node:worker_threads";
import type { PeerMessage } from "../cache/peers.ts";
import type { Purge } from "../cache/purge.ts";
import type { NameAnswer } from "../certificates/contexts.ts";
import type { CertificateUpdate } from "../certificates/served.ts";
import type { MetricsSource } from "../observe/metrics-store.ts";
import type { ProxyEvent } from "../pipeline/events.ts";
import type { Claimed } from "../pipeline/key-book.ts";
import type { KeyAnswer, KeyQuestion } from "../pipeline/own-keys.ts";
import type { Ban } from "../pipeline/shared.ts";
import type { ChallengeAnswer } from "../server/challenge-answers.ts";
import type { UpstreamMembership } from "../upstream/member.ts";
import type { DiskAccess } from "./cache-disk.ts";
import type { KeyMessage } from "./keys.ts";
import { Questions } from "./questions.ts";
import type {
  CacheState,
  ConfigSource,
  FromWorker,
  Knowledge,
  ToWorker,
  UpstreamState,
  WorkerData,
} from "./worker-messages.ts";

/** What a worker says when it is through with something. */
type Answer = Extract<FromWorker, { kind: "prepared" | "committed" | "drained" }>;

interface Waiter {
  resolve(answer: Answer): void;
  reject(error: Error): void;
}

/** Answers to what workers ask. They never reject. */
export interface Answers {
  /** A filter has banned somebody. */
  ban(ban: Ban): void;
  handOver(what: object): void;
  /** A worker says something of a key; null where there is nothing to answer. */
  key(worker: number, message: KeyMessage): Promise<Claimed> | null;
  /** Something has happened that those who watch are told of. */
  event(event: ProxyEvent): void;
  /** For a name that a client of a listener asks for. */
  certificateFor(listener: string, name: string): Promise<NameAnswer>;
  /** What somebody has used in the last days. */
  usageOf(who: "user" | "consumer", subject: string): Promise<readonly object[]>;
  /** What becomes of a consumer's wish about his own keys. */
  ownKeys(question: KeyQuestion): Promise<KeyAnswer>;
  /** For an authority's question that the worker does not know of. */
  responseTo(token: string): Promise<string | null>;
}

/** Takes what workers say to each other to whom it is for. */
export interface Relay {
  relay(from: WorkerHandle, to: number, message: PeerMessage): void;
}

const NOTHING_STORED: CacheState = { bytes: 0, bytesMax: 0, addresses: 0, evictions: 0, filling: 0 };

export class WorkerHandle {
  readonly id: number;
  state: "starting" | "ready" | "draining" = "starting";
  connections = 0;
  cache: CacheState = NOTHING_STORED;
  upstreams: readonly UpstreamState[] = [];
  /** The configuration that it was last told to put into use. */
  source: ConfigSource | null = null;
  /** It is ended on purpose: nothing is wrong with it. */
  dismissed = false;
  readonly #worker: Worker;
  readonly #metrics: MetricsSource;
  /** A drain may begin while a configuration is prepared, so each kind of answer has its own waiter. */
  readonly #waiting = new Map<Answer["kind"], Waiter>();
  /** Who waits for an answer to a ping, in the order of the pings. */
  readonly #pings: (() => void)[] = [];
  readonly #purges = new Questions<[purge: Purge], number>(0, (question, purge) =>
    this.#tell({ kind: "purge", question, purge }),
  );
  #preparing: ConfigSource | null = null;
  /** The certificates that come with it: they are in use from the commit on only. */
  #preparingCertificates: readonly CertificateUpdate[] = [];
  readonly #answers: Answers & Relay;
  readonly #certificates = new Map<string, CertificateUpdate>();
  #failure: Error | null = null;
  #gone = false;

  /** Starts the thread. `ended` is told once, with the exception that ended it or null. */
  constructor(
    data: WorkerData,
    metrics: MetricsSource,
    answers: Answers & Relay,
    ended: (error: Error | null) => void,
  ) {
    this.id = data.id;
    this.#answers = answers;
    this.#metrics = metrics;
    this.#worker = new Worker(new URL("./worker.ts", import.meta.url), { workerData: data });
    this.#worker.on("message", (message: FromWorker) => this.#receive(message));
    this.#worker.on("error", (error: Error) => {
      this.#failure = error;
    });
    this.#worker.on("exit", () => {
      this.#gone = true;
      metrics.close();
      const waiting = [...this.#waiting.values()];
      this.#waiting.clear();
      for (const { reject } of waiting) reject(this.#end());
      for (const resolve of this.#pings.splice(0)) resolve();
      this.#purges.end();
      ended(this.#failure);
    });
  }

  #end(): Error {
    return this.#failure ?? new Error(`worker ${this.id} ended`);
  }

  #receive(message: FromWorker): void {
    switch (message.kind) {
      case "metrics-page":
      case "metrics-series":
      case "metrics-gone":
        return this.#metrics.receive(message);
      case "state":
        this.connections = message.connections;
        this.upstreams = message.upstreams;
        this.cache = message.cache;
        return;
      case "to-peer":
        return this.#answers.relay(this, message.to, message.message);
      case "purged":
        return void this.#purges.answered(message.question, message.count);
      case "ban":
        return this.#answers.ban(message.ban);
      case "hand-over":
        return this.#answers.handOver(message.what);
      case "event":
        return this.#answers.event(message.event);
      case "want-certificate":
        return void this.#answer(message.question, message.listener, message.name);
      case "want-token":
        return void this.#respond(message.question, message.token);
      case "key":
        return void this.#answers
          .key(this.id, message.message)
          ?.then((claimed) => this.#tell({ kind: "claimed", question: message.question, claimed }));
      case "want-usage":
        return void this.#answers
          .usageOf(message.who, message.subject)
          .then((usage) => this.#tell({ kind: "usage", question: message.question, usage }));
      case "own-keys":
        return void this.#answers
          .ownKeys(message.about)
          .then((answer) => this.#tell({ kind: "own-keys-answer", question: message.question, answer }));
      case "pong":
        return this.#pings.shift()?.();
      case "failed":
        return this.#take("prepared")?.reject(new Error(message.message));
      default:
        return this.#take(message.kind)?.resolve(message);
    }
  }

  async #answer(question: number, listener: string, name: string): Promise<void> {
    const answer = await this.#answers.certificateFor(listener, name);
    this.#tell({ kind: "certificate", question, answer });
  }

  async #respond(question: number, token: string): Promise<void> {
    const response = await this.#answers.responseTo(token);
    this.#tell({ kind: "token", question, response });
  }

  #take(kind: Answer["kind"]): Waiter | undefined {
    const waiter = this.#waiting.get(kind);
    this.#waiting.delete(kind);
    return waiter;
  }

  tellPeer(from: number, message: PeerMessage): void {
    this.#tell({ kind: "from-peer", from, message });
  }

  /** Has stored answers forgotten; resolves to how many these were, and to 0 when the worker ends. */
  purge(purge: Purge): Promise<number> {
    return this.#gone ? Promise.resolve(0) : this.#purges.ask(purge);
  }

  /** Tells it where answers are stored on the disk; null for nowhere. */
  setDisk(access: DiskAccess | null): void {
    this.#tell({ kind: "disk", access }, access === null ? [] : [access.port]);
  }

  /** There are to be so many workers. */
  setThreads(count: number): void {
    this.#tell({ kind: "threads", count });
  }

  #tell(message: ToWorker, ports: readonly MessagePort[] = []): void {
    if (!this.#gone) this.#worker.postMessage(message, [...ports]);
  }

  #ask(message: ToWorker, kind: Answer["kind"]): Promise<Answer> {
    const { promise, resolve, reject } = Promise.withResolvers<Answer>();
    if (this.#gone) reject(this.#end());
    else {
      this.#waiting.set(kind, { resolve, reject });
      this.#worker.postMessage(message);
    }
    return promise;
  }

  /** Makes a configuration ready. Returns the ports of all listeners. Rejects when it cannot, or ends. */
  async prepare(
    source: ConfigSource,
    ports: ReadonlyMap<string, number>,
    knowledge: Knowledge,
  ): Promise<ReadonlyMap<string, number>> {
    this.#preparing = source;
    this.#preparingCertificates = knowledge.certificates;
    const answer = await this.#ask({ kind: "prepare", source, ports, knowledge }, "prepared");
    return answer.kind === "prepared" ? answer.ports : ports;
  }

  /** Puts what was prepared into use. Rejects only when the worker ends. */
  async commit(): Promise<void> {
    this.source = this.#preparing;
    for (const update of this.#preparingCertificates) this.#note(update);
    await this.#ask({ kind: "commit" }, "committed");
  }

  discard(): void {
    this.#tell({ kind: "discard" });
  }

  #note({ listener, ids, trusted }: CertificateUpdate): void {
    this.#certificates.set(listener, { listener, ids, added: [], trusted });
  }

  /** The ids of the certificates of a listener that it has. */
  certificatesOf(listener: string): ReadonlySet<string> {
    return new Set(this.#certificates.get(listener)?.ids);
  }
  /** Whether an update says what it knows already. */
  knows({ listener, ids, trusted }: CertificateUpdate): boolean {
    const known = this.#certificates.get(listener);
    return known !== undefined && isDeepStrictEqual([known.ids, known.trusted], [ids, trusted]);
  }
  setChallenge(change: ChallengeAnswer): void {
    this.#tell({ kind: "challenge", change });
  }
  setCertificates(update: CertificateUpdate): void {
    this.#note(update);
    this.#tell({ kind: "certificates", update });
  }

  /** Tells it who the servers of an upstream are. */
  setMemory(name: string, memory: SharedArrayBuffer): void {
    this.#tell({ kind: "memory", name, memory });
  }

  setMembers(upstream: string, membership: UpstreamMembership): void {
    this.#tell({ kind: "members", upstream, membership });
  }

  /** Resolves when the worker knows all that it was told so far, or has ended. */
  async hears(): Promise<void> {
    if (this.#gone) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#pings.push(resolve);
    this.#tell({ kind: "ping" });
    await promise;
  }

  setWatched(isWatched: boolean): void {
    this.#tell({ kind: "watched", isWatched });
  }

  reopenLogs(): void {
    this.#tell({ kind: "reopen-logs" });
  }

  /** Ends gracefully within `ms`. Resolves when the last connection is gone, however the worker ends. */
  async drain(ms: number): Promise<void> {
    this.state = "draining";
    await this.#ask({ kind: "drain", ms }, "drained").catch(() => undefined);
  }

  async terminate(): Promise<void> {
    await this.#worker.terminate();
  }
}
