// The `files` action beyond its shape: names of fields, values that no message may carry, pages that are none.
import { HOP_BY_HOP, isFieldName, isFieldValue } from "../http/header-block.ts";
import { ID, idOf } from "../http/header-names.ts";
import { type ConfigPath, type Problem, problem } from "./diagnostic.ts";
import type { Config } from "./schema.ts";
import type { FilesConfig } from "./schema-files.ts";

/** What is made from the file itself, or frames the message. */
const OWN: ReadonlySet<string> = new Set(["etag", "last-modified", "accept-ranges", "content-range", "content-length"]);

export function checkFiles({ routes }: Config): Problem[] {
  return routes.flatMap(({ files }, at) =>
    files === undefined
      ? []
      : [
          ...checkFallback(files, ["routes", at, "files", "spa"]),
          ...checkFields(files, ["routes", at, "files", "headers"]),
          ...checkHints(files, ["routes", at, "files", "earlyHints"]),
        ],
  );
}

function checkFallback({ spa, index }: FilesConfig, path: ConfigPath): Problem[] {
  if (spa === true && index.length === 0)
    return [problem(path, "there is no `index` that this could be", "write the name of the page, such as app.html")];
  if (typeof spa !== "string" || isPlainPath(spa)) return [];
  return [problem(path, `"${spa}" is not a file of the root`, "write it like app.html or app/index.html")];
}

const isPlainPath = (text: string): boolean =>
  text.split("/").every((part) => part !== "" && !part.startsWith(".") && !part.includes("\0"));

function checkFields({ headers }: FilesConfig, path: ConfigPath): Problem[] {
  return Object.entries(headers).flatMap(([pattern, fields]) =>
    Object.entries(fields).flatMap(([name, value]) => {
      const where = [...path, pattern, name];
      const wrong = nameProblem(name);
      if (wrong !== null) return [problem(where, `"${name}" ${wrong}`, "remove this line", "key")];
      return isFieldValue(value) ? [] : [problem(where, "this text cannot be sent in a header")];
    }),
  );
}

function nameProblem(name: string): string | null {
  if (!isFieldName(name)) return "is not a header name";
  const lower = name.toLowerCase();
  const id = idOf(lower);
  if (OWN.has(lower)) return "is made from the file itself";
  return id !== 0 && (id === ID.date || HOP_BY_HOP.includes(id)) ? "is written by the proxy alone" : null;
}

function checkHints({ earlyHints }: FilesConfig, path: ConfigPath): Problem[] {
  return Object.entries(earlyHints).flatMap(([pattern, links]) =>
    links.flatMap((link, at) =>
      link.startsWith("<") && isFieldValue(link)
        ? []
        : [
            problem(
              [...path, pattern, at],
              `"${link}" is not a link`,
              "write it like </app.css>; rel=preload; as=style",
            ),
          ],
    ),
  );
}
