// What kind of body a message has, by its Content-Type, and what clients would rather have.

export type BodyType = "json" | "xml" | "other";

/**
 * Streams of values (x-ndjson, json-seq, event-stream) are none of these: they are never held. Of several types, which
 * is a mistake, one that is known counts: the other side may take that one.
 */
export function bodyTypeOf(contentType: string | null): BodyType {
  if (contentType === null) return "other";
  if (!contentType.includes(",")) return typeOf(contentType);
  return (
    contentType
      .split(",")
      .map(typeOf)
      .find((type) => type !== "other") ?? "other"
  );
}

function typeOf(contentType: string): BodyType {
  const semicolon = contentType.indexOf(";");
  const essence = (semicolon < 0 ? contentType : contentType.slice(0, semicolon)).trim().toLowerCase();
  if (essence === "application/json" || essence === "text/json" || essence.endsWith("+json")) return "json";
  return essence === "application/xml" || essence === "text/xml" || essence.endsWith("+xml") ? "xml" : "other";
}

const CHARSET = /;\s*charset\s*=\s*"?([^";\s]+)/i;

/** Whether a body says that it is in UTF-8, of which ASCII is a part, or says nothing. */
export function isUtf8Type(contentType: string): boolean {
  const charset = CHARSET.exec(contentType)?.[1]?.toLowerCase();
  return charset === undefined || charset === "utf-8" || charset === "utf8" || charset === "us-ascii";
}

/** Whether an Accept field prefers XML to JSON (RFC 9110 §12.5.1). Without one there is no preference. */
export function prefersXml(accept: string | null): boolean {
  if (accept === null) return false;
  return weightOf(accept, "xml") > weightOf(accept, "json");
}

/** The weight of the most specific range that fits: the type by its name, else `application/*`, else any. */
function weightOf(accept: string, kind: BodyType): number {
  let named = -1;
  let inFamily = -1;
  let any = -1;
  for (const part of accept.split(",")) {
    const [range = "", ...parameters] = part.split(";").map((each) => each.trim().toLowerCase());
    const weight = weightIn(parameters);
    if (range === "*/*") any = weight;
    else if (range === "application/*") inFamily = weight;
    else if (bodyTypeOf(range) === kind) named = Math.max(named, weight);
  }
  if (named >= 0) return named;
  return inFamily >= 0 ? inFamily : Math.max(any, 0);
}

function weightIn(parameters: readonly string[]): number {
  const weight = Number(parameters.find((each) => each.startsWith("q="))?.slice(2) ?? 1);
  return weight >= 0 && weight <= 1 ? weight : 0;
}
