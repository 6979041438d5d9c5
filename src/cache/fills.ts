// The fetches of a worker that are under way, by key: whoever wants the same waits for one of them, or follows it.
import { giveCollapsed } from "./collapsed.ts";
import type { Fill } from "./fill.ts";
import { KeyTable } from "./key-table.ts";
import type { Visit } from "./visit.ts";

export class Fills {
  readonly #byKey = new KeyTable<Fill[]>();

  get size(): number {
    let size = 0;
    this.#byKey.forEach((fills) => {
      size += fills.length;
    });
    return size;
  }

  has(key: string): boolean {
    return this.#byKey.has(key);
  }

  add(key: string, fill: Fill): void {
    const fills = this.#byKey.get(key);
    if (fills === undefined) this.#byKey.add(key, [fill]);
    else fills.push(fill);
  }

  /** Nobody can wait for it any more. False when that was so already. */
  delete(key: string, fill: Fill): boolean {
    const fills = this.#byKey.get(key);
    const at = fills === undefined ? -1 : fills.indexOf(fill);
    if (at < 0) return false;
    if (fills!.length === 1) this.#byKey.delete(key);
    else fills!.splice(at, 1);
    return true;
  }

  /** Whether a request waits for one of them now, or has been given its answer. */
  join(key: string, visit: Visit, now: number): boolean {
    for (const fill of this.#byKey.get(key) ?? []) {
      if (fill.isOpen && !visit.unconditional) {
        fill.wait(visit);
        return true;
      }
      if (fill.entry === null || !fill.suits(visit, now)) continue;
      giveCollapsed(visit, fill.entry, now);
      return true;
    }
    return false;
  }

  /** Whether one of them fetches long content of which a request wants a part that is far from being there. */
  isFarFrom(key: string, visit: Visit): boolean {
    return this.#byKey.get(key)?.some((fill) => fill.isFarFrom(visit)) === true;
  }

  /** One that another worker can wait for, or follow from its beginning. */
  forOthers(key: string): Fill | undefined {
    const isWhole = ({ entry }: Fill): boolean => entry === null || entry.body.firstPiece === 0;
    return this.#byKey.get(key)?.find((fill) => !fill.isOutdated && isWhole(fill));
  }

  /** What comes for keys that begin so is not stored. */
  discard(prefix: string): void {
    this.#byKey.forEach((fills, key) => {
      if (key.startsWith(prefix)) for (const fill of fills) fill.discarded = true;
    });
  }
}
