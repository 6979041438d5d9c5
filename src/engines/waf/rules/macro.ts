// Texts with variables in them: `Matched %{MATCHED_VAR} within %{MATCHED_VAR_NAME}`.
import { type Place, SecLangError } from "../seclang/error.ts";
import type { State } from "../transaction/state.ts";
import type { TxNames } from "../transaction/tx-values.ts";
import { Found, variableOf } from "../variables.ts";

type Part = string | ((state: State) => string);

/** A text that is put together when it is needed. */
export class Macro {
  /** As it stands in the rules. */
  readonly text: string;
  readonly #parts: readonly Part[];

  constructor(text: string, parts: readonly Part[]) {
    this.text = text;
    this.#parts = parts;
  }

  /** Whether it says the same for every transaction. */
  get constant(): boolean {
    return this.#parts.every((part) => typeof part === "string");
  }

  expand(state: State): string {
    const parts = this.#parts;
    let text = "";
    for (let at = 0; at < parts.length; at += 1) {
      const part = parts[at]!;
      text += typeof part === "string" ? part : part(state);
    }
    return text;
  }
}

const VARIABLE = /%\{([A-Za-z][A-Za-z0-9_]*)(?:[.:]([^}]*))?\}/g;

/** Compiles a text with `%{VARIABLE.name}` in it. Throws SecLangError for a variable that does not exist. */
export function compileMacro(text: string, names: TxNames, place: Place): Macro {
  const parts: Part[] = [];
  let end = 0;
  for (const match of text.matchAll(VARIABLE)) {
    if (match.index > end) parts.push(text.slice(end, match.index));
    parts.push(readerOf(match[1]!.toUpperCase(), match[2]?.toLowerCase() ?? null, names, place));
    end = match.index + match[0].length;
  }
  if (end < text.length || parts.length === 0) parts.push(text.slice(end));
  return new Macro(text, parts);
}

function readerOf(variable: string, name: string | null, names: TxNames, place: Place): (state: State) => string {
  if (variable === "TX" && name !== null) {
    const at = names.place(name);
    return (state) => state.tx.placed[at] ?? "";
  }
  const known = variableOf(variable);
  if (known === null) throw new SecLangError(place, `there is no variable ${variable}, which %{…} asks for`);
  if (known.kind === "refused") throw new SecLangError(place, `${variable}: ${known.why}`);
  if (known.kind === "columns") {
    const { columns } = known;
    return (state) => firstOf(state, columns, name);
  }
  const found = new Found();
  const { read } = known;
  return (state) => {
    found.clear();
    read(state, found);
    if (name === null) return found.values[0] ?? "";
    for (let at = 0; at < found.keys.length; at += 1) {
      if (found.keys[at]!.toLowerCase() === name) return found.values[at]!;
    }
    return "";
  };
}

/** The first entry of some columns, or the first one of that name. */
function firstOf(state: State, columns: readonly number[], name: string | null): string {
  for (let each = 0; each < columns.length; each += 1) {
    const column = state.columns[columns[each]!]!;
    for (let at = 0; at < column.keys.length; at += 1) {
      if (name === null || column.keys[at]!.toLowerCase() === name) return column.values[at]!;
    }
  }
  return "";
}
