// The Content-Type of files, by how their names end.
import mime from "mime";

/** Text, beside the types that say so: browsers guess the encoding of text where none is given. */
const TEXT_TYPES: ReadonlySet<string> = new Set([
  "application/javascript",
  "application/json",
  "application/manifest+json",
  "application/xml",
  "image/svg+xml",
]);
const UNKNOWN = "application/octet-stream";

/** The type of a file; text is taken for UTF-8. */
export function mediaTypeOf(name: string): string {
  const type = mime.getType(name);
  if (type === null) return UNKNOWN;
  return type.startsWith("text/") || TEXT_TYPES.has(type) ? `${type}; charset=utf-8` : type;
}
