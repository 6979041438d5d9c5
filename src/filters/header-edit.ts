// `set`, `add` and `remove` of header fields, for requests and for responses.
import { within } from "../config/compile-error.ts";
import type { PolicyConfig } from "../config/schema.ts";
import { type HeaderBlock, HOP_BY_HOP, isFieldName } from "../http/header-block.ts";
import { ID, idOf } from "../http/header-names.ts";
import type { Exchange } from "../pipeline/exchange.ts";
import { compileTemplate, type Template } from "../pipeline/template.ts";

export type HeaderEditConfig = Exclude<PolicyConfig["requestHeaders"], false | undefined>;

interface FieldTemplate {
  readonly name: string;
  readonly value: Template;
}

/**
 * Compiles an edit: first `remove`, then `set`, then `add`. A field whose value comes out empty is not sent. Throws
 * CompileError for a name that is none, that frames the message, or that `refuse` has a reason against.
 */
export function compileHeaderEdit(
  config: HeaderEditConfig,
  params: readonly string[],
  refuse: (lowerName: string) => string | null,
): (x: Exchange, headers: HeaderBlock) => void {
  const check = (name: string): void => {
    const problem = fieldProblem(name) ?? refuse(name.toLowerCase());
    if (problem !== null) throw new RangeError(problem);
  };
  const templates = (key: "set" | "add"): FieldTemplate[] =>
    Object.entries(config[key]).map(([name, value]) =>
      within(key, () =>
        within(name, () => {
          check(name);
          return { name, value: compileTemplate(value, params, "field") };
        }),
      ),
    );
  const { remove } = config;
  for (const [at, name] of remove.entries()) within("remove", () => within(at, () => check(name)));
  const set = templates("set");
  const add = templates("add");
  return (x, headers) => {
    for (const name of remove) headers.remove(name);
    for (const field of set) {
      const value = field.value.render(x);
      headers.remove(field.name);
      if (value !== "") headers.add(field.name, value);
    }
    for (const field of add) {
      const value = field.value.render(x);
      if (value !== "") headers.add(field.name, value);
    }
  };
}

/** Why no configuration may name this field, null when it may: what frames a message is the codec's alone. */
export function fieldProblem(name: string): string | null {
  if (!isFieldName(name)) return `"${name}" is not a field name`;
  const id = idOf(name.toLowerCase());
  if (id !== 0 && (id === ID["content-length"] || id === ID.expect || HOP_BY_HOP.includes(id))) {
    return `"${name}" belongs to the connection and the framing of messages, which Sluice looks after itself`;
  }
  return null;
}
