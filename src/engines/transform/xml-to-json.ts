// XML as JSON, for bodies that are data: elements become members, attributes members with an @ before their name. A
// DOCTYPE is refused, so that there are no entities but the five of XML itself: nothing grows, and nothing is fetched.
import { SaxesParser } from "saxes";

/** Deeper nesting is made to exhaust somebody's stack. */
const DEPTH_MAX = 64;
/** Elements and attributes of one body: each of a few bytes costs some hundred here. */
const PARTS_MAX = 50_000;

/** XML that is read here is all in UTF-8, of which ASCII is a part. */
const ENCODINGS = new Set(["utf-8", "utf8", "us-ascii", "ascii"]);

/** What is wrong with a text; thrown out of the parser's handlers and caught where it was called. */
class XmlProblem extends Error {}

/** An element whose end has not come. */
interface Open {
  readonly name: string;
  /** Names from the root on, with slashes. */
  readonly path: string;
  /** Members of JSON: `"@id":"1"`. */
  readonly attributes: string[];
  /** JSON values by the names of elements, in the order in which names were first there. */
  children: Map<string, string[]> | null;
  text: string;
}

export type XmlAsJson =
  | { readonly json: string; readonly problem: null }
  | { readonly json: null; readonly problem: string };

/**
 * The JSON text of an XML document in UTF-8. `lists` are the paths of elements (names from the root on, with slashes)
 * that become lists also where they are there once.
 */
export function xmlToJson(bytes: Buffer, lists: ReadonlySet<string>): XmlAsJson {
  const reader = new XmlReader(lists);
  try {
    return { json: reader.read(new TextDecoder("utf-8", { fatal: true }).decode(bytes)), problem: null };
  } catch (error) {
    if (error instanceof XmlProblem) return { json: null, problem: error.message };
    if (error instanceof TypeError) return { json: null, problem: "must be text in UTF-8" };
    throw error;
  }
}

class XmlReader {
  readonly #lists: ReadonlySet<string>;
  readonly #stack: Open[] = [];
  #attributes: string[] = [];
  #parts = 0;
  #json = "";

  constructor(lists: ReadonlySet<string>) {
    this.#lists = lists;
  }

  read(text: string): string {
    const parser = new SaxesParser({ position: false });
    parser.on("error", () => this.#fail("must be XML"));
    parser.on("doctype", () => this.#fail("must have no DOCTYPE"));
    parser.on("xmldecl", ({ encoding }) => {
      if (encoding !== undefined && !ENCODINGS.has(encoding.toLowerCase())) this.#fail("must be text in UTF-8");
    });
    parser.on("attribute", ({ name, value }) => {
      this.#count();
      this.#attributes.push(`${JSON.stringify(`@${name}`)}:${JSON.stringify(value)}`);
    });
    parser.on("opentag", ({ name }) => this.#begin(name));
    parser.on("closetag", () => this.#end());
    parser.on("text", (piece) => this.#text(piece));
    parser.on("cdata", (piece) => this.#text(piece));
    parser.write(text).close();
    return this.#json;
  }

  #fail(problem: string): never {
    throw new XmlProblem(problem);
  }

  #count(): void {
    this.#parts += 1;
    if (this.#parts > PARTS_MAX) this.#fail(`must not have more than ${PARTS_MAX} elements and attributes`);
  }

  #begin(name: string): void {
    this.#count();
    if (this.#stack.length === DEPTH_MAX) this.#fail(`must not be nested more than ${DEPTH_MAX} deep`);
    const outer = this.#stack.at(-1);
    const path = outer === undefined ? name : `${outer.path}/${name}`;
    this.#stack.push({ name, path, attributes: this.#attributes, children: null, text: "" });
    this.#attributes = [];
  }

  #text(piece: string): void {
    const open = this.#stack.at(-1);
    if (open !== undefined) open.text += piece;
  }

  #end(): void {
    const element = this.#stack.pop()!;
    const value = this.#valueOf(element);
    const outer = this.#stack.at(-1);
    if (outer === undefined) {
      this.#json = `{${JSON.stringify(element.name)}:${this.#isList(element) ? `[${value}]` : value}}`;
      return;
    }
    outer.children ??= new Map();
    const alike = outer.children.get(element.name);
    if (alike === undefined) outer.children.set(element.name, [value]);
    else alike.push(value);
  }

  #isList({ path }: Open): boolean {
    return this.#lists.has(path);
  }

  #valueOf({ attributes, children, text, path }: Open): string {
    if (attributes.length === 0 && children === null) return JSON.stringify(text);
    const members = attributes;
    for (const [name, values] of children ?? []) {
      const isList = values.length > 1 || this.#lists.has(`${path}/${name}`);
      members.push(`${JSON.stringify(name)}:${isList ? `[${values.join(",")}]` : values[0]!}`);
    }
    // Beside elements, white space is how the text is laid out.
    const said = children === null ? text : text.trim();
    if (said !== "") members.push(`"#text":${JSON.stringify(said)}`);
    return `{${members.join(",")}}`;
  }
}
