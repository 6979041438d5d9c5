import { describe, expect, test } from "bun:test";
import { ID } from "../header-names.ts";
import { entriesOf, hex, ListSink, literal } from "./hpack.testing.ts";
import { HpackDecoder } from "./hpack-decoder.ts";
import {
  AUTHORITY,
  BAD_NAME,
  BAD_VALUE,
  METHOD,
  NEVER_INDEXED,
  PATH,
  PROTOCOL,
  PSEUDO_SHIFT,
  SCHEME,
  STATUS,
  UNDERSCORE,
} from "./hpack-flags.ts";
import { STATIC_FIELDS, STATIC_LAST } from "./static-table.ts";

function decode(decoder: HpackDecoder, block: Buffer, sink = new ListSink()): string[] {
  const problem = decoder.decode(block, 0, block.length, sink);
  return problem === "" ? sink.heard : [...sink.heard, `! ${problem}`];
}

// RFC 7541 Appendix C: per block the bytes, the fields, the size of the table and its entries.
type Block = readonly [wire: string, fields: readonly string[], size: number, entries: readonly string[]];
const REQUEST = [":method: GET", ":scheme: http", ":path: /", ":authority: www.example.com"];
const REQUESTS = (third: readonly [string, string, string]): Block[] => [
  [third[0], REQUEST, 57, [":authority: www.example.com"]],
  [third[1], [...REQUEST, "cache-control: no-cache"], 110, ["cache-control: no-cache", ":authority: www.example.com"]],
  [
    third[2],
    [":method: GET", ":scheme: https", ":path: /index.html", ":authority: www.example.com", "custom-key: custom-value"],
    164,
    ["custom-key: custom-value", "cache-control: no-cache", ":authority: www.example.com"],
  ],
];
const DATE_21 = "date: Mon, 21 Oct 2013 20:13:21 GMT";
const DATE_22 = "date: Mon, 21 Oct 2013 20:13:22 GMT";
const PRIVATE = "cache-control: private";
const LOCATION = "location: https://www.example.com";
const COOKIE = "set-cookie: foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1";
const GZIP = "content-encoding: gzip";
const RESPONSES = (wires: readonly [string, string, string]): Block[] => [
  [wires[0], [":status: 302", PRIVATE, DATE_21, LOCATION], 222, [LOCATION, DATE_21, PRIVATE, ":status: 302"]],
  [wires[1], [":status: 307", PRIVATE, DATE_21, LOCATION], 222, [":status: 307", LOCATION, DATE_21, PRIVATE]],
  [wires[2], [":status: 200", PRIVATE, DATE_22, LOCATION, GZIP, COOKIE], 215, [COOKIE, GZIP, DATE_22]],
];
const EXAMPLES: readonly (readonly [name: string, tableMax: number, blocks: readonly Block[]])[] = [
  [
    "C.2.1 literal with indexing",
    4096,
    [
      [
        "400a 6375 7374 6f6d 2d6b 6579 0d63 7573 746f 6d2d 6865 6164 6572",
        ["custom-key: custom-header"],
        55,
        ["custom-key: custom-header"],
      ],
    ],
  ],
  ["C.2.2 literal without indexing", 4096, [["040c 2f73 616d 706c 652f 7061 7468", [":path: /sample/path"], 0, []]]],
  ["C.2.3 literal never indexed", 4096, [["1008 7061 7373 776f 7264 0673 6563 7265 74", ["password: secret"], 0, []]]],
  ["C.2.4 indexed field", 4096, [["82", [":method: GET"], 0, []]]],
  [
    "C.3 requests without Huffman coding",
    4096,
    REQUESTS([
      "8286 8441 0f77 7777 2e65 7861 6d70 6c65 2e63 6f6d",
      "8286 84be 5808 6e6f 2d63 6163 6865",
      "8287 85bf 400a 6375 7374 6f6d 2d6b 6579 0c63 7573 746f 6d2d 7661 6c75 65",
    ]),
  ],
  [
    "C.4 requests with Huffman coding",
    4096,
    REQUESTS([
      "8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff",
      "8286 84be 5886 a8eb 1064 9cbf",
      "8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf",
    ]),
  ],
  [
    "C.5 responses without Huffman coding",
    256,
    RESPONSES([
      "4803 3330 3258 0770 7269 7661 7465 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3120 474d" +
        "546e 1768 7474 7073 3a2f 2f77 7777 2e65 7861 6d70 6c65 2e63 6f6d",
      "4803 3330 37c1 c0bf",
      "88c1 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3220 474d 54c0 5a04 677a 6970 7738 666f" +
        "6f3d 4153 444a 4b48 514b 425a 584f 5157 454f 5049 5541 5851 5745 4f49 553b 206d 6178 2d61 6765 3d33 3630 303b" +
        "2076 6572 7369 6f6e 3d31",
    ]),
  ],
  [
    "C.6 responses with Huffman coding",
    256,
    RESPONSES([
      "4882 6402 5885 aec3 771a 4b61 96d0 7abe 9410 54d4 44a8 2005 9504 0b81 66e0 82a6 2d1b ff6e 919d 29ad 1718 63c7" +
        "8f0b 97c8 e9ae 82ae 43d3",
      "4883 640e ffc1 c0bf",
      "88c1 6196 d07a be94 1054 d444 a820 0595 040b 8166 e084 a62d 1bff c05a 839b d9ab 77ad 94e7 821d d7f2 e6c7 b335" +
        "dfdf cd5b 3960 d5af 2708 7f36 72c1 ab27 0fb5 291f 9587 3160 65c0 03ed 4ee5 b106 3d50 07",
    ]),
  ],
];

describe("RFC 7541 Appendix C", () => {
  for (const [name, tableMax, blocks] of EXAMPLES)
    test(name, () => {
      const decoder = new HpackDecoder(tableMax);
      for (const [wire, fields, size, entries] of blocks) {
        expect(decode(decoder, hex(wire))).toEqual([...fields]);
        expect(decoder.table.size).toBe(size);
        expect(entriesOf(decoder.table).map((entry) => entry.slice(0, entry.lastIndexOf(" #")))).toEqual([...entries]);
      }
    });
});

test("every static field", () => {
  const block = Buffer.from(
    STATIC_FIELDS.keys()
      .drop(1)
      .map((index) => 0x80 | index)
      .toArray(),
  );
  expect(decode(new HpackDecoder(4096), block)).toEqual(
    STATIC_FIELDS.slice(1).map(([name, value]) => `${name}: ${value}`),
  );
  expect(STATIC_LAST).toBe(61);
});

const A = literal(0x40, "a", "1"); // counts 34
const BROKEN: readonly (readonly [name: string, wire: Buffer | string, problem: string])[] = [
  // §5.1
  ["5.1 a number that ends behind its prefix", "ff", "a number is cut off"],
  ["5.1 a number that ends in the middle", "ff8080", "a number is cut off"],
  ["5.1 a number above 32 bits", "ffffffffff10", "a number is too large"],
  ["5.1 a number with six bytes behind the prefix", "ff808080808000", "a number is too large"],
  ["5.1 a number without end", `ff${"80".repeat(40)}`, "a number is too large"],
  // §5.2
  ["5.2 no value", "4001 61", "a literal is cut off"],
  ["5.2 no name", "40", "a literal is cut off"],
  ["5.2 a name that is cut off", "4003 6161", "a string is cut off"],
  ["5.2 a value that is cut off", "4001 6102 61", "a string is cut off"],
  ["5.2 a value of 4 GB", "4001 617f 80ffffff0f 61", "a string is cut off"],
  ["5.2 EOS in a name", "4084 ffffffff 0161", "a Huffman code is broken"],
  ["5.2 EOS in a value", "4001 6184 ffffffff", "a Huffman code is broken"],
  ["5.2 padding of eight bits", "4001 6182 1fff", "a Huffman code is broken"],
  ["5.2 padding of zeros", "4001 6181 18", "a Huffman code is broken"],
  // §6.1
  ["6.1 index 0", "80", "index 0"],
  ["6.1 an index behind the static table", "be", "an index beyond the table"],
  ["6.1 an index behind the last entry", Buffer.concat([A, hex("bf")]), "an index beyond the table"],
  ["6.1 an index of 4294967295", "ff80ffffff0f", "an index beyond the table"],
  // §6.2
  ["6.2 a name's index behind the table, with indexing", "7e 0161", "an index beyond the table"],
  ["6.2 a name's index behind the table, without", "0f2f 0161", "an index beyond the table"],
  ["6.2 a name's index behind the table, never", "1f2f 0161", "an index beyond the table"],
  // §6.3, §4.2
  ["6.3 a size above the setting", "3fe21f", "a table size above the setting"],
  ["6.3 a size of 4294967295", "3fe0ffffff0f", "a table size above the setting"],
  ["6.3 a size update behind a field", "8220", "a table size update behind a field"],
  ["4.2 three size updates", "202020", "too many table size updates"],
  ["6.3 a size that is cut off", "3f", "a number is cut off"],
];
describe("broken blocks", () => {
  for (const [name, wire, problem] of BROKEN)
    for (const max of [undefined, 0])
      test(`${name}${max === 0 ? ", refused" : ""}`, () => {
        const block = typeof wire === "string" ? hex(wire) : wire;
        expect(decode(new HpackDecoder(4096), block, new ListSink(max)).at(-1)).toBe(`! ${problem}`);
      });

  test("a number may be longer than it has to be", () => {
    expect(decode(new HpackDecoder(4096), hex("ff8080808000 808080"))[0]).toBe("! an index beyond the table");
    expect(decode(new HpackDecoder(4096), hex("3f8080808000"))).toEqual([]); // 31
  });
});

describe("table", () => {
  test("an entry larger than the table empties it (4.4)", () => {
    const decoder = new HpackDecoder(64);
    expect(decode(decoder, A)).toEqual(["a: 1"]);
    expect(decode(decoder, literal(0x40, "b", "x".repeat(32)))).toEqual([`b: ${"x".repeat(32)}`]);
    expect([decoder.table.count, decoder.table.size]).toEqual([0, 0]);
  });

  test("an entry of just the table's size stays", () => {
    const decoder = new HpackDecoder(64);
    decode(decoder, Buffer.concat([A, literal(0x40, "b", "x".repeat(31))]));
    expect([decoder.table.count, decoder.table.size]).toEqual([1, 64]);
  });

  test("a name may be that of the entry that makes way (4.4)", () => {
    const decoder = new HpackDecoder(34);
    expect(decode(decoder, Buffer.concat([A, hex("7e 01 32 7e 01 33 be")]))).toEqual(["a: 1", "a: 2", "a: 3", "a: 3"]);
    expect(decoder.table.count).toBe(1);
  });

  test("size updates evict, and grow again up to the setting (4.3, 6.3)", () => {
    const decoder = new HpackDecoder(4096);
    decode(decoder, Buffer.concat([A, literal(0x40, "b", "2")]));
    expect(decode(decoder, hex("3f03 be"))).toEqual(["b: 2"]); // 34 bytes
    expect(decoder.table.count).toBe(1);
    expect(decode(decoder, hex("20 3fe11f be"))).toEqual(["! an index beyond the table"]);
    expect(decoder.table.max).toBe(4096);
  });

  test("a smaller setting asks for an update (4.2)", () => {
    const decoder = new HpackDecoder(4096);
    decoder.setTableMax(100);
    expect(decode(decoder, hex("82"))).toEqual(["! a table size update is missing"]);
    const second = new HpackDecoder(4096);
    second.setTableMax(100);
    second.setTableMax(4096);
    expect(decode(second, hex("3fe11f 82"))).toEqual(["! a table size update is missing"]); // 4096 alone
    expect(decode(second, hex("3f45 3fe11f 82"))).toEqual([":method: GET"]);
    second.setTableMax(0);
    expect(decode(second, hex("20 82"))).toEqual([":method: GET"]);
    expect(decode(second, hex("82"))).toEqual([":method: GET"]);
    expect(decode(second, hex("21"))).toEqual(["! a table size above the setting"]);
    second.setTableMax(50); // larger than the size in use: nothing has to come
    expect(decode(second, hex("82"))).toEqual([":method: GET"]);
  });

  test("entries come back by every index, many rounds of the ring long, in runs and alone", () => {
    const decoder = new HpackDecoder(1000);
    const kept: string[] = [];
    for (let round = 0; round < 300; round += 1) {
      const [name, value] = [`n${round % 7}`, "v".repeat((round * 37) % 90) + round];
      expect(decode(decoder, literal(0x40, name, value))).toEqual([`${name}: ${value}`]);
      kept.unshift(`${name}: ${value}`);
      while (kept.reduce((sum, field) => sum + field.length - 2 + 32, 0) > 1000) kept.pop();
      expect(decoder.table.count).toBe(kept.length);
      const indices = kept.map((_, i) => 0x80 | (STATIC_LAST + 1 + i));
      for (const order of [indices, indices.toReversed()]) {
        const want = order === indices ? kept : kept.toReversed();
        expect(decode(decoder, Buffer.from(order))).toEqual(want);
        const dropping = new ListSink();
        dropping.drops = true;
        expect(decode(decoder, Buffer.from(order), dropping)).toEqual(want);
        expect(dropping.at).toBe(0);
      }
    }
    expect(decoder.table.bytes.length).toBeLessThanOrEqual(1024);
  });

  test("memory stays near the table's size", () => {
    const decoder = new HpackDecoder(4096);
    for (let round = 0; round < 5000; round += 1) decode(decoder, literal(0x40, "", ""));
    expect(decoder.table.count).toBe(128);
    for (let round = 0; round < 500; round += 1) decode(decoder, literal(0x40, "name", "v".repeat(120)));
    expect(decoder.table.bytes.length).toBe(4096);
  });
});

describe("sinks that refuse", () => {
  test("every field counts, and the table stays in step", () => {
    const decoder = new HpackDecoder(4096);
    const block = Buffer.concat([hex("82"), A, literal(0x00, "b", "22"), literal(0x10, "cc", "3"), hex("be 7e 81 1f")]);
    const sizes = ["skipped 42", "skipped 34", "skipped 35", "skipped 35", "skipped 34", "skipped 34"];
    expect(decode(decoder, block, new ListSink(0))).toEqual(sizes);
    expect(decode(decoder, hex("be bf"))).toEqual(["a: a", "a: 1"]);
  });

  test("a coded field that fits only once it is decoded is taken", () => {
    const coded = hex("40 82 1c64 81 1f"); // two bytes of code are three of text
    const whole = new ListSink();
    decode(new HpackDecoder(4096), coded, whole);
    expect(whole.heard[0]!.length).toBe(3 + 2 + 1);
    const exact = new ListSink(whole.at);
    expect(decode(new HpackDecoder(4096), coded, exact)).toEqual(whole.heard);
    expect(decode(new HpackDecoder(4096), coded, new ListSink(whole.at - 1))).toEqual([`skipped ${whole.at - 4 + 32}`]);
  });

  test("a run of which a part fits is given as far as it does", () => {
    const decoder = new HpackDecoder(4096);
    decode(decoder, Buffer.concat([A, literal(0x40, "b", "2"), literal(0x40, "c", "3")]));
    expect(decode(decoder, hex("c0bfbe"), new ListSink(13))).toEqual(["a: 1", "b: 2", "skipped 34"]);
  });
});

const FLAGS: readonly (readonly [name: string, block: Buffer | string, flags: number, id: number])[] = [
  ["a known name", literal(0x40, "accept", "x"), 0, ID.accept],
  ["an unknown name", literal(0x40, "x-a", "x"), 0, 0],
  ["a known name by index", "5301 78", 0, ID.accept],
  ["an empty value", literal(0x40, "x-a", ""), 0, 0],
  ["upper case", literal(0x40, "Accept", "x"), BAD_NAME, 0],
  ["an empty name", literal(0x40, "", "x"), BAD_NAME, 0],
  ["a colon in a name", literal(0x40, "a:b", "x"), BAD_NAME, 0],
  ["a space in a name", literal(0x40, "a b", "x"), BAD_NAME, 0],
  ["CR LF in a name", literal(0x40, "a\r\n", "x"), BAD_NAME, 0],
  ["0xff in a name", literal(0x40, "a\xff", "x"), BAD_NAME, 0],
  ["coded upper case", "4081 87 0178", BAD_NAME, 0], // "A"
  ["an underscore", literal(0x40, "a_b", "x"), UNDERSCORE, 0],
  ["an unknown pseudo-header field", literal(0x40, ":foo", "x"), BAD_NAME, 0],
  ["pseudo-header fields in upper case", literal(0x40, ":Path", "x"), BAD_NAME, 0],
  [":authority", literal(0x40, ":authority", "x"), AUTHORITY << PSEUDO_SHIFT, 0],
  [":method by index", "82", METHOD << PSEUDO_SHIFT, 0],
  [":path with its name by index", "4401 78", PATH << PSEUDO_SHIFT, 0],
  [":scheme", literal(0x00, ":scheme", "x"), SCHEME << PSEUDO_SHIFT, 0],
  [":status", "88", STATUS << PSEUDO_SHIFT, 0],
  [":protocol", literal(0x40, ":protocol", "x"), PROTOCOL << PSEUDO_SHIFT, 0],
  ["never indexed", literal(0x10, "x-a", "x"), NEVER_INDEXED, 0],
  ["never indexed, with its name by index", "1f08 01 78", NEVER_INDEXED, ID.authorization],
  ["CR in a value", literal(0x40, "x-a", "a\rb"), BAD_VALUE, 0],
  ["LF in a value", literal(0x40, "x-a", "a\nb"), BAD_VALUE, 0],
  ["NUL in a value", literal(0x40, "x-a", "a\0b"), BAD_VALUE, 0],
  ["a coded NUL", "4001 6182 ffc7", BAD_VALUE, 0],
  ["DEL in a value", literal(0x40, "x-a", "a\x7fb"), BAD_VALUE, 0],
  ["a space before a value", literal(0x40, "x-a", " a"), BAD_VALUE, 0],
  ["a tab behind a value", literal(0x40, "x-a", "a\t"), BAD_VALUE, 0],
  ["a space as value", literal(0x40, "x-a", " "), BAD_VALUE, 0],
  ["a space and a tab within", literal(0x40, "x-a", "a \tb\xff"), 0, 0],
  ["both", literal(0x10, "A", "\n"), BAD_NAME | BAD_VALUE | NEVER_INDEXED, 0],
];
describe("flags", () => {
  for (const [name, wire, flags, id] of FLAGS)
    test(name, () => {
      const decoder = new HpackDecoder(4096);
      const block = typeof wire === "string" ? hex(wire) : wire;
      const sink = new ListSink();
      decode(decoder, block, sink);
      expect([sink.flags, sink.ids]).toEqual([[flags], [id]]);
      if (decoder.table.count === 0) return;
      const again = new ListSink();
      decode(decoder, hex("be 7e 01 78"), again); // the entry, and its name with another value
      expect([again.flags, again.ids]).toEqual([
        [flags, flags & ~BAD_VALUE],
        [id, id],
      ]);
    });
});

test("a block may stand anywhere in a buffer", () => {
  const sink = new ListSink();
  const block = Buffer.concat([hex("ffff"), A, hex("ff")]);
  expect(new HpackDecoder(4096).decode(block, 2, 2 + A.length, sink)).toBe("");
  expect(sink.heard).toEqual(["a: 1"]);
});
