// Searching an input for many words at once, whatever the case of ASCII letters: one pass, however many words there are
// (Aho and Corasick). Where words branch, a state is a row of a table; the long tails of words are single links.

/**
 * With up to so many entries (4 bytes each) every state gets a row: 256 KB stay in the cache of a core. Longer lists
 * keep rows where words branch.
 */
const ENTRIES_DENSE = 65_536;
/** Beginnings as short as this get rows in long lists too: ordinary text seldom has more than two letters of a word. */
const DEPTH_ROWS = 3;

export class LiteralSet {
  /** The class of each byte; class 0 is in no word. */
  readonly #classOf = new Uint8Array(256);
  /** Behind the classes of a row, the node of the trie that it stands for. */
  readonly #nodeColumn: number;
  /** Where a class leads from a row. A state is the offset of its row or, from `#linksFrom` on, a link; ~state has words. */
  readonly #table: Int32Array;
  readonly #linksFrom: number;
  /** Of each link, the one class that leads on, where to, and the state to try otherwise. */
  readonly #linkClass: Int16Array;
  readonly #linkTo: Int32Array;
  readonly #linkElse: Int32Array;
  /** The node of the trie behind a link. */
  readonly #nodeOfLink: Int32Array;
  /** Of a node, the first word that ends there, or -1, and the next shorter node that is its end and has words, or -1. */
  readonly #wordOf: Int32Array;
  readonly #shorter: Int32Array;
  /** The next word that is the same as this one. */
  readonly #sameAs: Int32Array;

  readonly #owners: readonly (readonly number[])[] | null;
  /** Of each node with words, what it marks, once that is wanted, and the last input for which it did. */
  readonly #marksOf: (Int32Array | undefined)[];
  readonly #marked: Int32Array;
  #round = 0;

  /**
   * Empty words are left out: they would be everywhere.
   *
   * @param owners for each word, the bits that it marks in place of the one of its number
   */
  constructor(words: readonly string[], owners: readonly (readonly number[])[] | null = null) {
    const trie = new Trie(words, this.#classOf);
    const { size, classes } = trie;
    const everyRow = size * classes <= ENTRIES_DENSE;
    const isRow = (node: number): boolean => everyRow || trie.depth[node]! < DEPTH_ROWS || trie.branches(node);
    const rows: number[] = [];
    const links: number[] = [];
    for (const node of trie.order) (isRow(node) ? rows : links).push(node);
    const stateOf = new Int32Array(size);
    const stride = classes + 1;
    for (let index = 0; index < rows.length; index += 1) stateOf[rows[index]!] = index * stride;
    for (let index = 0; index < links.length; index += 1) stateOf[links[index]!] = rows.length * stride + index;
    // What leads to a state with words is marked by its complement.
    const entry = (node: number): number => (trie.ends(node) ? ~stateOf[node]! : stateOf[node]!);
    this.#nodeColumn = classes;
    this.#linksFrom = rows.length * stride;
    this.#table = new Int32Array(this.#linksFrom);
    for (const node of rows) {
      const row = stateOf[node]!;
      const fallback = trie.fallback[node]!;
      // What does not make it longer leads where it leads from the fallback, whose row is made before.
      if (node !== 0 && isRow(fallback)) this.#table.copyWithin(row, stateOf[fallback]!, stateOf[fallback]! + classes);
      else for (let by = 1; by < classes; by += 1) this.#table[row + by] = entry(trie.follow(node, by));
      for (let child = trie.firstChild[node]!; child !== 0; child = trie.nextChild[child]!) {
        this.#table[row + trie.classTo[child]!] = entry(child);
      }
      this.#table[row + classes] = node;
    }
    this.#linkClass = new Int16Array(links.length).fill(-1);
    this.#linkTo = new Int32Array(links.length);
    this.#linkElse = new Int32Array(links.length);
    for (let index = 0; index < links.length; index += 1) {
      const node = links[index]!;
      this.#linkElse[index] = stateOf[trie.fallback[node]!]!;
      const child = trie.firstChild[node]!;
      if (child === 0) continue;
      this.#linkClass[index] = trie.classTo[child]!;
      this.#linkTo[index] = entry(child);
    }
    this.#nodeOfLink = Int32Array.from(links);
    this.#wordOf = trie.wordOf.slice(0, size);
    this.#shorter = trie.shorter.slice(0, size);
    this.#sameAs = trie.sameAs;
    this.#owners = owners;
    this.#marksOf = new Array<Int32Array | undefined>(size).fill(undefined);
    this.#marked = new Int32Array(size);
  }

  /** The index of a word that occurs in the input: one of those that end first. -1 if there is none. */
  find(input: string): number {
    const classOf = this.#classOf;
    const table = this.#table;
    const linksFrom = this.#linksFrom;
    let state = 0;
    for (let at = 0; at < input.length; at += 1) {
      const byClass = classOf[input.charCodeAt(at)]!;
      const next = state < linksFrom ? table[state + byClass]! : this.#follow(state, byClass);
      if (next < 0) {
        const node = this.#nodeOf(~next);
        return this.#wordOf[this.#wordOf[node]! >= 0 ? node : this.#shorter[node]!]!;
      }
      state = next;
    }
    return -1;
  }

  /**
   * Sets the bit of each word that occurs in the input, or the bits of its owners: bit `i & 31` of element
   * `at + (i >>> 5)`. Other bits stay as they are. False when no word occurs.
   */
  mark(input: string, bits: Uint32Array, at = 0): boolean {
    const classOf = this.#classOf;
    const table = this.#table;
    const linksFrom = this.#linksFrom;
    this.#round += 1;
    let state = 0;
    let any = false;
    for (let place = 0; place < input.length; place += 1) {
      const byClass = classOf[input.charCodeAt(place)]!;
      const next = state < linksFrom ? table[state + byClass]! : this.#follow(state, byClass);
      if (next >= 0) state = next;
      else {
        state = ~next;
        any = true;
        const node = this.#nodeOf(state);
        if (this.#marked[node] !== this.#round) this.#markEnds(node, bits, at);
      }
    }
    return any;
  }

  /** Sets the bits of the words that end with a node; they are the same each time. */
  #markEnds(node: number, bits: Uint32Array, at: number): void {
    this.#marked[node] = this.#round;
    const marks = (this.#marksOf[node] ??= this.#collectMarks(node));
    for (let index = 0; index < marks.length; index += 2) {
      const slot = at + marks[index]!;
      bits[slot] = bits[slot]! | marks[index + 1]!;
    }
  }

  /** Pairs of an element and what is set in it. */
  #collectMarks(from: number): Int32Array {
    const masks = new Map<number, number>();
    for (let node = from; node >= 0; node = this.#shorter[node]!) {
      for (let word = this.#wordOf[node]!; word >= 0; word = this.#sameAs[word]!) {
        for (const bit of this.#owners?.[word] ?? [word]) {
          masks.set(bit >>> 5, (masks.get(bit >>> 5) ?? 0) | (1 << (bit & 31)));
        }
      }
    }
    return Int32Array.from([...masks].flat());
  }

  #nodeOf(state: number): number {
    return state < this.#linksFrom
      ? this.#table[state + this.#nodeColumn]!
      : this.#nodeOfLink[state - this.#linksFrom]!;
  }

  /** From a link: on, or back to shorter beginnings until one goes on. Each step back undoes an earlier one forward. */
  #follow(from: number, byClass: number): number {
    let state = from;
    while (state >= this.#linksFrom) {
      const link = state - this.#linksFrom;
      if (this.#linkClass[link] === byClass) return this.#linkTo[link]!;
      state = this.#linkElse[link]!;
    }
    return this.#table[state + byClass]!;
  }
}

/** The words as a tree of their beginnings; node 0 is the empty one. Numbers in arrays, as lists have 100,000 of them. */
class Trie {
  readonly classes: number;
  size = 1;
  readonly depth: Int32Array;
  /** The longest proper end of a node that is a beginning too. */
  readonly fallback: Int32Array;
  /** A word that ends with the node, and the next shorter node with one; -1 for none. */
  readonly wordOf: Int32Array;
  readonly shorter: Int32Array;
  readonly sameAs: Int32Array;
  /** The nodes by depth. */
  readonly order: Int32Array;
  /** Of a node, its first longer beginning, and the next one of its parent; 0 for none. The class leads to the node. */
  readonly firstChild: Int32Array;
  readonly nextChild: Int32Array;
  readonly classTo: Uint8Array;
  /** The children of node 0, which has most, by class. */
  readonly #ofRoot = new Int32Array(256);

  constructor(words: readonly string[], classOf: Uint8Array) {
    this.classes = assignClasses(words, classOf);
    let most = 1;
    for (let index = 0; index < words.length; index += 1) most += words[index]!.length;
    this.depth = new Int32Array(most);
    this.fallback = new Int32Array(most);
    this.wordOf = new Int32Array(most).fill(-1);
    this.shorter = new Int32Array(most).fill(-1);
    this.firstChild = new Int32Array(most);
    this.nextChild = new Int32Array(most);
    this.classTo = new Uint8Array(most);
    this.sameAs = new Int32Array(words.length).fill(-1);
    for (let index = 0; index < words.length; index += 1) {
      const word = words[index]!;
      let node = 0;
      for (let at = 0; at < word.length; at += 1) node = this.#grow(node, classOf[word.charCodeAt(at)]!);
      if (node === 0) continue;
      this.sameAs[index] = this.wordOf[node]!;
      this.wordOf[node] = index;
    }
    this.order = new Int32Array(this.size);
    this.#link();
  }

  /** The longer beginning behind a class; 0 for none. */
  child(node: number, byClass: number): number {
    if (node === 0) return this.#ofRoot[byClass]!;
    let child = this.firstChild[node]!;
    while (child !== 0 && this.classTo[child] !== byClass) child = this.nextChild[child]!;
    return child;
  }

  /** Whether a word ends with what the node stands for. */
  ends(node: number): boolean {
    return this.wordOf[node]! >= 0 || this.shorter[node]! >= 0;
  }

  /** Whether several longer beginnings follow. */
  branches(node: number): boolean {
    return this.firstChild[node] !== 0 && this.nextChild[this.firstChild[node]!] !== 0;
  }

  /** The longest beginning that is the end of the node's with one more byte. */
  follow(from: number, byClass: number): number {
    for (let node = from; ; node = this.fallback[node]!) {
      const child = this.child(node, byClass);
      if (child !== 0 || node === 0) return child;
    }
  }

  #grow(node: number, byClass: number): number {
    const known = this.child(node, byClass);
    if (known !== 0) return known;
    const made = this.size;
    this.size += 1;
    this.depth[made] = this.depth[node]! + 1;
    this.classTo[made] = byClass;
    this.nextChild[made] = this.firstChild[node]!;
    this.firstChild[node] = made;
    if (node === 0) this.#ofRoot[byClass] = made;
    return made;
  }

  #link(): void {
    const { order } = this;
    let count = 1;
    for (let index = 0; index < count; index += 1) {
      const node = order[index]!;
      for (let child = this.firstChild[node]!; child !== 0; child = this.nextChild[child]!) {
        const fallback = node === 0 ? 0 : this.follow(this.fallback[node]!, this.classTo[child]!);
        this.fallback[child] = fallback;
        this.shorter[child] = this.wordOf[fallback]! >= 0 ? fallback : this.shorter[fallback]!;
        order[count++] = child;
      }
    }
  }
}

/** Numbers the bytes that are in words, both cases of a letter alike. Gives how many classes there are. */
function assignClasses(words: readonly string[], classOf: Uint8Array): number {
  let classes = 1;
  for (const word of words) {
    for (let at = 0; at < word.length; at += 1) {
      const code = word.charCodeAt(at);
      const lower = code >= 65 && code <= 90 ? code + 32 : code;
      if (classOf[lower] === 0) {
        classOf[lower] = classes;
        classes += 1;
        if (lower >= 97 && lower <= 122) classOf[lower - 32] = classOf[lower]!;
      }
    }
  }
  return classes;
}
