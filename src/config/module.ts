// TypeScript configurations: checked as a whole before they run, and read anew at every load.
import { readFileSync, realpathSync } from "node:fs";
import { dirname, resolve, sep } from "node:path";
import { pathToFileURL } from "node:url";
import { ConfigError, type Diagnostic, fileError, type Locate, NO_POSITION, type Position } from "./diagnostic.ts";
import { locateInSource } from "./source-positions.ts";

export interface LoadedModule {
  /** The default export, awaited. */
  readonly value: unknown;
  readonly locate: Locate;
  /** Absolute paths of the file and of all that it imports from outside of packages. */
  readonly files: readonly string[];
}

const LOAD_MS_MAX = 10_000; // a configuration that awaits something for ever must not hold a reload up for ever

/** Sluice's own sources: a configuration that imports one of them must not make it load a second time. */
const OWN_SOURCES = resolve(import.meta.dir, "..") + sep;

let provided = false;

/** Makes `import … from "sluice"` work in configurations, wherever they lie. Once for each thread; later calls change nothing. */
export function provideSluiceModule(exports: Readonly<Record<string, unknown>>): void {
  if (provided) return;
  provided = true;
  Bun.plugin({
    name: "sluice",
    setup(build) {
      build.module("sluice", () => ({ exports: { ...exports }, loader: "object" }));
    },
  });
}

/** Runs the module and returns its default export. Throws ConfigError. */
export async function loadModule(file: string): Promise<LoadedModule> {
  const files = await checkImports(file);
  // The loader remembers modules by their real path.
  const entry = realpathSync(file);
  for (const path of [entry, ...files]) {
    if (!path.startsWith(OWN_SOURCES)) delete require.cache[path];
  }
  const source = readFileSync(entry, "utf8");
  const namespace = await run(entry, file);
  if (!("default" in namespace)) {
    throw fileError(file, "the file has no default export", "end it with: export default defineConfig({ … })", {
      line: 1,
      column: 1,
    });
  }
  let value: unknown;
  try {
    value = await withinTime(Promise.resolve(namespace.default));
  } catch (error) {
    throw thrownError(error, entry, file);
  }
  return { value, files, locate: (path, at) => locateInSource(source, path, at) };
}

/**
 * Reads the file and everything it imports without running it, and returns their paths. Bun reports a syntax error in
 * an imported module also as an unhandled rejection, which would end the process: so it must be found before.
 */
async function checkImports(file: string): Promise<string[]> {
  const built = await Bun.build({
    entrypoints: [file],
    target: "bun",
    packages: "external",
    external: ["sluice"],
    throw: false,
    metafile: true,
  });
  const errors = built.logs.filter((log) => log.level === "error");
  if (!built.success || errors.length > 0) {
    const found = errors.map((log): Diagnostic => {
      const at = log.position;
      const place = at === null ? { line: 1, column: 1 } : { line: at.line, column: at.column };
      return {
        severity: "error",
        message: log.message,
        file: at === null || isSame(at.file, file) ? file : at.file,
        path: [],
        ...place,
      };
    });
    throw found.length === 0 ? fileError(file, "the file cannot be read as TypeScript") : new ConfigError(found);
  }
  const inputs = Object.keys(built.metafile?.inputs ?? {}).map((path) => resolve(path));
  return inputs.filter((path) => !path.includes(`${sep}node_modules${sep}`));
}

function isSame(a: string, b: string): boolean {
  return a === b || a === realpathSync(b);
}

async function run(entry: string, file: string): Promise<Record<string, unknown>> {
  try {
    return await withinTime(import(pathToFileURL(entry).href) as Promise<Record<string, unknown>>);
  } catch (error) {
    throw thrownError(error, entry, file);
  }
}

async function withinTime<T>(work: Promise<T>): Promise<T> {
  const timeout = Promise.withResolvers<never>();
  const timer = setTimeout(
    () => timeout.reject(new Error(`it did not end within ${LOAD_MS_MAX / 1000} s`)),
    LOAD_MS_MAX,
  );
  try {
    return await Promise.race([work, timeout.promise]);
  } finally {
    clearTimeout(timer);
  }
}

/** An error about what the module did when it ran, at the first place in the configuration's folder that its stack names. */
function thrownError(error: unknown, entry: string, file: string): ConfigError {
  const message = error instanceof Error ? error.message : String(error);
  const hint = /^Cannot find package/.test(message)
    ? "install it beside the configuration, or remove the import"
    : undefined;
  const stack = error instanceof Error ? (error.stack ?? "") : "";
  const folder = dirname(entry) + sep;
  for (const line of stack.split("\n")) {
    const frame = /\(?([^\s()]+):(\d+):(\d+)\)?$/.exec(line);
    if (frame?.[1]?.startsWith(folder) !== true) continue;
    const position: Position = { line: Number(frame[2]), column: Number(frame[3]) };
    return fileError(frame[1] === entry ? file : frame[1], `this failed: ${message}`, hint, position);
  }
  const { at, path } = importNamedIn(message, entry);
  return fileError(path === entry ? file : path, `the configuration could not be run: ${message}`, hint, at);
}

/** The loader's own errors name a module without its place: the first time that its name stands in the source. */
function importNamedIn(message: string, entry: string): { at: Position; path: string } {
  const name = /(?:package|module) '([^']+)'/.exec(message)?.[1];
  const path = / imported from (\/.+)$/.exec(message)?.[1] ?? entry;
  if (name === undefined) return { at: NO_POSITION, path };
  const lines = readFileSync(path, "utf8").split("\n");
  const line = lines.findIndex((text) => text.includes(`"${name}"`) || text.includes(`'${name}'`));
  return { at: line < 0 ? NO_POSITION : { line: line + 1, column: lines[line]!.indexOf(name) }, path };
}
