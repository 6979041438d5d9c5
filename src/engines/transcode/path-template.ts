// Path templates as `google.api.http` has them: `/v1/{name=shelves/*/books/*}:publish`.
import { normalizePath } from "../../http/path.ts";

/** A literal; `*` for one segment of any kind; `**` for all that follow. */
export type Segment =
  | { readonly kind: "literal"; readonly text: string }
  | { readonly kind: "one" }
  | { readonly kind: "rest" };

/** The segments that become the value of a field. */
export interface Variable {
  /** Names from the message down, with dots between them. */
  readonly field: string;
  readonly from: number;
  /** Behind the last one; Infinity where it takes all that follow. */
  readonly to: number;
}

export interface PathTemplate {
  readonly segments: readonly Segment[];
  /** What stands behind a colon at the end; "" for nothing. */
  readonly verb: string;
  readonly variables: readonly Variable[];
}

const SEGMENTS_MAX = 64;
const FIELD_PATH = /^[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*$/;

/** Throws RangeError with what is wrong. */
export function parseTemplate(text: string): PathTemplate {
  const fail = (why: string): never => {
    throw new RangeError(`"${text}" is no path template: ${why}`);
  };
  if (!text.startsWith("/")) fail("it does not begin with a slash");
  const segments: Segment[] = [];
  const variables: Variable[] = [];
  const colon = /:[^/{}:]+$/.exec(text);
  const verb = colon === null ? "" : colon[0].slice(1);
  const path = verb === "" ? text : text.slice(0, colon!.index);
  const literal = (part: string): Segment => {
    const normal = normalizePath(`/${part}`);
    if (normal === null || part === "" || /[{}*]/.test(part)) return fail(`"${part}" is no segment`);
    return { kind: "literal", text: normal.slice(1) };
  };
  const add = (part: string): void => {
    if (segments.at(-1)?.kind === "rest") fail("nothing can follow **");
    segments.push(part === "*" ? { kind: "one" } : part === "**" ? { kind: "rest" } : literal(part));
    if (segments.length > SEGMENTS_MAX) fail(`it has more than ${SEGMENTS_MAX} segments`);
  };
  let rest = path === "/" ? "" : path;
  while (rest !== "") {
    const part = /^\/(?:\{([^{}=]*)(?:=([^{}]*))?\}|([^/{}]*))(?=\/|$)/.exec(rest);
    if (part === null) return fail("its braces or slashes do not fit");
    rest = rest.slice(part[0].length);
    const [, field, pattern, plain] = part;
    if (field === undefined) {
      add(plain ?? "");
      continue;
    }
    if (!FIELD_PATH.test(field)) fail(`"${field}" names no field`);
    if (variables.some((other) => other.field === field)) fail(`"${field}" is there twice`);
    const from = segments.length;
    for (const each of (pattern ?? "*").split("/")) add(each);
    const to = segments.at(-1)?.kind === "rest" ? Number.POSITIVE_INFINITY : segments.length;
    variables.push({ field, from, to });
  }
  return { segments, verb, variables };
}
