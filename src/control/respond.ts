// The `respond` action: an answer from the configuration.
import { within } from "../config/compile-error.ts";
import type { RouteConfig } from "../config/schema.ts";
import { fieldProblem } from "../filters/header-edit.ts";
import { HeaderBlock } from "../http/header-block.ts";
import type { Exchange } from "../pipeline/exchange.ts";
import type { Reply } from "../pipeline/reply.ts";
import { compileTemplate, type TemplatePlace } from "../pipeline/template.ts";

const NO_BODY: readonly number[] = [204, 205, 304]; // RFC 9110 §15.3.5, §15.3.6, §15.4.5
const TEXT_TYPE = "text/plain; charset=utf-8";

/**
 * Compiles an answer. Its header block is new for every request, because response filters edit it; a body without
 * placeholders is one buffer for all. Placeholders are escaped as the content type asks for. Throws CompileError.
 */
export function compileRespond(
  config: NonNullable<RouteConfig["respond"]>,
  params: readonly string[],
): (x: Exchange) => Reply {
  const { status } = config;
  const text = NO_BODY.includes(status) ? "" : config.body;
  const fields = Object.entries(config.headers).map(([name, value]) =>
    within("headers", () =>
      within(name, () => {
        const wrong = fieldProblem(name);
        if (wrong !== null) throw new RangeError(wrong);
        return { name, value: compileTemplate(value, params, "field") };
      }),
    ),
  );
  const type = Object.entries(config.headers).find(([name]) => name.toLowerCase() === "content-type")?.[1];
  if (type === undefined && text !== "")
    fields.push({ name: "content-type", value: compileTemplate(TEXT_TYPE, [], "field") });
  const body = within("body", () => compileTemplate(text, params, placeOf(type ?? TEXT_TYPE)));
  const constantBody = body.constant === null ? null : Buffer.from(body.constant, "latin1");
  return (x) => {
    const headers = new HeaderBlock();
    for (const { name, value } of fields) {
      const rendered = value.render(x);
      if (rendered !== "") headers.add(name, rendered);
    }
    return { status, headers, body: constantBody ?? Buffer.from(body.render(x), "latin1") };
  };
}

function placeOf(contentType: string): TemplatePlace {
  if (/\b(html|xml|svg)\b/i.test(contentType)) return "html";
  return /\bjson\b/i.test(contentType) ? "json" : "text";
}
