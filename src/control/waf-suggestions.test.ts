import { expect, test } from "bun:test";
import { type RuleUse, suggestionsOf, suggestionsText } from "./waf-suggestions.ts";

const use = (rule: number, variable: string, ip = "192.0.2.1", route = "shop"): RuleUse => {
  return { route, rule, message: "found", variable, value: "a\nb", ip };
};

test("what was used most comes first, by rule, variable and route; what only adds up is left out", () => {
  const uses = [
    use(942100, "ARGS:q"),
    use(941100, "REQUEST_COOKIES:a"),
    use(941100, "REQUEST_COOKIES:a", "192.0.2.2"),
    use(941100, "REQUEST_COOKIES:a", "192.0.2.2", "api"),
    ...[949110, 959100, 980130, 990900].map((rule) => use(rule, "TX:score")),
  ];
  const found = suggestionsOf(uses).map(({ route, rule, count, clients }) => [route, rule, count, clients]);
  expect(found).toEqual([
    ["shop", 941100, 2, 2],
    ["api", 941100, 1, 1],
    ["shop", 942100, 1, 1],
  ]);
});

test("lines for the configuration", () => {
  const line = (variable: string): string => suggestionsOf([use(1, variable)])[0]!.line;
  expect(line("ARGS:q")).toBe('- { rule: 1, target: "ARGS:q" }');
  expect(line("ARGS:json.items.array_0.text")).toBe('- { rule: 1, target: "ARGS:json.items.array_0.text" }');
  // Names that no directive can hold are for people to decide about; so are values that have no name.
  for (const variable of ["ARGS:a b", 'ARGS:"', "ARGS:a|b", "REQUEST_URI", ""]) expect(line(variable)).toBe("- 1");
});

test("as people read it", () => {
  expect(suggestionsText([])).toContain("nothing");
  expect(suggestionsText(suggestionsOf([use(1, "ARGS:q"), use(2, "ARGS:q", "::1", "api")]))).toBe(
    `# route shop: keep the lines of what honest clients send
exclude:
  - { rule: 1, target: "ARGS:q" }  # 1 request of 1 client: found, in ARGS:q "a\\nb"

# route api: keep the lines of what honest clients send
exclude:
  - { rule: 2, target: "ARGS:q" }  # 1 request of 1 client: found, in ARGS:q "a\\nb"`,
  );
});
