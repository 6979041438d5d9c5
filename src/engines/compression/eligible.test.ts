import { describe, expect, test } from "bun:test";
import { COMPRESS_DEFAULTS } from "../../config/defaults.ts";
import { HeaderBlock } from "../../http/header-block.ts";
import {
  addVary,
  codingOf,
  isDecodable,
  isPlain,
  MediaTypes,
  markEncoded,
  markTrailers,
  matchTag,
  mayTransform,
} from "./eligible.ts";

type Fields = Readonly<Record<string, string>>;
const block = (fields: Fields): HeaderBlock => HeaderBlock.of(Object.entries(fields));
const shown = (headers: HeaderBlock): Fields => Object.fromEntries(headers.entries());

describe("media types", () => {
  const CASES: readonly (readonly [types: readonly string[], type: string, has: boolean])[] = [
    [["text/html"], "text/html", true],
    [["text/html"], "TEXT/HTML; charset=utf-8", true],
    [["Text/HTML"], "text/html", true],
    [["text/html"], "text/htmlx", false],
    [["text/*"], "text/css", true],
    [["text/*"], "textual/css", false],
    [["application/*+json"], "application/problem+json", true],
    [["application/*+json"], "application/json", false],
    [["application/x*x"], "application/x", false],
    [["*/*"], "image/png", true],
    [["*/*"], "nonsense", false],
    [["text/*"], "", false],
    // Only where they are named.
    [["text/*"], "text/event-stream", false],
    [["*/*"], "text/event-stream;charset=utf-8", false],
    [["text/*", "text/event-stream"], "text/event-stream", true],
    [["*/*"], "application/grpc", false],
    [["application/*"], "application/grpc-web+proto", false],
  ];
  for (const [types, type, has] of CASES)
    test(`${types} ${has ? "has" : "has not"} ${JSON.stringify(type)}`, () => {
      const set = new MediaTypes(types);
      expect([set.has(type), set.has(type)]).toEqual([has, has]); // the second time from memory
    });
  test("by default what compresses well", () => {
    const set = new MediaTypes(COMPRESS_DEFAULTS.types);
    const yes = [
      "text/html",
      "application/json",
      "application/ld+json",
      "image/svg+xml",
      "application/wasm",
      "font/ttf",
    ];
    const no = [
      "image/png",
      "video/mp4",
      "application/zip",
      "font/woff2",
      "application/octet-stream",
      "text/event-stream",
    ];
    expect([...yes, ...no].filter((type) => set.has(type))).toEqual(yes);
  });
  test("many different values do not pile up", () => {
    const set = new MediaTypes(["text/*"]);
    for (let i = 0; i < 200; i += 1) expect(set.has(`text/x${i}`)).toBe(true);
    expect(set.has("text/x0")).toBe(true);
  });
});

describe("answers that can be encoded", () => {
  const CASES: readonly (readonly [status: number, fields: Fields, plain: boolean, decodable?: boolean])[] = [
    [200, {}, true],
    [404, {}, true],
    [500, {}, true],
    [200, { "content-encoding": "identity" }, true],
    [200, { "content-encoding": "gzip" }, false, true],
    [204, {}, false, false],
    [205, {}, false, false],
    [206, { "content-range": "bytes 0-1/5" }, false, false],
    [304, {}, false, false],
    [200, { "content-range": "bytes 0-1/5" }, false, false], // of a server that errs
  ];
  for (const [status, fields, plain, decodable = plain] of CASES)
    test(`${status} ${JSON.stringify(fields)}`, () => {
      const answer = { status, headers: block(fields) };
      expect([isPlain(answer), isDecodable(answer)]).toEqual([plain, decodable]);
    });
  for (const [value, want] of [
    ["gzip", "gzip"],
    [" X-GZIP ", "gzip"],
    ["Br", "br"],
    ["gzip, br", "gzip, br"],
    ["identity", ""],
  ] as const)
    test(`Content-Encoding: ${value}`, () => expect(codingOf(block({ "content-encoding": value }))).toBe(want));
});

describe("no-transform", () => {
  const CASES: readonly (readonly [value: string, may: boolean])[] = [
    ["no-transform", false],
    ["public, No-Transform , max-age=1", false],
    ["max-age=1,no-transform", false],
    ["no-transformation", true],
    ["x-no-transform", true],
    ["public", true],
  ];
  for (const [value, may] of CASES)
    test(`${value} of either side`, () => {
      const said = block({ "cache-control": value });
      expect([mayTransform(said, block({})), mayTransform(block({}), said)]).toEqual([may, may]);
    });
});

describe("the head of an encoded answer", () => {
  test("says how, and nothing of the bytes as they were", () => {
    const headers = block({
      "content-type": "text/html",
      "content-length": "5",
      "content-md5": "x",
      digest: "x",
      "repr-digest": "x",
      "content-digest": "x",
      "accept-ranges": "bytes",
      "content-encoding": "identity",
      etag: '"a"',
    });
    markEncoded(headers, "br");
    expect(shown(headers)).toEqual({ "content-type": "text/html", "content-encoding": "br", etag: 'W/"a"' });
  });
  test("of one that is decoded too", () => {
    const headers = block({ "content-encoding": "gzip", etag: 'W/"a"' });
    markEncoded(headers, "");
    expect(shown(headers)).toEqual({ etag: 'W/"a"' });
  });
  test("a tag that is none stays", () => {
    const headers = block({ etag: "abc" });
    markEncoded(headers, "gzip");
    expect(headers.get("etag")).toBe("abc");
  });
  test("digests in trailers go as well", () => {
    const trailers = block({ "content-digest": "x", "x-sum": "5" });
    markTrailers(trailers);
    expect(shown(trailers)).toEqual({ "x-sum": "5" });
  });
});

describe("Vary", () => {
  const CASES: readonly (readonly [before: string | null, after: string])[] = [
    [null, "Accept-Encoding"],
    ["Origin", "Origin, Accept-Encoding"],
    ["accept-encoding", "accept-encoding"],
    ["Origin,Accept-Encoding", "Origin,Accept-Encoding"],
    ["*", "*"],
    ["x-accept-encoding", "x-accept-encoding, Accept-Encoding"],
  ];
  for (const [before, after] of CASES)
    test(String(before), () => {
      const headers = block(before === null ? {} : { vary: before });
      addVary(headers);
      expect(headers.getAll("vary")).toEqual([after]);
    });
});

describe("a 304", () => {
  const CASES: readonly (readonly [asked: string | null, tag: string | null, want: Fields])[] = [
    ['W/"a"', '"a"', { etag: 'W/"a"', vary: "Accept-Encoding" }],
    ['"x", W/"a"', '"a"', { etag: 'W/"a"', vary: "Accept-Encoding" }],
    ['"a"', '"a"', { etag: '"a"' }],
    ['W/"a"', 'W/"a"', { etag: 'W/"a"' }],
    [null, '"a"', { etag: '"a"' }],
    ['W/"a"', null, {}],
  ];
  for (const [asked, tag, want] of CASES)
    test(`for ${asked} with ${tag}`, () => {
      const headers = block(tag === null ? {} : { etag: tag });
      matchTag(block(asked === null ? {} : { "if-none-match": asked }), headers);
      expect(shown(headers)).toEqual(want);
    });
});
