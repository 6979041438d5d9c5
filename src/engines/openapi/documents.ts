// The files of a specification as values, and the way along its references. Nothing is read here: whoever compiles
// gives the means, and decides what files may be read.
import { posix } from "node:path";

/** Where something stands: a file, and the keys that lead to it. */
export interface Place {
  readonly file: string;
  readonly path: readonly (string | number)[];
}

/** A mistake in a specification. */
export class SpecError extends Error {
  override readonly name = "SpecError";
  readonly place: Place;

  constructor(message: string, place: Place) {
    super(message);
    this.place = place;
  }
}

export interface Located {
  readonly value: unknown;
  readonly place: Place;
}

export type Fields = Readonly<Record<string, unknown>>;

export const isFields = (value: unknown): value is Fields =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** What an object has of its own under this name: specifications may have fields called `constructor`. */
export const fieldOf = (value: unknown, key: string | number): unknown =>
  typeof value === "object" && value !== null && Object.hasOwn(value, key) ? (value as Fields)[key] : undefined;

export const at = (place: Place, ...keys: readonly (string | number)[]): Place => ({
  file: place.file,
  path: [...place.path, ...keys],
});

/** What stands below, or an error that says what it has to be. */
export function fieldsAt(value: unknown, place: Place): Fields {
  if (!isFields(value)) throw new SpecError("an object was expected", place);
  return value;
}

/** A reference that leads to a reference: more in a row is a circle. */
const CHAIN_MAX = 32;

export class Documents {
  readonly #read: (file: string, from: Place) => unknown;
  readonly #files = new Map<string, unknown>();

  /** `read` gives the value of a file, named by an absolute path, or throws SpecError. It is asked once for each. */
  constructor(read: (file: string, from: Place) => unknown) {
    this.#read = read;
  }

  /** A value that is there without a file, as if it were the one of this name. */
  give(name: string, value: unknown): void {
    this.#files.set(name, value);
  }

  file(name: string, from: Place): unknown {
    if (!this.#files.has(name)) this.#files.set(name, this.#read(name, from));
    return this.#files.get(name);
  }

  /** What a reference stands for; references that it leads to are followed. */
  resolve(ref: string, from: Place): Located {
    let found = this.#step(ref, from);
    for (let steps = 0; steps < CHAIN_MAX; steps += 1) {
      const next = fieldOf(found.value, "$ref");
      // In 3.1 a schema may say more beside its reference: then it is one of its own.
      if (typeof next !== "string" || Object.keys(found.value as Fields).length > 1) return found;
      found = this.#step(next, at(found.place, "$ref"));
    }
    throw new SpecError(`"${ref}" leads in a circle`, from);
  }

  /** The value itself, or what it refers to. */
  follow(value: unknown, place: Place): Located {
    const ref = fieldOf(value, "$ref");
    return typeof ref === "string" ? this.resolve(ref, at(place, "$ref")) : { value, place };
  }

  #step(ref: string, from: Place): Located {
    const hash = ref.indexOf("#");
    const name = hash < 0 ? ref : ref.slice(0, hash);
    if (/^(?:[a-z][a-z0-9+.-]*:|\/\/)/i.test(name))
      throw new SpecError(`"${ref}" is somewhere else: references lead to this file, or to one beside it`, from);
    const file = name === "" ? from.file : posix.join(posix.dirname(from.file), name);
    const pointer = hash < 0 ? "" : ref.slice(hash + 1);
    if (pointer !== "" && !pointer.startsWith("/"))
      throw new SpecError(`"${ref}": behind the # a path from the top was expected, such as #/components/…`, from);
    let value = this.file(file, from);
    const path: string[] = [];
    for (const part of pointer.split("/").slice(1)) {
      const key = unescaped(part);
      path.push(key);
      value = fieldOf(value, key);
      if (value === undefined) throw new SpecError(`"${ref}" leads nowhere`, from);
    }
    return { value, place: { file, path } };
  }
}

/** RFC 6901 §3 and §6. */
function unescaped(part: string): string {
  let text = part;
  try {
    text = decodeURIComponent(part);
  } catch {
    // It is taken as it is, and leads nowhere.
  }
  return text.replaceAll("~1", "/").replaceAll("~0", "~");
}
