// Validators made of schemas, by ajv. What is checked comes from strangers: the time that it takes has to be in
// proportion to its length, whatever the schema says.
import { _, Ajv2020, type ErrorObject, type ValidateFunction } from "ajv/dist/2020.js";
import { fastFormats, fullFormats } from "ajv-formats/dist/formats.js";
import { type Place, SpecError } from "./documents.ts";
import { type Schemas, STEP } from "./schemas.ts";

/** Something wrong in a message: in which part of it, where in there (a JSON pointer), and what. */
export interface Problem {
  readonly in: string;
  readonly path: string;
  readonly message: string;
}

/** More would help nobody who reads them, and each is part of an answer. */
export const PROBLEMS_MAX = 10;
const TEXT_MAX = 200;
/** All that is wrong is looked for in values up to about this many bytes; in longer ones the first thing alone. */
const THOROUGH_MAX = 16_384;
/**
 * How often parts of the table may be gone into for one value: schemas that refer to themselves in several ways would
 * take time without end over values that are nested. Nothing takes one for each byte.
 */
const STEPS_BASE = 10_000;
const STEPS_PER_BYTE = 4;
/** Addresses and names have limits of their own that are far below; expressions for formats are not tried on more. */
const FORMATTED_MAX = 4096;

export interface PatternTester {
  test(text: string): boolean;
}

/** Finds an expression's tester; throws RangeError for one that cannot be used. */
export type Patterns = (pattern: string) => PatternTester;

/** The validators of one table of schemas. */
export class Checkers {
  readonly #schemas: Schemas;
  readonly #patterns: Patterns;
  readonly #made: "now" | "later";
  /** What is left of the steps for the value that is being looked at. */
  #steps = 0;
  readonly #quick: Ajv2020;
  #thorough: Ajv2020 | null = null;

  /**
   * Throws SpecError for a schema that is none. Making a validator takes a millisecond: those of answers, which most
   * routes do not look at, are made `later`, when they are first used.
   */
  constructor(schemas: Schemas, patterns: Patterns, made: "now" | "later") {
    this.#made = made;
    this.#schemas = schemas;
    this.#patterns = patterns;
    this.#quick = this.#make(false);
    const table = schemas.table();
    if (this.#quick.validateSchema(table) === true) return;
    const [error] = this.#quick.errors ?? [];
    throw new SpecError(`the schema is none: ${error?.message}`, schemas.placeOf(error?.instancePath ?? ""));
  }

  /** Throws SpecError where the validator cannot be made. */
  checker(number: number): Checker {
    const checker = new Checker(this, number);
    if (this.#made === "now") checker.prepare();
    return checker;
  }

  compile(number: number, thorough: boolean): ValidateFunction {
    if (thorough) this.#thorough ??= this.#make(true);
    const ajv = thorough ? this.#thorough! : this.#quick;
    return ajv.getSchema(`table#/$defs/${number}`)!;
  }

  /** Begins with a value of about so many bytes. */
  begin(size: number): void {
    this.#steps = STEPS_BASE + size * STEPS_PER_BYTE;
  }

  placeOf(number: number): Place {
    return this.#schemas.placeOf(`/$defs/${number}`);
  }

  #make(allErrors: boolean): Ajv2020 {
    const patterns = this.#patterns;
    const regExp = Object.assign(
      (pattern: string) => {
        const tester = patterns(pattern);
        // The library tells testers apart by what they are as text.
        return { test: (text: string) => tester.test(text), toString: () => pattern };
      },
      { code: "patterns" },
    );
    const step = () => {
      this.#steps -= 1;
      if (this.#steps < 0) throw new TooManySteps();
    };
    const ajv = new Ajv2020({
      allErrors,
      strict: false,
      multipleOfPrecision: 9, // 19.99 is a multiple of 0.01
      logger: false,
      ownProperties: true, // `constructor` is no property of every object
      validateSchema: false,
      addUsedSchema: false,
      code: { regExp },
      formats: FORMATS,
    });
    ajv.addKeyword({
      keyword: STEP,
      before: "not", // and so before all that goes into other parts
      code: ({ gen }) => gen.code(_`${gen.scopeValue("func", { ref: step })}()`),
    });
    ajv.removeKeyword("uniqueItems");
    ajv.addKeyword({
      keyword: "uniqueItems",
      type: "array",
      schemaType: "boolean",
      validate: (wanted: boolean, items: readonly unknown[]) => !wanted || areUnique(items),
      error: { message: "must not have equal items" },
    });
    ajv.addSchema(this.#schemas.table(), "table");
    return ajv;
  }
}

/** One schema's validator. The second one, which finds all that is wrong, is made when something is wrong at all. */
export class Checker {
  readonly #owner: Checkers;
  readonly #number: number;
  #quick: ValidateFunction | null = null;
  #thorough: ValidateFunction | null = null;

  constructor(owner: Checkers, number: number) {
    this.#owner = owner;
    this.#number = number;
  }

  /** Makes the validator now. Throws SpecError where that cannot be. */
  prepare(): void {
    try {
      this.#quick ??= this.#owner.compile(this.#number, false);
    } catch (error) {
      const place = this.#owner.placeOf(this.#number);
      throw new SpecError(`the schema cannot be used: ${(error as Error).message}`, place);
    }
  }

  /** What is wrong with a value of about so many bytes; null for nothing. The list may be changed by the next call. */
  errors(value: unknown, size: number): readonly ErrorObject[] | null {
    this.#quick ??= this.#owner.compile(this.#number, false);
    if (this.#passes(this.#quick, value, size)) return null;
    const first = this.#quick.errors ?? TOO_LONG;
    if (size > THOROUGH_MAX || first === TOO_LONG) return first;
    this.#thorough ??= this.#owner.compile(this.#number, true);
    this.#passes(this.#thorough, value, size);
    return this.#thorough.errors ?? first;
  }

  #passes(validate: ValidateFunction, value: unknown, size: number): boolean {
    this.#owner.begin(size);
    validate.errors = null;
    try {
      return validate(value);
    } catch (error) {
      if (error instanceof TooManySteps) return false;
      throw error;
    }
  }
}

class TooManySteps extends Error {}

const TOO_LONG: readonly ErrorObject[] = [
  { keyword: STEP, instancePath: "", schemaPath: "", params: {}, message: "takes too long to check" },
];

/** An error as clients are told of it. */
export function problemOf(place: string, path: string, error: ErrorObject): Problem {
  const { message = "is not as it should be", params } = error;
  const extra: unknown = params.additionalProperty ?? params.unevaluatedProperty;
  const told = typeof extra === "string" ? `${message}: ${extra.slice(0, TEXT_MAX)}` : message;
  return { in: place, path: path.slice(0, TEXT_MAX), message: told.slice(0, TEXT_MAX) };
}

/** Compared by what they are as text, which takes as long as they are; comparing each with each would not. */
function areUnique(items: readonly unknown[]): boolean {
  const seen = new Set<string>();
  for (const item of items) seen.add(typeof item === "string" ? `"${item}` : JSON.stringify(ordered(item)));
  return seen.size === items.length;
}

/** The same value whatever the order of names was. */
function ordered(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(ordered);
  if (typeof value !== "object" || value === null) return value;
  const names = Object.keys(value).sort();
  return [names, names.map((name) => ordered((value as Readonly<Record<string, unknown>>)[name]))];
}

/** Formats that are cheap whatever they are tried on; those with expressions only on texts of bounded length. */
const FORMATS = (() => {
  const { uri, email } = fastFormats;
  const reference = fastFormats["uri-reference"];
  // Compiling somebody's expression, and templates and URLs that take long to refuse.
  const {
    regex: _regex,
    "uri-template": _template,
    url: _url,
    ...others
  } = { ...fullFormats, uri, email, "uri-reference": reference };
  return Object.fromEntries(
    Object.entries(others).map(([name, format]) => [
      name,
      format instanceof RegExp ? (text: string) => text.length <= FORMATTED_MAX && format.test(text) : format,
    ]),
  );
})();
