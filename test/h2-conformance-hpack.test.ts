// Every MUST of RFC 7541 that a client can see.
import { expect } from "bun:test";
import { bitsOf, encodeFields, huffmanBits, indexed, integer, literal, tableSize, text } from "./support/h2-hpack.ts";
import { conformance, type Row } from "./support/h2-table.ts";
import { get, lastHeaders, post, requestFields, settings } from "./support/h2-wire.ts";

const GET = encodeFields(requestFields("GET", "/"));
type Part = Buffer | readonly number[];
const block = (...parts: readonly Part[]): Buffer => Buffer.concat(parts.map((part) => Buffer.from([...part])));
/** A request whose block ends like this. */
const ending = (stream: number, ...parts: readonly Part[]): Buffer => lastHeaders(stream, block(GET, ...parts));
const broken = (name: string, ...parts: readonly Part[]): Row => [
  name,
  [ending(1, ...parts)],
  "connection COMPRESSION_ERROR",
];
const fine = (name: string, ...parts: readonly Part[]): Row => [name, [ending(1, ...parts)], "answer 1 200"];

/** A literal `x: VALUE` whose value has these bytes and is said to be Huffman codes. */
const coded = (bytes: readonly number[]): number[] => [0x00, 1, 0x78, ...integer(bytes.length, 7, 0x80), ...bytes];
const EOS = "1".repeat(30);

/** What the server behind gets as `x`, with all that was sent on streams 1, 3, … */
const gets = (name: string, steps: readonly Buffer[], want: readonly string[]): Row => [
  name,
  steps,
  async (peer, subject) => {
    for (let stream = 1; stream < 2 * steps.length; stream += 2) expect((await peer.answer(stream)).status).toBe(200);
    expect(subject.last.all("x")).toEqual([...want]);
  },
];
const X = literal("x", "kept", "incremental");

conformance({
  "7541 2.3.2": [
    gets("what was added is there", [ending(1, X), ending(3, indexed(62))], ["kept"]),
    gets("its name alone", [ending(1, X), ending(3, literal(62, "other"))], ["other"]),
    gets(
      "the newest comes first",
      [ending(1, X, literal("x", "newer", "incremental")), ending(3, indexed(62), indexed(63))],
      ["newer", "kept"],
    ),
    gets("within one block", [ending(1, X, indexed(62))], ["kept", "kept"]),
  ],
  "7541 2.3.3": [
    broken("an index behind the tables", indexed(62)),
    broken("a high index", indexed(70_000)),
    broken("a name behind the tables, added", literal(62, "v", "incremental")),
    broken("a name behind the tables", literal(62, "v")),
    broken("a name behind the tables, never indexed", literal(62, "v", "never")),
    ["an index behind what was added", [ending(1, X), ending(3, indexed(63))], "connection COMPRESSION_ERROR"],
  ],

  "7541 4.2": [
    ["a change of size behind fields", [lastHeaders(1, block(GET, tableSize(100)))], "connection COMPRESSION_ERROR"],
    [
      "a change of size between fields",
      [lastHeaders(1, block(GET.subarray(0, GET.length), tableSize(0), literal("x", "y")))],
      "connection COMPRESSION_ERROR",
    ],
    ["one change of size", [lastHeaders(1, block(tableSize(0), GET))], "answer 1 200"],
    ["two changes of size", [lastHeaders(1, block(tableSize(0), tableSize(4096), GET))], "answer 1 200"],
    [
      "none empties the table of those of others",
      [ending(1, X), lastHeaders(3, block(tableSize(0), tableSize(4096), GET, indexed(62)))],
      "connection COMPRESSION_ERROR",
    ],
  ],
  "7541 4.3": [
    [
      "a smaller table drops what is oldest",
      [ending(1, X, literal("x", "newer", "incremental")), lastHeaders(3, block(tableSize(40), GET, indexed(63)))],
      "connection COMPRESSION_ERROR",
    ],
    gets(
      "a smaller table keeps what is newest",
      [ending(1, X, literal("x", "newer", "incremental")), lastHeaders(3, block(tableSize(40), GET, indexed(62)))],
      ["newer"],
    ),
  ],
  "7541 4.4": [
    gets(
      "a new entry drops the oldest",
      [
        ending(1, X, literal("y", "v".repeat(4031), "incremental"), literal("x", "z", "incremental")),
        ending(3, indexed(62)),
      ],
      ["z"],
    ),
    [
      "what was dropped is gone",
      [ending(1, X, literal("y", "v".repeat(4031), "incremental")), ending(3, indexed(63))],
      "connection COMPRESSION_ERROR",
    ],
    fine("an entry larger than the table is none", literal("y", "v".repeat(4096), "incremental")),
    [
      "an entry larger than the table empties it",
      [ending(1, X, literal("y", "v".repeat(4096), "incremental")), ending(3, indexed(62))],
      "connection COMPRESSION_ERROR",
    ],
    gets(
      "a name of an entry that its own field drops",
      [
        ending(1, literal("x", "v".repeat(4000), "incremental")),
        ending(3, literal(62, "w".repeat(4000), "incremental")),
      ],
      ["w".repeat(4000)],
    ),
  ],

  "7541 5.1": [
    broken("an integer without its end", [0xff]),
    broken("an integer that goes on and stops", [0xff, 0x80, 0x80]),
    broken("an integer of 2^32", [0xff, 0x81, 0xff, 0xff, 0xff, 0x0f]),
    broken("an integer of 2^63", [0xff, ...Array(9).fill(0xff), 0x01]),
    broken("an endless integer", [0xff, ...Array(40).fill(0x80), 0x00]),
    broken("an endless length", [0x00, 0x7f, ...Array(40).fill(0x80), 0x00]),
    fine("an integer just above its prefix", literal("x", "v".repeat(127)), literal("y", "v".repeat(128))),
  ],
  "7541 5.2": [
    broken("a name that stops", [0x00, 5, 0x78]),
    broken("a value that stops", [0x00, 1, 0x78, 5, 0x79]),
    broken("no value", [0x00, 1, 0x78]),
    broken("no name", [0x00]),
    broken("a length above all limits", [0x00, ...integer(0x7fff_ffff, 7)]),
    fine("Huffman codes", [0x00, ...text("x-huffman", true), ...text("Some text, 0123456789", true)]),
    broken("padding of 8 bits", coded([...bitsOf(huffmanBits("abcde")), 0xff])),
    broken("padding of 8 bits and more", coded([...bitsOf(huffmanBits("a")), 0xff])),
    broken("nothing but padding", coded([0xff])),
    broken("padding of zeros", coded(bitsOf(huffmanBits("a"), "0"))),
    broken("padding that is not the start of EOS", coded(bitsOf(`${huffmanBits("a")}110`))),
    broken("EOS in the middle", coded(bitsOf(huffmanBits("a") + EOS + huffmanBits("a")))),
    broken("EOS at the end", coded(bitsOf(huffmanBits("a") + EOS))),
    [
      "Huffman codes that hide what may not be in a value",
      [ending(1, coded(bitsOf(`${huffmanBits("a")}1111111111000`)))],
      "stream 1 PROTOCOL_ERROR",
    ],
  ],

  "7541 6.1": [
    broken("index 0", [0x80]),
    [
      "indexed fields of the static table",
      [lastHeaders(1, block(indexed(2), indexed(4), indexed(6), literal(1, "app.example"), indexed(16)))],
      "answer 1 200",
    ],
    ["one without a value", [ending(1, indexed(17))], "answer 1 200"],
  ],
  "7541 6.2": [
    fine("added, with a new name", literal("x-a", "v", "incremental")),
    fine("added, with an indexed name", literal(58, "agent", "incremental")),
    fine("not added, with a new name", literal("x-a", "v")),
    fine("not added, with an indexed name", literal(58, "agent")),
    fine("never indexed, with a new name", literal("x-a", "v", "never")),
    fine("never indexed, with an indexed name", literal(58, "agent", "never")),
    ["not added is not added", [ending(1, literal("x", "v")), ending(3, indexed(62))], "connection COMPRESSION_ERROR"],
    [
      "never indexed is not added",
      [ending(1, literal("x", "v", "never")), ending(3, indexed(62))],
      "connection COMPRESSION_ERROR",
    ],
  ],
  "7541 6.3": [
    ["a table larger than allowed", [lastHeaders(1, block(tableSize(4097), GET))], "connection COMPRESSION_ERROR"],
    ["a much larger table", [lastHeaders(1, block(tableSize(0xffff_ffff), GET))], "connection COMPRESSION_ERROR"],
    ["as large as allowed", [lastHeaders(1, block(tableSize(4096), GET))], "answer 1 200"],
    [
      "the client's own setting allows the client nothing",
      [settings({ HEADER_TABLE_SIZE: 65_536 }), lastHeaders(1, block(tableSize(65_536), GET))],
      "connection COMPRESSION_ERROR",
    ],
  ],
  "7541 7.1.3": [
    [
      "answers keep secrets out of the table",
      [get(1, "/cookie")],
      async (peer) => {
        const heard = await peer.answer(1);
        const cookie = heard.blocks.flat().find(({ name }) => name === "set-cookie")!;
        expect([cookie.value, cookie.as]).toEqual(["id=1", "never"]);
      },
    ],
  ],
  "7541 (our own encoder)": [
    [
      "a table that becomes smaller is followed",
      [
        get(1),
        settings({ HEADER_TABLE_SIZE: 100 }),
        get(3, "/fields"),
        settings({ HEADER_TABLE_SIZE: 4096 }),
        get(5),
        get(7),
      ],
      async (peer) => {
        for (const stream of [1, 3, 5, 7]) expect((await peer.answer(stream)).status).toBe(200);
      },
    ],
    [
      "trailers that use the table",
      [post(1), lastHeaders(1, X), ending(3, indexed(62))],
      async (peer, subject) => {
        expect((await peer.answer(3)).status).toBe(200);
        expect(subject.last.all("x")).toEqual(["kept"]);
      },
    ],
  ],
});
