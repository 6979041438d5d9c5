// A document as the list of its operations, the most specific paths first.
import { PLACEHOLDERS } from "../core/placeholders.ts";
import {
  at,
  baseOf,
  dialectOf,
  type Fields,
  fieldOf,
  fieldsAt,
  METHODS,
  normalised,
  PathTree,
  type Place,
  SpecError,
} from "../engines/openapi/index.ts";
import { SpecFiles } from "../filters/validate/spec-files.ts";
import { normalizePath } from "../http/path.ts";

/** Each becomes a route, which takes some kilobytes; as many as a document that is checked may have. */
const OPERATIONS_MAX = 10_000;
const NAME_MAX = 128;

export interface ApiOperation {
  /** Its `operationId`, or a name made of method and path. Unique in the document. */
  readonly id: string;
  /** `GET` */
  readonly method: string;
  /** As the document has it: `/pets/{id}`. */
  readonly template: string;
  readonly tags: readonly string[];
  /** It says `x-internal: true`, or its path does. */
  readonly internal: boolean;
  readonly fields: Fields;
  readonly place: Place;
  readonly pathFields: Fields;
  readonly pathPlace: Place;
}

export interface ApiDocument {
  readonly files: SpecFiles;
  readonly root: Fields;
  readonly top: Place;
  /** What its paths begin below. */
  readonly base: string;
  readonly operations: readonly ApiOperation[];
  /** The same by method and path: `GET /pets/{id}`. */
  readonly byName: ReadonlyMap<string, ApiOperation>;
}

/** The documents of routes that are compiled, by the files that they were read from. */
const known = new WeakMap<SpecFiles, Map<string, ApiDocument>>();

/** A document that was found right before. Throws SpecError or CompileError where it has changed since. */
export function knownApi(main: string, base: string): ApiDocument {
  const files = SpecFiles.of(main);
  const byBase = known.get(files) ?? new Map<string, ApiDocument>();
  known.set(files, byBase);
  let document = byBase.get(base);
  if (document === undefined) {
    document = readApi(
      main,
      base,
      () => undefined,
      (error) => {
        throw error;
      },
    );
    byBase.set(base, document);
  }
  return document;
}

/** Reads a document; `wrong` is told of mistakes in single operations. Throws SpecError or CompileError for others. */
export function readApi(
  main: string,
  base: string | null,
  opened: (files: SpecFiles) => void,
  wrong: (error: SpecError) => void,
): ApiDocument {
  const files = SpecFiles.of(main);
  opened(files);
  const top: Place = { file: main, path: [] };
  const root = fieldsAt(files.documents.file(main, top), top);
  dialectOf(root, top);
  const tree = new PathTree<ApiOperation[]>();
  const names = new Map<string, ApiOperation>();
  const paths = fieldOf(root, "paths");
  if (paths === undefined) throw new SpecError("there are no `paths`", top);
  for (const [template, value] of Object.entries(fieldsAt(paths, at(top, "paths")))) {
    if (template.startsWith("x-")) continue;
    try {
      readPath(files, template, value, at(top, "paths", template), tree, names);
    } catch (error) {
      if (!(error instanceof SpecError)) throw error;
      wrong(error);
    }
    if (names.size > OPERATIONS_MAX) throw new SpecError(`more than ${OPERATIONS_MAX} operations`, at(top, "paths"));
  }
  const operations = tree.leaves().flat();
  const byName = new Map(operations.map((each) => [`${each.method} ${each.template}`, each]));
  return { files, root, top, base: base ?? baseOf(root, at(top, "servers")), operations, byName };
}

function readPath(
  files: SpecFiles,
  template: string,
  value: unknown,
  place: Place,
  tree: PathTree<ApiOperation[]>,
  names: Map<string, ApiOperation>,
): void {
  const asked = normalised(template).replaceAll(/\{[^{}]*\}/g, "x");
  if (template.startsWith("/") && normalizePath(asked) !== asked)
    throw new SpecError(`"${template}": requests never have such a path, as paths are normalised before`, place);
  const { value: followed, place: pathPlace } = files.documents.follow(value, place);
  const pathFields = fieldsAt(followed, pathPlace);
  const found: ApiOperation[] = [];
  try {
    tree.add(normalised(template), found);
  } catch (error) {
    if (error instanceof RangeError) throw new SpecError(`"${template}": ${error.message}`, place);
    throw error;
  }
  for (const key of METHODS) {
    if (!Object.hasOwn(pathFields, key)) continue;
    const where = at(pathPlace, key);
    const fields = fieldsAt(pathFields[key], where);
    const method = key.toUpperCase();
    const tags = fieldOf(fields, "tags");
    const operation: ApiOperation = {
      id: idOf(fields, method, template, where, names),
      method,
      template,
      tags: Array.isArray(tags) ? tags.filter((tag) => typeof tag === "string") : [],
      internal: fieldOf(fields, "x-internal") === true || fieldOf(pathFields, "x-internal") === true,
      fields,
      place: where,
      pathFields,
      pathPlace,
    };
    names.set(operation.id, operation);
    found.push(operation);
  }
}

function idOf(
  fields: Fields,
  method: string,
  template: string,
  place: Place,
  names: ReadonlyMap<string, ApiOperation>,
): string {
  const id = fieldOf(fields, "operationId");
  if (id === undefined) {
    // Paths may differ in what is left out here.
    const slug = `${method.toLowerCase()}${template.replaceAll(/[^A-Za-z0-9]+/g, "-").replace(/-$/, "")}`;
    const made = slug.slice(0, NAME_MAX);
    for (let count = 1; ; count += 1) {
      const name = count === 1 ? made : `${made}-${count}`;
      if (!names.has(name)) return name;
    }
  }
  const where = at(place, "operationId");
  if (typeof id !== "string" || id === "") throw new SpecError("`operationId` is a text", where);
  if (id.length > NAME_MAX || /[\x00-\x1f\x7f]/.test(id))
    throw new SpecError(`an \`operationId\` has ${NAME_MAX} characters at most, and no control characters`, where);
  const other = names.get(id);
  if (other !== undefined)
    throw new SpecError(`there is another operation "${id}": ${other.method} ${other.template}`, where);
  return id;
}

/** The pattern of a route for a path of the document. */
export function routePath(base: string, template: string): string {
  const path = `${base}${normalised(template)}`;
  const segments = path.split("/");
  const used = new Set<string>();
  if (segments.every((segment, index) => isPlain(segment) || (index > 0 && /^\{[^{}]+\}$/.test(segment))))
    return segments
      .map((segment) => (segment.startsWith("{") ? `:${paramName(segment.slice(1, -1), used)}` : segment))
      .join("/");
  const pattern = segments.map((segment) => segmentPattern(segment, used)).join("/");
  return `~^${pattern}$`;
}

/**
 * A segment with names and texts as a regular expression that takes time in proportion to the path: as in `PathTree`,
 * each name takes as little as it can and is not looked at again (what a lookahead found stays), the last one the rest.
 */
function segmentPattern(segment: string, used: Set<string>): string {
  const parts = segment.split(/\{([^{}]+)\}/);
  const quoted = (text: string): string => text.replaceAll(/\W/g, "\\$&");
  let pattern = quoted(parts[0]!);
  for (let index = 1; index < parts.length; index += 2) {
    const name = paramName(parts[index]!, used);
    const text = quoted(parts[index + 1]!);
    const isLast = index + 2 >= parts.length;
    pattern += isLast ? `(?<${name}>[^/]+?)${text}` : `(?=(?<${name}>[^/]+?)${text})\\k<${name}>${text}`;
  }
  return pattern;
}

const isPlain = (segment: string): boolean => !/[{}*:]/.test(segment);

/** Names that templates have for something else, and such as no parameter of a route can have, get another one. */
function paramName(name: string, used: Set<string>): string {
  const plain = name.replaceAll(/\W/g, "_").replace(/^(?=\d)/, "_");
  const free = PLACEHOLDERS.includes(plain) ? `${plain}_` : plain;
  let made = free;
  for (let count = 2; used.has(made); count += 1) made = `${free}_${count}`;
  used.add(made);
  return made;
}
