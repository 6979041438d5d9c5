// What a container's labels ask for. Whoever may start a container writes them, so they are taken word by word:
// placeholders are not filled in, and regular expressions, which could hold up every request, are not accepted.

import { PROVIDED_NAME } from "../config/fragment.ts";
import { checkMatch } from "../config/match-checks.ts";
import { suggest } from "../config/suggest.ts";
import { normalizePath } from "../http/path.ts";

const PREFIX = "sluice.";
const LABELS_MAX = 256;
const VALUE_LENGTH_MAX = 1024;
const HOSTS_MAX = 64;
const WEIGHT_MAX = 1000; // as in the schema of servers
const PRIORITY_MAX = 1_000_000;

const ROUTE_KEYS = ["host", "path", "stripPrefix", "priority"] as const;
const OTHER_KEYS = ["enable", "upstream", "port", "weight", "network", "health.path"] as const;

type RouteKey = (typeof ROUTE_KEYS)[number];

export interface LabelRoute {
  /** NAME of `sluice.routes.NAME.…`; "" for the route of `sluice.host` and `sluice.path`. */
  readonly name: string;
  readonly hosts: readonly string[];
  readonly path: string | null;
  readonly stripPrefix: string | null;
  readonly priority: number;
}

/** What labels say; null for what they do not say. */
export interface Wishes {
  readonly upstream: string | null;
  readonly port: number | null;
  readonly weight: number;
  readonly network: string | null;
  readonly healthPath: string | null;
  readonly routes: readonly LabelRoute[];
}

/** Something wrong with a label, or with the container as a whole (`label` null). */
export interface LabelFault {
  readonly severity: "error" | "warning";
  readonly label: string | null;
  readonly message: string;
  readonly hint?: string;
}

/** Reads the `sluice.*` labels. With an error among `faults` the container cannot be served. */
export function readLabels(labels: Readonly<Record<string, string>>, faults: LabelFault[]): Wishes {
  const reader = new LabelReader(faults);
  const own = Object.entries(labels).filter(([label]) => label.startsWith(PREFIX));
  if (own.length > LABELS_MAX)
    reader.fail(null, `it has ${own.length} labels for sluice, and ${LABELS_MAX} is the most`);
  for (const [label, value] of own.slice(0, LABELS_MAX)) reader.read(label, value);
  return reader.wishes();
}

class LabelReader {
  readonly #faults: LabelFault[];
  readonly #values = new Map<string, string>();
  /** Labels by the names of their routes. */
  readonly #routes = new Map<string, Map<RouteKey, string>>();

  constructor(faults: LabelFault[]) {
    this.#faults = faults;
  }

  fail(label: string | null, message: string, hint?: string): void {
    if (this.#faults.some((one) => one.label === label && one.message === message)) return; // shared by several routes
    this.#faults.push({ severity: "error", label, message, ...(hint === undefined ? {} : { hint }) });
  }

  read(label: string, value: string): void {
    const key = label.slice(PREFIX.length);
    if (value.length > VALUE_LENGTH_MAX || /[\x00-\x1f\x7f]/.test(value))
      return this.fail(label, "the value is too long, or holds control characters");
    const [, name, routeKey] = /^routes\.([^.]+)\.(.+)$/.exec(key) ?? ["", "", key];
    if (isRouteKey(routeKey!)) {
      if (name !== "" && !PROVIDED_NAME.test(name!)) return this.fail(label, `"${name}" is not a name for a route`);
      const route = this.#routes.get(name!) ?? new Map<RouteKey, string>();
      this.#routes.set(name!, route.set(routeKey, value.trim()));
    } else if ((OTHER_KEYS as readonly string[]).includes(key)) this.#values.set(key, value.trim());
    else this.#unknown(label, name === "" ? null : name!, routeKey!);
  }

  #unknown(label: string, route: string | null, key: string): void {
    const known = route === null ? [...OTHER_KEYS, ...ROUTE_KEYS] : ROUTE_KEYS;
    const near = suggest(key, known);
    const before = route === null ? PREFIX : `${PREFIX}routes.${route}.`;
    const hint =
      near === null ? `known ones: ${known.map((one) => before + one).join(", ")}` : `did you mean "${before}${near}"?`;
    this.#faults.push({ severity: "warning", label, message: "unknown label", hint });
  }

  wishes(): Wishes {
    const priority = this.#routes.get("")?.get("priority");
    return {
      upstream: this.#name("upstream"),
      port: this.#number("port", this.#values.get("port"), 1, 65_535),
      weight: this.#number("weight", this.#values.get("weight"), 0, WEIGHT_MAX) ?? 1,
      network: this.#values.get("network") ?? null,
      healthPath: this.#path("health.path", this.#values.get("health.path")),
      routes: [...this.#routes].flatMap(([name, values]) => this.#route(name, values, priority) ?? []),
    };
  }

  #name(key: string): string | null {
    const value = this.#values.get(key);
    if (value === undefined || PROVIDED_NAME.test(value)) return value ?? null;
    this.fail(PREFIX + key, `"${value}" is not a name`, "names are made of letters, digits, _, . and -");
    return null;
  }

  #number(key: string, value: string | undefined, min: number, max: number): number | null {
    if (value === undefined) return null;
    const number = /^-?\d{1,9}$/.test(value) ? Number(value) : Number.NaN;
    if (number >= min && number <= max) return number;
    this.fail(PREFIX + key, `"${value}" is not a whole number from ${min} to ${max}`);
    return null;
  }

  /** A path without anything that could change the request line. */
  #path(key: string, value: string | undefined): string | null {
    if (value === undefined || /^\/[!"$-~]*$/.test(value)) return value ?? null;
    this.fail(PREFIX + key, `"${value}" is not a path`, "a path starts with / and has neither spaces nor #");
    return null;
  }

  #route(name: string, values: ReadonlyMap<RouteKey, string>, otherwise: string | undefined): LabelRoute | null {
    const before = name === "" ? "" : `routes.${name}.`;
    const hosts = (values.get("host")?.split(",") ?? []).map((host) => host.trim()).filter((host) => host !== "");
    const path = values.get("path") ?? null;
    const stripPrefix = values.get("stripPrefix") ?? null;
    const priority = this.#number(
      values.has("priority") ? `${before}priority` : "priority",
      values.get("priority") ?? otherwise,
      -PRIORITY_MAX,
      PRIORITY_MAX,
    );
    if (hosts.length > HOSTS_MAX)
      this.fail(`${PREFIX}${before}host`, `there are ${hosts.length} hosts here, and ${HOSTS_MAX} is the most`);
    else if (hosts.length === 0 && values.has("host")) this.fail(`${PREFIX}${before}host`, "the value is empty");
    for (const { message, hint } of hosts.length > HOSTS_MAX ? [] : checkMatch({ host: [...hosts] }, []))
      this.fail(`${PREFIX}${before}host`, message, hint);
    if (path?.startsWith("~") === true)
      this.fail(`${PREFIX}${before}path`, "labels may not hold regular expressions", "write it in a file");
    else if (path !== null)
      for (const { message, hint } of checkMatch({ path }, [])) this.fail(`${PREFIX}${before}path`, message, hint);
    if (stripPrefix !== null && normalizePath(stripPrefix) === null)
      this.fail(`${PREFIX}${before}stripPrefix`, `"${stripPrefix}" is not a path prefix`, "write it like /api");
    if (hosts.length > 0 || path !== null) return { name, hosts, path, stripPrefix, priority: priority ?? 0 };
    // `sluice.priority` alone is for the named routes.
    if (name !== "" || stripPrefix !== null)
      this.fail(PREFIX + (name === "" ? "stripPrefix" : `routes.${name}`), "a route needs a host or a path");
    return null;
  }
}

function isRouteKey(key: string): key is RouteKey {
  return (ROUTE_KEYS as readonly string[]).includes(key);
}
