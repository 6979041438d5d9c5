import { describe, expect, test } from "bun:test";
import zlib from "node:zlib";
import { COMPRESS_DEFAULTS } from "../../config/defaults.ts";
import { encode, leavePlace, placesTaken, takePlace } from "../../engines/compression/coders.ts";
import { GRPC } from "../../http/grpc.ts";
import { ResponseHead } from "../../http/message.ts";
import type { BodyTransform, LateTransform } from "../../pipeline/body-transform.ts";
import { exchangeOf } from "../../pipeline/exchange.fixture.ts";
import { type Exchange, type Filter, NOT_KEPT } from "../../pipeline/exchange.ts";
import { openTransforms, transformLater, transformResponse } from "../../pipeline/transforms.ts";
import { contextOf } from "../context.testing.ts";
import { compress, compressAsked } from "./filter.ts";

type Config = Exclude<NonNullable<Parameters<typeof compress.compile>[0]["compress"]>, true>;

interface Case {
  readonly config?: Partial<Config>;
  readonly method?: string;
  readonly asked?: Readonly<Record<string, string>>;
  readonly status?: number;
  readonly fields?: Readonly<Record<string, string>>;
  /** Bytes that the answer says it has; -1 for none said, null for an answer without a body. */
  readonly length?: number | null;
  /** The content of an answer of Sluice's own. */
  readonly own?: Buffer;
  readonly grpc?: boolean;
}

const JSON_FIELDS = { "content-type": "application/json" };

function filtersOf(config: Partial<Config>): { asked: Filter; answered: Filter } {
  const policies = { compress: { ...COMPRESS_DEFAULTS, ...config } };
  const context = contextOf();
  return {
    asked: compressAsked.compile(policies, context)[0]!,
    answered: compress.compile(policies, context)[0]!,
  };
}

/** The exchange after both phases. */
async function run(given: Case): Promise<{ x: Exchange; fields: Readonly<Record<string, string>>; isLate: boolean }> {
  const { config = {}, method = "GET", asked = { "accept-encoding": "gzip" }, length = 5000 } = given;
  const filters = filtersOf(config);
  const x = exchangeOf({ method, headers: Object.entries(asked) });
  if (given.grpc === true) x.grpc = GRPC;
  const { downstream } = x;
  expect(filters.asked.request!(x)).toBeUndefined();
  openTransforms(x);
  x.response = new ResponseHead();
  x.response.status = given.status ?? 200;
  for (const [name, value] of Object.entries(given.fields ?? JSON_FIELDS)) x.response.headers.add(name, value);
  x.response.body = length === null || given.own !== undefined ? "none" : length < 0 ? "chunked" : "length";
  x.response.length = length ?? 0;
  x.ownBody = given.own ?? null;
  const outcome = filters.answered.response!(x);
  if (outcome instanceof Promise) expect(await outcome).toBeUndefined();
  else expect(outcome).toBeUndefined();
  return { x, fields: Object.fromEntries(x.response.headers.entries()), isLate: x.downstream !== downstream };
}

const VARY = { vary: "Accept-Encoding" };

describe("an answer with a body", () => {
  // The head itself is marked when the body is there: here it is seen by Vary and by what is in the way of the body.
  const CASES: readonly (readonly [name: string, given: Case, vary: boolean, transformed: boolean])[] = [
    ["of the right type", {}, true, true],
    ["of unknown length", { length: -1 }, true, true],
    ["for a client that takes no coding", { asked: {} }, true, false],
    ["of another type", { fields: { "content-type": "image/png" } }, false, false],
    ["without a type", { fields: {} }, false, false],
    ["that is short", { length: 1023 }, false, false],
    ["that is just long enough", { length: 1024 }, true, true],
    ["that is encoded already", { fields: { ...JSON_FIELDS, "content-encoding": "br" } }, false, false],
    ["that is a part", { status: 206, fields: { ...JSON_FIELDS, "content-range": "bytes 0-1/5" } }, true, false],
    ["that must not be changed", { fields: { ...JSON_FIELDS, "cache-control": "no-transform" } }, false, false],
    [
      "whose client forbids it",
      { asked: { "accept-encoding": "gzip", "cache-control": "no-transform" } },
      false,
      false,
    ],
    ["that says what went wrong", { status: 500 }, true, true],
    ["of gRPC", { grpc: true }, false, false],
    ["of events", { fields: { "content-type": "text/event-stream" } }, false, false],
    [
      "of events, where they are named",
      { fields: { "content-type": "text/event-stream" }, config: { types: ["text/event-stream"] }, length: -1 },
      true,
      true,
    ],
    // RFC 9110 §12.5.3: the client does not want it as it is.
    ["that has to be encoded", { asked: { "accept-encoding": "gzip, identity;q=0" }, length: 10 }, true, true],
    [
      "of another type that has to be encoded",
      { asked: { "accept-encoding": "gzip, *;q=0" }, fields: { "content-type": "image/png" } },
      false,
      true,
    ],
  ];
  for (const [name, given, vary, transformed] of CASES)
    test(name, async () => {
      const { x, fields } = await run(given);
      expect(fields.vary).toBe(vary ? "Accept-Encoding" : undefined);
      const second = (): void => void filtersOf(given.config ?? {}).answered.response!(x);
      if (transformed) expect(second).toThrow("at most");
      else expect(second).not.toThrow();
    });
});

test("nothing stands in the way of a request whose answer can never be changed", async () => {
  for (const given of [{ asked: {} }, { asked: { "accept-encoding": "deflate" } }, { grpc: true }])
    expect((await run(given)).isLate).toBe(false);
  expect((await run({})).isLate).toBe(true);
  expect((await run({ asked: {}, config: { decompress: true } })).isLate).toBe(true);
});

test("what the server is told does not matter", () => {
  const { asked, answered } = filtersOf({});
  const x = exchangeOf({ headers: [["Accept-Encoding", "br"]] });
  asked.request!(x);
  x.request.headers.remove("accept-encoding");
  x.response = new ResponseHead();
  x.response.headers.add("content-type", "text/html");
  x.ownBody = Buffer.alloc(5000, "x");
  answered.response!(x);
  expect(x.response.header("content-encoding")).toBe("br");
});

describe("the answer to HEAD", () => {
  const head = (given: Case) => run({ method: "HEAD", length: null, ...given });
  const LONG = { ...JSON_FIELDS, "content-length": "5000", etag: '"a"' };
  test("has the fields that a GET would get", async () =>
    expect((await head({ fields: LONG })).fields).toEqual({
      ...JSON_FIELDS,
      "content-encoding": "gzip",
      etag: 'W/"a"',
      ...VARY,
    }));
  test("of a short body stays as it is", async () => {
    const fields = { ...LONG, "content-length": "5" };
    expect((await head({ fields })).fields).toEqual(fields);
  });
  test("that is to be decoded", async () =>
    expect(
      (await head({ asked: {}, fields: { ...LONG, "content-encoding": "gzip" }, config: { decompress: true } })).fields,
    ).toEqual({ ...JSON_FIELDS, etag: 'W/"a"', ...VARY }));
});

test("a 304 has the tag that the client knows", async () => {
  const asked = { "accept-encoding": "gzip", "if-none-match": 'W/"a"' };
  const { fields } = await run({ status: 304, length: null, asked, fields: { etag: '"a"' } });
  expect(fields).toEqual({ etag: 'W/"a"', ...VARY });
});

describe("an answer of Sluice's own", () => {
  test("that is short is encoded at once", async () => {
    const own = Buffer.from("hello ".repeat(1000));
    const { x, fields } = await run({ own });
    expect(zlib.gunzipSync(x.ownBody!).equals(own)).toBe(true);
    expect(fields).toEqual({ ...JSON_FIELDS, "content-encoding": "gzip", ...VARY });
    expect(x.coded).toEqual({ coding: "gzip", result: "encoded", bytesIn: 6000, bytesOut: x.ownBody!.length });
  });
  test("that is long is encoded elsewhere", async () => {
    const own = Buffer.alloc(1_000_000, "hello ");
    const { x } = await run({ own });
    expect(zlib.gunzipSync(x.ownBody!).equals(own)).toBe(true);
    expect(placesTaken()).toBe(0);
  });
  test("that is long stays as it is when there is no place", async () => {
    let taken = 0;
    while (takePlace()) taken += 1;
    const own = Buffer.alloc(1_000_000, "hello ");
    const { x, fields } = await run({ own });
    for (; taken > 0; taken -= 1) leavePlace();
    expect([x.ownBody === own, fields["content-encoding"], x.coded?.result]).toEqual([true, undefined, "busy"]);
  });
  test("that is too short stays as it is", async () => {
    const own = Buffer.from("hello");
    expect((await run({ own })).x.ownBody).toBe(own);
  });
  test("is not decoded", async () => {
    const own = encode(Buffer.alloc(5000, "hello "), "gzip", 5);
    const fields = { ...JSON_FIELDS, "content-encoding": "gzip" };
    const { x } = await run({ own, fields, asked: {}, config: { decompress: true } });
    expect([x.ownBody, x.response.header("content-encoding")]).toEqual([own, "gzip"]);
  });
});

/** Something that passes everything on as it is. */
const NO_CHANGE: BodyTransform = {
  push: (bytes, from, to, out) => out.data(bytes, from, to),
  end: (trailers, out) => out.end(trailers),
};

describe("an answer that the cache keeps encoded", () => {
  const CASES: readonly (readonly [
    name: string,
    length: number,
    method: string,
    changed: boolean,
    want: readonly [coding: string | undefined, body: string, length: number, isLate: boolean, wasAsked: boolean],
  ])[] = [
    ["is sent from there", 100, "GET", false, ["gzip", "length", 100, false, true]],
    ["is sent as it is made", -1, "GET", false, ["gzip", "chunked", 0, false, true]],
    ["is encoded as it passes where it is not kept", NOT_KEPT, "GET", false, [undefined, "length", 5000, true, true]],
    ["is encoded as it passes when something has changed it", 100, "GET", true, [undefined, "chunked", 0, true, false]],
    ["tells HEAD its length", 100, "HEAD", false, ["gzip", "length", 100, false, true]],
    ["tells HEAD no length that it does not know", -1, "HEAD", false, ["gzip", "none", 0, false, true]],
    ["tells HEAD none while it is not kept", NOT_KEPT, "HEAD", false, ["gzip", "none", 0, false, true]],
  ];
  for (const [name, length, method, changed, want] of CASES)
    test(name, () => {
      const { asked, answered } = filtersOf({});
      const x = exchangeOf({ method, headers: [["accept-encoding", "gzip"]] });
      asked.request!(x);
      x.response = new ResponseHead();
      x.response.headers.add("content-type", "application/json");
      x.response.body = "length";
      x.response.length = 5000;
      let wasAsked = false;
      const use = (): number => {
        wasAsked = true;
        return length;
      };
      x.kept = { use, take: () => null };
      if (changed) transformResponse(x, NO_CHANGE);
      expect(answered.response!(x)).toBeUndefined();
      const { response } = x;
      const coding = response.headers.get("content-encoding") ?? undefined;
      const isLate = hasLate(x);
      expect([coding, response.body, response.length, isLate, wasAsked]).toEqual([...want]);
      expect(response.headers.get("vary")).toBe("Accept-Encoding");
    });
});

/** Whether there is a late transform: there can be no second one. */
function hasLate(x: Exchange): boolean {
  try {
    transformLater(x, NO_CHANGE as LateTransform);
    return false;
  } catch {
    return true;
  }
}

describe("an answer that came encoded, where that is undone", () => {
  const CASES: readonly (readonly [asked: string | null, coding: string, decoded: boolean, vary: boolean])[] = [
    [null, "gzip", true, true],
    [null, "x-gzip", true, true],
    ["gzip", "br", true, true],
    ["zstd, br", "br", false, true],
    ["*", "gzip", false, true],
    ["deflate, identity;q=0", "gzip", false, true],
    ["gzip", "deflate", false, false],
    ["gzip", "gzip, br", false, false],
  ];
  for (const [accepted, coding, decoded, vary] of CASES)
    test(`${coding} for ${accepted}`, async () => {
      const asked = accepted === null ? {} : { "accept-encoding": accepted };
      const config = { decompress: true };
      const { x, fields } = await run({ asked, config, fields: { ...JSON_FIELDS, "content-encoding": coding } });
      expect(fields.vary).toBe(vary ? "Accept-Encoding" : undefined);
      const second = (): void => void filtersOf(config).answered.response!(x);
      if (decoded) expect(second).toThrow("at most");
      else expect(second).not.toThrow();
    });
});

test("without the policy there is no filter", () => {
  const context = contextOf();
  expect([compressAsked.compile({}, context), compress.compile({}, context)]).toEqual([[], []]);
  expect(compress.compile({ compress: true }, context).map((filter) => filter.name)).toEqual(["compress"]);
});
