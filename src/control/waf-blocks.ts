// The last requests that the firewall refused, or would have, for those who ask why.
import { wallClock } from "../core/clock.ts";
import type { WafRecord } from "../pipeline/events.ts";

/** Some 10 KB each at most, 2 KB mostly. */
const KEPT_MAX = 500;

/** With the time at which it was told, ISO 8601. */
export type WafBlock = WafRecord & { readonly time: string };

export class WafBlocks {
  /** The oldest first. */
  #blocks: WafBlock[] = [];

  /** Those of others, in which rules matched and nothing came of it, would push out what is asked for. */
  add(record: WafRecord): void {
    if (record.decision === "pass") return;
    this.#blocks.push({ time: new Date(wallClock()).toISOString(), ...record });
    if (this.#blocks.length > 2 * KEPT_MAX) this.#blocks = this.#blocks.slice(-KEPT_MAX);
  }

  /** The newest first, at most `count` of them; those of one request with `id`. */
  last(count: number, id: string | null = null): WafBlock[] {
    const found = id === null ? this.#blocks : this.#blocks.filter(({ requestId }) => requestId === id);
    return found.slice(-Math.min(count, KEPT_MAX)).reverse();
  }
}
