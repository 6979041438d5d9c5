// What a worker has stored: the memory tier, in which answers lie packed. Those that are asked for are opened, and stay
// so as long as others are not asked for more: a twentieth of the memory is for that.
import { randomBytes } from "node:crypto";
import { type Handle, ownMemory } from "../core/own-memory.ts";
import { KeyHash } from "../engines/storage/key-hash.ts";
import { MemoryStore, type MemoryStoreStats, NONE } from "../engines/storage/memory-store.ts";
import type { Address } from "./entry.ts";
import { Garbage } from "./garbage.ts";
import { expirePacked, pack, packedAddress, packedBytes, packedExtra, unpack } from "./packed.ts";

/** The part of the memory that open answers may take beside what they take packed. */
const OPEN_SHARE = 1 / 20;
/** Open answers that are passed over for one that was not asked for lately. */
const PASSED_MAX = 8;
/** An answer that is not packed. */
const UNPACKED = 0;

/** Told of each address that leaves because others need its room, with the rests of its keys. */
export type OnAddressLeft = (address: string, extras: readonly string[]) => void;

/** An address whose answers are objects. */
interface Open {
  readonly address: string;
  readonly slot: number;
  readonly stored: Address;
  /** What they take beside what the store counts; 0 where they are not packed as well. */
  readonly bytes: number;
  /** Somebody has asked for them since they were passed over. */
  isUsed: boolean;
}

export class Answers {
  readonly #store: MemoryStore;
  /** Nobody outside can choose addresses that fall together. */
  readonly #hash = new KeyHash(randomBytes(8).readBigUInt64LE());
  readonly #open = new Map<string, Open>();
  readonly #openAt = new Map<number, Open>();
  /** Those that are packed as well, in the order in which they were opened, or passed over. */
  readonly #closable = new Set<Open>();
  #openBytes = 0;
  #bytesMax: number;
  readonly #garbage = new Garbage();
  #isClosed = false;

  constructor(bytesMax: number, onLeft: OnAddressLeft) {
    this.#bytesMax = bytesMax;
    this.#store = new MemoryStore(storeBytes(bytesMax), (slot, packed) => {
      const address = this.#addressAt(slot, packed);
      const extras = this.#extrasAt(slot, packed);
      this.#drop(slot, packed);
      onLeft(address, extras);
    });
  }

  /** What is stored at an address; undefined for nothing. */
  get(address: string): Address | undefined {
    const open = this.#open.get(address);
    if (open !== undefined) {
      open.isUsed = true;
      this.#store.touch(open.slot);
      return open.stored;
    }
    const slot = this.#find(address);
    this.#store.touch(slot);
    return slot === NONE ? undefined : this.#opened(address, slot);
  }

  /** The same, without counting it as used. */
  peek(address: string): Address | undefined {
    const open = this.#open.get(address);
    if (open !== undefined) return open.stored;
    const slot = this.#find(address);
    return slot === NONE ? undefined : this.#opened(address, slot);
  }

  has(address: string): boolean {
    return this.#open.has(address) || this.#find(address) !== NONE;
  }

  #find(address: string): number {
    this.#hash.of(address);
    const slot = this.#store.find(this.#hash.low, this.#hash.high);
    return slot === NONE || this.#addressAt(slot, this.#store.value(slot)) === address ? slot : NONE;
  }

  #addressAt(slot: number, packed: Handle): string {
    return this.#openAt.get(slot)?.address ?? packedAddress(packed);
  }
  #extrasAt(slot: number, packed: Handle): readonly string[] {
    const open = this.#openAt.get(slot);
    return open === undefined ? [packedExtra(packed)] : open.stored.variants.map(({ extra }) => extra);
  }

  // ——— opening and closing

  /** What is packed stays so beside, as nothing has to be done then to close it. */
  #opened(address: string, slot: number): Address {
    const stored = unpack(this.#store.value(slot));
    const open = { address, slot, stored, bytes: stored.bytes, isUsed: false };
    this.#add(open);
    if (this.#openBytes > this.#bytesMax * OPEN_SHARE) this.#closeSome(open);
    return stored;
  }

  #add(open: Open): void {
    this.#open.set(open.address, open);
    this.#openAt.set(open.slot, open);
    if (open.bytes === 0) return;
    this.#closable.add(open);
    this.#openBytes += open.bytes;
  }

  #remove(open: Open): void {
    this.#open.delete(open.address);
    this.#openAt.delete(open.slot);
    if (this.#closable.delete(open)) this.#openBytes -= open.bytes;
  }

  /** Closes those that were opened first, unless they were asked for since. */
  #closeSome(latest: Open): void {
    let passed = 0;
    for (const open of this.#closable) {
      if (this.#openBytes <= this.#bytesMax * OPEN_SHARE || open === latest) return;
      if (open.isUsed && passed < PASSED_MAX) {
        passed += 1;
        open.isUsed = false;
        this.#closable.delete(open);
        this.#closable.add(open); // it comes again at the end
      } else this.#remove(open);
    }
  }

  // ——— storing

  /** The largest answers that are taken for an address of this length, in bytes. */
  valueBytesMax(addressLength: number): number {
    return this.#store.valueBytesMax - addressLength;
  }

  /**
   * Stores the answers of an address in place of those that are there, or says that these have changed. False when they
   * are too large: then nothing is stored there any more.
   */
  put(address: string, stored: Address): boolean {
    if (this.#isClosed) return false;
    this.#garbage.fetched();
    const packed = pack(address, stored);
    const bytes = packed === UNPACKED ? stored.bytes : packedBytes(packed);
    const open = this.#open.get(address);
    const slot = open?.slot ?? this.#find(address);
    if (bytes > this.#store.valueBytesMax) {
      if (slot !== NONE) this.#delete(slot);
      if (packed !== UNPACKED) ownMemory.free(packed);
      return false;
    }
    if (slot !== NONE) this.#drop(slot, this.#store.value(slot));
    if (open !== undefined) this.#hash.of(address); // else it was looked for
    const { low, high } = this.#hash;
    const other = slot === NONE ? this.#store.find(low, high) : NONE;
    if (other !== NONE) this.#delete(other); // an address with the same hash
    const taken = this.#store.put(low, high, packed, bytes);
    if (packed === UNPACKED) this.#add({ address, slot: taken, stored, bytes: 0, isUsed: false });
    else if (open?.stored === stored) this.#add({ address, slot: taken, stored, bytes: stored.bytes, isUsed: true });
    return true;
  }

  delete(address: string): void {
    const slot = this.#find(address);
    if (slot !== NONE) this.#delete(slot);
  }

  #delete(slot: number): void {
    const packed = this.#store.value(slot);
    this.#store.remove(slot);
    this.#drop(slot, packed);
  }

  /** What was stored in a slot is stored no longer. */
  #drop(slot: number, packed: Handle): void {
    const open = this.#openAt.get(slot);
    if (open !== undefined) this.#remove(open);
    if (packed !== UNPACKED) ownMemory.free(packed);
  }

  /** Gives the memory back. From now on nothing is stored. */
  close(): void {
    this.#isClosed = true;
    const end = this.#store.slotsEnd;
    for (let slot = this.#store.nextSlot(0, end); slot < end; slot = this.#store.nextSlot(slot, end))
      this.#delete(slot);
  }

  // ——— purges

  /** The rests of the keys of what is stored at an address. */
  extras(address: string): readonly string[] {
    const slot = this.#find(address);
    return slot === NONE ? [] : this.#extrasAt(slot, this.#store.value(slot));
  }

  /** From now on what is stored at an address is stale. Returns how many answers these are. */
  expire(address: string, now: number): number {
    const slot = this.#find(address);
    if (slot === NONE) return 0;
    const packed = this.#store.value(slot);
    if (packed !== UNPACKED) expirePacked(packed, now);
    const open = this.#openAt.get(slot);
    for (const entry of open?.stored.variants ?? []) entry.expire(now);
    return open?.stored.variants.length ?? 1;
  }

  /** Begins to delete the addresses for which `isGone` says so, of those that are stored now. */
  sweep(isGone: (address: string) => boolean): Sweep {
    const end = this.#store.slotsEnd;
    let at = this.#store.nextSlot(0, end);
    return {
      step: (most) => {
        for (let looked = 0; looked < most && at < end; looked += 1) {
          if (isGone(this.#addressAt(at, this.#store.value(at)))) this.#delete(at);
          at = this.#store.nextSlot(at + 1, end);
        }
        return at >= end;
      },
    };
  }

  /** Sets another limit; what no longer fits leaves at once. */
  resize(bytesMax: number): void {
    this.#bytesMax = bytesMax;
    this.#store.resize(storeBytes(bytesMax));
  }

  stats(): MemoryStoreStats {
    const stats = this.#store.stats();
    return { ...stats, bytes: stats.bytes + this.#openBytes, bytesMax: this.#bytesMax };
  }
}

/** A walk over what is stored that stops in between, so that a purge of a million holds up no request. */
export interface Sweep {
  /** Looks at up to so many more. True when it is through. */
  step(most: number): boolean;
}

const storeBytes = (bytesMax: number): number => Math.floor(bytesMax * (1 - OPEN_SHARE));
