// The disk tier of the process: opened with the configuration that first names it, kept by reloads, and closed at the
// end, when nobody stores anything any more.

import type { MessagePort } from "node:worker_threads";
import type { DiskStats } from "../cache/disk-board.ts";
import type { DiskShare } from "../cache/disk-message.ts";
import type { SweepRule } from "../cache/disk-sweep.ts";
import { DiskTier } from "../cache/disk-tier.ts";
import { keyOfUrl } from "../cache/place.ts";
import { keyPrefix, type Purge, purgeAddress } from "../cache/purge.ts";
import { wallClock } from "../core/clock.ts";
import type { KeyRule } from "../engines/cache/key.ts";
import type { Log } from "../observe/log.ts";
import type { ReadSeries } from "../observe/metrics-store.ts";

/** What routes say of it. */
export interface DiskSettings {
  readonly path: string;
  /** Bytes. */
  readonly size: number;
}

/** A thread's way into a tier. The port is handed over to it. */
export interface DiskAccess {
  readonly share: DiskShare;
  readonly port: MessagePort;
}

/** What `/api/cache` says of it. */
export interface DiskState extends DiskStats {
  readonly path: string;
  readonly bytesMax: number;
}

/** A tier that is open, not in use yet. One of the two is called. */
export interface PreparedDisk {
  /** `use` hands it to the threads. Resolves when the one before is closed. */
  commit(use: (disk: CacheDisk) => void): Promise<void>;
  discard(): void;
}

export class CacheDisk {
  readonly #log: Log;
  #tier: DiskTier | null = null;
  #settings: DiskSettings | null = null;

  constructor(log: Log) {
    this.#log = log;
  }

  /** Opens what these settings want, beside what is open. Rejects in plain words where that cannot be used. */
  async prepare(wanted: DiskSettings | null): Promise<PreparedDisk> {
    if (wanted?.path === this.#settings?.path) {
      return {
        commit: async () => {
          if (wanted !== null && wanted.size !== this.#settings!.size) this.#tier!.resize(wanted.size);
          this.#settings = wanted;
        },
        discard() {},
      };
    }
    const tier = wanted === null ? null : await this.#open(wanted);
    return {
      commit: async (use) => {
        const before = this.#tier;
        this.#tier = tier;
        this.#settings = wanted;
        use(this);
        await before?.close();
      },
      discard: () => void tier?.close(),
    };
  }

  async #open({ path, size }: DiskSettings): Promise<DiskTier> {
    const onTrouble = (text: string): void => this.#log.error("the cache has trouble with its disk", { path, text });
    try {
      return await DiskTier.start({ path, bytesMax: size, onTrouble });
    } catch (error) {
      throw new Error(`the cache cannot use its folder: ${error instanceof Error ? error.message : String(error)}`);
    }
  }

  /** A way in for one more thread; null without a tier. */
  access(): DiskAccess | null {
    return this.#tier && { share: this.#tier.share, port: this.#tier.connect() };
  }

  /**
   * Has answers forgotten, or made stale, after `first` has done so in memory. Resolves to how many these were: those
   * in memory, and those on the disk but for a purge by address, which need not look. `keys` are the rules of routes.
   */
  async purge(purge: Purge, keys: () => readonly KeyRule[], first: () => Promise<number>): Promise<number> {
    const tier = this.#tier;
    if (tier === null) return first();
    const { kind, value, soft } = purge;
    const staleAt = soft ? wallClock() : null;
    const parts = kind === "url" || kind === "prefix" ? purgeAddress(value) : null;
    if (kind === "url") {
      const addresses = parts === null ? [] : [...new Set(keys().map((key) => keyOfUrl(parts, key)))];
      if (!soft) return tier.purge([], addresses, first);
      const rules = addresses.map((address): SweepRule => ({ what: "prefix", value: address, staleAt }));
      return tier.purge(rules, [], first);
    }
    if (kind === "prefix") {
      return tier.purge(parts === null ? [] : [{ what: "prefix", value: keyPrefix(parts), staleAt }], [], first);
    }
    return tier.purge([{ what: kind, value, staleAt }], [], first);
  }

  state(): DiskState | null {
    if (this.#tier === null) return null;
    return { path: this.#settings!.path, bytesMax: this.#settings!.size, ...this.#tier.stats() };
  }

  series(): ReadSeries[] {
    const state = this.state();
    if (state === null) return [];
    const of = (name: ReadSeries["name"], value: number): ReadSeries => ({ name, labels: [], value });
    return [
      of("sluice_cache_disk_bytes", state.bytes),
      of("sluice_cache_disk_entries", state.entries),
      of("sluice_cache_disk_hits_total", state.hits),
      of("sluice_cache_disk_stored_total", state.stored),
      of("sluice_cache_disk_lost_total", state.refused + state.failed),
      of("sluice_cache_disk_damaged_total", state.damaged),
    ];
  }

  /** Writes what waits, and gives the folder back. */
  async close(): Promise<void> {
    const tier = this.#tier;
    this.#tier = this.#settings = null;
    await tier?.close();
  }
}
