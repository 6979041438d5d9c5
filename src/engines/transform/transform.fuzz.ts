// What is read is what JSON.parse takes, but for names twice and deep nesting; changes by paths come out as those of a
// plain model do, also in a text that is removed from as it passes; and XML of any bytes is refused or becomes JSON, which becomes XML again.
// `bun src/engines/transform/transform.fuzz.ts 182` replays one seed.
import { type Rng, runAlone } from "../../core/fuzz.testing.ts";
import { keepAt, moveAt, removeAt, renameAt, setAt, valuesAt } from "./edits.ts";
import { readJson } from "./json-document.ts";
import { JsonNode } from "./json-node.ts";
import { type JsonPath, parsePath, type Step } from "./json-path.ts";
import { jsonToXml } from "./json-to-xml.ts";
import { writeJson } from "./json-writer.ts";
import { StreamRemove } from "./stream-remove.ts";
import { xmlToJson } from "./xml-to-json.ts";

type Model = Map<string, Model> | Model[] | string | number | boolean | null;

const NAMES = ["a", "b", "c", "ü", "__proto__", "x.y", '"', "\n", "constructor"];
const PIECES = [
  ...'{}[],: \t\n"\\0123456789-+.eEabu/',
  "true",
  "false",
  "null",
  "\\u0041",
  "\\ud83d",
  "é",
  "😀",
  '"a":',
];
const PATHS = [
  "a",
  "b",
  ".",
  "..",
  "[0]",
  "[*]",
  "[",
  "]",
  "*",
  "**",
  ".*",
  ".**",
  '["a"]',
  '["\\u0061"]',
  '["',
  " ",
  "-1",
];
const XML = [
  ..."<>/=\"'&;! ?-[]ab",
  "<a>",
  "</a>",
  "<b x='1'>",
  "</b>",
  "<!DOCTYPE",
  "<![CDATA[",
  "]]>",
  "&lt;",
  "&x;",
  "<!--",
  "-->",
];

function value(rng: Rng, depth: number): Model {
  const kind = rng.below(depth > 3 ? 4 : 8);
  if (kind === 0) return rng.pick(["", "text", 'quote"\\', "é😀", "\u0001"]);
  if (kind === 1) return rng.below(2000) / 8 - 100;
  if (kind === 2) return rng.pick([true, false, null]);
  if (kind === 3) return rng.below(10);
  if (kind < 6) return Array.from({ length: rng.below(4) }, () => value(rng, depth + 1));
  return new Map(Array.from({ length: rng.below(5) }, () => [rng.pick(NAMES), value(rng, depth + 1)]));
}

/** The text of a model, with or without white space and escapes that mean nothing. */
function textOf(model: Model, rng: Rng | null): string {
  const space = (): string => (rng?.oneIn(4) ? rng.pick([" ", "\n", "\t "]) : "");
  const list = (parts: string[]): string => parts.join(`${space()},${space()}`) + space();
  if (model instanceof Map)
    return `{${space()}${list([...model].map(([name, inner]) => `${nameText(name, rng)}:${space()}${textOf(inner, rng)}`))}}`;
  return Array.isArray(model) ? `[${list(model.map((inner) => textOf(inner, rng)))}]` : JSON.stringify(model);
}

function nameText(name: string, rng: Rng | null): string {
  if (rng === null || !rng.oneIn(3)) return JSON.stringify(name);
  return `"${[...name].map((char) => [...char].map(escaped).join("")).join("")}"`;
}
const escaped = (char: string): string =>
  Array.from({ length: char.length }, (_, at) => `\\u${char.charCodeAt(at).toString(16).padStart(4, "0")}`).join("");

function fromParsed(parsed: unknown): Model {
  if (Array.isArray(parsed)) return parsed.map(fromParsed);
  if (typeof parsed !== "object" || parsed === null) return parsed as Model;
  return new Map(Object.entries(parsed).map(([name, inner]) => [name, fromParsed(inner)]));
}

const step = (rng: Rng): string =>
  rng.pick([...NAMES.map((name) => `[${JSON.stringify(name)}]`), "[0]", "[1]", "[*]", "[*]"]);
const pathOf = (rng: Rng): JsonPath => parsePath(Array.from({ length: 1 + rng.below(3) }, () => step(rng)).join(""));

// ——— The model: what paths mean, said again without tables and lazy nodes

function removed(model: Model, path: JsonPath): void {
  const [first, ...rest] = path as [Step, ...Step[]];
  if (first.kind === "name" && model instanceof Map) {
    if (rest.length === 0) model.delete(first.name);
    else if (model.has(first.name)) removed(model.get(first.name)!, rest);
  } else if (first.kind === "item" && Array.isArray(model) && first.at < model.length) {
    if (rest.length === 0) model.splice(first.at, 1);
    else removed(model[first.at]!, rest);
  } else if (first.kind === "items" && Array.isArray(model)) {
    if (rest.length === 0) model.length = 0;
    else for (const inner of model) removed(inner, rest);
  }
}

/** The value with something set in it. */
function set(model: Model, path: JsonPath, put: Model, onlyNew: boolean): Model {
  const [first, ...rest] = path;
  if (first === undefined) return structuredClone(put);
  if (first.kind === "name") {
    const object = model instanceof Map ? model : new Map<string, Model>();
    const has = object.has(first.name);
    if (has && rest.length === 0 && onlyNew) return object;
    object.set(first.name, set(has ? object.get(first.name)! : new Map(), rest, put, onlyNew));
    return object;
  }
  if (!Array.isArray(model)) return model;
  return model.map((inner, at) => {
    const isMeant = first.kind === "items" || (first.kind === "item" && first.at === at);
    return !isMeant || (rest.length === 0 && onlyNew) ? inner : set(inner, rest, put, onlyNew);
  });
}

function renamed(model: Model, path: JsonPath, to: string): void {
  const [first, ...rest] = path as [Step, ...Step[]];
  if (rest.length > 0) {
    const inner =
      first.kind === "name"
        ? model instanceof Map && model.has(first.name)
          ? [model.get(first.name)!]
          : []
        : Array.isArray(model)
          ? model.filter((_, at) => first.kind === "items" || (first.kind === "item" && first.at === at))
          : [];
    for (const each of inner) renamed(each, rest, to);
    return;
  }
  if (first.kind !== "name" || !(model instanceof Map) || !model.has(first.name) || first.name === to) return;
  const members = [...model].filter(([name]) => name !== to);
  model.clear();
  for (const [name, inner] of members) model.set(name === first.name ? to : name, inner);
}

function expectSame(got: string, want: string, what: string): void {
  if (got !== want) throw new Error(`${what}: ${got}, not ${want}`);
}

function editLaw(rng: Rng): void {
  let model = value(rng, 0);
  const source = textOf(model, rng);
  const { document, problem } = readJson(Buffer.from(source));
  if (problem !== null) throw new Error(`${source}: ${problem}`);
  const root = JsonNode.read(document);
  const told: string[] = [source];
  for (let round = rng.below(4); round > 0; round -= 1) {
    const path = pathOf(rng);
    const name = rng.pick(NAMES);
    const put = value(rng, 2);
    const kind = rng.below(4);
    told.push(`${kind} ${path.map((each) => JSON.stringify(each)).join("")} ${name} ${textOf(put, null)}`);
    if (kind === 0) {
      removeAt(root, path);
      removed(model, path);
    } else if (kind === 1 && path.at(-1)?.kind === "name") {
      renameAt(root, path, name);
      renamed(model, path, name);
    } else if (kind > 1) {
      setAt(root, path, JsonNode.of(textOf(put, null)), kind === 2);
      model = set(model, path, put, kind === 2);
    }
  }
  const made = writeJson(root, 1_000_000)!.toString();
  expectSame(textOf(fromParsed(JSON.parse(made)), null), textOf(model, null), told.join("\n"));
  document.release();
}

/** The rest of the changes: whatever is done, what comes out is JSON without names twice. */
function soundLaw(rng: Rng): void {
  const { document } = readJson(Buffer.from(textOf(value(rng, 0), rng)));
  const root = JsonNode.read(document!);
  for (let round = rng.below(5); round > 0; round -= 1) {
    const path = parsePath(
      `${rng.pick(["", "**", "*", "[*]"])}${rng.pick(["[0]", '["a"]', '["b"]'])}`.replace(/^(\*+)/, "$1"),
    );
    if (rng.oneIn(3)) keepAt(root, [pathOf(rng), pathOf(rng)]);
    else if (rng.oneIn(2)) removeAt(root, path);
    else
      moveAt(root, {
        within: rng.pick([[], parsePath("[*]")]),
        from: parsePath("a"),
        to: parsePath(rng.pick(["b.c", "a", "a.b"])),
      });
  }
  const made = writeJson(root, 1_000_000)!;
  document!.release();
  const again = readJson(made);
  if (again.problem !== null) throw new Error(`${made.toString()}: ${again.problem}`);
  again.document.release();
}

function readLaw(rng: Rng): void {
  const text = rng.oneIn(2)
    ? Array.from({ length: rng.below(12) }, () => rng.pick(PIECES)).join("")
    : mutated(rng, textOf(value(rng, 0), rng));
  const { document, problem } = readJson(Buffer.from(text));
  document?.release();
  if (problem?.includes("twice")) return; // perhaps before it comes to what is no JSON
  if ((problem === null) !== parses(Buffer.from(text).toString()))
    throw new Error(`${JSON.stringify(text)}: ${problem}`);
}

/** What is removed from a stream, however it is cut; null where it is no JSON. */
function streamed(rng: Rng, text: string, paths: readonly JsonPath[]): string | null {
  const bytes = Buffer.from(text);
  const stream = new StreamRemove(paths);
  const put: Buffer[] = [];
  for (let at = 0; at < bytes.length; ) {
    const end = Math.min(bytes.length, at + 1 + rng.below(rng.pick([1, 4, 50])));
    const emit = (from: Buffer, start: number, stop: number) => void put.push(Buffer.from(from.subarray(start, stop)));
    if (!stream.push(bytes, at, end, emit)) return null;
    at = end;
  }
  return stream.end() ? Buffer.concat(put).toString() : null;
}

function streamLaw(rng: Rng): void {
  const text = rng.oneIn(3) ? mutated(rng, textOf(value(rng, 0), rng)) : textOf(value(rng, 0), rng);
  const paths = Array.from({ length: 1 + rng.below(3) }, () =>
    rng.oneIn(4) ? parsePath(`**.${rng.pick(["a", "b[0]", "c[*]"])}`) : rng.oneIn(4) ? parsePath("*.a") : pathOf(rng),
  );
  const { document, problem } = readJson(Buffer.from(text));
  const got = streamed(rng, text, paths);
  if (problem?.includes("twice")) return;
  if ((problem === null) !== (got !== null)) throw new Error(`${JSON.stringify(text)}: ${problem}, ${got}`);
  if (document === null || got === null) return;
  const root = JsonNode.read(document);
  // A removed item would give another one its number.
  if (paths.length > 1 && paths.some((path) => path.some(({ kind }) => kind === "item"))) return document.release();
  for (const path of paths) removeAt(root, path);
  const want = JSON.stringify(JSON.parse(writeJson(root, 1_000_000)!.toString()));
  document.release();
  expectSame(JSON.stringify(JSON.parse(got)), want, `${text} ${JSON.stringify(paths)}`);
}

function mutated(rng: Rng, text: string): string {
  const at = rng.below(text.length + 1);
  return text.slice(0, at) + (rng.oneIn(3) ? "" : rng.pick(PIECES)) + text.slice(at + rng.below(3));
}

function parses(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

function xmlLaw(rng: Rng): void {
  const text = `${rng.oneIn(2) ? "<a>" : ""}${Array.from({ length: rng.below(15) }, () => rng.pick(XML)).join("")}${rng.oneIn(2) ? "</a>" : ""}`;
  const { json } = xmlToJson(Buffer.from(text), new Set());
  if (json === null) return;
  const { document, problem } = readJson(Buffer.from(json));
  if (problem !== null) throw new Error(`${text}: ${json}: ${problem}`);
  const { xml, problem: refused } = jsonToXml(document, "root", 1_000_000);
  if (refused !== null) throw new Error(`${text}: ${refused}`);
  document.release();
  expectSame(xmlToJson(Buffer.from(xml), new Set()).json ?? "", json, text);
}

/** What is no path is told as such; what is one leads somewhere, or nowhere, in any value. */
function pathLaw(rng: Rng): void {
  const text = Array.from({ length: 1 + rng.below(5) }, () => rng.pick(PATHS)).join("");
  let path: JsonPath;
  try {
    path = parsePath(text);
  } catch (error) {
    if (error instanceof RangeError) return;
    throw error;
  }
  const { document } = readJson(Buffer.from(textOf(value(rng, 0), rng)));
  const root = JsonNode.read(document!);
  const last = valuesAt(root, path).length;
  removeAt(root, path);
  if (last > 0 && !path.some(({ kind }) => kind === "item" || kind === "deep") && valuesAt(root, path).length > 0)
    throw new Error(`${text}: something is left`);
  document!.release();
}

export function transformLaw(rng: Rng): void {
  pathLaw(rng);
  editLaw(rng);
  soundLaw(rng);
  readLaw(rng);
  streamLaw(rng);
  xmlLaw(rng);
}

if (import.meta.main) runAlone("transform", transformLaw);
