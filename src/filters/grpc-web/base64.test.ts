import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { HeaderBlock } from "../../http/header-block.ts";
import { cuts, feed } from "../../pipeline/body.testing.ts";
import { Base64Decoder, Base64Encoder } from "./base64.ts";

const BAD = "request.grpc_web";
const TRAILERS = HeaderBlock.of([["a", "b"]]);

const TEXTS: readonly (readonly [text: string, bytes: string | null])[] = [
  ["", ""],
  ["QQ==", "A"],
  ["QUI=", "AB"],
  ["QUJD", "ABC"],
  ["QUJDRA==", "ABCD"],
  // Pieces that were encoded one by one.
  ["QQ==QUI=", "AAB"],
  ["QUI=QQ==QUJD", "ABAABC"],
  ["+/+/", "\xfb\xff\xbf"],
  ["AAAA", "\0\0\0"],
  // Not whole.
  ["Q", null],
  ["QQ", null],
  ["QQ=", null],
  ["QUI", null],
  ["QUJDRA=", null],
  // Padding where there is none.
  ["=", null],
  ["Q=", null],
  ["Q===", null],
  ["====", null],
  ["QQ=A", null],
  ["QQ===", null],
  // Bits that say nothing.
  ["QR==", null],
  ["QUJ=", null],
  // Not in the alphabet.
  ["QU-D", null],
  ["QU_D", null],
  ["QUJD\n", null],
  ["Q UJD", null],
  ["QUJ\xff", null],
];

describe("text to bytes", () => {
  for (const [text, bytes] of TEXTS)
    test(JSON.stringify(text), () => {
      for (const pieces of cuts(Buffer.from(text, "latin1"))) {
        const out = feed(new Base64Decoder(), pieces, TRAILERS);
        if (bytes === null) expect([out.fault, out.trailers]).toEqual([BAD, undefined]);
        else expect([out.bytes.latin1Slice(), out.fault, out.trailers]).toEqual([bytes, "", TRAILERS]);
      }
    });
});

/** A message in its frame. */
const frame = (message: string, flags = 0): Buffer => {
  const head = Buffer.from([flags, 0, 0, 0, message.length]);
  return Buffer.concat([head, Buffer.from(message, "latin1")]);
};

describe("bytes to text", () => {
  test("whole messages leave at once, each text by itself", () => {
    const out = feed(new Base64Encoder(), [frame("a"), frame("bc"), Buffer.concat([frame(""), frame("d")])], TRAILERS);
    expect(out.pieces.map(String)).toEqual([
      frame("a").toString("base64"),
      frame("bc").toString("base64"),
      Buffer.concat([frame(""), frame("d")]).toString("base64"),
    ]);
    expect(out.trailers).toBe(TRAILERS);
  });
  test("of a message that is not whole at most two bytes wait, and padding stands at its end alone", () => {
    const message = frame("hello gRPC");
    for (const pieces of cuts(message)) {
      let fed = 0;
      const encoder = new Base64Encoder();
      for (const [at, piece] of pieces.entries()) {
        fed += piece.length;
        const out = feed({ push: encoder.push.bind(encoder), end: () => {} }, [piece]);
        pieces[at] = out.bytes;
        const sent = pieces.slice(0, at + 1).reduce((sum, text) => sum + text.length, 0);
        expect((fed * 4) / 3 - sent).toBeLessThan(4);
      }
      expect(Buffer.concat(pieces).toString()).toBe(message.toString("base64"));
    }
  });
  test("of a message that never comes to its end the rest is not lost", () => {
    const broken = frame("hello").subarray(0, 8) as Buffer;
    const out = feed(new Base64Encoder(), [broken]);
    expect(out.bytes.toString()).toBe(broken.toString("base64"));
  });
});

/** Cuts bytes at these places, in any order and wherever they lie. */
function cutAt(bytes: Buffer, places: readonly number[]): Buffer[] {
  const at = [...new Set(places.map((place) => place % (bytes.length + 1)))].sort((a, b) => a - b);
  return [0, ...at]
    .map((from, i) => bytes.subarray(from, at[i] ?? bytes.length) as Buffer)
    .filter(({ length }) => length > 0);
}

test("what is encoded is decoded to the same, however both are cut", () => {
  const places = fc.array(fc.nat(4096), { maxLength: 12 });
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 200 })), places, places, (messages, encodeAt, decodeAt) => {
      const body = Buffer.concat(messages.map((message) => frame(Buffer.from(message).latin1Slice())));
      const text = feed(new Base64Encoder(), cutAt(body, encodeAt));
      const back = feed(new Base64Decoder(), cutAt(text.bytes, decodeAt));
      expect(back.fault).toBe("");
      expect(back.bytes.equals(body)).toBe(true);
    }),
  );
});

test("any text is either refused or decoded as the runtime decodes it, wherever it is cut", () => {
  const char = fc.constantFrom(..."QUJDRA+/=w");
  fc.assert(
    fc.property(fc.string({ unit: char, maxLength: 16 }), fc.array(fc.nat(16), { maxLength: 4 }), (text, places) => {
      const bytes = Buffer.from(text, "latin1");
      const whole = feed(
        new Base64Decoder(),
        [bytes].filter(({ length }) => length > 0),
      );
      const cut = feed(new Base64Decoder(), cutAt(bytes, places));
      expect(cut.fault).toBe(whole.fault);
      if (whole.fault !== "") return;
      expect(cut.bytes.equals(whole.bytes)).toBe(true);
      const groups = text.match(/.{4}/g) ?? [];
      expect(whole.bytes.equals(Buffer.concat(groups.map((group) => Buffer.from(group, "base64"))))).toBe(true);
    }),
  );
});
