// One thread's side of what all of them share: what is made of memory, the clock, and how its filters are heard.
import type { Config } from "../config/schema.ts";
import { type DnsAnswer, DnsClient } from "../discovery/dns-client.ts";
import { LineFiles } from "../observe/line-files.ts";
import type { Log } from "../observe/log.ts";
import type { Metrics } from "../observe/metrics.ts";
import type { ProxyEvent } from "../pipeline/events.ts";
import type { KeyBook } from "../pipeline/key-book.ts";
import type { AddressList, Ban, Live, Shared } from "../pipeline/shared.ts";
import { readSwitches, SWITCHES, type Switches } from "../pipeline/switches.ts";
import type { Board } from "../upstream/board.ts";
import { DENIED, LiveMemories, type Memories, SharedClock, type Tellers, ThreadShared } from "./shared.ts";

export interface ThreadCommonsOptions {
  readonly log: Log;
  readonly metrics: Metrics;
  readonly board: Board;
  readonly secret: Uint8Array;
  /** Tells the whole proxy of a ban. */
  ban(ban: Ban): void;
  /** Hands events of pages over to the thread that keeps them. */
  handOver(what: object): void;
  /** Keys of requests, which the whole proxy has. */
  readonly keys: KeyBook;
  /** Tells those who watch the whole proxy. */
  event(event: ProxyEvent): void;
  usageOf: Shared["usageOf"];
  ownKeys: Shared["ownKeys"];
}

export class ThreadCommons {
  /** Addresses that are denied at run time. */
  readonly denied: AddressList;
  /** What operators have switched at run time. */
  readonly switches: Live<Switches>;
  readonly #secret: Uint8Array;
  readonly #thread: number;
  readonly #clock: SharedClock;
  readonly #lives = new LiveMemories();
  /** For what filters ask of the DNS; names of servers have a resolver of their own. */
  readonly #names = new DnsClient(undefined);
  readonly #files: LineFiles;
  readonly #tellers: Tellers;
  /** That of the plan in use. */
  #shared: ThreadShared | null = null;

  constructor(options: ThreadCommonsOptions, thread: number) {
    const { log, metrics, board, secret, ban, handOver, keys, event, usageOf, ownKeys } = options;
    this.#secret = secret;
    this.#thread = thread;
    this.#clock = new SharedClock(board);
    this.denied = this.#lives.addresses(DENIED);
    this.switches = this.#lives.live(SWITCHES, readSwitches);
    this.#files = new LineFiles(log);
    this.#tellers = {
      count: (name, labels) => metrics.shared(name, labels).add(1),
      tell: (message, fields) => log.info(message, fields),
      event,
      lines: (path) => this.#files.open(path),
      ban,
      handOver,
      usageOf,
      ownKeys,
      keys,
      namesOf: async (ip) => recordsOf(await this.#names.names(ip)),
      addressesOf: async (name, family) =>
        recordsOf(await this.#names.addresses(name, family))?.map(({ address }) => address) ?? null,
    };
  }

  /** For compiling a plan. */
  prepare(memories: Memories): ThreadShared {
    for (const [name, memory] of memories) this.#lives.set(name, memory);
    return new ThreadShared(memories, this.#lives, this.#thread, this.#secret, this.#clock, this.#tellers);
  }

  /** The plan that was compiled with it comes into use. */
  commit(shared: ThreadShared, { resolver }: Config): void {
    if (this.#shared !== shared) this.#shared?.end();
    this.#shared = shared;
    this.#lives.keep(shared.memories);
    this.#files.keep(shared.files);
    this.#names.setServers(resolver.servers);
    shared.start();
  }

  /** What threads look things up in has changed. */
  set(name: string, memory: SharedArrayBuffer): void {
    this.#lives.set(name, memory);
  }

  /** What is to be done now and then; `first` where it is this thread that looks after what is shared. */
  tick(first: boolean): void {
    this.#shared?.tick(first);
  }

  /** Opens the files that filters append to anew, after log rotation. */
  reopenLogs(): Promise<void> {
    return this.#files.reopen();
  }

  async stop(): Promise<void> {
    this.#shared?.end();
    this.#names.cancel();
    await this.#files.close();
  }
}

/** No records is an answer as well. */
const recordsOf = <T>(answer: DnsAnswer<T>): readonly T[] | null =>
  answer.kind === "failed" ? null : answer.kind === "none" ? [] : answer.records;
