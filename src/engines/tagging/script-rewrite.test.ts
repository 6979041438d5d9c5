import { describe, expect, test } from "bun:test";
import { Rng } from "../../core/fuzz.testing.ts";
import { ScriptRewriter } from "./script-rewrite.ts";

const VENDORS = [
  { host: "www.vendor.example", by: "https://site.example/m" },
  { host: "vendor.example", by: "/p" },
];

function rewritten(text: string, ...cuts: readonly number[]): string {
  const rewriter = new ScriptRewriter(VENDORS);
  const bytes = Buffer.from(text);
  const out: Buffer[] = [];
  let from = 0;
  for (const to of [...cuts, bytes.length]) {
    out.push(Buffer.from(rewriter.push(bytes.subarray(from, to))));
    from = to;
  }
  out.push(rewriter.end());
  return Buffer.concat(out).toString();
}

const CASES: readonly (readonly [name: string, before: string, after: string])[] = [
  ["an address", `a="https://www.vendor.example/x"`, `a="https://site.example/m/x"`],
  ["one without its scheme", `a="//www.vendor.example/x"`, `a="https://site.example/m/x"`],
  ["one without TLS", `a='http://vendor.example'`, `a='/p'`],
  ["escaped slashes", String.raw`a="https:\/\/www.vendor.example\/x"`, String.raw`a="https:\/\/site.example\/m\/x"`],
  ["percent-encoded", "u=https%3A%2F%2Fvendor.example%2Fx", "u=%2Fp%2Fx"],
  ["several", "//vendor.example/a //www.vendor.example/b", "/p/a https://site.example/m/b"],
  ["a host that only begins so", `"https://www.vendor.example.evil.com/x"`, `"https://www.vendor.example.evil.com/x"`],
  ["a longer name", `"https://www.vendor.examples/x"`, `"https://www.vendor.examples/x"`],
  ["a name below it", `"https://cdn.vendor.example/x"`, `"https://cdn.vendor.example/x"`],
  ["the host alone", `"www.vendor.example"`, `"www.vendor.example"`],
  ["the end of a sentence", "see //vendor.example. Or", "see /p. Or"],
  ["nothing", "", ""],
];

describe("addresses of vendors become those of the site", () => {
  test.each(CASES)("%s", (_name, before, after) => {
    expect(rewritten(before)).toBe(after);
    for (let at = 0; at <= before.length; at += 1) expect(rewritten(before, at)).toBe(after);
    expect(rewritten(before, ...Array.from({ length: before.length }, (_, at) => at))).toBe(after);
  });

  test("the same however it is cut", () => {
    const words = [
      "https:",
      "//",
      "http%3A",
      "%2F%2F",
      "www.vendor.example",
      "vendor.example",
      ".",
      "x",
      "/",
      "é",
      " ",
    ];
    for (let seed = 1; seed <= 500; seed += 1) {
      const rng = new Rng(seed);
      const text = Array.from({ length: rng.below(60) }, () => rng.pick(words)).join("");
      const bytes = Buffer.byteLength(text);
      const cuts = Array.from({ length: rng.below(6) }, () => rng.below(bytes + 1)).sort((a, b) => a - b);
      expect(rewritten(text, ...cuts)).toBe(rewritten(text));
    }
  });
});
