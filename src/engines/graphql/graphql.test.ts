import { describe, expect, test } from "bun:test";
import {
  costOf,
  Documents,
  KnownDocuments,
  memberOf,
  type Operation,
  PersistedDocuments,
  type Rules,
  rawItems,
  rawMembers,
  readMessages,
  readSchema,
  SchemaError,
  sha256,
} from "./index.ts";

const RULES: Rules = {
  field: 1,
  weights: new Map([
    ["Query.search", 5],
    ["*.friends", 3],
  ]),
  sizeArguments: [["first"], ["last"], ["page", "size"]],
  assumedSize: 10,
  denied: ["Mutation.delete*"],
  allowed: null,
};

const SCHEMA = readSchema(`
  type Query { me: User, people(first: Int = 20): [Person!]!, node(id: ID!): Node, dear: Int @cost(weight: "50")
    posts(take: Int): PostPage @listSize(slicingArguments: ["take"], assumedSize: 7) }
  type Mutation { drop(id: ID!): Boolean }
  interface Node { id: ID! }
  interface Person implements Node { id: ID!, name: String, salary: Int, friends(first: Int): [Person!] }
  type User implements Person & Node { id: ID!, name: String, salary: Int, friends(first: Int): [Person!], tags: [String] }
  type Bot implements Person & Node { id: ID!, name: String, salary: Int, friends(first: Int): [Person!] }
  type PostPage { items: [Post] }
  type Post { title: String }
`);

function only(documents: Documents, text: string): Operation {
  const read = documents.read(text, 5000);
  if (read.kind !== "document") throw new Error(JSON.stringify(read));
  return read.operations.values().next().value!;
}

const UNTYPED = new Documents(null, RULES);
const costIn = (documents: Documents, text: string, variables: Record<string, unknown> | null = null): number => {
  const { sum, defaults } = only(documents, text);
  return costOf(sum.cost, variables, defaults);
};

describe("what a document comes to", () => {
  const CASES: readonly (readonly [text: string, want: Partial<Operation["sum"]>])[] = [
    ["{ a }", { depth: 1, aliases: 0, cost: 1 }],
    ["{ a { b { c } } }", { depth: 3, cost: 3 }],
    ["{ x: a y: a { z: b } }", { depth: 2, aliases: 3, cost: 3 }],
    ["{ a @x @y { b @z } ... @q { c } }", { directives: 4, depth: 2 }],
    ["query Q($n: Int @x) @y { a }", { directives: 2 }],
    ["{ ...F ...F } fragment F on T { x: a { b } }", { depth: 2, aliases: 2, cost: 4 }],
    ["{ a { ...F } } fragment F on T { b { ...G } } fragment G on T { c }", { depth: 3, cost: 3 }],
    ["{ __typename a { __typename } }", { depth: 1, introspects: false, cost: 1 }],
    ["{ __schema { types { name } } }", { depth: 0, introspects: true, lists: 0, cost: 0 }],
    ['{ ...F } fragment F on Query { __type(name: "A") { name } }', { introspects: true }],
    ["{ __schema { types { fields { type { fields { type { fields { name } } } } } } } }", { lists: 3 }],
    ["{ search }", { cost: 5 }],
    ["{ ... on Anything { search } }", { cost: 5 }],
    ["{ me { search friends { name } } }", { cost: 6 }],
    ["{ a(first: 10) { b c } }", { cost: 21 }],
    ["{ a(first: 3, last: 5) { b } }", { cost: 6 }],
    ["{ a(page: { size: 4 }) { b } }", { cost: 5 }],
    ["{ a(first: null) { b } }", { cost: 11 }],
    ['{ a(first: "7") { b } }', { cost: 8 }],
    ["{ a(first: -3) { b } }", { cost: 11 }],
    ["mutation { deleteAll }", { denied: "Mutation.deleteAll" }],
    ["mutation { ...F } fragment F on RootOfMine { x: deleteAll }", { denied: "Mutation.deleteAll" }],
    ["query { deleteAll }", { denied: "" }],
  ];
  for (const [text, want] of CASES) test(text, () => expect(only(UNTYPED, text).sum).toMatchObject(want));

  const VARIABLES: readonly (readonly [text: string, variables: Record<string, unknown> | null, cost: number])[] = [
    ["query($n: Int) { a(first: $n) { b } }", { n: 100 }, 101],
    ["query($n: Int) { a(first: $n) { b } }", null, 11],
    ["query($n: Int = 3) { a(first: $n) { b } }", {}, 4],
    ["query($n: Int = 3) { a(first: $n) { b } }", { n: null }, 11],
    ["query($n: Int = 3) { a(first: $n, last: 50) { b } }", { n: 4 }, 51],
    ["query($p: Page) { a(page: $p) { b } }", { p: { size: 9 } }, 10],
    ["query($p: Int) { a(page: { size: $p }) { b } }", { p: 9 }, 10],
    ["query($p: Page = { size: 6 }) { a(page: $p) { b } }", {}, 7],
    ["query($n: Int) { a(first: $n) { b(first: $n) { c } } }", { n: 10 }, 111],
    ["query($n: Int) { ...F ...F } fragment F on Q { a(first: $n) { b } }", { n: 10 }, 22],
    ["query($n: Int) { a(first: $n) { b } }", { n: 1e300 }, Number.MAX_SAFE_INTEGER],
    ["query($n: Int) { a(first: $n) { b } }", JSON.parse('{"__proto__": {"n": 5}}') as Record<string, unknown>, 11],
  ];
  for (const [text, variables, cost] of VARIABLES)
    test(`${text} ${JSON.stringify(variables)}`, () => expect(costIn(UNTYPED, text, variables)).toBe(cost));

  test("variables of one request say nothing about the next", () => {
    const { sum, defaults } = only(UNTYPED, "query($n: Int) { a(first: $n) { b } }");
    expect([5, 9, 5].map((n) => costOf(sum.cost, { n }, defaults))).toEqual([6, 10, 6]);
  });

  test("fragments that use each other twice take no time that doubles", () => {
    const fragments = Array.from({ length: 200 }, (_, at) => `fragment F${at} on T { ...F${at + 1} ...F${at + 1} }`);
    const text = `query($n: Int) { ...F0 } ${fragments.join(" ")} fragment F200 on T { x: a(first: $n) { b } }`;
    const { sum } = only(UNTYPED, text);
    expect(sum.aliases).toBe(2 ** 200);
    expect(costIn(UNTYPED, text, { n: 2 })).toBe(Number.MAX_SAFE_INTEGER);
  });
});

describe("with a schema", () => {
  const rules: Rules = {
    ...RULES,
    weights: new Map([
      ["User.name", 4],
      ["Post", 2],
      ["*.friends", 3],
    ]),
    denied: ["User.salary"],
  };
  const typed = new Documents(SCHEMA, rules);
  const COSTS: readonly (readonly [text: string, cost: number])[] = [
    ["{ me { name } }", 5],
    ["{ me { tags } }", 2],
    ["{ dear }", 50],
    ["{ people { id } }", 21], // as many as the schema says where nothing is said
    ["{ people(first: 2) { name } }", 9], // one of them may be a User
    ["{ posts { items { title } } }", 1 + 7 * (1 + 10 * (2 + 1))],
    ["{ posts(take: 2) { items { title } } }", 1 + 2 * (1 + 10 * (2 + 1))],
  ];
  for (const [text, cost] of COSTS) test(text, () => expect(costIn(typed, text)).toBe(cost));

  test("a field is denied through all that it can be asked through", () => {
    for (const text of ["{ me { salary } }", "{ people { salary } }", "{ node(id: 1) { ... on Person { salary } } }"])
      expect(only(typed, text).sum.denied).toContain(".salary");
    expect(only(typed, "{ people { ... on Bot { salary } } }").sum.denied).toBe("");
  });

  test("documents are held against it, and nothing of it is told", () => {
    const read = typed.read("{ me { nam } }", 100);
    expect(read).toEqual({ kind: "invalid", errors: [{ message: 'Cannot query field "nam" on type "User".' }] });
    expect(typed.read("{ __schema { types { name } } }", 100).kind).toBe("document");
  });

  test("a schema that is none says where", () => {
    const CASES = [
      ["type Query { a: Nothing }", 1],
      ["type Query {\n  a Int\n}", 2],
      ["type Thing { a: Int }", 0],
    ] as const;
    for (const [text, line] of CASES) {
      let error: unknown;
      try {
        readSchema(text);
      } catch (caught) {
        error = caught;
      }
      expect(error).toBeInstanceOf(SchemaError);
      expect((error as SchemaError).line).toBe(line);
    }
  });
});

describe("what is no document to be looked at", () => {
  const CASES: readonly (readonly [name: string, text: string, kind: string])[] = [
    ["nothing", "", "syntax"],
    ["half a document", "{ a ", "syntax"],
    ["an operation twice", "query A { a } query A { b }", "invalid"],
    ["a fragment twice", "{ ...F } fragment F on T { a } fragment F on T { b }", "invalid"],
    ["one without a name beside others", "{ a } query B { b }", "invalid"],
    ["fragments alone", "fragment F on T { a }", "invalid"],
    ["a fragment that is not there", "{ ...F }", "invalid"],
    ["a fragment that leads to itself", "{ ...F } fragment F on T { a { ...F } }", "invalid"],
    ["two that lead to each other", "{ ...F } fragment F on T { ...G } fragment G on T { ...F }", "invalid"],
    ["definitions of types", "{ a } type T { a: Int }", "invalid"],
    ["too many tokens", `{ ${"a ".repeat(5000)} }`, "limit"],
    ["values that are nested too deep", `{ a(b: ${"[".repeat(4000)}`, "syntax"],
  ];
  for (const [name, text, kind] of CASES) test(name, () => expect(UNTYPED.read(text, 5000).kind).toBe(kind as "limit"));

  test("what is nested deeper than the stack", () => {
    expect(UNTYPED.read(`{${"a{".repeat(200_000)}`, 1_000_000).kind).toBe("limit");
  });
});

test("documents are read once, and forgotten at some time", () => {
  let reads = 0;
  const counting = Object.assign(Object.create(UNTYPED) as Documents, {
    read: (text: string, max: number) => {
      reads += 1;
      return UNTYPED.read(text, max);
    },
  });
  const known = new KnownDocuments(counting, 100);
  const first = known.read("{ a }");
  expect(known.read("{ a }")).toBe(first);
  expect(reads).toBe(1);
  for (let at = 0; at < 2500; at += 1) known.read(`{ a${at} }`);
  expect(known.read("{ a }")).toBe(first); // in the older half
  for (let at = 0; at < 5000; at += 1) known.read(`{ b${at} }`);
  expect(known.read("{ a }")).not.toBe(first);
});

describe("messages", () => {
  const CASES: readonly (readonly [json: string, problem: string | null])[] = [
    ['{"query":"{a}"}', null],
    ['{"query":"{a}","operationName":null,"variables":null,"extensions":null}', null],
    ['{"query":"{a}","traceId":"1"}', null],
    ['{"query":"{a}","other":"1"}', "no member"],
    ['{"query":"{a}","Query":"{b}"}', "no member"],
    ['{"query":"{a}","operation\u004eame":"b"}', null],
    ['{"query":"{a}","exten\u017fions":{}}', "no member"],
    ['{"query":"{a}","__proto__":{}}', "no member"],
    ['{"query":["{a}"]}', "is a text"],
    ['{"query":"{a}","variables":[]}', "is an object"],
    ['{"query":"{a}","variables":"{}"}', "is an object"],
    ['{"query":"{a}","operationName":1}', "is a text"],
    ['{"extensions":{"persistedQuery":{"version":1,"sha256Hash":"abc"}}}', "SHA-256"],
    ['{"extensions":{"persistedQuery":{"version":2}}}', "SHA-256"],
    ['{"extensions":{"persistedQuery":1}}', "SHA-256"],
    ['{"documentId":"a","id":"b"}', "one id"],
    ["[]", "empty"],
    ['[{"query":"{a}"},{"query":"{a}"},{"query":"{a}"}]', "at most 2"],
    ['[{"query":"{a}"},[]]', "is an object"],
    ["null", "is an object"],
    ["1", "is an object"],
  ];
  for (const [json, problem] of CASES)
    test(json, () => {
      const read = readMessages(JSON.parse(json), 2, ["traceId"]);
      if (problem === null) expect(read.problem).toBeNull();
      else expect(read.problem).toContain(problem);
    });

  test("names in other spellings are told from others", () => {
    expect(["query", "QUERY", "doc_id", "operation_name", "x"].map(memberOf)).toEqual(["query", null, null, "", ""]);
  });
});

test("the texts of members stay as they were written", () => {
  const text = ' { "a" : 12345678901234567890 , "b":[1,{"c":"}\\"]"}], "d":"x,\\"y", "e":{} ,"f":null}';
  expect([...rawMembers(text)]).toEqual([
    ["a", "12345678901234567890"],
    ["b", '[1,{"c":"}\\"]"}]'],
    ["d", '"x,\\"y"'],
    ["e", "{}"],
    ["f", "null"],
  ]);
  expect(rawItems(' [ {"a":1.0} , 2,[] ] ')).toEqual(['{"a":1.0}', "2", "[]"]);
  expect([rawItems("[]"), [...rawMembers("{ }")]]).toEqual([[], []]);
});

describe("documents that clients store", () => {
  const stored = (size: number): PersistedDocuments =>
    new PersistedDocuments(new SharedArrayBuffer(PersistedDocuments.bytesFor(size)), size);
  const text = (at: number): string => `{ field${at} ${"x".repeat(900)} ü }`;

  test("are found by their hash, in all threads", () => {
    const memory = new SharedArrayBuffer(PersistedDocuments.bytesFor(65_536));
    const [one, other] = [new PersistedDocuments(memory, 65_536), new PersistedDocuments(memory, 65_536)];
    one.add(sha256(text(1)), text(1));
    expect(other.get(sha256(text(1)))).toBe(text(1));
    expect(other.get(sha256(text(2)))).toBeNull();
  });

  test("give way to others, and never become one of them", () => {
    const all = stored(16_384);
    for (let at = 0; at < 500; at += 1) {
      all.add(sha256(text(at)), text(at));
      expect(all.get(sha256(text(at)))).toBe(text(at));
      const older = text(Math.max(0, at - 7 * (at % 5)));
      expect([older, null]).toContain(all.get(sha256(older)));
    }
    expect(all.get(sha256(text(0)))).toBeNull();
  });

  test("are not too long, and need memory", () => {
    const all = stored(262_144);
    const long = `{ ${"a ".repeat(40_000)} }`;
    all.add(sha256(long), long);
    expect(all.get(sha256(long))).toBeNull();
    const none = new PersistedDocuments(new SharedArrayBuffer(0), 1024);
    none.add(sha256("{a}"), "{a}");
    expect(none.get(sha256("{a}"))).toBeNull();
  });

  test("are not believed where somebody writes over them", () => {
    const memory = new SharedArrayBuffer(PersistedDocuments.bytesFor(4096));
    const all = new PersistedDocuments(memory, 4096);
    all.add(sha256("{a}"), "{a}");
    const bytes = new Uint8Array(memory);
    bytes[bytes.length - 4096] = 0x5b;
    expect(all.get(sha256("{a}"))).toBeNull();
  });
});
