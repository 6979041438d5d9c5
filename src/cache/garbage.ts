// What fetching leaves for the collector, which by itself comes when there is as much of it as of all that lives: some
// fifty megabytes, which a cache should not take beside its own. So the young is collected often, which takes a
// millisecond or two. Whatever was under way at such a moment counts as old from then on, and is looked at again by
// full collections only; those are asked for when there may be some megabytes of that.
import { edenGC, fullGC, heapSize } from "bun:jsc";

/** Fetches between two collections of what is young: they leave some 10 MB. */
const FETCHES_BETWEEN = 1000;
/** So much that is old may lie about: what some 30,000 fetches leave. A full collection takes some 25 ms. */
const OLD_BYTES_MAX = 8 * 1024 * 1024;

export class Garbage {
  #fetches = 0;
  /** What there was when least was left. */
  #least = Number.POSITIVE_INFINITY;

  /** Something has been fetched. */
  fetched(): void {
    this.#fetches += 1;
    if (this.#fetches % FETCHES_BETWEEN === 0) setImmediate(() => this.#collect());
  }

  #collect(): void {
    edenGC();
    const bytes = heapSize();
    if (bytes - OLD_BYTES_MAX > this.#least) {
      fullGC();
      this.#least = heapSize();
    } else if (bytes < this.#least) this.#least = bytes;
  }
}
