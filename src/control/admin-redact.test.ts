import { expect, test } from "bun:test";
import { redact } from "./admin-redact.ts";

const HIDDEN = "[redacted]";
const CASES: readonly (readonly [name: string, value: unknown, want: unknown])[] = [
  [
    "names",
    {
      token: "a",
      clientSecret: "b",
      "x-api-key": "c",
      DB_PASSWORD: "d",
      apikey: "e",
      Authorization: "f",
      passphrase: 7,
    },
    {
      token: HIDDEN,
      clientSecret: HIDDEN,
      "x-api-key": HIDDEN,
      DB_PASSWORD: HIDDEN,
      apikey: HIDDEN,
      Authorization: HIDDEN,
      passphrase: HIDDEN,
    },
  ],
  [
    "everything below such a name",
    { tokens: [{ name: "x", on: true, none: null }, "y"] },
    { tokens: [{ name: HIDDEN, on: true, none: null }, HIDDEN] },
  ],
  [
    "names that only look like it",
    { keycloak: "a", tokenizer: "b", keepAlive: 1, address: ":8080" },
    { keycloak: "a", tokenizer: "b", keepAlive: 1, address: ":8080" },
  ],
  [
    "hashes of secrets",
    { ann: "$argon2id$v=19$x", bob: "$2b$10$x", robot: "sha256:00", price: "$2" },
    { ann: HIDDEN, bob: HIDDEN, robot: HIDDEN, price: "$2" },
  ],
  [
    "passwords in URLs",
    ["redis://:pw@h:1/0", "http://u:p@h/a@b", "http://h/a@b", "see http://u:p@h"],
    ["redis://[redacted]@h:1/0", "http://[redacted]@h/a@b", "http://h/a@b", "see http://[redacted]@h"],
  ],
  ["plugins", { use: [{ name: "stamp", request() {} }, () => 1] }, { use: [{ name: "stamp" }, null] }],
  [
    "a key that would be a prototype",
    JSON.parse('{"__proto__":{"token":"x"}}'),
    JSON.parse('{"__proto__":{"token":"[redacted]"}}'),
  ],
];
for (const [name, value, want] of CASES)
  test(name, () => expect(JSON.stringify(redact(value))).toBe(JSON.stringify(want)));
