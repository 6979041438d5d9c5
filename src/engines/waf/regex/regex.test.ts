import { describe, expect, test } from "bun:test";
import { compileRegex, RegexError, type RegexOptions } from "./regex.ts";

/** The texts of the whole match and of each group; null for a group that took nothing, or if nothing matches. */
function match(pattern: string, input: string, options?: RegexOptions): (string | null)[] | null {
  const regex = compileRegex(pattern, options);
  const captures = new Int32Array(regex.groups * 2 + 2);
  const found = regex.exec(input, captures);
  expect(regex.test(input)).toBe(found);
  if (!found) return null;
  return Array.from({ length: regex.groups + 1 }, (_, group) =>
    captures[group * 2]! < 0 ? null : input.slice(captures[group * 2], captures[group * 2 + 1]),
  );
}

type Case = readonly [pattern: string, input: string, expected: (string | null)[] | null, options?: RegexOptions];

function check(cases: readonly Case[]): void {
  for (const [pattern, input, expected, options] of cases) {
    test(`${pattern} on ${JSON.stringify(input)}`, () => expect(match(pattern, input, options)).toEqual(expected));
  }
}

describe("bytes and sets", () => {
  check([
    ["a.c", "a\nc", ["a\nc"]],
    ["(?-s)a.c", "a\nc", null],
    ["\\x41\\x{42}\\103\\o{104}", "ABCD", ["ABCD"]],
    ["\\0\\x00\\cA", "\0\0\x01", ["\0\0\x01"]],
    ["[\\x7f-\\x{ff}]", "\xe9", ["\xe9"]],
    ["[]a]+", "x]a]", ["]a]"]],
    ["[^]a]", "]a-", ["-"]],
    ["[a\\-z]+", "b-a", ["-a"]],
    ["[\\w-]+", "?a-b", ["a-b"]],
    ["[a-\\d]+", "x-1a", ["-1a"]],
    ["[[:alpha:][:^space:]]+", "  ab1", ["ab1"]],
    ["[[:foo]+", "[:fo", ["[:fo"]],
    ["[\\b]", "a\b", ["\b"]],
    ["\\s+", "a \t\n\v\f\r\xa0", [" \t\n\v\f\r"]],
    ["\\h+", "a \t\xa0\n", [" \t\xa0"]],
    ["\\v", "a\x85", ["\x85"]],
    ["a\\Rb", "a\r\nb", ["a\r\nb"]],
    ["\\N+", "\nab\n", ["ab"]],
    ["\\d\\D\\w\\W", "1a_-", ["1a_-"]],
    ["\\Q.*\\E+", "a.***", [".***"]],
    ["a{,2}", "aa{,2}", ["a{,2}"]],
    ["a{x", "a{x", ["a{x"]],
  ]);
});

describe("case", () => {
  check([
    ["aB", "ab", null],
    ["aB", "ab", ["ab"], { ignoreCase: true }],
    ["(?i)\xe9", "\xc9", null],
    ["(?i)[a-c]x|y", "Y", ["Y"]],
    ["(?i:a)b", "AB", null],
    ["a(?i)b|c", "C", ["C"]],
    ["(a(?i)b)c", "aBC", null],
    ["(?i)a(?-i)b", "AB", null],
    ["(?^)A", "a", null, { ignoreCase: true }],
    ["(?i)[^a]", "A", null],
  ]);
});

describe("places", () => {
  check([
    ["^a$", "a\n", ["a"]],
    ["^a$", "a\n", null, { dollarEndOnly: true }],
    ["^a\\z", "a\n", null],
    ["a\\Z", "a\n", ["a"]],
    ["a$", "a\n\n", null],
    ["^b$", "a\nb\nc", null],
    ["^b$", "a\nb\nc", ["b"], { multiline: true }],
    ["(?m)^$", "a\n", null],
    ["a\\n^b", "a\nb", ["a\nb"], { multiline: true }],
    ["\\Ab", "a\nb", null, { multiline: true }],
    ["\\bfoo\\b", "a foo.", ["foo"]],
    ["\\bfoo\\b", "foo_", null],
    ["\\Boo", "foo", ["oo"]],
    ["^$", "", [""]],
    ["\\b", "", null],
  ]);
});

describe("choices and repetition", () => {
  check([
    ["a|ab", "ab", ["a"]],
    ["(a|ab)(c|bcd)", "abcd", ["abcd", "a", "bcd"]],
    ["a*?b", "aab", ["aab"]],
    ["<.+?>", "<a><b>", ["<a>"]],
    ["<.+>", "<a><b>", ["<a><b>"]],
    ["a{2}", "aaa", ["aa"]],
    ["a{2,3}?", "aaaa", ["aa"]],
    ["(a)|(b)", "b", ["b", null, "b"]],
    ["(a|b)*", "abc", ["ab", "b"]],
    ["(?:(a)|b)*", "ab", ["ab", "a"]],
    ["x{0}y", "y", ["y"]],
    ["(?|(a)|(b))(c)", "bc", ["bc", "b", "c"]],
    ["(?<first>a)(?P<second>b)(?'third'c)", "abc", ["abc", "a", "b", "c"]],
    ["a(?#comment)b", "ab", ["ab"]],
    ["(?x) a b # comment\n c", "abc", ["abc"]],
    ["(?:){3}a", "a", ["a"]],
    ["(a*)*b", "b", ["b", ""]],
  ]);
});

describe("what gives nothing back", () => {
  check([
    ["a++b", "aaab", ["aaab"]],
    ["a++a", "aaa", null],
    ["a*+a", "aaa", null],
    ["a?+a", "a", null],
    ["a?+a", "aa", ["aa"]],
    ["a{1,2}+a", "aa", null],
    ["a{1,2}+a", "aaa", ["aaa"]],
    ["\\s*+;", "  ;", ["  ;"]],
    ["(?:ab)++a", "ababa", ["ababa"]],
    ["(?>a|ab)c", "abc", null],
    ["(?>a*)b", "aab", ["aab"]],
  ]);
});

describe("looking around and back", () => {
  check([
    ["a(?=b)", "acab", ["a"]],
    ["a(?!b)", "aba", ["a"]],
    ["(?<=a)b", "bab", ["b"]],
    ["(?<!a)b", "abb", ["b"]],
    ["<\\?(?!xml)", "<?xml <?php", ["<?"]],
    ["(?<!&amp|&lt);", "&amp;&lt;", null],
    ["(?<!&amp|&lt);", "&gt;", [";"]],
    ["(?=(a+))a*b\\1", "baaabac", ["aba", "a"]],
    ["(a+)b\\1", "aabaa", ["aabaa", "aa"]],
    ["(?i)(a)\\1", "aA", ["aA", "a"]],
    ["(a)\\1", "aA", null],
    ["(?<x>.)\\k<x>\\k{x}\\g{x}\\g1\\g{-1}(?P=x)", "aaaaaaa", ["aaaaaaa", "a"]],
    ["(?:(a)|b)\\1", "b", null],
    ["\\b(\\w+)\\b\\s*=\\s*\\b\\1\\b", "1 = 2 or 3 = 3", ["3 = 3", "3"]],
  ]);
});

const REFUSED: readonly (readonly [pattern: string, offset: number, says: string])[] = [
  ["a(b", 1, "never closed"],
  ["a)b", 1, "closes nothing"],
  ["[ab", 0, "closing bracket"],
  ["[b-a]", 2, "wrong way round"],
  ["a{3,2}", 0, "wrong way round"],
  ["*a", 0, "nothing to repeat"],
  ["a**", 2, "nothing to repeat"],
  ["a\\", 2, "backslash"],
  ["\\x{100}", 1, "more than a byte"],
  ["\u20ac", 0, "bytes"],
  ["\\y", 0, "means nothing"],
  ["[\\y]", 1, "means nothing"],
  ["[[:foo:]]", 1, "no character class"],
  ["(?<=a*)b", 0, "fixed length"],
  ["(?R)", 0, "no recursion"],
  ["(*COMMIT)a", 0, "verbs"],
  ["a\\Kb", 1, "into a group"],
  ["\\p{L}", 0, "Unicode"],
  ["(a)\\2", 3, "no group 2"],
  ["\\k<x>", 0, "no group x"],
  ["a{99999}", 1, "up to 65535"],
  ["(?:a{1000}){1000}", 0, "states"],
  [`${"(".repeat(251)}a`, 250, "within each other"],
];

for (const [pattern, offset, says] of REFUSED) {
  test(`${pattern.slice(0, 20)} is refused`, () => {
    let error: unknown;
    try {
      compileRegex(pattern);
    } catch (thrown) {
      error = thrown;
    }
    expect(error).toBeInstanceOf(RegexError);
    expect((error as RegexError).message).toContain(says);
    expect((error as RegexError).offset).toBe(offset);
  });
}

const LITERALS: readonly (readonly [pattern: string, literals: readonly string[] | null])[] = [
  ["(?i)UNION\\s+SELECT", ["select"]],
  ["a|b+", ["a", "b"]],
  ["a|b*", null],
  ["foo(?:bar|baz)?", ["foo"]],
  ["(?:foo|bar)\\d+qux", ["qux"]],
  ["\\w+", null],
  ["[<>]script", ["<script", ">script"]],
  ["(?=abc)x", ["x"]],
  ["(abc)\\1", ["abc"]],
  ["xyz{3}q", ["xyzzzq"]],
];

for (const [pattern, literals] of LITERALS) {
  test(`what matches ${pattern} contains one of ${literals}`, () => {
    expect(compileRegex(pattern).literals).toEqual(literals);
  });
}

test("a match longer than a block of the reader has its captures", () => {
  const filler = "ab".repeat(10_000);
  expect(match("x(.*)y([a-z])", `..x${filler}yb..`)).toEqual([`x${filler}yb`, filler, "b"]);
  expect(match("(?:([ab])|c)+", filler)).toEqual([filler, "b"]);
});

test("captures without room for all groups hold the first ones", () => {
  const captures = new Int32Array(4);
  expect(compileRegex("(a)(b)(c)").exec("abc", captures)).toBe(true);
  expect([...captures]).toEqual([0, 3, 0, 1]);
});

test("an automaton that forgets its states goes on rightly", () => {
  // Whether the byte twelve places back was an a: thousands of sets of states.
  const regex = compileRegex("a.{12}!");
  let state = 1;
  let text = "";
  for (let at = 0; at < 60_000; at += 1) {
    state = (Math.imul(state, 1_103_515_245) + 12_345) & 0x7fff_ffff;
    text += (state >>> 16) & 1 ? "a" : "b";
  }
  const captures = new Int32Array(2);
  expect(regex.test(text)).toBe(false);
  const hit = `${text}a${"b".repeat(12)}!`;
  expect(regex.exec(hit, captures)).toBe(true);
  expect([...captures]).toEqual([hit.length - 14, hit.length]);
});

test("a back-reference that takes too long is given up, and says so", () => {
  const hopeless = compileRegex("^(a*)(a*)(a*)(a*)\\1\\2\\3\\4b");
  expect(hopeless.test(`${"a".repeat(3001)}c${"a".repeat(10)}b`)).toBe(false);
  expect(hopeless.gaveUp).toBe(true);
  expect(hopeless.test("aab")).toBe(true);
  expect(hopeless.gaveUp).toBe(false);
});
