// Query parameters set and removed, with everything else left byte for byte as the client wrote it.
import { within } from "../../config/compile-error.ts";
import { encodeComponent } from "../../http/path.ts";
import { decodeQuery } from "../../http/query.ts";
import type { Exchange } from "../../pipeline/exchange.ts";
import { compileTemplate } from "../../pipeline/template.ts";

export interface QueryEditConfig {
  readonly set: Readonly<Record<string, string>>;
  /** Names; `*` stands for any characters. */
  readonly remove: readonly string[];
}

/** Compiles to a function from query to query, both without `?`. What is set replaces all of its name, at the end. */
export function compileQueryEdit(
  config: QueryEditConfig,
  params: readonly string[],
): (query: string, x: Exchange) => string {
  const added = Object.entries(config.set).map(([name, text]) => {
    const value = within("set", () => within(name, () => compileTemplate(text, params, "query")));
    return { start: `${encodeComponent(Buffer.from(name).latin1Slice())}=`, value };
  });
  const names = new Set([...Object.keys(config.set), ...config.remove.filter((name) => !name.includes("*"))]);
  const globs = config.remove.filter((name) => name.includes("*")).map((glob) => glob.split("*"));
  const goes = (part: string): boolean => {
    const equals = part.indexOf("=");
    const name = decodeQuery(equals < 0 ? part : part.slice(0, equals));
    return names.has(name) || globs.some((pieces) => matchesGlob(pieces, name));
  };
  return (query, x) => {
    const parts = query === "" ? [] : query.split("&").filter((part) => !goes(part));
    for (const { start, value } of added) parts.push(start + value.render(x));
    return parts.join("&");
  };
}

/** Whether the text is the pieces in order with anything between them: the first at its start, the last at its end. */
function matchesGlob(pieces: readonly string[], text: string): boolean {
  const first = pieces[0]!;
  const last = pieces.at(-1)!;
  if (text.length < first.length + last.length || !text.startsWith(first) || !text.endsWith(last)) return false;
  let at = first.length;
  for (const piece of pieces.slice(1, -1)) {
    const found = text.indexOf(piece, at);
    if (found < 0 || found + piece.length > text.length - last.length) return false;
    at = found + piece.length;
  }
  return true;
}
