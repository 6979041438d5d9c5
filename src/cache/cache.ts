// The cache of one worker: what is stored, what is being fetched, and what becomes of each request.
import { fault } from "../core/faults.ts";
import { PLAIN_REQUEST, type RequestDirectives } from "../engines/cache/cache-control.ts";
import { forwardedStatus } from "../engines/cache/cache-status.ts";
import { isForServer } from "../engines/cache/conditional.ts";
import { invalidated } from "../engines/cache/invalidation.ts";
import type { KeyRule } from "../engines/cache/key.ts";
import { searchRule } from "../engines/cache/no-vary-search.ts";
import { mayStandIn, reuse, wantsOf } from "../engines/cache/reuse.ts";
import { TagIndex } from "../engines/storage/tag-index.ts";
import { removeNamedFields } from "../http/h1/framing.ts";
import type { Exchange } from "../pipeline/exchange.ts";
import type { Upstream } from "../upstream/upstream.ts";
import { Answers } from "./answers.ts";
import { bypass, givePart, standIn } from "./bypass.ts";
import type { Changes, Stamp } from "./changes.ts";
import { deliver } from "./delivery.ts";
import { type DiskCache, type Found, RECORD_BODY_MAX } from "./disk-cache.ts";
import { deliverFromDisk } from "./disk-hit.ts";
import { Encoder, type EncoderOwner } from "./encoded.ts";
import { Address, Entry, isSameAnswer } from "./entry.ts";
import type { Failure } from "./failures.ts";
import { Fill, type FillOwner } from "./fill.ts";
import { Fills } from "./fills.ts";
import { HeadAnswers, type HeadAnswersOwner } from "./head-answers.ts";
import { deliverHit } from "./hit.ts";
import { Known } from "./known.ts";
import type { LargeWriting } from "./large-file.ts";
import { Neighbours, type NeighboursOwner } from "./neighbours.ts";
import { findPart, joinedPart, PART, wantedRange } from "./parts.ts";
import type { Lack, PeerMessage, Peers, SharedAnswer } from "./peers.ts";
import { isUnsuitable, keyOfTarget, type Place, placeOf } from "./place.ts";
import type { Purge } from "./purge.ts";
import { purgeStored } from "./purging.ts";
import { refused } from "./refusals.ts";
import type { RouteCache } from "./route-cache.ts";
import { pathOf, Searches } from "./searches.ts";
import { type CacheEnvironment, type Host, Visit } from "./visit.ts";
import { WallTime } from "./wall-time.ts";

/** Fetches may hold this part of the store's memory beside what it holds. */
const FILL_SHARE = 1 / 4;
/** So often a request waits for the fetch of another before it asks by itself. */
const WAITS_MAX = 2;
/** Ties of stored answers to tags: at 64 bytes each, 16 MB at most. */
const TIES_MAX = 262_144;
const NOBODY: Host = { leave() {} };

export class Cache implements FillOwner, NeighboursOwner, EncoderOwner, HeadAnswersOwner {
  readonly store: Answers;
  readonly #time: WallTime;
  readonly #fills = new Fills();
  readonly #known = new Known();
  /** Requests with HEAD whose answers may tell something of a stale answer. */
  readonly #heads = new HeadAnswers(this);
  readonly #searches = new Searches();
  readonly #neighbours: Neighbours | null;
  readonly #changes: Changes;
  readonly #tags = new TagIndex(TIES_MAX);
  readonly #encoder = new Encoder(this);
  /** What routes with `disk` store beyond the memory; null without one. */
  #disk: DiskCache | null = null;
  #bytesMax: number;
  #holding = 0;

  /** `changes` are what all workers know of requests that change something; `peers` are null without other workers. */
  constructor(bytesMax: number, changes: Changes, peers: Peers | null, time: WallTime = new WallTime()) {
    this.#neighbours = peers === null ? null : new Neighbours(this, peers);
    this.#bytesMax = bytesMax;
    this.#changes = changes;
    this.#time = time;
    this.store = new Answers(bytesMax, (address, extras) => this.#left(address, extras));
  }

  /** Sets how much memory it may take. */
  resize(bytesMax: number): void {
    this.#bytesMax = bytesMax;
    this.store.resize(bytesMax);
  }

  /** Gives its memory back. Nothing may be asked of it any more. */
  close(): void {
    this.store.close();
  }

  /** The disk tier is another one from now on. */
  useDisk(disk: DiskCache | null): void {
    this.#disk = disk;
    disk?.remember(this.#bytesMax);
  }

  get now(): number {
    return this.#time.now();
  }
  /** Fetches under way. */
  get filling(): number {
    return this.#fills.size;
  }

  /** Answers a request of a route with a cache, which would go to this upstream. */
  handle(x: Exchange, upstream: Upstream, rules: RouteCache, env: CacheEnvironment): void {
    const { method, headers } = x.request;
    if (method !== "GET" && method !== "HEAD") return bypass(x, upstream, env, "method");
    // The server will not see them, so they must not count.
    if (x.request.connectionNamesFields) removeNamedFields(headers);
    if (isUnsuitable(x) || isForServer(headers)) return bypass(x, upstream, env, "bypass");
    const place = placeOf(x, upstream, rules);
    if (place === null) return bypass(x, upstream, env, "bypass");
    const wants = wantsOf(headers, rules.policy);
    let { address } = place;
    let stored = this.store.get(address);
    if (stored === undefined && this.#searches.size > 0) {
      address = this.#searches.addressFor(address, this.#changes);
      stored = this.store.get(address);
    }
    const found = stored === undefined ? null : stored.select(place.extra, headers);
    const entry = found !== null && this.#changes.holds(found.stamp) ? found : null;
    if (entry !== null) return this.#use(x, upstream, rules, env, place, wants, address, entry);
    const disk = rules.disk && !this.#isMarked(x, place) ? this.#disk : null;
    if (disk !== null && deliverFromDisk(x, disk, rules, place, wants, this.#time.now())) return;
    const reason = stored === undefined ? "uri-miss" : "vary-miss";
    const visit = new Visit(x, env, upstream, rules, place, wants, reason, null, this.#encoder);
    if (!this.#lookOnDisk(visit)) this.#miss(visit);
  }

  /** Does with a stored answer what it is good for. */
  #use(
    x: Exchange,
    upstream: Upstream,
    rules: RouteCache,
    env: CacheEnvironment,
    place: Place,
    wants: RequestDirectives,
    address: string,
    entry: Entry,
  ): void {
    const now = this.#time.now();
    const verdict = reuse(entry.times, wants, now);
    if (verdict === "hit" || verdict === "stale") {
      x.cacheResult = verdict;
      return deliverHit(x, env, rules, this.#encoder, address, entry, now);
    }
    const failure = this.#known.failure(place.address + place.extra, now);
    if (verdict === "refresh") {
      if (failure === null)
        this.refresh(new Visit(x, env, upstream, rules, place, PLAIN_REQUEST, "stale", entry, this.#encoder));
      x.cacheResult = "stale";
      return deliverHit(x, env, rules, this.#encoder, address, entry, now);
    }
    if (failure !== null && verdict === "validate" && mayStandIn(entry.times, wants, failure, now)) {
      return standIn(x, env, entry, now, this.#encoder.offer(x, rules, address, entry));
    }
    entry.body.rest();
    if (verdict === "unavailable") return x.downstream.fail(fault("cache.not_stored"));
    this.#fetch(
      new Visit(x, env, upstream, rules, place, wants, verdict === "asked" ? "request" : "stale", entry, this.#encoder),
    );
  }

  /** Whether the disk tier has an answer for a request for which the memory has none, or has to be waited for. */
  #lookOnDisk(visit: Visit): boolean {
    const { x, rules, place } = visit;
    if (this.#disk === null || !rules.disk || this.#isMarked(x, place)) return false;
    const found = this.#disk.find(place, x.request.headers, this.#changes.stamp(place.address));
    if (found === null) return false;
    if (found instanceof Promise) {
      visit.waitAt(NOBODY);
      void found.then((each) => this.#onFound(visit, each));
    } else this.#onFound(visit, found);
    return true;
  }

  #onFound(visit: Visit, found: Found | null): void {
    const { x, upstream, rules, env, place, wants } = visit;
    if (x.over) return found?.entry.body.rest();
    if (found === null) return this.#miss(visit);
    const { entry, stays } = found;
    if (stays) this.#put(place.address, entry);
    this.#use(x, upstream, rules, env, place, wants, place.address, entry);
  }

  /** Where an answer lies that goes for an address that is purged, which the disk tier has to know of too. */
  #alikeOf(address: string, ends: boolean): string {
    const alike = this.#searches.addressFor(address, this.#changes);
    if (ends && alike !== address) this.#changes.kept?.change(alike);
    return alike;
  }

  #miss(visit: Visit): void {
    const { x, upstream, env, place, wants } = visit;
    if (wants.onlyIfCached) return x.downstream.fail(fault("cache.not_stored"));
    if (!this.#isMarked(x, place)) return this.#fetch(visit);
    if (!this.#givePart(visit)) bypass(x, upstream, env, "bypass");
  }

  /** Whether a request gets a part of what is too long to be stored, or will. */
  #givePart(asked: Visit): boolean {
    const { x, env, place, wants } = asked;
    const { address, extra } = place;
    const now = this.#time.now();
    const range = this.#known.isLong(address + extra, now) ? wantedRange(x.request) : "";
    if (range === "" || wants !== PLAIN_REQUEST) return false;
    const part = findPart(this.store.get(address), extra, x.request, now, ({ stamp }) => this.#changes.holds(stamp));
    if (part !== null) {
      givePart(x, env, part, now);
      return true;
    }
    const visit = asked.ofPart({ ...place, extra: extra + PART }, range);
    if (this.#isMarked(x, visit.place)) return false;
    this.#fetch(visit);
    return true;
  }

  #isMarked({ request }: Exchange, { address, extra }: Place): boolean {
    return this.#known.isRefused(address + extra, request.headers, this.#time.now());
  }

  /** Gets the answer of the server: of one that is asked already, or by asking. */
  #fetch(visit: Visit): void {
    const { x } = visit;
    // An answer to HEAD has nothing to store, and a client that forbids to store should not be waited for.
    if (x.request.method === "HEAD" && visit.stale !== null) this.#heads.expect(visit, visit.stale);
    if (x.request.method === "HEAD" || visit.wants.noStore) return this.pass(visit);
    if (this.#fills.isFarFrom(visit.key, visit)) return this.pass(visit);
    x.cacheResult = visit.stale === null ? "miss" : "expired";
    // Answers that are never fresh are of no use to those who wait for them.
    if (!visit.isNeverFresh) {
      if (this.#fills.join(visit.key, visit, this.#time.now())) return;
      if (this.#neighbours?.ask(visit) === true) return;
    }
    const fill = this.#begin(visit);
    fill.wait(visit);
    fill.start();
  }

  /** Fetches an answer anew that is given out stale meanwhile, unless somebody does so already. */
  refresh(visit: Visit): void {
    if (this.#fills.has(visit.key) || visit.x.request.method === "HEAD") return;
    if (this.#neighbours?.askBehind(visit) !== true) this.#begin(visit).start();
  }

  #begin(visit: Visit): Fill {
    const fill = new Fill(this, visit, visit.unconditional ? [] : this.#askAbout(visit));
    this.#fills.add(visit.key, fill);
    return fill;
  }

  /** The stored answers that the server may confirm; the one that fits first. */
  #askAbout({ place, stale }: Visit): readonly Entry[] {
    if (stale === null) return [];
    const variants = this.store.peek(place.address)?.of(place.extra) ?? [];
    return [stale, ...variants.filter((entry) => !isSameAnswer(entry, stale))];
  }

  // ——— FillOwner

  stamp(address: string): Stamp {
    return this.#changes.stamp(address);
  }
  holds(stamp: Stamp): boolean {
    return this.#changes.holds(stamp);
  }

  bodyMax({ rules, place }: Visit): number {
    const most = Math.min(rules.bodyMax, this.store.valueBytesMax(place.address.length));
    return rules.disk && this.#disk?.isReady === true ? Math.min(most, RECORD_BODY_MAX) : most;
  }
  beginFile({ rules, range }: Visit, length: number): LargeWriting | null {
    return range === "" && rules.disk && length <= rules.bodyMax ? (this.#disk?.begin(length) ?? null) : null;
  }
  mayHold(bytes: number): boolean {
    return this.#holding + bytes <= this.#bytesMax * FILL_SHARE;
  }
  held(bytes: number): void {
    this.#holding += bytes;
  }

  keep(fill: Fill, entry: Entry): void {
    const { address, extra } = fill.visit.place;
    this.#known.stored(address + extra);
    if (entry.part !== null)
      return this.#put(address, joinedPart(this.store.peek(address), entry, this.bodyMax(fill.visit)));
    this.#store(fill.visit.rules, address, entry);
    if (fill.search !== null) this.#searches.add(address, fill.search, fill.pathStamp);
  }

  async keepFile({ visit }: Fill, entry: Entry, writing: LargeWriting): Promise<void> {
    const { address, extra } = visit.place;
    this.#known.stored(address + extra);
    const stored = this.store.peek(address);
    if (stored?.removeLike(entry) === true) this.#changed(address, stored);
    await this.#disk?.putLarge(address, entry, writing, this.now);
  }

  began(fill: Fill, entry: Entry): void {
    this.#neighbours?.began(fill, entry);
  }

  failed({ visit }: Fill, failure: Failure): void {
    this.#known.failed(visit.key, failure, this.now);
  }

  replace({ visit, pathStamp }: Fill, before: Entry, after: Entry): void {
    const { address, extra } = visit.place;
    this.#known.answered(address + extra);
    this.store.peek(address)?.remove(before);
    this.#store(visit.rules, address, after);
    const rule = this.#searches.size > 0 ? searchRule(after.stored.headers) : null;
    if (rule !== null) this.#searches.add(address, rule, pathStamp);
  }

  remove({ visit }: Fill, entry: Entry): void {
    this.drop(visit, entry);
  }

  drop({ rules, place }: Visit, entry: Entry): boolean {
    const { address } = place;
    const stored = this.store.peek(address);
    const isThere = stored?.remove(entry) === true;
    if (isThere) this.#changed(address, stored!);
    if (!isThere && entry.body.backing === null) return false;
    if (rules.disk) this.#disk?.remove(address, entry, this.now);
    return true;
  }
  renew({ rules, place }: Visit, entry: Entry): void {
    this.#store(rules, place.address, entry);
  }

  /** An answer of an address has been removed. */
  #changed(address: string, stored: Address): void {
    if (stored.variants.length === 0) this.#forget(address);
    else this.#update(address, stored);
  }

  /** Stores an answer in memory, and on the disk where the route has that. */
  #store({ disk }: RouteCache, address: string, entry: Entry): void {
    if (entry.body.backing === null) this.#put(address, entry);
    if (disk) this.#disk?.put(address, entry, this.now);
  }

  #put(address: string, entry: Entry): void {
    const stored = this.store.peek(address) ?? new Address();
    stored.add(entry);
    // Many variants must not cost the address all of them.
    const bytesMax = this.store.valueBytesMax(address.length);
    while (stored.variants.length > 1 && stored.bytes > bytesMax) stored.variants.shift();
    this.#update(address, stored);
  }

  #update(address: string, stored: Address): void {
    const isStored = this.store.put(address, stored);
    const tags = isStored ? stored.variants.flatMap((each) => each.tags) : [];
    // What a purge of its tags would not find is not stored.
    if (!this.#tags.set(address, tags)) this.store.delete(address);
  }

  refused({ visit }: Fill, clients: boolean): void {
    this.#known.refused(visit.place.address + visit.place.extra, clients, this.now);
  }

  tooLong({ visit }: Fill): void {
    this.#known.tooLong(visit.key, this.now);
  }

  again(visit: Visit): void {
    if (visit.x.over) return;
    visit.waits += 1;
    if (visit.waits > WAITS_MAX) this.pass(visit);
    else if (visit.unconditional || !this.#giveFound(visit)) {
      // Another worker may have put it there meanwhile.
      if (visit.asked === 0 || visit.stale !== null || !this.#lookOnDisk(visit)) this.#fetch(visit);
    }
  }

  /** Gives out what is stored by now. */
  #giveFound(visit: Visit): boolean {
    const { x, env, place, wants, reason } = visit;
    const entry = this.store.peek(place.address)?.select(place.extra, x.request.headers) ?? null;
    const now = this.now;
    if (entry === null || !this.#changes.holds(entry.stamp) || reuse(entry.times, wants, now) !== "hit") {
      return this.#giveUnasked(visit, now);
    }
    x.cacheStatus = forwardedStatus({ reason, status: 0, stored: false, collapsed: true, detail: "" });
    deliver(x, env, entry, true, now, visit.offer(entry));
    return true;
  }

  /** Gives out what is stale, where another worker has found out that the server fails. */
  #giveUnasked(visit: Visit, now: number): boolean {
    const { x, env, wants, stale } = visit;
    const failure = stale === null ? null : this.#known.failure(visit.key, now);
    if (stale === null || failure === null || !mayStandIn(stale.times, wants, failure, now)) return false;
    standIn(x, env, stale, now, visit.offer(stale));
    return true;
  }

  pass(visit: Visit): void {
    visit.host = null;
    if (!visit.x.over) bypass(visit.x, visit.upstream, visit.env, visit.reason);
  }

  closed(fill: Fill): void {
    if (this.#fills.delete(fill.visit.key, fill)) this.#neighbours?.closed(fill);
  }

  // ——— other workers

  /** A message of another worker. */
  onPeer(from: number, message: PeerMessage): void {
    this.#neighbours?.onMessage(from, message);
  }

  freshOf(address: string, extra: string): readonly Entry[] {
    const { now } = this;
    const entries = this.store.peek(address)?.of(extra) ?? [];
    return entries.filter(({ stamp, times }) => this.#changes.holds(stamp) && now < times.freshUntil);
  }
  hasAny({ address, extra }: Pick<Place, "address" | "extra">): boolean {
    return (this.store.peek(address)?.of(extra) ?? []).length > 0;
  }
  fillOf(key: string): Fill | undefined {
    return this.#fills.forOthers(key);
  }

  lackOf(key: string): Lack {
    return this.#known.lackOf(key, this.now);
  }
  lacks({ address, extra }: Place, lack: Lack): void {
    this.#known.lacks(address + extra, lack, this.now);
  }

  isCurrent({ stamp }: Pick<SharedAnswer, "stamp">): boolean {
    return this.#changes.holds(stamp) && this.#changes.isUnpurged(stamp);
  }
  take(place: Place, answers: readonly SharedAnswer[]): void {
    for (const answer of answers) {
      if (this.isCurrent(answer)) this.keepShared(place, Entry.shared(place.extra, answer));
    }
  }
  keepShared({ address, extra }: Place, entry: Entry): void {
    this.#known.answered(address + extra);
    this.#put(address, entry);
  }

  /** Others need the room of these answers. */
  #left(address: string, extras: readonly string[]): void {
    this.#tags.delete(address);
    this.#searches.delete(address);
    this.#releaseAll(address, extras);
  }

  #releaseAll(address: string, extras: readonly string[]): void {
    if (this.#neighbours !== null) for (const extra of extras) this.#neighbours.release(address + extra);
  }

  // ——— what makes answers invalid

  /**
   * A server has answered a request that is not GET: it may have changed something (RFC 9111 §4.4), which all workers
   * see at once, or say what has become of a stored answer. `keys` are the ways in which routes count a query.
   * `isRefused`: the answer was not as it has to be, whoever gave it out.
   */
  onAnswer(x: Exchange, keys: readonly KeyRule[], isRefused = false): void {
    const { request, response, scheme } = x;
    if (request.method === "HEAD" && !isRefused) return this.#heads.onAnswer(x);
    const changed = isRefused ? refused(x) : invalidated(scheme, request, response.status, response.headers);
    for (const target of changed) {
      for (const key of keys) {
        const address = keyOfTarget(scheme, request.authority, target, key);
        this.#changes.change(address);
        this.#changes.change(pathOf(address));
        if (this.store.has(address)) this.#forget(address);
      }
    }
  }

  #forget(address: string): void {
    this.#releaseAll(address, this.store.extras(address));
    this.store.delete(address);
    this.#tags.delete(address);
    this.#searches.delete(address);
  }

  /**
   * Forgets what an operator wants to be forgotten, in this worker; resolves to how many answers these were. `keys` are
   * the rules of all routes: what they leave out of a URL is not in its key. What is fetched meanwhile is not stored.
   */
  purge(purge: Purge, keys: readonly KeyRule[]): Promise<number> {
    return purgeStored(purge, keys, {
      store: this.store,
      tagged: (tag) => [...this.#tags.keysOf(tag)],
      alike: (address) => this.#alikeOf(address, !purge.soft && purge.kind === "url"),
      discardFills: (prefix) => this.#fills.discard(prefix),
      forget: (address) => this.#forget(address),
      left: (address, extras) => this.#left(address, extras),
      now: this.now,
    });
  }
}
