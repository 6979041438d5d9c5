// `compress` beyond its shape: media types that are none, codings that stand there twice.
import { type ConfigPath, type Problem, problem } from "./diagnostic.ts";
import type { Config, PolicyConfig } from "./schema.ts";

/** RFC 9110 §8.3.1, with one `*` for any characters of the subtype, or for all of both parts. */
const MEDIA_TYPE =
  /^(?:\*\/\*|[!#$%&'+\-.^_`|~0-9A-Za-z]+\/[!#$%&'+\-.^_`|~0-9A-Za-z]*\*?[!#$%&'+\-.^_`|~0-9A-Za-z]*)$/;

export function checkCompress(config: Config): Problem[] {
  return [
    ...checkPolicy(config.defaults.compress, ["defaults", "compress"]),
    ...config.routes.flatMap((route, at) => checkPolicy(route.compress, ["routes", at, "compress"])),
  ];
}

function checkPolicy(policy: PolicyConfig["compress"], path: ConfigPath): Problem[] {
  if (policy === undefined || typeof policy === "boolean") return [];
  const { types, algorithms } = policy;
  return [
    ...types.flatMap((type, at) => checkType(type, [...path, "types", at])),
    ...algorithms.flatMap((coding, at) =>
      algorithms.indexOf(coding) === at ? [] : [problem([...path, "algorithms", at], `"${coding}" stands there twice`)],
    ),
  ];
}

function checkType(type: string, path: ConfigPath): Problem[] {
  if (MEDIA_TYPE.test(type) && !type.endsWith("/")) return [];
  const hint = type.includes(";")
    ? "leave the parameters out: they do not matter"
    : "write it like text/html, text/* or application/*+json";
  return [problem(path, `"${type}" is not a media type`, hint)];
}
