// One worker thread as the supervisor sees it: started, told what to do, and heard until its end.
import { Worker } from "node:worker_threads";
import type { MetricsSource } from "../observe/metrics-store.ts";
import type { UpstreamMembership } from "../upstream/member.ts";
import type { ConfigSource, FromWorker, Memberships, ToWorker, UpstreamState, WorkerData } from "./worker-messages.ts";

/** What a worker says when it is through with something. */
type Answer = Extract<FromWorker, { kind: "prepared" | "committed" | "drained" }>;

interface Waiter {
  resolve(answer: Answer): void;
  reject(error: Error): void;
}

export class WorkerHandle {
  readonly id: number;
  state: "starting" | "ready" | "draining" = "starting";
  connections = 0;
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
  #preparing: ConfigSource | null = null;
  #failure: Error | null = null;
  #gone = false;

  /** Starts the thread. `ended` is told once, with the exception that ended it or null. */
  constructor(data: WorkerData, metrics: MetricsSource, ended: (error: Error | null) => void) {
    this.id = data.id;
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
        return;
      case "pong":
        return this.#pings.shift()?.();
      case "failed":
        return this.#take("prepared")?.reject(new Error(message.message));
      default:
        return this.#take(message.kind)?.resolve(message);
    }
  }

  #take(kind: Answer["kind"]): Waiter | undefined {
    const waiter = this.#waiting.get(kind);
    this.#waiting.delete(kind);
    return waiter;
  }

  #tell(message: ToWorker): void {
    if (!this.#gone) this.#worker.postMessage(message);
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
    memberships: Memberships,
  ): Promise<ReadonlyMap<string, number>> {
    this.#preparing = source;
    const answer = await this.#ask({ kind: "prepare", source, ports, memberships }, "prepared");
    return answer.kind === "prepared" ? answer.ports : ports;
  }

  /** Puts what was prepared into use. Rejects only when the worker ends. */
  async commit(): Promise<void> {
    this.source = this.#preparing;
    await this.#ask({ kind: "commit" }, "committed");
  }

  discard(): void {
    this.#tell({ kind: "discard" });
  }

  /** Tells it who the servers of an upstream are. */
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
