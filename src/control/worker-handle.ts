// One worker thread as the supervisor sees it: started, told what to do, and heard until its end.
import { Worker } from "node:worker_threads";
import type { MetricsSource } from "../observe/metrics-store.ts";
import type { ConfigSource, FromWorker, ToWorker, UpstreamState, WorkerData } from "./worker-messages.ts";

/** A worker could not do what it was told; `cannotListen` when an address was the reason. */
export class WorkerError extends Error {
  readonly cannotListen: boolean;
  constructor(message: string, cannotListen: boolean) {
    super(message);
    this.name = "WorkerError";
    this.cannotListen = cannotListen;
  }
}

type Awaited = "prepared" | "committed" | "drained";

export class WorkerHandle {
  readonly id: number;
  state: "starting" | "ready" | "draining" = "starting";
  connections = 0;
  upstreams: readonly UpstreamState[] = [];
  readonly #worker: Worker;
  readonly #metrics: MetricsSource;
  /** What is waited for; a worker does one thing at a time. */
  #waiting: { kind: Awaited; resolve: (message: FromWorker) => void; reject: (error: Error) => void } | null = null;
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
      const waiting = this.#waiting;
      this.#waiting = null;
      waiting?.reject(this.#failure ?? new Error(`worker ${this.id} ended`));
      ended(this.#failure);
    });
  }

  #receive(message: FromWorker): void {
    switch (message.kind) {
      case "metrics-page":
      case "metrics-series":
        return this.#metrics.receive(message);
      case "state":
        this.connections = message.connections;
        this.upstreams = message.upstreams;
        return;
      case "failed": {
        const waiting = this.#waiting;
        this.#waiting = null;
        waiting?.reject(new WorkerError(message.message, message.cannotListen));
        return;
      }
      default: {
        const waiting = this.#waiting;
        if (waiting === null || waiting.kind !== message.kind) return;
        this.#waiting = null;
        waiting.resolve(message);
      }
    }
  }

  #tell(message: ToWorker): void {
    if (!this.#gone) this.#worker.postMessage(message);
  }

  #ask(message: ToWorker, kind: Awaited): Promise<FromWorker> {
    const { promise, resolve, reject } = Promise.withResolvers<FromWorker>();
    if (this.#gone) reject(this.#failure ?? new Error(`worker ${this.id} ended`));
    else {
      this.#waiting = { kind, resolve, reject };
      this.#worker.postMessage(message);
    }
    return promise;
  }

  /** Makes a configuration ready. Returns the ports of all listeners. Rejects with WorkerError, or when the worker ends. */
  async prepare(source: ConfigSource, ports: ReadonlyMap<string, number>): Promise<ReadonlyMap<string, number>> {
    const answer = await this.#ask({ kind: "prepare", source, ports }, "prepared");
    return answer.kind === "prepared" ? answer.ports : ports;
  }

  /** Puts what was prepared into use. Rejects only when the worker ends. */
  async commit(): Promise<void> {
    await this.#ask({ kind: "commit" }, "committed");
    if (this.state === "starting") this.state = "ready";
  }

  discard(): void {
    this.#tell({ kind: "discard" });
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
