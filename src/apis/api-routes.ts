// The routes of one document: its page, its operations with the most specific paths first, and one for all that is
// left.
import type { ConfigPath, Problem } from "../config/diagnostic.ts";
import type { Config, OpenapiConfig, OperationConfig, RouteConfig } from "../config/schema.ts";
import type { ApiSource, ApiValidation, DocsConfig } from "../config/schema-openapi.ts";
import { suggest } from "../config/suggest.ts";
import { at, SpecError } from "../engines/openapi/index.ts";
import { load } from "../filters/validate/load.ts";
import type { SpecFiles } from "../filters/validate/spec-files.ts";
import { type ApiDocument, type ApiOperation, readApi, routePath } from "./api-document.ts";
import { published } from "./docs/publish.ts";
import { type Extensions, NO_EXTENSIONS, readExtensions } from "./extensions.ts";
import { Mock } from "./mock.ts";
import { openRoute } from "./open-routes.ts";
import { securedAuth } from "./security.ts";

/** A route, and how what is wrong with it is told: `key` and what follows are where it stands in the route. */
export interface MadeRoute {
  readonly route: RouteConfig;
  origin(index: number, key: string, rest: ConfigPath): Pick<Problem, "path" | "place">;
}

/** Who is told of mistakes: in the document, and at a path within the route. */
export interface Told {
  spec(error: SpecError, at?: "key" | "value"): void;
  config(path: ConfigPath, message: string, hint?: string, at?: "key" | "value"): void;
}

const DOCS: DocsConfig = { path: "/docs", tryIt: true, document: true, public: false };

/** Policies for what servers answer. */
const OF_SERVERS = ["cache", "coalesce", "mirror"] as const;
/** And for what operations are about, which the page and refusals are not. */
const OF_OPERATIONS = [
  ...OF_SERVERS,
  ...(["idempotency", "rewrite", "transform", "graphql", "grpc", "grpcWeb", "transcode"] as const),
] as const;

const turnedOff = (keys: readonly (typeof OF_OPERATIONS)[number][]): Partial<RouteConfig> =>
  Object.fromEntries(keys.map((key) => [key, false]));

export interface ExpandedApi {
  readonly made: readonly MadeRoute[];
  /** What a page about it shows, be there one or not. */
  readonly page: ApiSource;
}

/** Throws SpecError or CompileError for a document that cannot be used; `opened` is told of its files before. */
export function expandApi(
  config: Config,
  route: RouteConfig,
  name: string,
  opened: (files: SpecFiles) => void,
  told: Told,
): ExpandedApi {
  return new ApiRoutes(config, route, name, opened, told).expand();
}

class ApiRoutes {
  readonly #config: Config;
  readonly #route: RouteConfig;
  readonly #openapi: OpenapiConfig;
  readonly #name: string;
  readonly #told: Told;
  readonly #document: ApiDocument;

  constructor(config: Config, route: RouteConfig, name: string, opened: (files: SpecFiles) => void, told: Told) {
    this.#config = config;
    this.#route = route;
    this.#openapi = route.openapi!;
    this.#name = name;
    this.#told = told;
    this.#document = readApi(this.#openapi.document, this.#openapi.base ?? null, opened, (error) => told.spec(error));
  }

  expand(): ExpandedApi {
    this.#checkRoute();
    const { root, top, base, operations } = this.#document;
    const { extensions, upstreams, checks } = this.#openapi;
    const rules = { allowed: extensions, upstreams };
    const wrong = (error: SpecError, half: "key" | "value"): void => this.#told.spec(error, half);
    const ofRoot = readExtensions(root, top, rules, NO_EXTENSIONS, wrong);
    const ofPaths = new Map<unknown, Extensions>();
    const read = operations.map((operation) => {
      const { id, fields, place, pathFields, pathPlace } = operation;
      let around = ofPaths.get(pathFields);
      if (around === undefined) {
        around = readExtensions(pathFields, pathPlace, rules, ofRoot, wrong);
        ofPaths.set(pathFields, around);
      }
      const extension = readExtensions(fields, place, rules, around, wrong);
      const own = Object.hasOwn(this.#openapi.operations, id) ? this.#openapi.operations[id] : undefined;
      const isHidden = own?.hidden ?? extension.values.hidden ?? false;
      return { operation, extension, own, place: this.#placeOf(operation, isHidden) };
    });
    const found = read.filter(({ place }) => place === "route").map(({ operation }) => operation);
    const made = read.flatMap(({ operation, extension, own, place }) => {
      if (place === "route") return this.#operation(operation, extension, own);
      return place === "refused" ? [this.#refused(operation, found)] : [];
    });
    const shown = found.filter(({ internal }) => !internal);
    if (found.length === 0 && operations.length > 0)
      this.#told.config(["openapi"], "no operation of the document is left", "see `only`, `hidden` and `x-internal`");
    if (checks !== false) load({ ...this.#validation(checks), openapi: this.#openapi.document, base });
    const { docs, unknown } = this.#openapi;
    if (docs !== false) made.unshift(this.#docs(docs === true ? DOCS : docs, shown));
    const taken = read.filter(({ place }) => place !== "nowhere").map(({ operation }) => operation);
    if (unknown !== "next") made.push(this.#rest(found, taken));
    const page = this.#other("docs", this.#name, [], shown, docs === false || docs === true ? DOCS : docs).source!;
    return { made, page };
  }

  #checkRoute(): void {
    const { match, validate, to } = this.#route;
    const { operations, only, upstreams, mock } = this.#openapi;
    for (const key of ["path", "method"] as const)
      if (match?.[key] !== undefined)
        this.#told.config(
          ["match", key],
          `the document says which ${key}s there are`,
          "leave it out; `openapi.base` is what paths begin below",
          "key",
        );
    if (validate !== undefined && validate !== false)
      this.#told.config(
        ["validate"],
        "the document that requests are held against is that of `openapi`",
        "what `validate` says stands in `openapi.checks`",
        "key",
      );
    const ids = this.#document.operations.map(({ id }) => id);
    const unknown = (id: string, path: ConfigPath, half: "key" | "value"): void => {
      if (ids.includes(id)) return;
      const near = suggest(id, ids);
      this.#told.config(
        path,
        `the document has no operation "${id}"`,
        near === null ? undefined : `did you mean "${near}"?`,
        half,
      );
    };
    for (const id of Object.keys(operations)) unknown(id, ["openapi", "operations", id], "key");
    for (const [index, id] of (only?.operations ?? []).entries())
      unknown(id, ["openapi", "only", "operations", index], "value");
    const tags = new Set(this.#document.operations.flatMap((each) => each.tags));
    for (const [index, tag] of (only?.tags ?? []).entries())
      if (!tags.has(tag))
        this.#told.config(["openapi", "only", "tags", index], `no operation of the document has the tag "${tag}"`);
    for (const [index, name] of upstreams.entries())
      if (!Object.hasOwn(this.#config.upstreams, name))
        this.#told.config(["openapi", "upstreams", index], `there is no upstream named "${name}"`);
    if (
      to === undefined &&
      mock !== true &&
      this.#document.operations.some((each) => operations[each.id]?.to === undefined)
    )
      if (!this.#allMocked())
        this.#told.config([], "there is nobody to answer this API", "give it `to`, or `openapi.mock: true`");
  }

  /** Whether each operation that has no servers is answered from examples. */
  #allMocked(): boolean {
    const { operations } = this.#openapi;
    return this.#document.operations.every(
      ({ id }) => operations[id]?.mock === true || operations[id]?.hidden === true || operations[id]?.to !== undefined,
    );
  }

  /**
   * What becomes of an operation. One that is left out may not be reached as what a less specific path stands for;
   * those that are nobody's here (`only`) are other routes' where there are such.
   */
  #placeOf({ id, tags, internal }: ApiOperation, isHidden: boolean): "route" | "refused" | "nowhere" {
    const { only, internal: takesInternal, unknown } = this.#openapi;
    const isWanted =
      only === undefined ||
      only.operations?.includes(id) === true ||
      tags.some((tag) => only.tags?.includes(tag) === true);
    if (!isWanted) return unknown === "refuse" ? "refused" : "nowhere";
    return isHidden || (internal && !takesInternal) ? "refused" : "route";
  }

  #operation(operation: ApiOperation, extension: Extensions, own: OperationConfig | undefined): MadeRoute[] {
    const { document, checks: allChecks, security, mock: allMock } = this.#openapi;
    const { base } = this.#document;
    const { id, method, template, pathFields } = operation;
    const { mock: saidMock, hidden: _saidHidden, to: saidTo, ...saidPolicies } = extension.values;
    const { mock: ownMock, hidden: _ownHidden, checks: ownChecks, to: ownTo, ...ownPolicies } = own ?? {};
    const mock = ownMock ?? saidMock ?? allMock;
    const to = mock === true ? undefined : (ownTo ?? saidTo ?? this.#route.to);
    const checks = ownChecks ?? allChecks;
    const policies = { ...saidPolicies, ...ownPolicies };
    const written = [...Object.keys(policies), ...((ownTo ?? saidTo) === undefined ? [] : ["to"])];
    const { openapi: _openapi, split, ...shared } = this.#route;
    const withOwn: RouteConfig = { ...shared, ...policies };
    const auth = this.#authOf(operation, withOwn.auth, security);
    const methods = method === "GET" && !Object.hasOwn(pathFields, "head") ? ["GET", "HEAD"] : [method];
    const { to: _to, ...rest } = withOwn;
    const path = routePath(base, template);
    const asked: RouteConfig = {
      ...rest,
      name: `${this.#name}.${id}`,
      match: { ...this.#route.match, path, method: methods },
      validate: checks === false ? false : { ...this.#validation(checks), openapi: document, base },
      ...(auth === undefined ? {} : { auth }),
      ...(to === undefined ? turnedOff(OF_SERVERS) : { to }),
      ...(split !== undefined && to === this.#route.to && to !== undefined ? { split } : {}),
      source: this.#source("operation", { method, template, mock, own: written }),
    };
    if (mock !== false) this.#tried(() => new Mock(this.#document, operation).prepare());
    const origin = this.#originOf(operation, extension, own);
    // An operation that is open to everybody among others that are not.
    const isOpen = auth === false && (this.#route.auth ?? this.#config.defaults.auth ?? false) !== false;
    const route = isOpen ? openRoute(asked, written) : asked;
    const made: MadeRoute[] = [{ route, origin }];
    // Preflights have another method than the operation that they ask about; those of all operations are answered by
    // the route for all that is left, where there is one.
    const isShared = this.#openapi.unknown === "next" && (route.cors ?? this.#config.defaults.cors ?? false) !== false;
    if ((policies.cors !== undefined || isShared) && method !== "OPTIONS")
      made.push({
        origin,
        route: {
          ...route,
          name: `${this.#name}.${id}/preflight`,
          match: {
            ...route.match,
            method: ["OPTIONS"],
            header: { ...route.match?.header, "access-control-request-method": method },
          },
          validate: false,
        },
      });
    return made;
  }

  #authOf(
    operation: ApiOperation,
    auth: RouteConfig["auth"],
    security: OpenapiConfig["security"],
  ): RouteConfig["auth"] {
    const inUse = auth ?? this.#config.defaults.auth;
    if (security === "off") return auth;
    try {
      const secured = securedAuth(this.#document, operation, inUse, security === "follow");
      return secured === inUse ? auth : secured;
    } catch (error) {
      if (!(error instanceof SpecError)) throw error;
      this.#told.spec(error);
      return auth;
    }
  }

  /** What is made when it is first asked for is tried before, so that nobody meets a mistake later. */
  #tried(make: () => void): void {
    try {
      make();
    } catch (error) {
      if (!(error instanceof SpecError)) throw error;
      this.#told.spec(error);
    }
  }

  /** Where a key of an operation's route was written. */
  #originOf(
    { id, template, place }: ApiOperation,
    { places, values }: Extensions,
    own: OperationConfig | undefined,
  ): MadeRoute["origin"] {
    const { files, top } = this.#document;
    return (index, key, rest) => {
      const route = ["routes", index];
      const document = [...route, "openapi", "document"];
      if (own !== undefined && Object.hasOwn(own, key))
        return { path: [...route, "openapi", "operations", id, key, ...rest] };
      if (Object.hasOwn(values, key))
        return { path: document, place: files.locate(at(places.get(key) ?? place, ...rest)) };
      if (key === "match" && (rest[0] === "path" || rest[0] === "method"))
        return { path: document, place: files.locate(at(top, "paths", template), "key") };
      if (key === "validate" || key === "name" || key === "source" || key === "") return { path: document };
      return { path: [...route, key, ...rest] };
    };
  }

  /** A route of the API that is no operation. */
  #other(
    kind: "docs" | "rest",
    name: string,
    paths: readonly string[],
    shown: readonly ApiOperation[],
    docs: DocsConfig | null,
  ): RouteConfig {
    const { openapi: _openapi, to: _to, split: _split, ...rest } = this.#route;
    const operations = shown.map(({ method, template }) => `${method} ${template}`);
    return {
      ...rest,
      ...turnedOff(OF_OPERATIONS),
      name,
      match: { ...this.#route.match, path: [...paths], ...(kind === "docs" ? { method: ["GET", "HEAD"] } : {}) },
      validate: false,
      source: { ...this.#source(kind, { method: "", template: "", mock: false, own: [] }), operations, docs },
    };
  }

  /** Answers as if the operation were not there. */
  #refused({ id, method, template, pathFields }: ApiOperation, found: readonly ApiOperation[]): MadeRoute {
    const { base } = this.#document;
    const others = found.filter((each) => each.template === template);
    const route = this.#other("rest", `${this.#name}.${id}`, [routePath(base, template)], others, null);
    const methods = method === "GET" && !Object.hasOwn(pathFields, "head") ? ["GET", "HEAD"] : [method];
    return { route: { ...route, match: { ...route.match, method: methods } }, origin: restOrigin };
  }

  /** `taken` has those too that are answered as if they were not there. */
  #rest(found: readonly ApiOperation[], taken: readonly ApiOperation[]): MadeRoute {
    const { base } = this.#document;
    const { to } = this.#route;
    const forwards = this.#openapi.unknown === "forward" && to !== undefined;
    const route = this.#other("rest", this.#name, [`${base}/*`], forwards ? taken : found, null);
    if (!forwards) return { route, origin: restOrigin };
    const { openapi: _openapi, ...whole } = this.#route;
    const { name, match, validate, source } = route;
    return { route: { ...whole, name, match, validate, source, to } as RouteConfig, origin: restOrigin };
  }

  #docs(docs: DocsConfig, shown: readonly ApiOperation[]): MadeRoute {
    const { path } = docs;
    this.#tried(() => published(this.#document, shown));
    const paths = [path, ...(docs.document ? [`${path}/openapi.json`, `${path}/openapi.yaml`] : [])];
    const route = this.#other("docs", `${this.#name}/docs`, paths, shown, docs);
    return { route: docs.public ? openRoute(route, []) : route, origin: restOrigin };
  }

  #validation(checks: ApiValidation): ApiValidation & { unknownPaths: "enforce"; unknownMethods: "enforce" } {
    return { ...checks, unknownPaths: "enforce", unknownMethods: "enforce" };
  }

  #source(kind: ApiSource["kind"], rest: Pick<ApiSource, "method" | "template" | "mock" | "own">): ApiSource {
    const { document } = this.#openapi;
    return { api: this.#name, document, base: this.#document.base, kind, operations: [], docs: null, ...rest };
  }
}

function restOrigin(index: number, key: string, rest: ConfigPath): Pick<Problem, "path"> {
  const isOwn = ["", "name", "validate", "source"].includes(key) || (key === "match" && rest[0] === "path");
  return { path: isOwn ? ["routes", index, "openapi"] : ["routes", index, key, ...rest] };
}
