import { expect, test } from "bun:test";
import fc from "fast-check";
import { Cookies } from "./cookies.ts";

const cookies = new Cookies({ name: "sluice", tag: "0123abcd", domain: null });

/** A browser's jar: what Set-Cookie lines make of it. */
function store(jar: Map<string, string>, lines: readonly string[]): void {
  for (const line of lines) {
    const [pair = "", ...attributes] = line.split("; ");
    const equals = pair.indexOf("=");
    if (attributes.includes("Max-Age=0")) jar.delete(pair.slice(0, equals));
    else jar.set(pair.slice(0, equals), pair.slice(equals + 1));
  }
}
const fieldOf = (jar: ReadonlyMap<string, string>): string =>
  [...jar].map(([name, value]) => `${name}=${value}`).join("; ");

test("what is written is read, whatever was there before; no cookie is longer than browsers take", () => {
  const text = fc
    .integer({ min: 1, max: 22_000 })
    .map((length) => "abcdefghij-_".repeat(length / 12 + 1).slice(0, length));
  fc.assert(
    fc.property(
      fc.array(text, { minLength: 1, maxLength: 4 }),
      fc.integer({ min: 1, max: 34_560_000 }),
      (texts, ageS) => {
        const jar = new Map([["theme", "dark"]]);
        for (const each of texts) {
          const lines = cookies.write(each, ageS, fieldOf(jar))!;
          for (const line of lines) expect(line.length).toBeLessThanOrEqual(4000);
          store(jar, lines);
          expect(cookies.read(fieldOf(jar))).toBe(each);
          expect(jar.size).toBe(1 + lines.filter((line) => !line.includes("Max-Age=0")).length);
        }
        store(jar, cookies.clear(fieldOf(jar)));
        expect([...jar.keys()]).toEqual(["theme"]);
      },
    ),
    { numRuns: 200 },
  );
});

test("what does not fit is told", () => expect(cookies.write("x".repeat(30_000), 60, "")).toBeNull());

const READ: readonly (readonly [name: string, value: string, want: string | null])[] = [
  ["empty", "", null],
  ["no text", "1", null],
  ["no count", "xabc", null],
  ["zero", "0abc", null],
  ["more pieces than there can be", "9abc", null],
  ["one", "1abc", "abc"],
  ["a piece is missing", "2abc", null],
];
for (const [name, value, want] of READ)
  test(`reads ${name}`, () => expect(cookies.read(`${cookies.session}=${value}`)).toBe(want));

test("names are safe prefixes, and the cookies of a domain say so", () => {
  const shared = new Cookies({ name: "sluice", tag: "0123abcd", domain: "example.com" });
  expect(cookies.session).toStartWith("__Host-");
  expect(cookies.write("x", 60, "")![0]).toBe(
    `${cookies.session}=1x; Max-Age=60; Path=/; Secure; HttpOnly; SameSite=Lax`,
  );
  expect(shared.session).toStartWith("__Secure-");
  expect(shared.write("x", 60, "")![0]).toContain("; Path=/; Domain=example.com; Secure");
});

test("of logins under way the newest five stay", () => {
  const jar = new Map<string, string>();
  for (let i = 0; i < 9; i += 1) store(jar, cookies.writeFlow(`hash${i}`, 1000 + i, "text", 600, fieldOf(jar), 5));
  expect([...jar.keys()]).toEqual([4, 5, 6, 7, 8].map((i) => cookies.flowName(`hash${i}`)));
  expect(cookies.readFlow("hash7", fieldOf(jar))).toBe("text");
  expect([...jar.keys()].every((name) => cookies.owns(name) && cookies.mayBeIn(fieldOf(jar)))).toBe(true);
});
