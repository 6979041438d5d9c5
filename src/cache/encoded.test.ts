import { afterEach, describe, expect, test } from "bun:test";
import { Rng, tryLaw } from "../core/fuzz.testing.ts";
import { leavePlace, placesTaken, takePlace } from "../engines/compression/coders.ts";
import { CODINGS } from "../http/content-codings.ts";
import { exchangeOf } from "../pipeline/exchange.fixture.ts";
import type { Route } from "../pipeline/exchange.ts";
import { type Body, type BodyReader, CodedContents } from "./body.ts";
import { anyContent, cut, encodedLaw } from "./encoded.fuzz.ts";
import { bodyOf, bytesOf, decoded, entryOf, policyOf, Room } from "./encoded.testing.ts";
import { Encoder } from "./encoded.ts";
import { makeForms, readyForm } from "./encoded-forms.ts";

const TEXT = Array.from({ length: 2000 }, (_, at) => `${(at * 7919) % 1009},`).join("");
const SHORT = Buffer.from(TEXT);
const LONG = Buffer.from(TEXT.repeat(40));
const POLICY = policyOf();

/** Waits for the pool, which tells by turns of the loop. */
async function idle(): Promise<void> {
  const deadline = performance.now() + 8000;
  while (placesTaken() > 0) {
    if (performance.now() > deadline) throw new Error("still busy");
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
}

function scene(bytes: Buffer = SHORT): { room: Room; encoder: Encoder; body: Body } {
  const room = new Room();
  const body = bodyOf(bytes);
  room.set("a", entryOf(body));
  return { room, encoder: new Encoder(room), body };
}

afterEach(idle);

test("fuzz: each coding of any content is that content", () => {
  tryLaw("encoded", encodedLaw, 1, 150);
});

test("the same through the pool, at both levels", async () => {
  for (let seed = 1; seed <= 12; seed += 1) {
    const rng = new Rng(seed);
    const bytes = Buffer.concat([LONG.subarray(0, 70_000), anyContent(rng, 300_000)]);
    const { room, encoder } = scene();
    const body = bodyOf(...cut(rng, bytes));
    room.set("b", entryOf(body));
    const first = CODINGS.map((coding) => encoder.content("b", body, coding, POLICY)!);
    await idle();
    for (const [at, coding] of CODINGS.entries()) {
      const last = body.coded![coding]!;
      expect([seed, coding, decoded(first[at]!, coding).equals(bytes), last.isFinal]).toEqual([
        seed,
        coding,
        true,
        true,
      ]);
      expect(decoded(last.body, coding).equals(bytes)).toBe(true);
      expect(last.body.length).toBeLessThanOrEqual(first[at]!.length);
    }
    expect(room.inWork).toBe(0);
    expect(room.counted.get("b")).toBe(room.get("b").bytes);
  }
}, 20_000);

describe("short content", () => {
  test("is there at once, made once, and made smaller behind that", async () => {
    for (const coding of CODINGS) {
      const { room, encoder, body } = scene();
      const made = encoder.content("a", body, coding, POLICY)!;
      expect([made.done, decoded(made, coding).equals(SHORT)]).toEqual([true, true]);
      for (let i = 0; i < 200; i += 1) expect(encoder.content("a", body, coding, POLICY)).toBe(made);
      expect([placesTaken(), room.inWork]).toEqual([1, SHORT.length]);
      await idle();
      const last = body.coded![coding]!;
      expect([last.isFinal, last.body.length <= made.length]).toEqual([true, true]);
      expect(encoder.content("a", body, coding, POLICY)).toBe(last.body);
      expect(placesTaken()).toBe(0);
    }
  });

  test("is not made again where the level is that for what is stored", () => {
    const { encoder, body } = scene();
    encoder.content("a", body, "zstd", policyOf({ storedLevels: POLICY.levels }));
    expect([placesTaken(), body.coded!.zstd!.isFinal]).toEqual([0, true]);
  });
});

/** Follows content to its end. */
class Follower implements BodyReader {
  offset = 0;
  readonly body: Body;
  constructor(body: Body) {
    this.body = body;
    body.follow(this);
  }
  onMore(): void {
    this.offset = this.body.length;
  }
}

describe("long content", () => {
  test("grows while many follow it, and is made once", async () => {
    const { encoder, body, room } = scene(LONG);
    const made = encoder.content("a", body, "br", POLICY)!;
    expect([made.done, made.total]).toEqual([false, -1]);
    const followers = Array.from({ length: 200 }, () => new Follower(encoder.content("a", body, "br", POLICY)!));
    expect(new Set(followers.map((each) => each.body))).toEqual(new Set([made]));
    expect([placesTaken(), room.inWork]).toEqual([1, LONG.length]);
    await idle();
    expect(followers.every(({ offset }) => offset === made.length)).toBe(true);
    expect(decoded(made, "br").equals(LONG)).toBe(true);
  });

  test("is not to be had without a place, or without memory for it", () => {
    const { encoder, body, room } = scene(LONG);
    room.workMax = LONG.length - 1;
    expect(encoder.content("a", body, "br", POLICY)).toBeNull();
    room.workMax = LONG.length;
    let taken = 0;
    while (takePlace()) taken += 1;
    expect(encoder.content("a", body, "br", POLICY)).toBeNull();
    for (; taken > 0; taken -= 1) leavePlace();
    expect(room.inWork).toBe(0);
  });
});

describe("what is stored no longer", () => {
  test("is given up in the background", async () => {
    const { encoder, body, room } = scene();
    const made = encoder.content("a", body, "br", policyOf({ storedLevels: { br: 11, gzip: 9, zstd: 19 } }))!;
    expect(placesTaken()).toBe(1);
    room.delete("a");
    await idle();
    expect([body.coded!.br!.body, body.coded!.br!.isFinal, room.inWork]).toEqual([made, false, 0]);
  });

  test("is finished for those who follow, and not kept", async () => {
    const { encoder, body, room } = scene(LONG);
    const made = encoder.content("a", body, "br", POLICY)!;
    room.delete("a");
    await idle();
    expect([made.done, decoded(made, "br").equals(LONG)]).toEqual([true, true]);
    expect([body.coded!.refused, body.coded!.bytes]).toEqual([true, 0]);
  });
});

test("codings for which there is no room are not kept, and not tried again", () => {
  const { encoder, body, room } = scene();
  const entry = room.get("a");
  makeForms(entry, POLICY);
  room.entryMax = entry.bytes + 100;
  const made = encoder.content("a", body, "gzip", POLICY)!;
  expect(decoded(made, "gzip").equals(SHORT)).toBe(true);
  expect([encoder.content("a", body, "gzip", POLICY), encoder.content("a", body, "br", POLICY)]).toEqual([null, null]);
  expect([body.coded!.bytes, entry.forms, placesTaken()]).toEqual([0, null, 0]);
});

test("without room for its forms, the filter sees each answer", () => {
  const { encoder, room } = scene();
  const entry = room.get("a");
  room.entryMax = entry.bytes + 100;
  const rules = { coding: POLICY, idleFilters: 1 };
  const x = exchangeOf({});
  x.acceptEncoding = "br";
  x.route = { responseFilters: [{ name: "compress" }] } as unknown as Route;
  for (let round = 0; round < 3; round += 1) {
    const offered = encoder.offer(x, rules, "a", entry);
    expect([offered === null, readyForm(x, entry, POLICY)]).toEqual([false, null]);
    expect(entry.bytes).toBeLessThanOrEqual(room.entryMax);
  }
});

test("what waits for the background is limited", async () => {
  const room = new Room();
  const encoder = new Encoder(room);
  const bodies: Body[] = [];
  for (let at = 0; at < 400; at += 1) {
    const body = bodyOf(SHORT.subarray(0, 1200));
    bodies.push(body);
    room.set(String(at), entryOf(body));
    encoder.content(String(at), body, "zstd", POLICY);
  }
  await idle();
  const final = bodies.filter(({ coded }) => coded!.zstd!.isFinal).length;
  expect(final).toBeGreaterThan(200);
  expect(final).toBeLessThan(300);
});

describe("forms", () => {
  const asked = (coding: string, more: readonly (readonly [string, string])[] = []) => {
    const x = exchangeOf({ headers: more });
    x.acceptEncoding = coding;
    return x;
  };

  test("are chosen by what the client takes", () => {
    const { encoder, body, room } = scene();
    const entry = room.get("a");
    const policy = policyOf({ storedLevels: POLICY.levels });
    expect(readyForm(asked("br"), entry, policy)).toBeNull();
    for (const coding of CODINGS) encoder.content("a", body, coding, policy);
    expect(makeForms(entry, policy)).toBe(true);
    expect(makeForms(entry, policy)).toBe(false);
    const { forms } = entry;
    for (const [field, want] of [
      ["br", forms!.br],
      ["gzip;q=0.5, zstd", forms!.zstd],
      ["gzip", forms!.gzip],
      ["identity", forms!.plain],
      ["gzip;q=0", forms!.plain],
      ["br, identity;q=0", forms!.br],
      ["deflate, identity;q=0", null],
    ] as const)
      expect(readyForm(asked(field), entry, policy)).toBe(want);
    expect(readyForm(asked("br", [["cache-control", "no-transform"]]), entry, policy)).toBeNull();
    expect(readyForm(asked("br"), entry, policyOf())).toBeNull();
    expect(bytesOf(forms!.gzip!.body).equals(bytesOf(body.coded!.gzip!.body))).toBe(true);
  });

  test("are counted with the entry", () => {
    const { encoder, body, room } = scene();
    const entry = room.get("a");
    const before = entry.bytes;
    const { length } = encoder.content("a", body, "gzip", POLICY)!;
    expect(entry.bytes).toBe(before + length);
    makeForms(entry, POLICY);
    expect(entry.bytes).toBeGreaterThan(before + length + 2 * 200);
    body.coded = null;
    entry.forms = null;
    expect(entry.bytes).toBe(before);
  });

  const LEFT: readonly (readonly [name: string, fields: Readonly<Record<string, string>>, status: number])[] = [
    ["of another type", { "content-type": "image/png" }, 200],
    ["that came encoded", { "content-encoding": "br" }, 200],
    ["that must not be changed", { "cache-control": "no-transform" }, 200],
    ["that is a part", { "content-range": "bytes 0-1/3" }, 206],
  ];
  for (const [name, fields, status] of LEFT)
    test(`of content ${name} are that content alone`, () => {
      const entry = entryOf(bodyOf(SHORT), fields, status);
      entry.body.coded = new CodedContents();
      makeForms(entry, POLICY);
      expect([entry.forms!.plain === entry, entry.forms!.isCoded]).toEqual([true, false]);
      expect(readyForm(asked("br"), entry, POLICY)).toBe(entry);
    });

  test("of content that came encoded are not chosen where that is undone", () => {
    const entry = entryOf(bodyOf(SHORT), { "content-encoding": "br" });
    makeForms(entry, policyOf({ decompress: true }));
    expect(readyForm(asked("br"), entry, entry.forms!.policy)).toBeNull();
  });

  test("say what the filter says", () => {
    const { encoder, body, room } = scene();
    const entry = entryOf(body, { etag: '"1"', vary: "Origin", "accept-ranges": "bytes", "content-md5": "x" });
    room.set("a", entry);
    const { length } = encoder.content("a", body, "br", policyOf({ storedLevels: POLICY.levels }))!;
    makeForms(entry, POLICY);
    const plain = entry.forms!.plain!.hitHead(5000).headers;
    const coded = entry.forms!.br!.hitHead(5000).headers;
    const names = ["etag", "vary", "accept-ranges", "content-md5", "content-encoding", "content-length", "age"];
    const both = [plain, coded].map((headers) => names.map((name) => headers.get(name)));
    expect(both).toEqual([
      ['"1"', "Origin, Accept-Encoding", "bytes", "x", null, String(SHORT.length), "5"],
      ['W/"1"', "Origin, Accept-Encoding", null, null, "br", String(length), "5"],
    ]);
  });
});
