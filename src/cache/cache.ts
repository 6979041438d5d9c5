// The cache of one worker: what is stored, what is being fetched, and what becomes of each request.
import { fault } from "../core/faults.ts";
import { PLAIN_REQUEST, type RequestDirectives } from "../engines/cache/cache-control.ts";
import { type ForwardReason, forwardedStatus, HIT_STATUS } from "../engines/cache/cache-status.ts";
import { isForServer } from "../engines/cache/conditional.ts";
import { invalidated } from "../engines/cache/invalidation.ts";
import type { KeyRule } from "../engines/cache/key.ts";
import { reuse, wantsOf } from "../engines/cache/reuse.ts";
import { freshen, headSays } from "../engines/cache/validation.ts";
import { MemoryStore } from "../engines/storage/memory-store.ts";
import { TagIndex } from "../engines/storage/tag-index.ts";
import { removeNamedFields } from "../http/h1/framing.ts";
import { ID } from "../http/header-names.ts";
import type { Exchange } from "../pipeline/exchange.ts";
import type { Upstream } from "../upstream/upstream.ts";
import type { Changes, Stamp } from "./changes.ts";
import { copiedResponse } from "./copied-head.ts";
import { deliver, deliverPlain, isPlain } from "./delivery.ts";
import { Address, Entry } from "./entry.ts";
import { Fill, type FillOwner } from "./fill.ts";
import { MissMarks } from "./miss-marks.ts";
import { PeerFetch, type PeerFetchOwner } from "./peer-fetch.ts";
import type { PeerMessage, Peers, SharedAnswer } from "./peers.ts";
import { isUnsuitable, keyOfTarget, keyOfUrl, type Place, placeOf } from "./place.ts";
import { keyPrefix, type Purge, purgeAddress } from "./purge.ts";
import type { RouteCache } from "./route-cache.ts";
import { type CacheEnvironment, Visit } from "./visit.ts";
import { WallTime } from "./wall-time.ts";

/** Fetches may hold this part of the store's memory beside what it holds. */
const FILL_SHARE = 1 / 4;
/** So often a request waits for the fetch of another before it asks by itself. */
const WAITS_MAX = 2;
/** Ties of stored answers to tags: at 64 bytes each, 16 MB at most. */
const TIES_MAX = 262_144;
/** Addresses that a purge looks at before others have their turn: some tenths of a millisecond. */
const SWEEP_STEP = 1000;
const FEW = "\u0001"; // ends the mark that holds for requests with credentials alone

export class Cache implements FillOwner, PeerFetchOwner {
  readonly store: MemoryStore<Address>;
  readonly #time: WallTime;
  readonly #fills = new Map<string, Fill[]>();
  readonly #marks = new MissMarks();
  /** Requests with HEAD whose answers may tell something of a stale answer. */
  readonly #heads = new WeakMap<Exchange, { readonly visit: Visit; readonly askedAt: number }>();
  /** What other workers are asked for, by key. */
  readonly #asking = new Map<string, PeerFetch>();
  /** Other workers that want what is being fetched. */
  readonly #wanted = new Map<Fill, { readonly from: number; readonly question: number }[]>();
  readonly #peers: Peers | null;
  readonly #changes: Changes;
  readonly #tags = new TagIndex(TIES_MAX);
  #bytesMax: number;
  #holding = 0;

  /** `changes` are what all workers know of requests that change something; `peers` are null without other workers. */
  constructor(bytesMax: number, changes: Changes, peers: Peers | null, time: WallTime = new WallTime()) {
    this.#peers = peers;
    this.#bytesMax = bytesMax;
    this.#changes = changes;
    this.#time = time;
    this.store = new MemoryStore<Address>(bytesMax, (address, stored) => this.#left(address, stored));
  }

  /** Sets how much memory it may take. */
  resize(bytesMax: number): void {
    this.#bytesMax = bytesMax;
    this.store.resize(bytesMax);
  }

  get now(): number {
    return this.#time.now();
  }
  /** Fetches under way. */
  get filling(): number {
    let count = 0;
    for (const fills of this.#fills.values()) count += fills.length;
    return count;
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
    const stored = this.store.get(place.address);
    const found = stored === undefined ? null : stored.select(place.extra, headers);
    const entry = found !== null && this.#changes.holds(found.stamp) ? found : null;
    if (entry === null) {
      return this.#miss(x, upstream, rules, env, place, wants, stored === undefined ? "uri-miss" : "vary-miss");
    }
    const now = this.#time.now();
    const verdict = reuse(entry.times, wants, now);
    if (verdict === "hit") return this.#hit(x, env, entry, now, "hit");
    if (verdict === "stale") return this.#hit(x, env, entry, now, "stale");
    if (verdict === "refresh") {
      this.#refresh(new Visit(x, env, upstream, rules, place, PLAIN_REQUEST, "stale", entry));
      return this.#hit(x, env, entry, now, "stale");
    }
    if (verdict === "unavailable") return x.downstream.fail(fault("cache.not_stored"));
    this.#fetch(new Visit(x, env, upstream, rules, place, wants, verdict === "asked" ? "request" : "stale", entry));
  }

  #hit(x: Exchange, env: CacheEnvironment, entry: Entry, now: number, result: "hit" | "stale"): void {
    x.cacheResult = result;
    if (isPlain(x, entry)) return deliverPlain(x, entry, now);
    x.cacheStatus = HIT_STATUS;
    deliver(x, env, entry, true, now);
  }

  #miss(
    x: Exchange,
    upstream: Upstream,
    rules: RouteCache,
    env: CacheEnvironment,
    place: Place,
    wants: RequestDirectives,
    reason: ForwardReason,
  ): void {
    if (wants.onlyIfCached) return x.downstream.fail(fault("cache.not_stored"));
    if (this.#isMarked(x, place)) return bypass(x, upstream, env, "bypass");
    this.#fetch(new Visit(x, env, upstream, rules, place, wants, reason, null));
  }

  #isMarked({ request }: Exchange, { address, extra }: Place): boolean {
    if (this.#marks.size === 0) return false;
    const now = this.#time.now();
    if (this.#marks.has(address + extra, now)) return true;
    const { headers } = request;
    const isFew = headers.received(ID.cookie) || headers.received(ID.authorization);
    return isFew && this.#marks.has(address + extra + FEW, now);
  }

  /** Gets the answer of the server: of one that is asked already, or by asking. */
  #fetch(visit: Visit): void {
    const { x } = visit;
    // An answer to HEAD has nothing to store, and a client that forbids to store should not be waited for.
    if (x.request.method === "HEAD" && visit.stale !== null) this.#heads.set(x, { visit, askedAt: this.now });
    if (x.request.method === "HEAD" || visit.wants.noStore) return this.pass(visit);
    x.cacheResult = visit.stale === null ? "miss" : "expired";
    if (this.#join(visit) || this.#askPeer(visit)) return;
    const fill = this.#begin(visit);
    fill.wait(visit);
    fill.start();
  }

  /** Whether another worker is asked: one that has it, or fetches it. Stale answers are each worker's own matter. */
  #askPeer(visit: Visit): boolean {
    const peers = this.#peers;
    if (peers === null || visit.asked || visit.stale !== null) return false;
    const key = keyOf(visit);
    let fetch = this.#asking.get(key);
    if (fetch === undefined) {
      const worker = peers.claim(key);
      if (worker < 0) return false;
      fetch = new PeerFetch(this, peers, worker, visit);
      this.#asking.set(key, fetch);
    }
    fetch.wait(visit);
    return true;
  }

  #join(visit: Visit): boolean {
    const fills = this.#fills.get(keyOf(visit));
    // Answers that are never fresh are of no use to those who wait for them.
    if (fills === undefined || isNeverFresh(visit.stale)) return false;
    const now = this.#time.now();
    for (const fill of fills) {
      if (fill.isOpen && !visit.unconditional) {
        fill.wait(visit);
        return true;
      }
      if (fill.entry === null || !fill.suits(visit, now)) continue;
      fill.follow(visit, fill.entry);
      return true;
    }
    return false;
  }

  /** Fetches an answer anew that is given out stale meanwhile, unless somebody does so already. */
  #refresh(visit: Visit): void {
    if (this.#fills.has(keyOf(visit)) || visit.x.request.method === "HEAD") return;
    this.#begin(visit).start();
  }

  #begin(visit: Visit): Fill {
    const fill = new Fill(this, visit, visit.unconditional ? [] : this.#askAbout(visit));
    const key = keyOf(visit);
    const fills = this.#fills.get(key);
    if (fills === undefined) this.#fills.set(key, [fill]);
    else fills.push(fill);
    return fill;
  }

  /** The stored answers that the server may confirm; the one that fits first. */
  #askAbout({ place, stale }: Visit): readonly Entry[] {
    if (stale === null) return [];
    const variants = this.store.peek(place.address)?.of(place.extra) ?? [];
    return [stale, ...variants.filter((entry) => entry !== stale)];
  }

  // ——— FillOwner

  stamp({ place }: Visit): Stamp {
    return this.#changes.stamp(place.address);
  }
  holds(stamp: Stamp): boolean {
    return this.#changes.holds(stamp);
  }

  bodyMax({ rules, place }: Visit): number {
    return Math.min(rules.bodyMax, this.store.valueBytesMax(place.address.length));
  }
  mayHold(bytes: number): boolean {
    return this.#holding + bytes <= this.#bytesMax * FILL_SHARE;
  }
  held(bytes: number): void {
    this.#holding += bytes;
  }

  keep(fill: Fill, entry: Entry): void {
    const { address, extra } = fill.visit.place;
    this.#marks.delete(address + extra);
    this.#put(address, entry);
    this.#peers?.held(address + extra);
    this.#tellPeers(fill, [entry]);
  }

  replace({ visit }: Fill, before: Entry, after: Entry): void {
    const { address } = visit.place;
    this.store.peek(address)?.remove(before);
    this.#put(address, after);
  }

  remove({ visit }: Fill, entry: Entry): void {
    const { address } = visit.place;
    const stored = this.store.peek(address);
    if (stored?.remove(entry) !== true) return;
    if (stored.variants.length === 0) this.#forget(address);
    else this.#update(address, stored);
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
    const isStored = this.store.put(address, stored, stored.bytes);
    const tags = isStored ? stored.variants.flatMap((each) => each.tags) : [];
    // What a purge of its tags would not find is not stored.
    if (!this.#tags.set(address, tags)) this.store.delete(address);
  }

  refused({ visit }: Fill, clients: boolean): void {
    const { address, extra } = visit.place;
    this.#marks.add(clients ? address + extra + FEW : address + extra, this.#time.now());
  }

  again(visit: Visit): void {
    if (visit.x.over) return;
    visit.waits += 1;
    if (visit.waits > WAITS_MAX) this.pass(visit);
    else if (visit.unconditional || !this.#giveFound(visit)) this.#fetch(visit);
  }

  /** Gives out what is stored by now. */
  #giveFound({ x, env, place, wants, reason }: Visit): boolean {
    const entry = this.store.peek(place.address)?.select(place.extra, x.request.headers) ?? null;
    const now = this.now;
    if (entry === null || !this.#changes.holds(entry.stamp) || reuse(entry.times, wants, now) !== "hit") return false;
    x.cacheStatus = forwardedStatus({ reason, status: 0, stored: false, collapsed: true, detail: "" });
    deliver(x, env, entry, true, now);
    return true;
  }

  pass(visit: Visit): void {
    visit.host = null;
    if (!visit.x.over) bypass(visit.x, visit.upstream, visit.env, visit.reason);
  }

  closed(fill: Fill): void {
    const key = keyOf(fill.visit);
    const fills = this.#fills.get(key);
    const at = fills === undefined ? -1 : fills.indexOf(fill);
    if (at < 0) return;
    if (this.#peers !== null) {
      this.#tellPeers(fill, []);
      if (!this.#has(fill.visit.place)) this.#peers.release(key);
    }
    if (fills!.length === 1) this.#fills.delete(key);
    else fills!.splice(at, 1);
  }

  // ——— other workers

  /** A message of another worker. */
  onPeer(from: number, message: PeerMessage): void {
    const peers = this.#peers;
    if (peers === null) return;
    if (message.kind === "have") return peers.answered(message.question, message.answers);
    const { question, address, extra } = message;
    const now = this.now;
    const entries = this.#entriesOf(address, extra).filter(({ times }) => now < times.freshUntil);
    const fill = this.#fills.get(address + extra)?.find((each) => !each.isOutdated);
    if (entries.length > 0 || fill === undefined) return peers.answer(from, question, entries.map(sharedOf));
    const wanted = this.#wanted.get(fill);
    if (wanted === undefined) this.#wanted.set(fill, [{ from, question }]);
    else wanted.push({ from, question });
  }

  #tellPeers(fill: Fill, entries: readonly Entry[]): void {
    const wanted = this.#wanted.get(fill);
    if (wanted === undefined) return;
    this.#wanted.delete(fill);
    const answers = entries.map(sharedOf);
    for (const { from, question } of wanted) this.#peers?.answer(from, question, answers);
  }

  #entriesOf(address: string, extra: string): readonly Entry[] {
    return (this.store.peek(address)?.of(extra) ?? []).filter((entry) => this.#changes.holds(entry.stamp));
  }

  #has({ address, extra }: Place): boolean {
    return (this.store.peek(address)?.of(extra) ?? []).length > 0;
  }

  take({ address, extra }: Place, answers: readonly SharedAnswer[]): void {
    for (const answer of answers) {
      const { stamp } = answer;
      if (this.#changes.holds(stamp) && this.#changes.isUnpurged(stamp))
        this.#put(address, Entry.shared(extra, answer));
    }
  }

  asked({ place }: PeerFetch): void {
    this.#asking.delete(place.address + place.extra);
  }

  /** Others need the room of these answers. */
  #left(address: string, stored: Address): void {
    this.#tags.delete(address);
    this.#releaseAll(address, stored);
  }

  #releaseAll(address: string, { variants }: Address): void {
    if (this.#peers !== null) for (const { extra } of variants) this.#peers.release(address + extra);
  }

  // ——— what makes answers invalid

  /**
   * A server has answered a request that is not GET: it may have changed something (RFC 9111 §4.4), which all workers
   * see at once, or say what has become of a stored answer. `keys` are the ways in which routes count a query.
   */
  onAnswer(x: Exchange, keys: readonly KeyRule[]): void {
    const { request, response, scheme } = x;
    if (request.method === "HEAD") return this.#onHead(x);
    for (const target of invalidated(scheme, request, response.status, response.headers)) {
      for (const key of keys) {
        const address = keyOfTarget(scheme, request.authority, target, key);
        this.#changes.change(address);
        if (this.store.peek(address) !== undefined) this.#forget(address);
      }
    }
  }

  /** RFC 9111 §4.3.5: the answer to HEAD freshens what is stored for GET, or shows that it is out of date. */
  #onHead(x: Exchange): void {
    const asked = this.#heads.get(x);
    if (asked === undefined) return;
    const { place, stale, rules } = asked.visit;
    const stored = this.store.peek(place.address);
    const answer = copiedResponse(x.response);
    answer.headers.added = null; // what is for this client, such as a cookie of a sticky upstream
    const { length } = stale!.body;
    const says = headSays(stale!.validators, length, answer);
    if (says === "nothing" || stored?.remove(stale!) !== true) return;
    const news = freshen(x.request, stale!.stored, answer, length, asked.askedAt, this.now, rules.policy);
    const { admission, head } = news;
    if (says === "update" && !("refusal" in admission)) {
      const { extra, tags, stamp, body } = stale!;
      this.#put(place.address, new Entry(extra, stale!, tags, stamp, admission.times, head, body));
    } else if (stored.variants.length === 0) this.#forget(place.address);
    else this.#update(place.address, stored);
  }

  #forget(address: string): void {
    const stored = this.store.peek(address);
    if (stored !== undefined) this.#releaseAll(address, stored);
    this.store.delete(address);
    this.#tags.delete(address);
  }

  /**
   * Forgets what an operator wants to be forgotten, in this worker; resolves to how many answers these were. `keys` are
   * the rules of all routes: what they leave out of a URL is not in its key. What is fetched meanwhile is not stored.
   */
  async purge({ kind, value, soft }: Purge, keys: readonly KeyRule[]): Promise<number> {
    if (kind === "tag") {
      this.#discardFills("");
      return this.#purgeAddresses([...this.#tags.keysOf(value)], soft, value);
    }
    const parts = kind === "all" ? null : purgeAddress(value);
    if (kind !== "all" && parts === null) return 0;
    if (kind === "url") {
      const addresses = new Set(keys.map((key) => keyOfUrl(parts!, key)));
      for (const address of addresses) this.#discardFills(address);
      return this.#purgeAddresses([...addresses], soft, "");
    }
    const prefix = parts === null ? "" : keyPrefix(parts);
    this.#discardFills(prefix);
    return this.#purgePrefix(prefix, soft);
  }

  #discardFills(prefix: string): void {
    for (const [key, fills] of this.#fills) {
      if (key.startsWith(prefix)) for (const fill of fills) fill.discarded = true;
    }
  }

  /** Of a tag, only the answers that have it. */
  #purgeAddresses(addresses: readonly string[], soft: boolean, tag: string): number {
    const now = this.now;
    let count = 0;
    for (const address of addresses) {
      const stored = this.store.peek(address);
      const entries = stored?.variants.filter((entry) => tag === "" || entry.tags.includes(tag)) ?? [];
      count += entries.length;
      for (const entry of entries) {
        if (soft) entry.expire(now);
        else stored!.remove(entry);
      }
      if (stored?.variants.length === 0) this.#forget(address);
    }
    return count;
  }

  /** Walks over all that is stored, in steps: others have their turn in between. */
  async #purgePrefix(prefix: string, soft: boolean): Promise<number> {
    const now = this.now;
    let count = 0;
    const sweep = this.store.sweep((address, stored) => {
      const { variants } = stored;
      if (!address.startsWith(prefix)) return false;
      count += variants.length;
      if (soft) for (const entry of variants) entry.expire(now);
      else this.#left(address, stored);
      return !soft;
    });
    while (!sweep.step(SWEEP_STEP)) await new Promise<void>((resolve) => setImmediate(resolve));
    return count;
  }
}

const sharedOf = (entry: Entry): SharedAnswer => entry.share();
const keyOf = ({ place }: Visit): string => place.address + place.extra;

const isNeverFresh = (entry: Entry | null): boolean => entry !== null && entry.times.freshUntil <= entry.times.bornAt;

/** Forwards a request as if there were no cache. */
function bypass(x: Exchange, upstream: Upstream, env: CacheEnvironment, reason: ForwardReason): void {
  if (x.cacheResult === "") x.cacheResult = "bypass";
  x.cacheStatus = forwardedStatus({ reason, status: 0, stored: false, collapsed: false, detail: "" });
  env.forward(x, upstream, env);
}
