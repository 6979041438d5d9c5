import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { hearRequests, wireOf } from "./h1/feed.testing.ts";
import { HeaderBlock, HOP_BY_HOP, isFieldName, isFieldValue, skipSet } from "./header-block.ts";
import { ID, ID_COUNT, idOf, idOfBytes, type KnownName } from "./header-names.ts";

/** A block as the reader leaves it behind a request with these field lines. */
function received(...lines: readonly string[]): HeaderBlock {
  const heard = hearRequests([
    wireOf(`GET / HTTP/1.1\r\nHost: a\r\n${lines.map((line) => `${line}\r\n`).join("")}\r\n`),
  ]);
  expect(heard.end).toBe("open");
  return heard.head.headers;
}
function written(block: HeaderBlock, ...skip: readonly number[]): string {
  const room = block.maxLength();
  const out = Buffer.alloc(room + 50, 0xee);
  const end = block.writeTo(out, 3, skipSet(...skip));
  expect(end - 3).toBeLessThanOrEqual(room);
  expect(out.subarray(end).every((byte) => byte === 0xee)).toBe(true);
  return out.latin1Slice(3, end);
}

describe("reading", () => {
  const block = received("X-A: 1", "x-a:2", "ACCEPT: */*", "x-A: ", "Cookie: a=\xe9");
  const cases: readonly (readonly [name: string, value: string | null, all: readonly string[]])[] = [
    ["x-a", "1, 2, ", ["1", "2", ""]],
    ["X-A", "1, 2, ", ["1", "2", ""]],
    ["accept", "*/*", ["*/*"]],
    ["cookie", "a=\xe9", ["a=\xe9"]],
    ["x-b", null, []],
    ["x-", null, []],
    ["x-aa", null, []],
    ["content-length", null, []],
  ];
  for (const [name, value, all] of cases)
    test(name, () => {
      expect([block.get(name), block.has(name), block.getAll(name)]).toEqual([value, value !== null, [...all]]);
      if (idOf(name.toLowerCase()) !== 0) expect(block.getById(idOf(name.toLowerCase()))).toBe(value);
    });
  test("order and case stay", () => {
    expect(block.entries()).toEqual([
      ["Host", "a"],
      ["X-A", "1"],
      ["x-a", "2"],
      ["ACCEPT", "*/*"],
      ["x-A", ""],
      ["Cookie", "a=\xe9"],
    ]);
  });
});

describe("edits", () => {
  test("set replaces every field of the name, behind the others", () => {
    const block = received("X-A: 1", "X-B: 2", "x-a: 3");
    block.set("X-a", "new");
    expect(block.getAll("x-a")).toEqual(["new"]);
    expect(written(block)).toBe("Host: a\r\nX-B: 2\r\nX-a: new\r\n");
  });
  test("add stands beside what was received", () => {
    const block = received("Set-Cookie: a");
    block.add("set-cookie", "b");
    expect(block.getById(ID["set-cookie"])).toBe("a, b");
    expect(written(block)).toBe("Host: a\r\nSet-Cookie: a\r\nset-cookie: b\r\n");
  });
  test("remove takes received and added ones, removeReceived the received only", () => {
    const block = received("X-A: 1");
    block.add("x-a", "2");
    block.removeReceived("x-a");
    expect(block.getAll("x-a")).toEqual(["2"]);
    block.remove("X-A");
    block.remove("X-A");
    expect(block.has("x-a")).toBe(false);
    expect(written(block)).toBe("Host: a\r\n");
  });
  test("framing and hop-by-hop fields that an edit adds never go out", () => {
    const block = received();
    for (const name of ["Connection", "transfer-encoding", "Content-Length", "Keep-Alive", "Upgrade", "TE"])
      block.add(name, "1");
    block.add("X-A", "1");
    expect(written(block)).toBe("Host: a\r\nX-A: 1\r\n");
  });
  for (const [name, value] of [
    ["", "a"],
    ["a b", "c"],
    ["a:", "c"],
    ["a\r\nb", "c"],
    ["\xe9", "c"],
    ["a", "b\r\nc: d"],
    ["a", "b\nc"],
    ["a", "b\rc"],
    ["a", "b\0"],
    ["a", "\x7f"],
    ["a", "\u0141"],
  ] as const)
    test(`never ${JSON.stringify(`${name}: ${value}`)}`, () => {
      const block = new HeaderBlock();
      expect(() => block.add(name, value)).toThrow(RangeError);
      expect(() => block.set(name, value)).toThrow(RangeError);
      expect(() => HeaderBlock.of([[name, value]])).toThrow(RangeError);
      expect(written(block)).toBe("");
    });
  test("a block that is used again knows nothing of its edits", () => {
    const block = received("X-A: 1");
    block.set("x-a", "2");
    block.remove("host");
    block.reset(Buffer.alloc(0));
    expect([block.entries(), block.removedCount, block.received(ID.host), block.maxLength()]).toEqual([
      [],
      0,
      false,
      0,
    ]);
  });
});

describe("writing", () => {
  const names = ["Host", "X-A", "Connection", "TE", "Cookie", "X-B"] as const;
  test("every choice of skipped and removed fields leaves the others as they are", () => {
    fc.assert(
      fc.property(
        fc.array(fc.record({ name: fc.constantFrom(...names.slice(1)), removed: fc.boolean() }), { maxLength: 12 }),
        (lines) => {
          const block = received(...lines.map(({ name }, i) => `${name}: v${i}`));
          lines.forEach(({ removed }, i) => {
            if (removed) block.removeAt(i + 1);
          });
          const want = lines
            .map(({ name, removed }, i) =>
              removed || name === "Connection" || name === "TE" ? "" : `${name}: v${i}\r\n`,
            )
            .join("");
          expect(written(block, ...HOP_BY_HOP)).toBe(`Host: a\r\n${want}`);
        },
      ),
    );
  });
  test("more fields than the arrays began with", () => {
    const lines = Array.from({ length: 99 }, (_, i) => `X-${i}: ${i}`);
    const block = received(...lines);
    expect(written(block)).toBe(`Host: a\r\n${lines.map((line) => `${line}\r\n`).join("")}`);
    expect(block.get("x-98")).toBe("98");
  });
});

describe("names", () => {
  const known = Object.keys(ID) as KnownName[];
  test("every known name has its own id, which fits the bits of a block", () => {
    expect(new Set(known.map((name) => ID[name])).size).toBe(known.length);
    expect(ID_COUNT).toBeLessThanOrEqual(64);
    for (const name of known) expect(idOf(name)).toBe(ID[name]);
  });
  const idOfText = (text: string): number => idOfBytes(wireOf(`--${text}--`), 2, 2 + text.length);
  test("found in any case, and nothing else is", () => {
    for (const name of known) {
      const mixed = [...name].map((char, i) => (i % 2 === 0 ? char.toUpperCase() : char)).join("");
      for (const form of [name, name.toUpperCase(), mixed]) expect(idOfText(form)).toBe(ID[name]);
      for (const other of [`${name}x`, name.slice(1), `${name}-`, name.replace("-", "_")])
        if (!(other in ID)) expect(idOfText(other)).toBe(0);
    }
  });
  test("a name with the same length and letters where it is looked at is told apart by its bytes", () => {
    expect(idOfText("hast")).toBe(0);
    expect(idOfText("contenx-length")).toBe(0);
    expect(idOfText("te")).toBe(ID.te);
  });
  test("field names and values are what RFC 9110 says, byte by byte", () => {
    for (let byte = 0; byte < 256; byte += 1) {
      const char = String.fromCharCode(byte);
      const isToken = /[!#$%&'*+.^_`|~0-9A-Za-z-]/.test(char);
      expect([byte, isFieldName(`a${char}`)]).toEqual([byte, isToken]);
      const isText = byte === 9 || (byte >= 0x20 && byte !== 0x7f);
      expect([byte, isFieldValue(`a${char}a`)]).toEqual([byte, isText]);
      const heard = hearRequests([wireOf(`GET / HTTP/1.1\r\nHost: a\r\nX: a${char}a\r\n\r\n`)]);
      expect([byte, heard.end === "open"]).toEqual([byte, isText]);
    }
  });
});
