// Where a value of a TypeScript configuration stands in its source: a good guess, made by reading brackets and commas.
// It follows object and list literals from `export default`, through calls (`defineConfig({`) and plain names
// (`const routes = [`) of the same file. Where the value is computed, spread or imported, the nearest known place
// around it is returned; regular expression literals that hold quotes or brackets can mislead it.
import type { ConfigPath, Position } from "./diagnostic.ts";

const NAMES_FOLLOWED_MAX = 8; // `const a = a` must end

/** The place of the value at `path` (or of its key); the nearest known place around it when it is not to be found. */
export function locateInSource(source: string, path: ConfigPath, at: "key" | "value"): Position {
  const bare = blanked(source);
  const start = /\bexport\s+default\b/.exec(bare);
  if (start === null) return { line: 1, column: 1 };
  let value = literalAt(bare, start.index + start[0].length);
  let place = value;
  for (const part of path) {
    const found = typeof part === "number" ? itemAt(bare, value, part) : memberAt(source, bare, value, part);
    if (found === null) break;
    place = at === "key" ? found.key : found.value;
    value = literalAt(bare, found.value);
  }
  return positionOf(source, place);
}

/** The source with the insides of texts and comments made blank, so that every bracket and comma left is code. */
function blanked(source: string): string {
  const blank = (text: string): string => text.replace(/[^\n]/g, " ");
  return source.replace(
    /\/\/[^\n]*|\/\*[\s\S]*?\*\/|(["'`])(?:\\[\s\S]|(?!\1)[^\\])*\1/g,
    (all, quote: string | undefined) => (quote === undefined ? blank(all) : quote + blank(all.slice(1, -1)) + quote),
  );
}

/** From an expression to the bracket that opens its literal: over calls, parentheses and names. */
function literalAt(bare: string, from: number): number {
  let at = from;
  for (let hops = 0; hops < NAMES_FOLLOWED_MAX; hops += 1) {
    const ahead = /^(?:\s|\(|await\b|[\w$.]+\s*(?=\())*/.exec(bare.slice(at));
    at += ahead?.[0].length ?? 0;
    const name = /^[A-Za-z_$][\w$]*(?!\s*[.(\w$])/.exec(bare.slice(at))?.[0];
    if (name === undefined || ["true", "false", "null", "undefined"].includes(name)) return at;
    const declared = new RegExp(`\\b(?:const|let|var)\\s+${name.replaceAll("$", "\\$")}\\b[^=;]*=(?!=|>)`).exec(bare);
    if (declared === null) return at;
    at = declared.index + declared[0].length;
  }
  return skipSpace(bare, at);
}

interface Place {
  readonly key: number;
  readonly value: number;
}

/** Where each part of the literal that opens at `open` starts: what stands between its commas. */
function partsOf(bare: string, open: number): number[] {
  const parts = [open + 1];
  let depth = 0;
  for (let at = open; at < bare.length; at += 1) {
    const code = bare[at]!;
    if (code === "{" || code === "[" || code === "(") depth += 1;
    else if (code === "}" || code === "]" || code === ")") {
      depth -= 1;
      if (depth === 0) break;
    } else if (code === "," && depth === 1) parts.push(at + 1);
  }
  return parts.map((at) => skipSpace(bare, at));
}

function skipSpace(bare: string, from: number): number {
  let at = from;
  while (at < bare.length && /\s/.test(bare[at]!)) at += 1;
  return at;
}

function itemAt(bare: string, open: number, index: number): Place | null {
  if (bare[open] !== "[") return null;
  const at = partsOf(bare, open)[index];
  return at === undefined ? null : { key: at, value: at };
}

function memberAt(source: string, bare: string, open: number, key: string): Place | null {
  if (bare[open] !== "{") return null;
  for (const at of partsOf(bare, open)) {
    const plain = /^([\w$]+)\s*(:?)/.exec(bare.slice(at, at + key.length + 64));
    if (plain?.[1] === key) return { key: at, value: plain[2] === ":" ? skipSpace(bare, at + plain[0].length) : at };
    const quote = bare[at];
    if ((quote !== '"' && quote !== "'") || source.slice(at + 1, at + 1 + key.length) !== key) continue;
    const end = at + 1 + key.length;
    const colon = /^\s*:/.exec(bare.slice(end + 1));
    if (bare[end] === quote && colon !== null) return { key: at, value: skipSpace(bare, end + 1 + colon[0].length) };
  }
  return null;
}

function positionOf(source: string, offset: number): Position {
  const before = source.slice(0, offset);
  return { line: before.split("\n").length, column: offset - before.lastIndexOf("\n") };
}
