// The syntax tree of a regular expression, and the error for what cannot be made into one.

/** A set of bytes: 256 flags. Sets are never changed once they are part of a tree. */
export type ByteSet = Uint8Array;

/** What must hold between two bytes, for a tree node that takes none. */
export type Position =
  | { readonly at: "text-start" }
  | { readonly at: "text-end" }
  /** At the end, or before a line feed that is the last byte. */
  | { readonly at: "last-line-end" }
  | { readonly at: "line-start" }
  | { readonly at: "line-end" }
  | { readonly at: "word-edge"; readonly negative: boolean }
  /** The byte before or after is in the set, or is not: then the edge of the text fits too. */
  | { readonly at: "before" | "after"; readonly set: ByteSet; readonly negative: boolean };

export type RegexNode =
  | { readonly kind: "bytes"; readonly set: ByteSet }
  | { readonly kind: "sequence"; readonly items: readonly RegexNode[] }
  | { readonly kind: "choice"; readonly items: readonly RegexNode[] }
  | {
      readonly kind: "repeat";
      readonly item: RegexNode;
      readonly min: number;
      /** Infinity for no end. */
      readonly max: number;
      readonly mode: "greedy" | "lazy";
    }
  | { readonly kind: "group"; readonly index: number; readonly item: RegexNode }
  | { readonly kind: "position"; readonly position: Position }
  | { readonly kind: "look"; readonly ahead: boolean; readonly negative: boolean; readonly item: RegexNode }
  /** Found once, and not tried in another way again. */
  | { readonly kind: "atomic"; readonly item: RegexNode }
  | { readonly kind: "back-reference"; readonly group: number; readonly ignoreCase: boolean };

export const EMPTY: RegexNode = { kind: "sequence", items: [] };

/** A pattern that cannot be used: what is wrong, where (an offset into the pattern), and what to do. */
export class RegexError extends Error {
  override readonly name = "RegexError";
  readonly offset: number;

  constructor(message: string, offset: number) {
    super(message);
    this.offset = offset;
  }
}

/** Items in a row; what is only one is given back as it is. */
export function sequence(items: readonly RegexNode[]): RegexNode {
  return items.length === 1 ? items[0]! : { kind: "sequence", items };
}

/** The least and the greatest number of bytes that a node takes. */
export function widthOf(node: RegexNode): { readonly min: number; readonly max: number } {
  switch (node.kind) {
    case "bytes":
      return { min: 1, max: 1 };
    case "position":
    case "look":
      return { min: 0, max: 0 };
    case "back-reference":
      return { min: 0, max: Number.POSITIVE_INFINITY };
    case "group":
    case "atomic":
      return widthOf(node.item);
    case "sequence": {
      let min = 0;
      let max = 0;
      for (const item of node.items) {
        const width = widthOf(item);
        min += width.min;
        max += width.max;
      }
      return { min, max };
    }
    case "choice": {
      let min = Number.POSITIVE_INFINITY;
      let max = 0;
      for (const item of node.items) {
        const width = widthOf(item);
        min = Math.min(min, width.min);
        max = Math.max(max, width.max);
      }
      return { min, max };
    }
    case "repeat": {
      const width = widthOf(node.item);
      return { min: width.min * node.min, max: width.max === 0 || node.max === 0 ? 0 : width.max * node.max };
    }
  }
}
