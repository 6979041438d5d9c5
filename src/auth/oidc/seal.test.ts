import { expect, test } from "bun:test";
import { tryLaw } from "../../core/fuzz.testing.ts";
import { sealedTexts } from "./seal.fuzz.ts";
import { Keyring } from "./seal.ts";

const [NEW, OLD] = ["n".repeat(32), "o".repeat(32)];
const keyring = new Keyring([NEW, OLD]);
const plain = Buffer.from("a session");

test("what was sealed opens, also under the secret of before", () => {
  const text = keyring.seal("session", "x", plain);
  const old = new Keyring([OLD]).seal("session", "x", plain);
  expect([keyring.open("session", "x", text), keyring.open("session", "x", old)]).toEqual([plain, plain]);
  expect([keyring.isOld(text), keyring.isOld(old)]).toEqual([false, true]);
});

test("for another purpose, about something else, or with another secret nothing opens", () => {
  const text = keyring.seal("session", "x", plain);
  expect(keyring.open("flow", "x", text)).toBeNull();
  expect(keyring.open("session", "y", text)).toBeNull();
  expect(new Keyring(["z".repeat(32)]).open("session", "x", text)).toBeNull();
});

test("the same text never comes twice", () => {
  expect(keyring.seal("session", "x", plain)).not.toBe(keyring.seal("session", "x", plain));
});

test("no other text opens", () => void tryLaw("seal", sealedTexts, 1, 2000));
