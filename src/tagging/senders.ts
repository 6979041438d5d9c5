// What a destination does with a batch: chooses what is meant for it, and hands it over.
import { appendFile } from "node:fs/promises";
import { wallClock } from "../core/clock.ts";
import type { TagEvent } from "../engines/tagging/event.ts";
import type { Selection, Unwanted } from "../engines/tagging/selection.ts";
import { DONE, type Sender, type Sent } from "./delivery.ts";
import type { Queued } from "./queue.ts";
import { type Format, judged, linesOf, type Outgoing } from "./sending.ts";

export interface SenderSettings {
  readonly name: string;
  readonly batch: number;
  readonly parallel: number;
  readonly lingerMs: number;
  /** How long one request may take. */
  readonly timeoutMs: number;
}

/** Is told of each event that a destination does not get, by its number in the queue. */
export type OnUnwanted = (destination: string, why: Unwanted | "age", seq: number) => void;

/** A batch as one destination gets it. */
interface Chosen {
  readonly queued: Queued;
  readonly event: TagEvent;
}

/** What all kinds share: the choice of events, made once for each batch, and how far a batch has come. */
abstract class ChoosingSender implements Sender {
  readonly name: string;
  readonly batch: number;
  readonly parallel: number;
  readonly lingerMs: number;
  readonly #selection: Selection;
  readonly #onUnwanted: OnUnwanted;
  readonly #ageMaxMs: number;
  /** Of batches that are tried again: what is still to be sent. */
  readonly #left = new WeakMap<readonly Queued[], Chosen[]>();

  constructor(settings: SenderSettings, selection: Selection, ageMaxMs: number, onUnwanted: OnUnwanted) {
    this.name = settings.name;
    this.batch = settings.batch;
    this.parallel = settings.parallel;
    this.lingerMs = settings.lingerMs;
    this.#selection = selection;
    this.#ageMaxMs = ageMaxMs;
    this.#onUnwanted = onUnwanted;
  }

  async send(events: readonly Queued[], signal: AbortSignal): Promise<Sent> {
    let left = this.#left.get(events);
    if (left === undefined) {
      left = this.#choose(events);
      this.#left.set(events, left);
    }
    if (left.length === 0) return DONE;
    try {
      return await this.deliver(left, signal);
    } catch (error) {
      return { kind: "later", afterMs: 0, why: error instanceof Error ? error.message : String(error) };
    }
  }

  /** Hands these over; takes out of the list what has arrived, so that it is not sent again. */
  protected abstract deliver(left: Chosen[], signal: AbortSignal): Promise<Sent>;

  #choose(events: readonly Queued[]): Chosen[] {
    const chosen: Chosen[] = [];
    const oldest = wallClock() - this.#ageMaxMs;
    for (const queued of events) {
      const event = this.#selection.of(JSON.parse(queued.body) as TagEvent);
      if (typeof event === "string") this.#onUnwanted(this.name, event, queued.seq);
      else if (event.time < oldest) this.#onUnwanted(this.name, "age", queued.seq);
      else chosen.push({ queued, event });
    }
    return chosen;
  }
}

/** Sends over HTTP. */
export class HttpSender extends ChoosingSender {
  readonly #format: Format;
  readonly #timeoutMs: number;

  constructor(settings: SenderSettings, format: Format, selection: Selection, onUnwanted: OnUnwanted) {
    super(settings, selection, format.ageMaxMs, onUnwanted);
    this.#format = format;
    this.#timeoutMs = settings.timeoutMs;
  }

  protected async deliver(left: Chosen[], signal: AbortSignal): Promise<Sent> {
    const groups = this.#format.group(left.map(({ event }) => event));
    for (const group of groups) {
      const sent = await this.#post(this.#format.request(group), signal);
      if (sent.kind !== "done") return sent;
      const gone = new Set(group);
      left.splice(0, left.length, ...left.filter(({ event }) => !gone.has(event)));
    }
    return DONE;
  }

  async #post({ url, headers, body }: Outgoing, signal: AbortSignal): Promise<Sent> {
    const both = AbortSignal.any([signal, AbortSignal.timeout(this.#timeoutMs)]);
    const response = await fetch(url, { method: "POST", headers, body, signal: both, redirect: "manual" });
    await response.body?.cancel();
    return judged(response.status, response.headers.get("retry-after"), wallClock());
  }
}

/** Appends lines of JSON to a file. */
export class FileSender extends ChoosingSender {
  readonly #path: string;

  constructor(settings: SenderSettings, path: string, selection: Selection, onUnwanted: OnUnwanted) {
    super(settings, selection, Number.POSITIVE_INFINITY, onUnwanted);
    this.#path = path;
  }

  protected async deliver(left: Chosen[]): Promise<Sent> {
    await appendFile(this.#path, linesOf(left.map(({ event }) => event)), { flush: true });
    return DONE;
  }
}

export interface BucketTarget {
  readonly endpoint: string;
  readonly bucket: string;
  readonly region: string;
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  /** Begins the names of all objects. */
  readonly prefix: string;
}

/** Writes each batch as an object of compressed lines. */
export class BucketSender extends ChoosingSender {
  readonly #client: Bun.S3Client;
  readonly #prefix: string;

  constructor(settings: SenderSettings, target: BucketTarget, selection: Selection, onUnwanted: OnUnwanted) {
    super(settings, selection, Number.POSITIVE_INFINITY, onUnwanted);
    const { prefix, ...access } = target;
    this.#client = new Bun.S3Client(access);
    this.#prefix = prefix;
  }

  protected async deliver(left: Chosen[]): Promise<Sent> {
    const first = left[0]!;
    const last = left.at(-1)!;
    const at = new Date(first.queued.at).toISOString();
    // The same batch has the same name when it is tried again, and replaces what may have arrived.
    const name = `${this.#prefix}${at.slice(0, 10)}/${at}-${first.queued.seq}-${last.queued.seq}.ndjson.gz`;
    await this.#client.write(name, Bun.gzipSync(Buffer.from(linesOf(left.map(({ event }) => event)))), {
      type: "application/gzip",
    });
    return DONE;
  }
}
