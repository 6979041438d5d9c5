import { expect, test } from "bun:test";
import fc from "fast-check";
import { IDENTITY_HEADERS } from "../config/defaults.ts";
import { exchangeOf } from "./exchange.fixture.ts";
import { IdentityFields } from "./identity-fields.ts";

const NAMES = [...IDENTITY_HEADERS, "x-tenant", "X_Odd.name"];
const fields = new IdentityFields(NAMES);

function left(names: readonly string[]): string[] {
  const x = exchangeOf({ headers: names.map((name) => [name, "1"] as const) });
  fields.strip(x.request.headers);
  return x.request.headers.entries().map(([name]) => name);
}

/** As CGI and its heirs make a variable of a name. */
const asVariable = (name: string): string => name.toUpperCase().replace(/[^A-Z0-9]/g, "_");
const TAKEN = NAMES.filter((name) => !name.endsWith("*")).map(asVariable);
const BEGINNINGS = NAMES.filter((name) => name.endsWith("*")).map((name) => asVariable(name.slice(0, -1)));
const isTaken = (name: string): boolean =>
  TAKEN.includes(asVariable(name)) || BEGINNINGS.some((start) => asVariable(name).startsWith(start));

/** A name in another spelling. */
const spelled = (name: string): fc.Arbitrary<string> =>
  fc
    .array(fc.tuple(fc.boolean(), fc.constantFrom(..."-_.!~*'")), { minLength: name.length, maxLength: name.length })
    .map((choices) =>
      [...name.replace("*", "Anything")]
        .map((char, at) => {
          const [upper, separator] = choices[at] ?? [false, "-"];
          return /[a-z0-9]/i.test(char) ? (upper ? char.toUpperCase() : char.toLowerCase()) : separator;
        })
        .join(""),
    );

test("no spelling that a server could take for the same comes through", () => {
  fc.assert(
    fc.property(fc.constantFrom(...NAMES).chain(spelled), (name) => {
      expect(left(["accept", name, "x-fine", name])).toEqual(["accept", "x-fine"]);
    }),
  );
});

test("every other field does", () => {
  fc.assert(
    fc.property(fc.array(fc.stringMatching(/^[A-Za-z0-9._-]{1,140}$/), { maxLength: 30 }), (names) => {
      expect(left(names)).toEqual(names.filter((name) => !isTaken(name)));
    }),
  );
});

const KEPT = [
  "x-forwarded-for",
  "x-forwarded-users",
  "x-auth-request",
  "remote",
  "x-tenan",
  "x-tenant2",
  "-".repeat(200),
];
test("names that are nearly the same stay", () => expect(left(KEPT)).toEqual(KEPT));

test("names that are longer than any that are told apart", () => {
  const long = `x-${"a".repeat(300)}`;
  const x = exchangeOf({
    headers: [
      [long.toUpperCase(), "1"],
      [`${long}b`, "2"],
    ],
  });
  new IdentityFields([long]).strip(x.request.headers);
  expect(x.request.headers.entries()).toEqual([[`${long}b`, "2"]]);
});
