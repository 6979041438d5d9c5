// The direction of imports: the folder table of ARCHITECTURE.md as data, and no cycles. Type imports count.
import { dirname, join, normalize } from "node:path";

const SHARED = ["core", "http", "config", "pipeline", "engines", "state", "observe"];
const BELOW_CONTROL = [
  ...SHARED,
  "aggregate",
  "transport",
  "server",
  "routing",
  "auth",
  "filters",
  "files",
  "apis",
  "llm",
  "tagging",
  "upstream",
  "cache",
  "discovery",
  "health",
  "providers",
  "certificates",
];

/** What each folder of src/ may import besides itself. */
const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  core: [],
  http: ["core"],
  transport: ["core"],
  config: ["core", "http"],
  pipeline: ["core", "http"],
  server: ["core", "http", "config", "transport", "pipeline", "observe"],
  routing: ["core", "http", "config"],
  engines: ["core", "http"],
  auth: ["core", "http", "config", "pipeline", "engines", "state", "observe"],
  filters: [...SHARED, "auth"],
  files: ["core", "http", "config", "pipeline", "engines", "observe"],
  aggregate: ["core", "http", "config", "pipeline", "engines"],
  apis: [...SHARED, "filters"],
  llm: ["core", "http", "config", "pipeline", "engines"],
  tagging: ["core", "http", "config", "pipeline", "engines"],
  upstream: ["core", "http", "config", "transport", "pipeline", "observe"],
  cache: ["core", "http", "config", "pipeline", "engines", "upstream", "observe", "state"],
  discovery: ["core", "config", "observe"],
  health: ["core", "http", "config", "transport", "upstream", "observe"],
  state: ["core"],
  observe: ["core"],
  providers: ["core", "http", "config", "observe"],
  certificates: ["core", "http", "config", "state", "observe"],
  control: BELOW_CONTROL,
  cli: [...BELOW_CONTROL, "control"],
};

/** The files directly in src/ import what they like; these folders import them. Nobody imports main.ts. */
const TOP: Readonly<Record<string, readonly string[]>> = { "wire.ts": ["control"], "index.ts": ["control"] };

/** Folders whose subfolders stand side by side: none imports another. Files directly in them are the register. */
const APART = new Set(["filters", "engines"]);

/** Every way of writing a relative module: imports, exports, `import()`, `require()`, and the URL of a worker. */
const MODULE = /(?:\bfrom\s*|\bimport\s*\(?\s*|\brequire\(\s*|\bnew URL\(\s*)["'](\.{1,2}\/[^"'\n]+)["']/g;

/** Paths of the modules that a source names relative to itself, from the root of the tree. */
export function importsOf(path: string, source: string): string[] {
  const found = new Set<string>();
  for (const [, target = ""] of source.matchAll(MODULE)) found.add(normalize(join(dirname(path), target)));
  return [...found];
}

/** What is wrong with one import, if anything; paths from the root of the tree. */
export function directionProblem(from: string, to: string): string | null {
  const [source, ...inSource] = withinSrc(from);
  const [target, ...inTarget] = withinSrc(to);
  if (source === undefined) return null; // tests, tools and examples use what they like
  if (to === "package.json") return null; // the version
  if (target === undefined) return `${from}: imports ${to}, which lies outside of src/`;
  if (isTop(inSource)) return to === "src/main.ts" ? `${from}: nobody imports ${to}` : null;
  if (isTop(inTarget)) return TOP[target]?.includes(source) ? null : `${from}: src/${source}/ may not import ${to}`;
  if (source === target) return APART.has(source) ? apartProblem(from, to, inSource, inTarget) : null;
  const allowed = MAY_IMPORT[source];
  if (allowed === undefined) return `${from}: the folder src/${source}/ is not in the table of tools/tidy/imports.ts`;
  return allowed.includes(target) ? null : `${from}: src/${source}/ may not import src/${target}/ (${to})`;
}

function withinSrc(path: string): readonly (string | undefined)[] {
  const parts = path.split("/");
  return parts[0] === "src" ? parts.slice(1) : [undefined];
}

const isTop = (rest: readonly unknown[]): boolean => rest.length === 0;

function apartProblem(from: string, to: string, a: readonly unknown[], b: readonly unknown[]): string | null {
  const sameFolder = a.length === 1 || b.length === 1 || a[0] === b[0];
  return sameFolder ? null : `${from}: imports its neighbour ${to}`;
}

/** One line for each cycle that is found; `graph` maps files to the files that they import. */
export function cycleProblems(graph: ReadonlyMap<string, readonly string[]>): string[] {
  const problems: string[] = [];
  const done = new Set<string>();
  const path: string[] = [];
  const visit = (file: string): void => {
    const at = path.indexOf(file);
    if (at >= 0) problems.push(`import cycle: ${[...path.slice(at), file].join(" → ")}`);
    if (at >= 0 || done.has(file)) return;
    path.push(file);
    for (const next of graph.get(file) ?? []) visit(next);
    path.pop();
    done.add(file);
  };
  for (const file of graph.keys()) visit(file);
  return problems;
}
