import { describe, expect, test } from "bun:test";
import { Redactor, StreamRedactor } from "./redact.ts";
import { findSensitive, KINDS } from "./sensitive.ts";

const ALL = new Set(KINDS);
const JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U";
const PEM = "-----BEGIN RSA PRIVATE KEY-----\nabc\n-----END RSA PRIVATE KEY-----";

const CASES: readonly (readonly [text: string, want: readonly string[]])[] = [
  [
    "mail ann@example.com, or bob.b+x@mail.example.co.uk.",
    ["email ann@example.com", "email bob.b+x@mail.example.co.uk"],
  ],
  ["no: @example.com, a@b, a@b., a@.de, @", []],
  ["call +49 171 1234567 now", ["phone +49 171 1234567"]],
  [
    "(555) 123-4567, 555-123-4567, 1 555 123 4567",
    ["phone (555) 123-4567", "phone 555-123-4567", "phone 1 555 123 4567"],
  ],
  ["089/1234567, +1.555.123.4567", ["phone 089/1234567", "phone +1.555.123.4567"]],
  ["on 2024-01-15 at 192.168.10.12 for 1,234,567.89 and 10 20 30 40 50 60", []],
  ["4111 1111 1111 1111 12/26 123", ["card 4111 1111 1111 1111"]],
  ["4111111111111111 or 5500-0000-0000-0004", ["card 4111111111111111", "card 5500-0000-0000-0004"]],
  ["3782 822463 10005", ["card 3782 822463 10005"]],
  ["4111111111111112, 4444444444444444, 1700000000000, 41111111111111111111111", []],
  ["x4111111111111111 and 4111111111111111x", []],
  ["DE89 3704 0044 0532 0130 00 please", ["iban DE89 3704 0044 0532 0130 00"]],
  [
    "GB29NWBK60161331926819, gb29 nwbk 6016 1331 9268 19.",
    ["iban GB29NWBK60161331926819", "iban gb29 nwbk 6016 1331 9268 19"],
  ],
  ["DE88370400440532013000 and ZZ89370400440532013000", []],
  ["AKIAIOSFODNN7EXAMPLE", ["secret AKIAIOSFODNN7EXAMPLE"]],
  [`token ${JWT}.`, [`secret ${JWT}`]],
  [`a ${PEM} b`, [`secret ${PEM}`]],
  ["-----BEGIN PUBLIC KEY-----\nabc\n-----END PUBLIC KEY-----", []],
  ["-----BEGIN PRIVATE KEY-----\nabc", ["secret -----BEGIN PRIVATE KEY-----\nabc"]],
  [
    '{"a":"\\nann@example.com\\n4111 1111 1111 1111","b":"\\u00e4DE89370400440532013000\\tAKIAIOSFODNN7EXAMPLE"}',
    ["email ann@example.com", "card 4111 1111 1111 1111", "iban DE89370400440532013000", "secret AKIAIOSFODNN7EXAMPLE"],
  ],
  ["sk-short, skeleton, eyJ, eyJa.b.c, ghp_short", []],
];

describe("what is found", () => {
  for (const [text, want] of CASES)
    test(text.slice(0, 40), () =>
      expect(findSensitive(text, ALL).map(({ from, to, label }) => `${label} ${text.slice(from, to)}`)).toEqual([
        ...want,
      ]),
    );
});

test("only what is asked for", () => {
  const text = "ann@example.com 4111 1111 1111 1111 +49 171 1234567";
  for (const kind of KINDS) for (const { label } of findSensitive(text, new Set([kind]))) expect(label).toBe(kind);
});

test("in time that grows with the text alone", () => {
  const texts = [
    "1 2 3 4 ",
    "a@",
    "eyJ",
    "eyJ-",
    "_eyJ",
    "DE89",
    "-----BEGIN ",
    "-----BEGIN PRIVATE KEY ",
    "sk-",
    "+1 ",
    "012 ",
    "4111 ",
  ];
  const start = performance.now();
  for (const text of texts) findSensitive(text.repeat(300_000 / text.length), ALL);
  expect(performance.now() - start).toBeLessThan(3000); // were it the square, this would be hours
});

test("a token that is longer than what is held back does not get through in pieces", () => {
  const long = `${JWT.split(".", 1)[0]}.${"eyJhIjoxf".repeat(200)}.dozjgNryP4J3jVmNHl0w`;
  const stream = new StreamRedactor(new Redactor(KINDS, []), () => {});
  let got = "";
  for (let at = 0; at < long.length; at += 7) got += stream.push(long.slice(at, at + 7));
  got += stream.push(" and on ");
  expect(got + stream.end()).toBe("[secret] and on ");
});
