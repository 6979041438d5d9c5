// The files that this thread remembers, of all roots together: what was found out about them, and the bytes of small
// ones. Nothing here is believed for long: whoever takes an entry out compares it with the file as it is now.
import type { FileEntry } from "./file-entry.ts";

/** Bytes for each thread: the hot files of most sites, and little beside what connections take. */
const MEMORY_MAX = 33_554_432;
/** What an entry takes beside its bytes: fields, times, names. */
const ENTRY_BYTES = 2048;

/** The entries of one root, by path. */
export type Shelf = Map<string, FileEntry>;

interface Place {
  readonly shelf: Shelf;
  readonly path: string;
}

export class FileMemory {
  readonly #limit: number;
  /** In the order in which they are thought of giving up: those that were used since go to the end once more. */
  readonly #places = new Map<FileEntry, Place>();
  #bytes = 0;

  constructor(limit: number = MEMORY_MAX) {
    this.#limit = limit;
  }

  /** Bytes that are taken. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Remembers an entry in place of what was there under the same path. */
  put(shelf: Shelf, path: string, entry: FileEntry): void {
    const before = shelf.get(path);
    if (before !== undefined) this.drop(before);
    shelf.set(path, entry);
    this.#places.set(entry, { shelf, path });
    this.weigh(entry);
  }

  drop(entry: FileEntry): void {
    const place = this.#places.get(entry);
    if (place === undefined) return;
    this.#places.delete(entry);
    place.shelf.delete(place.path);
    this.#bytes -= entry.cost;
    entry.cost = 0;
  }

  /** The entry has taken bytes, or let go of them. */
  weigh(entry: FileEntry): void {
    if (!this.#places.has(entry)) return;
    let cost = ENTRY_BYTES + (entry.content?.length ?? 0);
    for (const copy of entry.copies ?? []) if (copy !== null) cost += ENTRY_BYTES + (copy.content?.length ?? 0);
    this.#bytes += cost - entry.cost;
    entry.cost = cost;
    if (this.#bytes > this.#limit) this.#makeRoom();
  }

  #makeRoom(): void {
    // Whoever is looked at for the second time has not been used since the first, so this ends.
    for (const [entry, place] of this.#places) {
      if (this.#bytes <= this.#limit) return;
      if (entry.used) {
        entry.used = false;
        this.#places.delete(entry);
        this.#places.set(entry, place);
      } else this.drop(entry);
    }
  }
}
