// Path templates (`/users/{id}`) as a tree of segments, in which the most specific one that fits is found.

/** A segment such as `{id}.json` or `v{major}-{minor}`: texts, with a name between each two. */
interface Pattern {
  readonly texts: readonly string[];
  readonly names: readonly string[];
  /** Segments that are alike but for the names are the same. */
  readonly shape: string;
  /** How much text it has. */
  readonly weight: number;
}

interface Branch<T> {
  readonly pattern: Pattern;
  readonly node: Node<T>;
}

interface Node<T> {
  readonly literals: Map<string, Node<T>>;
  readonly branches: Branch<T>[];
  leaf: T | null;
}

const makeNode = <T>(): Node<T> => ({ literals: new Map(), branches: [], leaf: null });

/** Longer paths are not looked at: no specification has them. */
const SEGMENTS_MAX = 64;

export class PathTree<T> {
  readonly #root: Node<T> = makeNode();

  /** Adds a template. Returns the names in it, in order. Throws RangeError for one that is none, or is there already. */
  add(template: string, leaf: T): string[] {
    if (!template.startsWith("/")) throw new RangeError("a path begins with /");
    const names: string[] = [];
    let node = this.#root;
    const segments = template.slice(1).split("/");
    if (segments.length > SEGMENTS_MAX) throw new RangeError(`a path has ${SEGMENTS_MAX} segments at most`);
    for (const segment of segments) {
      const pattern = parse(segment);
      names.push(...pattern.names);
      node = pattern.names.length === 0 ? literal(node, pattern.texts[0]!) : branch(node, pattern);
    }
    if (new Set(names).size !== names.length) throw new RangeError("a name is there twice");
    if (node.leaf !== null) throw new RangeError("another path is the same but for the names");
    node.leaf = leaf;
    return names;
  }

  /** All leaves in the order in which they are tried: no other one that fits a path comes before the one found for it. */
  leaves(): T[] {
    const found: T[] = [];
    gather(this.#root, found);
    return found;
  }

  /** What a path belongs to, and the values of the names in `values`, encoded as they came; null for nothing. */
  find(path: string, values: string[]): T | null {
    values.length = 0;
    return descend(this.#root, path, 1, values, 0);
  }
}

function gather<T>({ literals, branches, leaf }: Node<T>, found: T[]): void {
  if (leaf !== null) found.push(leaf);
  for (const next of literals.values()) gather(next, found);
  for (const { node } of branches) gather(node, found);
}

function literal<T>(node: Node<T>, text: string): Node<T> {
  const known = node.literals.get(text) ?? makeNode<T>();
  node.literals.set(text, known);
  return known;
}

/** Those with more text are tried first. */
function branch<T>(node: Node<T>, pattern: Pattern): Node<T> {
  const known = node.branches.find((each) => each.pattern.shape === pattern.shape);
  if (known !== undefined) return known.node;
  const made = { pattern, node: makeNode<T>() };
  const place = node.branches.findIndex((each) => each.pattern.weight < pattern.weight);
  node.branches.splice(place < 0 ? node.branches.length : place, 0, made);
  return made.node;
}

function parse(segment: string): Pattern {
  const parts = segment.split(/\{([^{}]*)\}/);
  const texts = parts.filter((_, index) => index % 2 === 0);
  const names = parts.filter((_, index) => index % 2 === 1);
  if (texts.some((text) => /[{}?#]/.test(text)))
    throw new RangeError(`"${segment}": braces do not fit, or ? or # is in it`);
  if (names.some((name) => name === "")) throw new RangeError(`"${segment}": a name is missing`);
  if (texts.slice(1, -1).some((text) => text === ""))
    throw new RangeError(`"${segment}": between two names there has to be something`);
  return { texts, names, shape: texts.join("{}"), weight: texts.join("").length };
}

function descend<T>(node: Node<T>, path: string, from: number, values: string[], depth: number): T | null {
  if (depth > SEGMENTS_MAX) return null;
  const slash = path.indexOf("/", from);
  const end = slash < 0 ? path.length : slash;
  const segment = path.slice(from, end);
  const literally = node.literals.get(segment);
  if (literally !== undefined) {
    const found = slash < 0 ? literally.leaf : descend(literally, path, end + 1, values, depth + 1);
    if (found !== null) return found;
  }
  const before = values.length;
  for (const { pattern, node: next } of node.branches) {
    if (fits(pattern, segment, values)) {
      const found = slash < 0 ? next.leaf : descend(next, path, end + 1, values, depth + 1);
      if (found !== null) return found;
    }
    values.length = before;
  }
  return null;
}

/** Each name takes as little as it can, the last one all that is left; none is empty. */
function fits({ texts, names }: Pattern, segment: string, values: string[]): boolean {
  const first = texts[0]!;
  const last = texts[names.length]!;
  if (!segment.startsWith(first) || !segment.endsWith(last)) return false;
  const end = segment.length - last.length;
  let from = first.length;
  for (let index = 1; index < names.length; index += 1) {
    const text = texts[index]!;
    const found = segment.indexOf(text, from + 1);
    if (found < 0 || found + text.length > end) return false;
    values.push(segment.slice(from, found));
    from = found + text.length;
  }
  if (from >= end) return false;
  values.push(segment.slice(from, end));
  return true;
}
