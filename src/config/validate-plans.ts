// Plans: rates that can work, names that are there, and a place where counts outlive the process.
import { type ConfigPath, type Problem, problem, warning } from "./diagnostic.ts";
import { usageSettings } from "./plan-defaults.ts";
import type { Config, PolicyConfig } from "./schema.ts";
import { suggest } from "./suggest.ts";

/** Rates above this count microseconds, which clocks do not tell apart. */
const PER_SECOND_MAX = 1_000_000;
const SECOND_MS = 1000;

export function checkPlans(config: Config): Problem[] {
  return [...checkEach(config), ...checkNames(config), ...checkUsage(config)];
}

function checkEach({ plans }: Config): Problem[] {
  return Object.entries(plans).flatMap(([name, { rate, burst }]): Problem[] => {
    const path = ["plans", name];
    if (rate === undefined)
      return burst === undefined ? [] : [problem([...path, "burst"], "a `burst` needs a `rate`", undefined, "key")];
    return (rate.count / rate.perMs) * SECOND_MS > PER_SECOND_MAX
      ? [problem([...path, "rate"], "a rate is at most 1000000/s")]
      : [];
  });
}

/** Policies with where they stand. */
function policiesOf({ defaults, routes }: Config): [path: ConfigPath, policies: PolicyConfig][] {
  return [[["defaults"], defaults], ...routes.map((route, at): [ConfigPath, PolicyConfig] => [["routes", at], route])];
}

/** Plans of keys and consumers that no policy knows: their owners get the default of a route, or nothing. */
function checkNames(config: Config): Problem[] {
  const policies = policiesOf(config);
  const known = new Set(Object.keys(config.plans));
  for (const [, { quota }] of policies)
    if (typeof quota === "object") for (const name of Object.keys(quota.plans ?? {})) known.add(name);
  if (known.size === 0) return [];
  const check = (name: string | undefined, path: ConfigPath): Problem[] => {
    if (name === undefined || known.has(name)) return [];
    const near = suggest(name, [...known]);
    return [
      warning(
        path,
        `there is no plan named "${name}"`,
        near === null ? `there are ${[...known].join(", ")}` : `did you mean "${near}"?`,
      ),
    ];
  };
  return [
    ...Object.entries(config.consumers ?? {}).flatMap(([name, { plan }]) => check(plan, ["consumers", name, "plan"])),
    ...policies.flatMap(([path, { auth }]) =>
      auth === undefined || auth === false
        ? []
        : [auth]
            .flat()
            .flatMap(({ apiKey }, at) =>
              (apiKey?.keys ?? []).flatMap(({ plan }, index) =>
                check(plan, [...path, "auth", ...(Array.isArray(auth) ? [at] : []), "apiKey", "keys", index, "plan"]),
              ),
            ),
    ),
  ];
}

function checkUsage(config: Config): Problem[] {
  const settings = usageSettings(config);
  if (settings === null) return [];
  const urls = settings.webhooks.map(({ url }) => url);
  const twice = urls.findIndex((url, at) => urls.indexOf(url) !== at);
  const problems =
    twice < 0 ? [] : [problem(["usage", "webhooks", twice, "url"], "there is another webhook with this address")];
  if (config.storage !== undefined || settings.path !== undefined) return problems;
  return [
    ...problems,
    warning(
      config.usage !== undefined ? ["usage"] : Object.keys(config.plans).length > 0 ? ["plans"] : [],
      "what was used is forgotten when the process ends",
      "give `storage`, a folder where it is kept",
      "key",
    ),
  ];
}
