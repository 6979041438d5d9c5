import { expect, test } from "bun:test";
import type { ConfigPath } from "./diagnostic.ts";
import { configJsonSchema, descriptionAt, type JsonSchema, schemasAt } from "./json-schema.ts";
import { checkConfig } from "./load.ts";

const CASES: readonly (readonly [path: ConfigPath, key: keyof JsonSchema, want: readonly unknown[]])[] = [
  [["listeners", 0, "timeouts", "idle"], "default", ["75s"]],
  [["listeners", 0, "timeouts", "tunnel"], "default", ["1h"]],
  [["listeners", 0, "limits", "headers"], "default", ["32KB"]],
  [["listeners", 0, "limits", "bodyRate"], "default", ["256B/s"]],
  [["routes", 3, "limits", "body"], "title", ["size"]],
  [["routes", 3, "rewrite", "regex", 1], "type", ["string"]],
  [["upstreams", "any", "servers", 0], "type", ["string", "object"]],
  [["workers"], "type", ["string", "integer"]],
  [["nothing"], "type", []],
  [["listeners", "x"], "type", []],
];
for (const [path, key, want] of CASES) {
  test(`${key} of ${path.join(".")}`, () => {
    const found: unknown[] = schemasAt(path).map((node) => node[key]);
    expect<unknown>(found.filter((value) => value !== undefined)).toEqual([...want]);
  });
}

test("every key of the configuration has a description", () => {
  const without: string[] = [];
  const visit = (node: JsonSchema, name: string): void => {
    for (const [key, inner] of Object.entries(node.properties ?? {})) {
      if (inner.description === undefined) without.push(`${name}.${key}`);
      visit(inner, `${name}.${key}`);
    }
    for (const inner of [
      ...(node.anyOf ?? []),
      ...(node.items ? [node.items] : []),
      ...(node.additionalProperties ? [node.additionalProperties] : []),
    ])
      visit(inner, name);
  };
  visit(configJsonSchema(), "");
  expect(without).toEqual([]);
});

test("the defaults that it shows mean the defaults that apply", () => {
  const shown: Record<string, unknown> = {};
  for (const [key, node] of Object.entries(schemasAt(["listeners", 0, "timeouts"])[0]?.properties ?? {}))
    shown[key] = node.default;
  const of = (listener: object) =>
    checkConfig({ listeners: [listener], routes: [{ respond: {} }] }, { environment: {} }).config.listeners[0]
      ?.timeouts;
  expect(of({ address: ":0", timeouts: shown })).toEqual(of({ address: ":0" }));
});

test("descriptions are found by path", () => {
  expect(descriptionAt(["listeners", 0, "address"])).toContain("Where to listen");
  expect(descriptionAt(["listeners", 0])).toBeNull();
  expect(descriptionAt(["nothing"])).toBeNull();
});
