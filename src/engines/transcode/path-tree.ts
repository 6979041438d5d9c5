// Finds what a method and a path are bound to, among many templates: literal segments before `*`, and that before `**`.
import type { PathTemplate } from "./path-template.ts";

interface End<T> {
  readonly method: string;
  readonly verb: string;
  readonly value: T;
}

class Node<T> {
  readonly literals = new Map<string, Node<T>>();
  one: Node<T> | null = null;
  readonly ends: End<T>[] = [];
  /** Of templates with `**` in this place. */
  readonly rests: End<T>[] = [];
}

export type Found<T> =
  | { readonly kind: "found"; readonly value: T; readonly segments: readonly string[] }
  /** The path has other methods. */
  | { readonly kind: "method"; readonly methods: readonly string[] }
  | { readonly kind: "none" };

export class PathTree<T> {
  readonly #root = new Node<T>();

  /** Throws RangeError where the same is bound already. */
  add(method: string, { segments, verb }: PathTemplate, value: T): void {
    let node = this.#root;
    for (const segment of segments) {
      if (segment.kind === "rest") return this.#end(node.rests, { method, verb, value });
      if (segment.kind === "one") {
        node.one ??= new Node<T>();
        node = node.one;
      } else {
        let next = node.literals.get(segment.text);
        if (next === undefined) node.literals.set(segment.text, (next = new Node<T>()));
        node = next;
      }
    }
    this.#end(node.ends, { method, verb, value });
  }

  #end(ends: End<T>[], end: End<T>): void {
    if (ends.some(({ method, verb }) => method === end.method && verb === end.verb))
      throw new RangeError("another method has the same path");
    ends.push(end);
  }

  /** `path` is normalised (http/path.ts). */
  find(method: string, path: string): Found<T> {
    const segments = path === "/" ? [] : path.slice(1).split("/");
    const methods = new Set<string>();
    const last = segments.at(-1) ?? "";
    const colon = last.lastIndexOf(":");
    if (colon >= 0) {
      const shorter = [...segments.slice(0, -1), last.slice(0, colon)];
      const value = visit(this.#root, shorter, 0, last.slice(colon + 1), method, methods);
      if (value !== null) return { kind: "found", value: value.value, segments: shorter };
    }
    const end = visit(this.#root, segments, 0, "", method, methods);
    if (end !== null) return { kind: "found", value: end.value, segments };
    return methods.size > 0 ? { kind: "method", methods: [...methods].sort() } : { kind: "none" };
  }
}

/** Each node is met once at most: the steps are bounded by the templates, whatever the path is. */
function visit<T>(
  node: Node<T>,
  segments: readonly string[],
  at: number,
  verb: string,
  method: string,
  methods: Set<string>,
): End<T> | null {
  const segment = segments[at];
  if (segment === undefined)
    return choose(node.ends, verb, method, methods) ?? choose(node.rests, verb, method, methods);
  const literal = node.literals.get(segment);
  const found = literal === undefined ? null : visit(literal, segments, at + 1, verb, method, methods);
  if (found !== null) return found;
  const one = node.one === null || segment === "" ? null : visit(node.one, segments, at + 1, verb, method, methods);
  return one ?? choose(node.rests, verb, method, methods);
}

function choose<T>(ends: readonly End<T>[], verb: string, method: string, methods: Set<string>): End<T> | null {
  for (const end of ends) {
    if (end.verb !== verb) continue;
    if (end.method === method) return end;
    methods.add(end.method);
  }
  return null;
}
