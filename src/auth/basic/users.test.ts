import { expect, test } from "bun:test";
import fc from "fast-check";
import { HeaderBlock } from "../../http/header-block.ts";
import { basicChallenge, basicToken, readCredentials } from "./credentials.ts";
import { hashProblem, parseUsersFile } from "./users.ts";

const BCRYPT = "$2y$05$XTDprtpV4PaUkM.pdiJy8e2HDDyf3gibXyFH6bt3Mpbck49ROVaQy";

const HASHES: readonly (readonly [hash: string, problem: RegExp | null])[] = [
  [BCRYPT, null],
  [BCRYPT.replace("$2y$", "$2a$"), null],
  ["$argon2id$v=19$m=65536,t=2,p=1$6DUA+lnJVHwUf/xfNn9nxA$xaSKk6gzAle0dox0AnmKBOuSaG0oniZ2255S3mhrn+Y", null],
  ["$apr1$abc$def", /MD5/],
  ["{SHA}fEqNCco3Yq9h5ZUglD3CZJT4lBs=", /SHA-1/],
  ["$6$abc$def", /crypt/],
  ["secret", /no hash/],
  ["", /no hash/],
  [`${BCRYPT}x`, /no hash/],
];
for (const [hash, problem] of HASHES)
  test(`hash ${hash.slice(0, 12)}`, () => {
    if (problem === null) expect(hashProblem(hash)).toBeNull();
    else expect(hashProblem(hash)).toMatch(problem);
  });

test("hashes that the runtime makes are ones", async () => {
  for (const options of ["argon2id", "argon2i", { algorithm: "bcrypt", cost: 4 }] as const)
    expect(hashProblem(await Bun.password.hash("secret", options))).toBeNull();
});

const FILES: readonly (readonly [text: string, want: readonly string[] | RegExp])[] = [
  ["", []],
  [`ann:${BCRYPT}\r\n\n# bob:x\n  jörg:${BCRYPT}  \n`, ["ann", "jörg"]],
  [`ann:${BCRYPT}\nann:${BCRYPT}`, /line 2: this name stands here twice/],
  ["ann", /line 1: write name:hash/],
  [`\n:${BCRYPT}`, /line 2: a name must not be empty/],
  ["ann:plain", /line 1: this is no hash/],
];
for (const [text, want] of FILES)
  test(`file ${JSON.stringify(text.slice(0, 20))}`, () => {
    if (want instanceof RegExp) expect(() => parseUsersFile(text)).toThrow(want);
    else expect([...parseUsersFile(text).keys()]).toEqual([...want]);
  });

test("every name and password comes out as it went in, whatever else is never taken for one", () => {
  const text = fc.string({ unit: "grapheme", maxLength: 20 }).filter((one) => !/[\x00-\x1f\x7f]/.test(one));
  fc.assert(
    fc.property(text, text, (user, password) => {
      const token = Buffer.from(`${user}:${password}`).toString("base64");
      const isOne = user !== "" && !user.includes(":");
      const whole = Buffer.from(user).toString() === user && Buffer.from(password).toString() === password;
      if (isOne && whole) expect(readCredentials(token)).toEqual({ user, password });
    }),
  );
  fc.assert(
    fc.property(fc.string({ maxLength: 30 }), (token) => {
      const read = readCredentials(token);
      if (read !== null) expect(Buffer.from(`${read.user}:${read.password}`)).toEqual(Buffer.from(token, "base64"));
    }),
  );
});

test("the scheme stands alone", () => {
  const token = (value: string): string | null => basicToken(HeaderBlock.of([["authorization", value]]));
  expect([
    token("Basic  YTpi"),
    token("basic YTpi"),
    token("Basic"),
    token("Basically YTpi"),
    token("Bearer x"),
  ]).toEqual(["YTpi", "YTpi", null, null, null]);
});

test("a realm cannot end its quotes", () => {
  expect(basicChallenge('a"b\\c')).toBe('Basic realm="a\\"b\\\\c", charset="UTF-8"');
  expect(() => basicChallenge("a\r\nb")).toThrow(/ASCII/);
});
