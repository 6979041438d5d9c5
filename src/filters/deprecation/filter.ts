// `deprecation`: clients are told that what they use is to end (RFC 9745, RFC 8594), and, if so wanted, that it has.
// And what caches are to know of versions: by which fields answers differ.
import { within } from "../../config/compile-error.ts";
import type { DeprecationConfig } from "../../config/schema-version.ts";
import { type Fault, fault } from "../../core/faults.ts";
import type { HeaderBlock } from "../../http/header-block.ts";
import { varyBy } from "../../http/vary.ts";
import type { Exchange, Filter } from "../../pipeline/exchange.ts";
import type { Shared } from "../../pipeline/shared.ts";
import { compileTemplate, type Template } from "../../pipeline/template.ts";
import type { FilterDefinition } from "../definition.ts";

export const deprecation: FilterDefinition = {
  key: "deprecation",
  compile({ deprecation: config }, { route, params, shared, versionFields }) {
    const filters: Filter[] = [];
    if (versionFields.length > 0) filters.push(Object.freeze(variesBy(versionFields)));
    if (config === undefined) return filters;
    const notice = new Notice(config, route, params, shared);
    const filter: Filter = {
      name: "deprecation",
      request: (x) => notice.request(x),
      response(x) {
        notice.tell(x, x.response.headers);
      },
    };
    return [...filters, Object.freeze(filter)];
  },
};

/** Links of a configuration, and their relations (RFC 8288). */
const RELATIONS = [
  ["link", "deprecation"],
  ["sunsetLink", "sunset"],
  ["successor", "successor-version"],
  ["latest", "latest-version"],
] as const;

const SECOND_MS = 1000;

class Notice {
  readonly #route: string;
  readonly #shared: Shared;
  readonly #since: string;
  /** "" without an end. */
  readonly #sunset: string;
  /** Milliseconds since 1970 from which on nothing is served; infinite where it is served on. */
  readonly #goneAt: number;
  readonly #links: readonly { readonly relation: string; readonly target: Template }[];

  constructor(config: DeprecationConfig, route: string, params: readonly string[], shared: Shared) {
    this.#route = route;
    this.#shared = shared;
    this.#since = `@${Math.floor(config.date / SECOND_MS)}`;
    this.#sunset = config.sunset === undefined ? "" : new Date(config.sunset).toUTCString();
    this.#goneAt =
      config.afterSunset === "gone" && config.sunset !== undefined ? config.sunset : Number.POSITIVE_INFINITY;
    this.#links = RELATIONS.flatMap(([key, relation]) => {
      const text = config[key];
      return text === undefined ? [] : [{ relation, target: within(key, () => compileTemplate(text, params, "uri")) }];
    });
  }

  request(x: Exchange): Fault | undefined {
    const isGone = this.#goneAt !== Number.POSITIVE_INFINITY && this.#shared.wallNow() >= this.#goneAt;
    this.#shared.count("sluice_deprecated_requests_total", [this.#route, isGone ? "gone" : "served"]);
    if (!isGone) return undefined;
    const fields = (x.errorFields ??= []);
    fields.push(["deprecation", this.#since], ["sunset", this.#sunset]);
    for (const link of this.#links) fields.push(["link", linkTo(link, x)]);
    return fault("version.sunset", this.#route);
  }

  /** What a server says of it by itself is replaced; its other links stay. */
  tell(x: Exchange, headers: HeaderBlock): void {
    headers.set("Deprecation", this.#since);
    if (this.#sunset !== "") headers.set("Sunset", this.#sunset);
    for (const link of this.#links) headers.add("Link", linkTo(link, x));
  }
}

const linkTo = ({ relation, target }: { readonly relation: string; readonly target: Template }, x: Exchange): string =>
  `<${target.render(x)}>; rel="${relation}"`;

/** Answers of a route that is chosen by a field differ by it, whatever the server knows of that. */
const variesBy = (fields: readonly string[]): Filter => ({
  name: "version",
  response(x) {
    varyBy(x.response.headers, fields);
  },
});
