// What is made of one body: XML becomes JSON, JSON is changed or made anew, and becomes XML.
import { within } from "../../config/compile-error.ts";
import type { RequestTransform, ResponseTransform } from "../../config/schema-transform.ts";
import { readJson } from "../../engines/transform/json-document.ts";
import { JsonNode } from "../../engines/transform/json-node.ts";
import { parsePath } from "../../engines/transform/json-path.ts";
import { isXmlName, jsonToXml } from "../../engines/transform/json-to-xml.ts";
import { writeJson } from "../../engines/transform/json-writer.ts";
import { StreamRemove } from "../../engines/transform/stream-remove.ts";
import { xmlToJson } from "../../engines/transform/xml-to-json.ts";
import type { Exchange } from "../../pipeline/exchange.ts";
import { type CompiledEdits, compileEdits } from "./json-edits.ts";
import type { BodyType } from "./media.ts";
import { compileValue, type Value } from "./values.ts";

/** A body that is made may be longer than the one that it is made of, as `maxBody` says, by so much. */
const GROWTH_FACTOR = 2;
const GROWTH_BYTES = 65_536;

type ChangeConfig = Pick<RequestTransform | ResponseTransform, "xmlToJson" | "json" | "template" | "jsonToXml">;

export type Changed =
  | { readonly bytes: Buffer; readonly problem: null }
  | { readonly bytes: null; readonly problem: string };

const wrong = (problem: string): Changed => ({ bytes: null, problem });

export class BodyChange {
  /** Nothing is to be done with bodies. */
  readonly isEmpty: boolean;
  /** What is made of a body is the same for all exchanges. */
  readonly isFixed: boolean;
  readonly #lists: ReadonlySet<string> | null;
  readonly #edits: CompiledEdits | null;
  readonly #template: Value | null;
  /** The root element of the XML that JSON becomes; null where it stays what it is. */
  readonly #root: string | null;
  readonly #bytesMax: number;

  /** Throws CompileError for what cannot work. */
  constructor(config: ChangeConfig, maxBody: number, params: readonly string[]) {
    const { json, template, jsonToXml: toXml, xmlToJson: fromXml } = config;
    this.#lists = fromXml === false ? null : within("xmlToJson", () => compileLists(fromXml));
    this.#edits = json === undefined ? null : within("json", () => compileEdits(json, params));
    this.#template = template === undefined ? null : within("template", () => compileValue(template, params));
    this.#root = toXml === false ? null : within("jsonToXml", () => compileRoot(toXml));
    this.#bytesMax = maxBody * GROWTH_FACTOR + GROWTH_BYTES;
    this.isEmpty = !this.#lists && !this.#edits && !this.#template && this.#root === null;
    this.isFixed = this.#edits?.isFixed !== false && this.#template?.isFixed !== false;
  }

  /** Whether bodies of this type are changed, where XML is wanted or not. */
  takes(type: BodyType, isXmlAsked: boolean): boolean {
    if (type === "xml") return this.#lists !== null;
    return type === "json" && (this.#edits !== null || this.#template !== null || this.makesXml(isXmlAsked));
  }

  /** Does the same to a JSON body as it passes, where that can be done; else null. */
  stream(type: BodyType): StreamRemove | null {
    const removed = this.#edits?.removed ?? null;
    const isAll = this.#template === null && this.#root === null && type === "json";
    return removed !== null && isAll ? new StreamRemove(removed) : null;
  }

  /** Whether JSON becomes XML; `asked` where it depends on the client. */
  makesXml(isAsked: boolean): boolean {
    return this.#root !== null && isAsked;
  }

  /** The content type of what is made, null for that of what it is made of. */
  typeOf(type: BodyType, isXmlAsked: boolean): string | null {
    if (this.makesXml(isXmlAsked)) return "application/xml";
    return type === "xml" || this.#template !== null ? "application/json" : null;
  }

  /**
   * Makes the new body. `look` sees what came before it is changed. `isStrict`: a body that is no object, where one is
   * needed to set something in, is a problem; without it, such a body is left as it is.
   */
  apply(
    x: Exchange,
    bytes: Buffer,
    type: BodyType,
    isXmlAsked: boolean,
    isStrict: boolean,
    look: ((body: JsonNode) => void) | null,
  ): Changed {
    let text = bytes;
    if (type === "xml") {
      const { json, problem } = xmlToJson(bytes, this.#lists ?? NO_LISTS);
      if (problem !== null) return wrong(problem);
      text = Buffer.from(json);
    }
    const { document, problem } = readJson(text);
    if (problem !== null) return wrong(problem);
    try {
      const root = JsonNode.read(document);
      look?.(root);
      const made = this.#make(x, root, isStrict);
      if (typeof made === "string") return wrong(made);
      if (this.makesXml(isXmlAsked)) return this.#toXml(made);
      if (made.isRead && made.document === document && made.entry === 0) return { bytes: text, problem: null };
      const written = writeJson(made, this.#bytesMax);
      return written === null ? wrong("becomes too long") : { bytes: written, problem: null };
    } finally {
      document.release();
    }
  }

  /** The new value, or what is wrong. */
  #make(x: Exchange, root: JsonNode, isStrict: boolean): JsonNode | string {
    const edits = this.#edits;
    if (edits !== null) {
      const isObject = !edits.wantsObject || root.openObject();
      if (!isObject && isStrict) return "must be an object";
      edits.apply(x, root, isObject);
    }
    return this.#template === null ? root : this.#template.make(x, root);
  }

  #toXml(made: JsonNode): Changed {
    const written = writeJson(made, this.#bytesMax);
    if (written === null) return wrong("becomes too long");
    const { document, problem } = readJson(written);
    if (problem !== null) return wrong(problem);
    const { xml, problem: refused } = jsonToXml(document, this.#root!, this.#bytesMax);
    document.release();
    return refused === null ? { bytes: Buffer.from(xml), problem: null } : wrong(`cannot be XML: ${refused}`);
  }
}

const NO_LISTS: ReadonlySet<string> = new Set();

function compileLists(config: true | { readonly lists: readonly string[] }): ReadonlySet<string> {
  if (config === true) return NO_LISTS;
  return within("lists", () => new Set(config.lists.map((text, at) => within(at, () => elementPath(text)))));
}

function elementPath(text: string): string {
  const names = parsePath(text).map((step) => (step.kind === "name" ? step.name : null));
  if (names.includes(null)) throw new RangeError(`"${text}": a path of elements has names alone`);
  return names.join("/");
}

function compileRoot(config: true | { readonly root: string }): string {
  const root = config === true ? "root" : config.root;
  if (!isXmlName(root)) throw new RangeError(`"${root}" is no name of an element`);
  return root;
}
