import { expect, test } from "bun:test";
import { COMPRESS_DEFAULTS } from "./defaults.ts";
import { ConfigError, renderDiagnostic } from "./diagnostic.ts";
import { checkConfig } from "./load.ts";

const load = (compress: unknown, defaults?: unknown) =>
  checkConfig(
    {
      listeners: [{ address: ":8080" }],
      ...(defaults === undefined ? {} : { defaults: { compress: defaults } }),
      routes: [{ compress, to: "http://127.0.0.1:3001" }],
    },
    { environment: {} },
  );

function problems(compress: unknown, defaults?: unknown): readonly string[] {
  try {
    return load(compress, defaults).diagnostics.map(renderDiagnostic);
  } catch (error) {
    if (error instanceof ConfigError) return error.diagnostics.map(renderDiagnostic);
    throw error;
  }
}

test("what `true` stands for is what an empty mapping becomes", () =>
  expect(load({}).config.routes[0]?.compress).toEqual(COMPRESS_DEFAULTS));

test("what is not said keeps its default", () =>
  expect(load({ levels: { br: 5 }, algorithms: ["gzip"] }).config.routes[0]?.compress).toEqual({
    ...COMPRESS_DEFAULTS,
    algorithms: ["gzip"],
    levels: { ...COMPRESS_DEFAULTS.levels, br: 5 },
  }));

for (const type of ["text/html", "text/*", "*/*", "application/*+json", "application/vnd.api+json", "image/x*"])
  test(`${type} is a media type`, () => expect(problems({ types: [type] })).toEqual([]));

const HINT = "\n  hint: write it like text/html, text/* or application/*+json";
const CASES: readonly (readonly [compress: unknown, want: string])[] = [
  [{ types: ["html"] }, `routes[0].compress.types[0]: error: "html" is not a media type${HINT}`],
  [{ types: ["text/"] }, `routes[0].compress.types[0]: error: "text/" is not a media type${HINT}`],
  [{ types: ["*/json"] }, `routes[0].compress.types[0]: error: "*/json" is not a media type${HINT}`],
  [{ types: ["a/*b*"] }, `routes[0].compress.types[0]: error: "a/*b*" is not a media type${HINT}`],
  [
    { types: ["text/html;charset=utf-8"] },
    'routes[0].compress.types[0]: error: "text/html;charset=utf-8" is not a media type\n  hint: leave the parameters out: they do not matter',
  ],
  [{ algorithms: ["br", "gzip", "br"] }, 'routes[0].compress.algorithms[2]: error: "br" stands there twice'],
  [{ levels: { gzip: 10 } }, "routes[0].compress.levels.gzip: error: gzip must be at most 9, not the number 10"],
];
for (const [compress, want] of CASES)
  test(JSON.stringify(compress), () => expect(problems(compress)).toEqual([expect.stringContaining(want)]));

test("a mistake in the defaults is told there", () =>
  expect(problems(undefined, { types: ["x"] })).toEqual([
    expect.stringContaining("defaults.compress.types[0]: error"),
  ]));
