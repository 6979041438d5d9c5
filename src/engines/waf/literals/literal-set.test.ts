import { expect, test } from "bun:test";
import { LiteralSet } from "./literal-set.ts";

function marked(words: readonly string[], input: string): string[] {
  const bits = new Uint32Array(Math.ceil(words.length / 32));
  new LiteralSet(words).mark(input, bits);
  return words.filter((_, index) => ((bits[index >>> 5]! >>> (index & 31)) & 1) === 1);
}

test("a set without words, or with an empty one, finds nothing", () => {
  expect(new LiteralSet([]).find("abc")).toBe(-1);
  expect(new LiteralSet([""]).find("abc")).toBe(-1);
});

test("the word that ends first is found, in whatever case", () => {
  const set = new LiteralSet(["union select", "Sel", "etc/passwd"]);
  expect(set.find("1 UNION SELECT 2")).toBe(1);
  expect(set.find("/ETC/passwd")).toBe(2);
  expect(set.find("unionselect".slice(0, 7))).toBe(-1);
});

test("words within words and at the ends of others are marked", () => {
  expect(marked(["he", "she", "his", "hers", "e"], "USHERS")).toEqual(["he", "she", "hers", "e"]);
  expect(marked(["aa", "aa", "aaa", "ab"], "xaa")).toEqual(["aa", "aa"]);
});

test("bytes above ASCII have no case", () => {
  expect(marked(["\xe9t\xe9", "\xc9"], "\xe9T\xe9")).toEqual(["\xe9t\xe9"]);
});

test("bits of earlier inputs stay", () => {
  const set = new LiteralSet(["one", "two"]);
  const bits = new Uint32Array(1);
  set.mark("one", bits);
  set.mark("two", bits);
  expect(bits[0]).toBe(3);
});

test("a long list, of which most states are links, finds each of its words", () => {
  const words = Array.from({ length: 4000 }, (_, index) => `/${(index * 7919).toString(36)}/path.${index}`);
  const set = new LiteralSet(words);
  // Each name ends with its number, so that of another may be its beginning, but none ends before it.
  for (const [index, word] of words.entries()) expect(words[set.find(`GET ${word}`)]).toBe(shortest(words, index));
});

/** The word that ends first in a text which ends with the given one. */
function shortest(words: readonly string[], index: number): string {
  const own = words[index]!;
  const shorter = own.slice(0, own.indexOf("path.") + 5);
  for (let length = 1; length <= String(index).length; length += 1) {
    const start = shorter + String(index).slice(0, length);
    if (words.includes(start)) return start;
  }
  return own;
}
