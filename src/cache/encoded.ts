// Content codings of stored answers. Each is made once: at a level as for answers that pass, for the client that is
// the first to want it and for those that come meanwhile, and then again at a higher one in the background. It lies
// beside the content that it was made of, and leaves with it.
import { atOnceMax, encode, leavePlace, takePlace } from "../engines/compression/coders.ts";
import type { CodingPolicy } from "../engines/compression/coding-policy.ts";
import type { Coding } from "../http/content-codings.ts";
import { type Exchange, type KeptCodings, NOT_KEPT } from "../pipeline/exchange.ts";
import type { Answers } from "./answers.ts";
import { Body, CodedContents } from "./body.ts";
import { KeptCount, makeForms, noForms } from "./encoded-forms.ts";
import { EncodingRun, type RunOwner } from "./encoded-run.ts";
import type { Entry } from "./entry.ts";
import type { RouteCache } from "./route-cache.ts";

/** What the encoder needs of its cache. */
export interface EncoderOwner {
  readonly store: Pick<Answers, "peek" | "put" | "valueBytesMax">;
  /** Whether so many more bytes may be in work, beside what is stored. */
  mayHold(bytes: number): boolean;
  held(bytes: number): void;
}

/** What waits for the background: an address and a number each. Beyond that the first encoding stays. */
const WAITING_MAX = 256;

/** Content up to this is put into one piece: what lies above is not given out at once (delivery.ts). */
const JOINED_MAX = 65_536;

/** What a route says of codings. */
type CodingRules = Pick<RouteCache, "coding" | "idleFilters">;

interface Job {
  readonly address: string;
  readonly coding: Coding;
  readonly level: number;
}

export class Encoder implements RunOwner {
  readonly #owner: EncoderOwner;
  readonly #waiting: Job[] = [];
  /** The one in the background. One for each worker at a time leaves the pool to answers that are waited for. */
  #background: EncodingRun | null = null;
  /** Those that clients wait for, with the level at which each is made again. */
  readonly #after = new Map<EncodingRun, number>();

  constructor(owner: EncoderOwner) {
    this.#owner = owner;
  }

  /**
   * What the filters of a request may take in place of an answer that is stored at this address, or about to be; null
   * where there is nothing to choose from.
   */
  offer(x: Exchange, rules: CodingRules, address: string, entry: Entry): KeptAnswer | null {
    const { coding, idleFilters } = rules;
    const { body } = entry;
    if (coding === null || !isInMemory(body)) return null;
    const isAlone = body.done && x.route!.responseFilters.length === idleFilters;
    if (isAlone && makeForms(entry, coding) && !this.#resized(address)) {
      this.#refuse(address, body);
      entry.forms = noForms(coding);
    }
    return new KeptAnswer(this, x, address, entry, coding);
  }

  /** This content, which is whole, in a coding, as far as that is made. Null: it is not to be had. */
  content(address: string, body: Body, coding: Coding, policy: CodingPolicy): Body | null {
    body.coded ??= new CodedContents();
    const { coded } = body;
    if (coded.refused) return null;
    const before = coded[coding];
    if (before !== null) return before.body;
    const level = policy.levels[coding];
    const isAtOnce = body.length <= atOnceMax(coding, level);
    const made = isAtOnce ? Body.of([encode(wholeOf(body), coding, level)]) : this.#run(address, body, coding, policy);
    if (made === null) return null;
    coded[coding] = { body: made, isFinal: policy.storedLevels[coding] <= level };
    if (isAtOnce) this.#keep(address, body, coding, policy.storedLevels[coding]);
    return made;
  }

  /** Begins to make a coding that clients follow. */
  #run(address: string, body: Body, coding: Coding, policy: CodingPolicy): Body | null {
    if (!this.#owner.mayHold(body.length) || !takePlace()) return null;
    this.#owner.held(body.length);
    const run = new EncodingRun(this, address, body, coding, policy.levels[coding], false);
    this.#after.set(run, policy.storedLevels[coding]);
    run.start();
    return run.made;
  }

  /** It is whole: from now on it counts, and a smaller one follows. */
  #keep(address: string, body: Body, coding: Coding, level: number): void {
    if (!this.#resized(address)) return this.#refuse(address, body);
    if (body.coded?.[coding]?.isFinal !== false || this.#waiting.length >= WAITING_MAX) return;
    this.#waiting.push({ address, coding, level });
    this.#next();
  }

  /** There is no room for it: what comes later is encoded as it passes. */
  #refuse(address: string, body: Body): void {
    const { coded } = body;
    if (coded === null) return;
    coded.zstd = coded.br = coded.gzip = null;
    coded.refused = true;
    for (const entry of this.#variantsOf(address)) if (entry.body === body) entry.forms = null;
    this.#resized(address);
  }

  #variantsOf(address: string): readonly Entry[] {
    return this.#owner.store.peek(address)?.variants ?? [];
  }

  /** What is stored there takes another amount of memory. False: it is too much, or nothing is stored there. */
  #resized(address: string): boolean {
    const { store } = this.#owner;
    const stored = store.peek(address);
    if (stored === undefined || stored.bytes > store.valueBytesMax(address.length)) return false;
    return store.put(address, stored);
  }

  #next(): void {
    while (this.#background === null) {
      const job = this.#waiting.shift();
      if (job === undefined) return;
      const { address, coding, level } = job;
      const source = this.#variantsOf(address).find(({ body }) => isProvisional(body, coding))?.body;
      if (source === undefined || !this.#owner.mayHold(source.length) || !takePlace()) continue;
      this.#owner.held(source.length);
      const run = new EncodingRun(this, address, source, coding, level, true);
      this.#background = run;
      run.start();
    }
  }

  // ——— RunOwner

  isWanted(run: EncodingRun): boolean {
    return run !== this.#background || this.#variantsOf(run.address).some(({ body }) => body === run.source);
  }

  onRunOver(run: EncodingRun): void {
    const { address, source, coding, made } = run;
    leavePlace();
    this.#owner.held(-source.length);
    const level = this.#after.get(run);
    if (level !== undefined) {
      this.#after.delete(run);
      if (made.fault === null) return this.#keep(address, source, coding, level);
      if (source.coded !== null) source.coded[coding] = null;
      return;
    }
    this.#background = null;
    const before = source.coded?.[coding];
    if (made.fault === null && before) {
      source.coded![coding] = { body: made.length < before.body.length ? joined(made) : before.body, isFinal: true };
      for (const { body, forms } of this.#variantsOf(address))
        if (body === source && forms !== null) forms[coding] = null;
      if (!this.#resized(address)) this.#refuse(address, source);
    }
    this.#next();
  }
}

/** Whether all of it is in memory, as far as it has come. */
const isInMemory = (body: Body): boolean =>
  body.firstOffset === 0 && body.backing === null && !body.windowed && body.fault === null;

/** Whether the content has a first encoding that is to be replaced. */
function isProvisional({ coded }: Body, coding: Coding): boolean {
  const content = coded?.[coding];
  return content?.isFinal === false && content.body.done;
}

/** The bytes of short content that is whole. */
function wholeOf(body: Body): Buffer {
  const pieces: Buffer[] = [];
  for (let at = 0; at < body.pieces; at += 1) pieces.push(body.piece(at)!.subarray(0, body.filled(at)) as Buffer);
  return pieces.length === 1 ? pieces[0]! : Buffer.concat(pieces);
}

/** Content that fits into one piece is given out with fewer steps. */
const joined = (body: Body): Body => (body.length <= JOINED_MAX ? Body.of([wholeOf(body)]) : body);

/** Offers the codings of one stored answer to the filters of an exchange. */
export class KeptAnswer implements KeptCodings {
  /** What is sent in place of the content; null for the content itself. */
  chosen: Body | null = null;
  readonly #encoder: Encoder;
  readonly #x: Exchange;
  readonly #address: string;
  readonly #body: Body;
  readonly #policy: CodingPolicy;

  constructor(encoder: Encoder, x: Exchange, address: string, entry: Entry, policy: CodingPolicy) {
    this.#encoder = encoder;
    this.#x = x;
    this.#address = address;
    this.#body = entry.body;
    this.#policy = policy;
  }

  use(coding: Coding): number {
    if (this.#x.request.method === "HEAD") return this.#body.coded?.[coding]?.body.total ?? NOT_KEPT;
    const content = this.#content(coding);
    if (content === null) return NOT_KEPT;
    this.chosen = content;
    return content.total;
  }

  take(coding: Coding): Buffer | null {
    const content = this.#content(coding);
    return content?.done === true ? wholeOf(content) : null;
  }

  #content(coding: Coding): Body | null {
    const body = this.#body;
    if (!body.done || !isInMemory(body)) return null;
    const isThere = body.coded !== null && body.coded[coding] !== null;
    const content = this.#encoder.content(this.#address, body, coding, this.#policy);
    if (content !== null) this.#x.coded = new KeptCount(coding, isThere ? "kept" : "encoded", body, content);
    return content;
  }
}
