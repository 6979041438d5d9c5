// A bounded run of the fuzz law of this folder, with the same seeds each time.
import { expect, test } from "bun:test";
import { tryLaw } from "../../core/fuzz.testing.ts";
import { graphqlLaw } from "./graphql.fuzz.ts";

const ROUNDS = 500;

test("fuzz: graphql", () => {
  expect(tryLaw("graphql", graphqlLaw, 1, ROUNDS)).toBe(ROUNDS);
});
