// Something wrong in a configuration, found after its shape was checked: a regular expression, a name, a template.

/** A mistake with the keys that lead to it (`["routes", 2, "match", "path"]`), for file:line:column diagnostics. */
export class CompileError extends Error {
  readonly path: readonly (string | number)[];
  constructor(message: string, path: readonly (string | number)[] = []) {
    super(message);
    this.name = "CompileError";
    this.path = path;
  }
}

/** Runs `compile` for the value at `key`: a CompileError or RangeError in there comes out with that key in its path. */
export function within<T>(key: string | number, compile: () => T): T {
  try {
    return compile();
  } catch (error) {
    if (error instanceof CompileError) throw new CompileError(error.message, [key, ...error.path]);
    if (error instanceof RangeError) throw new CompileError(error.message, [key]);
    throw error;
  }
}
