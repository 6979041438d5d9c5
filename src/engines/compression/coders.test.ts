import { describe, expect, test } from "bun:test";
import zlib from "node:zlib";
import { CODINGS, type Coding } from "../../http/content-codings.ts";
import {
  atOnceMax,
  Coder,
  type CoderOwner,
  compressWhole,
  encode,
  leavePlace,
  placesTaken,
  takePlace,
} from "./coders.ts";

const UNDO: Readonly<Record<Coding, (bytes: Buffer) => Buffer>> = {
  gzip: (bytes) => zlib.gunzipSync(bytes),
  br: (bytes) => zlib.brotliDecompressSync(bytes),
  zstd: (bytes) => zlib.zstdDecompressSync(bytes),
};
const LEVELS: Readonly<Record<Coding, readonly number[]>> = { gzip: [1, 5, 9], br: [0, 4, 11], zstd: [1, 3, 19] };
const TEXT = Buffer.from("one two three four ".repeat(2000));

/** Writes down what a coder makes. */
class Owner implements CoderOwner {
  made: Buffer = Buffer.alloc(0);
  taken = 0;
  readonly over: Promise<string>;
  #wakers: (() => void)[] = [];
  #resolve: (how: string) => void = () => {};

  constructor() {
    this.over = new Promise((resolve) => {
      this.#resolve = resolve;
    });
  }
  onCoded(bytes: Buffer): void {
    this.made = Buffer.concat([this.made, bytes]);
    for (const wake of this.#wakers.splice(0)) wake();
  }
  onCodedEnd(): void {
    this.#resolve("end");
  }
  onCoderFault(error: Error): void {
    this.#resolve(`fault ${error.message}`);
  }
  onTaken(bytes: number): void {
    this.taken += bytes;
  }
  next(): Promise<void> {
    return new Promise((resolve) => void this.#wakers.push(resolve));
  }
}

for (const coding of CODINGS)
  describe(coding, () => {
    for (const level of LEVELS[coding])
      test(`level ${level}: at once, in the pool, and piece by piece it is the same text`, async () => {
        expect(UNDO[coding](encode(TEXT, coding, level)).equals(TEXT)).toBe(true);
        expect(UNDO[coding](await compressWhole(TEXT, coding, level)).equals(TEXT)).toBe(true);
        const owner = new Owner();
        const coder = Coder.encoder(coding, level, owner);
        for (let at = 0; at < TEXT.length; at += 5000) coder.write(TEXT.subarray(at, at + 5000) as Buffer);
        coder.end();
        expect(await owner.over).toBe("end");
        expect(UNDO[coding](owner.made).equals(TEXT)).toBe(true);
        expect(owner.taken).toBe(TEXT.length);
        expect(owner.made.length).toBeLessThan(TEXT.length / 20);
      });
    test("what is flushed can be read before the end", async () => {
      const owner = new Owner();
      const coder = Coder.encoder(coding, 4, owner);
      const back = new Owner();
      const decoder = Coder.decoder(coding, back);
      coder.write(Buffer.from("first"));
      coder.flush();
      while (back.made.length < 5) {
        if (owner.made.length === 0) await owner.next();
        const piece = owner.made;
        owner.made = Buffer.alloc(0);
        const come = back.next();
        decoder.write(piece);
        decoder.flush();
        await Promise.race([come, owner.made.length === 0 ? owner.next() : null]);
      }
      expect(back.made.toString()).toBe("first");
      coder.close();
      decoder.close();
    });
    test("what was decoded is the text, and what is broken or cut is a fault", async () => {
      const whole = encode(TEXT, coding, 4);
      const decode = async (bytes: Buffer): Promise<[string, Buffer]> => {
        const owner = new Owner();
        const decoder = Coder.decoder(coding, owner);
        decoder.write(bytes);
        decoder.end();
        return [await owner.over, owner.made];
      };
      expect(await decode(whole)).toEqual(["end", TEXT]);
      expect((await decode(whole.subarray(0, whole.length - 3) as Buffer))[0]).toStartWith("fault");
      expect((await decode(Buffer.from("this is not encoded at all")))[0]).toStartWith("fault");
    });
    test("a paused coder takes little more", async () => {
      const owner = new Owner();
      const coder = Coder.encoder(coding, 1, owner);
      coder.pause();
      const noise = Buffer.from(crypto.getRandomValues(new Uint8Array(65_536)));
      for (let i = 0; i < 32; i += 1) coder.write(noise);
      for (let i = 0; i < 40; i += 1) await compressWhole(noise, coding, 1); // more work than it has itself
      expect(owner.made.length).toBe(0);
      expect(owner.taken).toBeLessThan(5 * 65_536);
      coder.resume();
      coder.end();
      expect(await owner.over).toBe("end");
      expect(owner.taken).toBe(32 * 65_536);
      expect(UNDO[coding](owner.made).length).toBe(32 * 65_536);
    });
  });

test("an empty body has a form in every coding", () => {
  for (const coding of CODINGS) expect(UNDO[coding](encode(Buffer.alloc(0), coding, 4)).length).toBe(0);
});

test("how much is encoded at once depends on how long it takes", () => {
  expect([atOnceMax("gzip", 9), atOnceMax("br", 5), atOnceMax("zstd", 9)]).toEqual([65_536, 65_536, 65_536]);
  expect([atOnceMax("br", 9), atOnceMax("zstd", 15)]).toEqual([8192, 8192]);
  expect([atOnceMax("br", 11), atOnceMax("zstd", 19)]).toEqual([0, 0]);
});

test("places are counted", () => {
  const before = placesTaken();
  let taken = 0;
  while (takePlace()) taken += 1;
  expect([before + taken, placesTaken()]).toEqual([128, 128]);
  for (; taken > 0; taken -= 1) leavePlace();
  expect(placesTaken()).toBe(before);
});
