import { expect, test } from "bun:test";
import fc from "fast-check";
import { returnUrl } from "./return-url.ts";

const OWN = "https://app.example.com";
const OK = new Set(["https://ok.example"]);

const CASES: readonly (readonly [text: string, want: string | null])[] = [
  ["/", `${OWN}/`],
  ["/a/b?c=d#e", `${OWN}/a/b?c=d#e`],
  ["/a//b", `${OWN}/a//b`],
  ["/a/../b", `${OWN}/b`],
  [`${OWN}/x`, `${OWN}/x`],
  [OWN, `${OWN}/`],
  ["https://ok.example/y?z", "https://ok.example/y?z"],
  ["", null],
  ["a", null],
  ["//evil.example", null],
  ["/\\evil.example", null],
  ["/./\\evil.example", null],
  ["/.//evil.example", null],
  ["/..//evil.example", null],
  ["/%2e//evil.example", null],
  ["/%5cevil.example", null],
  ["/%2f/evil.example", null],
  ["/\u0000/x", null],
  ["/a\r\nset-cookie: x", null],
  ["https://app.example.com@evil.example/", null],
  ["https://app.example.com.evil.example/", null],
  ["https://evil-ok.example/", null],
  ["https://ok.example:444/", null],
  ["http://ok.example/", null],
  ["https:/ok.example/", null],
  ["https:///ok.example/", null],
  ["HTTPS://ok.example/", null],
  ["javascript:alert(1)", null],
  ["data:text/html,x", null],
  [`/${"a".repeat(3000)}`, null],
];
for (const [text, want] of CASES)
  test(`leads ${JSON.stringify(text.slice(0, 40))} to ${want}`, () => expect(returnUrl(text, OWN, OK)).toBe(want));

/** What attackers build their addresses from. */
const piece = fc.constantFrom(
  ..."/\\.:@?#%;&=+-_~ \t\r\n\0",
  ..."ab0",
  "//",
  "..",
  "%2f",
  "%5C",
  "%2e",
  "%00",
  "%0d%0a",
  "http:",
  "https:",
  "javascript:",
  "evil.example",
  "app.example.com",
  "ok.example",
  "\u3002",
  "\uff0f",
);

/** As servers that decode too much take it, also what is no UTF-8. */
const decoded = (url: string): string =>
  url.replace(/%([0-9a-f]{2})/gi, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));

test("whatever is let through stays at an origin that is allowed, however a browser reads it", () => {
  const attack = fc.array(piece, { maxLength: 12 }).map((pieces) => pieces.join(""));
  fc.assert(
    fc.property(
      fc.oneof(
        attack,
        attack.map((text) => `/${text}`),
        attack.map((text) => `${OWN}${text}`),
      ),
      (text) => {
        const url = returnUrl(text, OWN, OK);
        if (url === null) return;
        expect(url).toMatch(/^https:\/\/(?:app\.example\.com|ok\.example)(?:[/?#]|$)/);
        // As a Location, and as old browsers take it: without control characters, backslashes as slashes.
        for (const read of [url, url.replaceAll("\\", "/"), decoded(url)])
          expect([OWN, ...OK]).toContain(new URL(read, OWN).origin);
        const { pathname } = new URL(url);
        expect(pathname.startsWith("//")).toBe(false);
        expect(returnUrl(url, OWN, OK)).toBe(url);
      },
    ),
    { numRuns: 3000 },
  );
});
