// biome-ignore-all lint/suspicious/noTemplateCurlyInString: placeholders of the configuration
import { expect, test } from "bun:test";
import { ConfigError, type Diagnostic, renderDiagnostic } from "./diagnostic.ts";
import { checkConfig } from "./load.ts";

const LISTENERS = [{ address: ":8080" }];
const OK = { to: "http://127.0.0.1:3001" };

/** `severity path: message` and the hint of each diagnostic, as `check` would show them without a file. */
function check(input: unknown): readonly Diagnostic[] {
  try {
    return checkConfig(input, { environment: {} }).diagnostics;
  } catch (error) {
    if (error instanceof ConfigError) return error.diagnostics;
    throw error;
  }
}

const route = (one: object): object => ({ listeners: LISTENERS, upstreams: APP, routes: [one] });
const APP = { app: { servers: ["127.0.0.1:3001"] } };
const top = (keys: object): object => ({ listeners: LISTENERS, routes: [OK], ...keys });

/** Configurations, and what must be said about each: one text for each diagnostic. */
const CASES: readonly (readonly [name: string, input: unknown, want: readonly string[]])[] = [
  [
    "nothing",
    undefined,
    ["configuration: error: the configuration is missing\n  hint: it must be a mapping of keys to values"],
  ],
  ["a list", [], ["configuration: error: the configuration must be a mapping of keys to values, not a list"]],
  [
    "an unknown key that is near",
    top({ upstream: {} }),
    ['upstream: error: unknown key "upstream"\n  hint: did you mean "upstreams"?'],
  ],
  [
    "an unknown key in a small object",
    top({ shutdown: { foo: 1 } }),
    ['shutdown.foo: error: unknown key "foo" in shutdown\n  hint: the keys here are drain'],
  ],
  [
    "a missing key",
    { listeners: [{}], routes: [OK] },
    [
      "listeners[0].address: error: address is missing\n  hint: Where to listen: `host:port`, `:port` (every address), `[::1]:port` or `unix:/path.sock`.",
    ],
  ],
  [
    "a port as a number",
    { listeners: [{ address: 80 }], routes: [OK] },
    ['listeners[0].address: error: address must be a text, not the number 80\n  hint: write ":80"'],
  ],
  [
    "a duration without unit",
    top({ shutdown: { drain: 5 } }),
    ["shutdown.drain: error: drain must be a duration, not the number 5\n  hint: write it with a unit, such as 5s"],
  ],
  [
    "a duration with a wrong unit",
    top({ shutdown: { drain: "5 sec" } }),
    ['shutdown.drain: error: drain: "5 sec" is not a duration: write it like 250ms, 5s, 1m, 2h or 30d'],
  ],
  [
    "a size without unit inside `false | object`",
    route({ ...OK, limits: { body: 5 } }),
    ["routes[0].limits.body: error: body must be a size, not the number 5\n  hint: write it with a unit, such as 64KB"],
  ],
  [
    "an unknown key inside `false | object`",
    route({ ...OK, limits: { bdy: "5MB" } }),
    ['routes[0].limits.bdy: error: unknown key "bdy" in limits\n  hint: did you mean "body"?'],
  ],
  [
    "true where false or an object stands",
    route({ ...OK, redirect: true }),
    ["routes[0].redirect: error: redirect must be false or a mapping of keys to values, not true"],
  ],
  [
    "a number where a text or a list stands",
    route({ ...OK, match: { path: 5 } }),
    ['routes[0].match.path: error: path must be a text or a list, not the number 5\n  hint: write it in quotes: "5"'],
  ],
  [
    "the key of a switch in place of its mapping",
    { listeners: [{ address: ":1", tls: "internal" }] },
    [
      'listeners[0].tls: error: tls must be a mapping of keys to values, not the text "internal"\n  hint: write { internal: true }',
    ],
  ],
  [
    "a version as a number",
    { listeners: [{ address: ":1", tls: { minVersion: 1.3 } }] },
    [
      'listeners[0].tls.minVersion: error: minVersion must be 1.2 or 1.3, not the number 1.3\n  hint: write it in quotes: "1.3"',
    ],
  ],
  [
    "a number in a list of texts",
    route({ ...OK, match: { path: ["/a", 5] } }),
    ['routes[0].match.path[1]: error: path[1] must be a text, not the number 5\n  hint: write it in quotes: "5"'],
  ],
  [
    "a weight that is missing",
    route({ to: [{ upstream: "app" }] }),
    [
      "routes[0].to[0].weight: error: weight is missing\n  hint: Share of the requests compared with the others; 0 sends none.",
    ],
  ],
  [
    "a misspelt key in a weighted list",
    route({ to: [{ upstream: "app", wieght: 1, weight: 1 }] }),
    ['routes[0].to[0].wieght: error: unknown key "wieght" in to[0]\n  hint: did you mean "weight"?'],
  ],
  [
    "a number in `to`",
    route({ to: [5] }),
    [
      'routes[0].to[0]: error: to[0] must be a text or a mapping of keys to values, not the number 5\n  hint: write it in quotes: "5"',
    ],
  ],
  ["an empty list", route({ to: [] }), ["routes[0].to: error: to must not be empty"]],
  [
    "a status that is not one of some",
    route({ redirect: { to: "/", status: 300 } }),
    ["routes[0].redirect.status: error: status must be 301, 302, 303, 307 or 308, not the number 300"],
  ],
  [
    "a word that is near",
    top({ log: { level: "wran" } }),
    ['log.level: error: level must be debug, info, warn or error, not the text "wran"\n  hint: did you mean "warn"?'],
  ],
  [
    "a truth value as a text",
    { listeners: [{ address: ":1", halfClose: "yes" }], routes: [OK] },
    [
      'listeners[0].halfClose: error: halfClose must be true or false, not the text "yes"\n  hint: write true without quotes',
    ],
  ],
  [
    "a number as a text",
    top({ workers: "5" }),
    ['workers: error: workers must be auto or a number, not the text "5"\n  hint: write 5 without quotes'],
  ],
  ["a number that is too small", top({ workers: 0 }), ["workers: error: workers must be at least 1, not the number 0"]],
  [
    "a number that is too large",
    top({ workers: 1000 }),
    ["workers: error: workers must be at most 256, not the number 1000"],
  ],
  [
    "a list that is too short",
    route({ ...OK, rewrite: { regex: ["a"] } }),
    ["routes[0].rewrite.regex: error: regex must have at least 2 items, not 1"],
  ],
  [
    "a list that is too long",
    route({ ...OK, rewrite: { regex: ["a", "b", "c"] } }),
    ["routes[0].rewrite.regex: error: regex must have at most 2 items, not 3"],
  ],
  [
    "no value",
    route({ ...OK, match: null }),
    ["routes[0].match: error: match has no value: it must be a mapping of keys to values"],
  ],
  ["an empty token", top({ admin: { token: "" } }), ["admin.token: error: token must not be empty"]],
  [
    "a plugin that is none",
    route({ ...OK, use: ["gzip"] }),
    ["routes[0].use[0]: error: use[0]: a plugin made with definePlugin() was expected (TypeScript configuration only)"],
  ],
];
for (const [name, input, want] of CASES) {
  test(name, () => expect(check(input).map(renderDiagnostic)).toEqual([...want]));
}

test("placeholders are filled in for objects too, and messages do not show what with", () => {
  const [first] = (() => {
    try {
      return checkConfig(top({ shutdown: { drain: "${SECRET}" } }), { environment: { SECRET: "hunter22" } })
        .diagnostics;
    } catch (error) {
      return (error as ConfigError).diagnostics;
    }
  })();
  expect(first?.message).toBe('drain: "${SECRET}" is not a duration: write it like 250ms, 5s, 1m, 2h or 30d');
});

test("defaults and units are filled in", () => {
  const { config } = checkConfig(top({}), { environment: {} });
  expect(config.listeners[0]?.timeouts.idle as number).toBe(75_000);
  expect(config.listeners[0]?.limits.headers as number).toBe(32 * 1024);
  expect(config.admin).toEqual({ address: "127.0.0.1:9901" });
});
