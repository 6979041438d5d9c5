// What is under way, by key. A `Map` would do, but for one thing: one that entries come to and leave all the time is
// built anew again and again, and what the runtime leaves of the old ones holds on to all that was ever in them, until
// the collector goes over everything.

/** More than are under way at a time on most days; beyond that, a few share a place. */
const PLACES = 1024;

interface Node<V> {
  readonly key: string;
  readonly value: V;
  next: Node<V> | null;
}

export class KeyTable<V> {
  readonly #places: (Node<V> | null)[] = new Array(PLACES).fill(null);

  get(key: string): V | undefined {
    let node = this.#places[placeOf(key)]!;
    while (node !== null && node.key !== key) node = node.next!;
    return node?.value;
  }

  has(key: string): boolean {
    return this.get(key) !== undefined;
  }

  /** Adds what is not there yet. */
  add(key: string, value: V): void {
    const place = placeOf(key);
    this.#places[place] = { key, value, next: this.#places[place]! };
  }

  delete(key: string): void {
    const place = placeOf(key);
    let before: Node<V> | null = null;
    let node = this.#places[place]!;
    while (node !== null && node.key !== key) {
      before = node;
      node = node.next!;
    }
    if (node === null) return;
    if (before === null) this.#places[place] = node.next;
    else before.next = node.next;
    node.next = null;
  }

  forEach(each: (value: V, key: string) => void): void {
    for (const first of this.#places)
      for (let node = first; node !== null; node = node.next) each(node.value, node.key);
  }
}

const placeOf = (key: string): number => Bun.hash.cityHash32(key) & (PLACES - 1);
