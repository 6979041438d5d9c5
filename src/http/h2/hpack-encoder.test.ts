import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { type HeaderBlock, HOP_BY_HOP, skipSet } from "../header-block.ts";
import { ID } from "../header-names.ts";
import { encoded, entriesOf, hex, ListSink, literal, receivedBlock } from "./hpack.testing.ts";
import { HpackDecoder } from "./hpack-decoder.ts";
import { HpackEncoder, hpackFieldMax, hpackMax } from "./hpack-encoder.ts";
import { NEVER_INDEXED } from "./hpack-flags.ts";

const NONE = skipSet();
type Fields = readonly (readonly [name: string, value: string])[];

function decode(decoder: HpackDecoder, block: Buffer): ListSink {
  const sink = new ListSink();
  expect(decoder.decode(block, 0, block.length, sink)).toBe("");
  return sink;
}
const fieldsOf = (encoder: HpackEncoder, block: HeaderBlock, skip = NONE): Buffer =>
  encoded(encoder, hpackMax(block), () => encoder.fields(block, skip));
const namesOf = (entries: readonly string[]): string[] => entries.map((entry) => entry.slice(0, entry.indexOf(": ")));

test("RFC 7541 C.4: the same requests give the same bytes", () => {
  const encoder = new HpackEncoder();
  const noCache = receivedBlock([["Cache-Control", "no-cache"]]);
  const custom = receivedBlock([["custom-key", "custom-value"]]);
  const requests: readonly (readonly [want: string, write: () => void])[] = [
    ["8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff", () => encoder.request("GET", "http", "www.example.com", "/")],
    [
      "8286 84be 5886 a8eb 1064 9cbf",
      () => {
        encoder.request("GET", "http", "www.example.com", "/");
        encoder.fields(noCache, NONE);
      },
    ],
    [
      "8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf",
      () => {
        encoder.request("GET", "https", "www.example.com", "/index.html");
        encoder.fields(custom, NONE);
      },
    ],
  ];
  for (const [want, write] of requests) expect(encoded(encoder, 200, write)).toEqual(hex(want));
});

describe("pseudo-header fields", () => {
  const STATUSES: readonly (readonly [code: number, wire: string])[] = [
    [200, "88"],
    [204, "89"],
    [206, "8a"],
    [304, "8b"],
    [400, "8c"],
    [404, "8d"],
    [500, "8e"],
  ];
  for (const [code, wire] of STATUSES)
    test(`:status ${code}`, () => {
      const encoder = new HpackEncoder();
      expect(encoded(encoder, 32, () => encoder.status(code))).toEqual(hex(wire));
    });

  test("other codes are remembered", () => {
    const encoder = new HpackEncoder();
    const decoder = new HpackDecoder(4096);
    for (const code of [100, 101, 103, 201, 302, 418, 503, 999]) {
      const first = encoded(encoder, 32, () => encoder.status(code));
      expect(decode(decoder, first).heard).toEqual([`:status: ${code}`]);
      const second = encoded(encoder, 32, () => encoder.status(code));
      expect(second).toEqual(hex("be"));
    }
  });

  const REQUESTS: readonly (readonly [[string, string, string, string], string, readonly string[]])[] = [
    [["POST", "https", "a:8443", "/x?y"], "", [":method: POST", ":scheme: https", ":path: /x?y", ":authority: a:8443"]],
    [["CONNECT", "", "a:443", ""], "", [":method: CONNECT", ":authority: a:443"]],
    [["OPTIONS", "http", "", "*"], "", [":method: OPTIONS", ":scheme: http", ":path: *"]],
    [
      ["CONNECT", "https", "a", "/chat"],
      "websocket",
      [":method: CONNECT", ":scheme: https", ":path: /chat", ":authority: a", ":protocol: websocket"],
    ],
    [["GET", "ftp", "a", "/"], "", [":method: GET", ":scheme: ftp", ":path: /", ":authority: a"]],
  ];
  for (const [request, protocol, want] of REQUESTS)
    test(want.join(", "), () => {
      const encoder = new HpackEncoder();
      const decoder = new HpackDecoder(4096);
      for (let round = 0; round < 2; round += 1) {
        const block = encoded(encoder, 200, () => {
          encoder.request(...request);
          if (protocol !== "") encoder.protocol(protocol);
        });
        expect(decode(decoder, block).heard).toEqual([...want]);
      }
      expect(namesOf(entriesOf(decoder.table))).not.toContain(":path");
    });
});

describe("what goes out", () => {
  const sent = (block: HeaderBlock, skip = NONE): string[] =>
    decode(new HpackDecoder(4096), fieldsOf(new HpackEncoder(), block, skip)).heard;

  test("names become lower-case, values stay", () => {
    const block = receivedBlock([
      ["Server", "Nginx"],
      ["X-Custom_Name", "Value"],
      ["ETag", '"A"'],
    ]);
    expect(sent(block)).toEqual(["server: Nginx", "x-custom_name: Value", 'etag: "A"']);
  });

  test("fields of the connection, Host, skipped and removed ones do not", () => {
    const block = receivedBlock([
      ["Connection", "close"],
      ["Keep-Alive", "timeout=5"],
      ["Proxy-Connection", "close"],
      ["Transfer-Encoding", "chunked"],
      ["Upgrade", "h2c"],
      ["HTTP2-Settings", "AAMAAABkAAQAAP__"],
      ["Host", "a"],
      ["Content-Length", "3"],
      ["Via", "1.1 x"],
      ["X-Gone", "1"],
      ["Trailer", "x"],
    ]);
    block.remove("x-gone");
    expect(sent(block)).toEqual(["content-length: 3", "via: 1.1 x", "trailer: x"]);
    expect(sent(block, skipSet(ID.via, ...HOP_BY_HOP))).toEqual(["content-length: 3"]);
  });

  for (const [value, isSent] of [
    ["trailers", true],
    ["Trailers", true],
    ["trailers, gzip", false],
    ["gzip", false],
    ["trailerz", false],
    ["", false],
  ] as const)
    test(`TE: ${value}`, () => expect(sent(receivedBlock([["TE", value]]))).toEqual(isSent ? [`te: ${value}`] : []));

  test("added fields do, but for framing and the connection", () => {
    const block = receivedBlock([["Server", "a"]]);
    block.set("Server", "B");
    block.add("X-Frame-Options", "DENY");
    block.add("X-Latin", "\xe4");
    for (const name of ["Connection", "Content-Length", "Transfer-Encoding", "Host", "TE", "Upgrade"])
      block.add(name, "1");
    expect(sent(block)).toEqual(["server: B", "x-frame-options: DENY", "x-latin: \xe4"]);
  });

  test("single fields", () => {
    const encoder = new HpackEncoder();
    const decoder = new HpackDecoder(4096);
    for (let round = 0; round < 2; round += 1) {
      const block = encoded(encoder, hpackFieldMax(4, 12) + hpackFieldMax(12, 1), () => {
        encoder.field("vary", "origin, accept".slice(0, 12));
        encoder.field("grpc-message", "x");
      });
      expect(decode(decoder, block).heard).toEqual(["vary: origin, acce", "grpc-message: x"]);
    }
  });
});

describe("what is indexed", () => {
  /** The first bytes of the representations of one field, sent three times on one connection. */
  function firsts(name: string, ...values: readonly string[]): string[] {
    const encoder = new HpackEncoder();
    return values.map((value) => {
      const block = fieldsOf(encoder, receivedBlock([[name, value]]));
      return block[0]! >= 0x80 ? "index" : block[0]! >= 0x40 ? "insert" : block[0]! >= 0x10 ? "never" : "without";
    });
  }
  const CASES: readonly (readonly [name: string, values: readonly string[], want: readonly string[]])[] = [
    ["Content-Type", ["a", "b", "a", "b"], ["insert", "insert", "index", "index"]],
    ["Server", ["x", "x"], ["insert", "index"]],
    ["ETag", ["x", "x", "x"], ["without", "without", "without"]],
    ["Content-Length", ["5", "5"], ["without", "without"]],
    ["Location", ["/a", "/a"], ["without", "without"]],
    ["X-Request-Id", ["1", "2", "3", "4"], ["insert", "without", "without", "without"]],
    ["X-Unknown", ["1", "2", "2", "2", "1"], ["insert", "without", "insert", "index", "index"]],
    ["Accept-Ranges", ["bytes", "bytes", "bytes"], ["without", "insert", "index"]],
    ["Authorization", ["Basic YTpi", "Basic YTpi"], ["never", "never"]],
    ["Proxy-Authorization", ["Basic YTpi", "Basic YTpi"], ["never", "never"]],
    ["Set-Cookie", ["a=1", "a=1"], ["never", "never"]],
    ["Cookie", ["a=1", "a=1"], ["never", "never"]],
    ["Cookie", ["a=0123456789abcdefghij", "a=0123456789abcdefghij"], ["without", "without"]],
    ["X-Large", ["x".repeat(3100), "x".repeat(3100)], ["without", "without"]],
  ];
  for (const [name, values, want] of CASES)
    test(`${name}: ${values.map((value) => value.slice(0, 22)).join(", ")}`, () =>
      expect(firsts(name, ...values)).toEqual([...want]));

  test("a name that is in the table only is written as an index", () => {
    const encoder = new HpackEncoder();
    fieldsOf(encoder, receivedBlock([["X-Request-Id", "11"]]));
    expect(fieldsOf(encoder, receivedBlock([["X-Request-ID", "22"]]))).toEqual(hex("0f2f 02 3232"));
  });

  test("what came as never to be indexed stays so", () => {
    const block = receivedBlock(Array.from({ length: 40 }, (_, i) => [`x-${i}`, "v"] as const));
    block.keepSecret(1);
    block.keepSecret(39);
    const encoder = new HpackEncoder();
    for (let round = 0; round < 3; round += 1) fieldsOf(encoder, block);
    const sink = decode(new HpackDecoder(4096), fieldsOf(new HpackEncoder(), block));
    expect(sink.flags.map((flags, i) => (flags === NEVER_INDEXED ? i : -1)).filter((i) => i >= 0)).toEqual([1, 39]);
    const names = namesOf(entriesOf(encoder.table));
    expect([names.length, names.includes("x-1"), names.includes("x-39")]).toEqual([38, false, false]);
    block.reset(Buffer.alloc(0));
    expect(block.secret).toBeNull();
  });
});

describe("the table's size", () => {
  const sized = (encoder: HpackEncoder): Buffer => encoded(encoder, 64, () => encoder.field("server", "x"));

  test("no update where nothing changes", () => {
    const encoder = new HpackEncoder();
    encoder.setPeerTableSize(4096);
    encoder.setPeerTableSize(65_536); // more than we are ready to keep
    expect(sized(encoder)).toEqual(hex("7601 78").fill(0x76, 0, 1));
  });

  const UPDATES: readonly (readonly [name: string, own: number, settings: readonly number[], wire: string])[] = [
    ["our own limit is told", 100, [], "3f45"],
    ["a peer without a table", 4096, [0], "20"],
    ["the smallest and the last one", 4096, [0, 2000, 1000], "20 3fc907"],
    ["down and up again", 4096, [30, 4096], "3e 3fe11f"],
    ["up only", 4096, [5000], ""],
    ["a large one of both", 10_000, [10_000], "3ff14d"],
    ["4 GB", 4096, [0, 0xffff_ffff], "20 3fe11f"],
  ];
  for (const [name, own, settings, wire] of UPDATES)
    test(name, () => {
      const encoder = new HpackEncoder(own);
      for (const bytes of settings) encoder.setPeerTableSize(bytes);
      const want = hex(wire);
      const block = sized(encoder);
      expect(block.subarray(0, want.length)).toEqual(want);
      expect(block[want.length]! & 0xe0).not.toBe(0x20);
      expect(sized(encoder)[0]! & 0xe0).not.toBe(0x20);
    });

  test("nothing is indexed in a table of no size", () => {
    const encoder = new HpackEncoder();
    sized(encoder);
    encoder.setPeerTableSize(0);
    for (let round = 0; round < 3; round += 1) expect(sized(encoder).at(-3)).toBe(0x27); // 0f 27: server, without indexing
    expect(encoder.table.count).toBe(0);
  });
});

// Values that a hash of some bytes cannot tell apart, and names that repeat, among anything else.
const value = fc.oneof(
  fc.constantFrom("", "a", "b", "xxxxxxxxxxxxxxxxxxxxxxxxxx", "xxxxxxxxxxxxxxxxxxxxaxxxxx", "gzip, deflate"),
  fc.string({ unit: "binary-ascii", maxLength: 60 }),
  fc.string({ unit: fc.integer({ min: 0, max: 255 }).map((code) => String.fromCharCode(code)), maxLength: 300 }),
);
const name = fc.oneof(
  fc.constantFrom("Server", "server", "ETag", "X-A", "x-a", "X-B", "Accept-Encoding", "Cookie", "Set-Cookie", "Date"),
  fc.stringMatching(/^[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,40}$/),
);
const section = fc.array(fc.tuple(name, value), { maxLength: 20 });
const SENT = skipSet(ID.te);

test("what is encoded is decoded to the same fields, and both tables stay the same", () => {
  fc.assert(
    fc.property(
      fc.constantFrom(0, 60, 300, 4096, 20_000),
      fc.array(fc.tuple(section, fc.option(fc.constantFrom(0, 100, 1000, 4096))), { maxLength: 8 }),
      (own, blocks) => {
        const encoder = new HpackEncoder(own);
        const decoder = new HpackDecoder(4096);
        for (const [fields, setting] of blocks) {
          if (setting !== null) {
            encoder.setPeerTableSize(setting);
            decoder.setTableMax(setting);
          }
          const block = receivedBlock(fields);
          const sink = decode(decoder, fieldsOf(encoder, block, SENT));
          expect(sink.heard).toEqual(wanted(fields));
          expect(withoutNumbers(entriesOf(encoder.table))).toEqual(withoutNumbers(entriesOf(decoder.table)));
          expect(encoder.table.size).toBe(decoder.table.size);
        }
      },
    ),
    { numRuns: 300 },
  );
});
const UNSENT = [
  "connection",
  "keep-alive",
  "proxy-connection",
  "transfer-encoding",
  "upgrade",
  "http2-settings",
  "host",
  "te",
];
const wanted = (fields: Fields): string[] =>
  fields
    .map(([name, value]) => [name.toLowerCase(), value] as const)
    .filter(([name]) => !UNSENT.includes(name))
    .map(([name, value]) => `${name}: ${value}`);
const withoutNumbers = (entries: readonly string[]): string[] =>
  entries.map((entry) => entry.slice(0, entry.lastIndexOf(" #")));

test("a literal is what the decoder's tests write", () => {
  const encoder = new HpackEncoder();
  expect(encoded(encoder, 40, () => encoder.field("#", "{}"))).toEqual(literal(0x40, "#", "{}"));
});
