// A request whose documents were named by hashes or ids, as the server gets it: with the documents themselves.
import { rawItems, rawMembers } from "../../engines/graphql/index.ts";
import { decodeQuery } from "../../http/query.ts";

/** What names a document, which the server need not know of. */
const NAMES = ["documentId", "id"];

/** The JSON of a request with these documents where there are any; all else stays as it was written. */
export function withDocuments(text: string, isBatch: boolean, documents: readonly (string | null)[]): string {
  const items = isBatch ? rawItems(text) : [text];
  const made = items.map((item, at) => {
    const document = documents[at] ?? null;
    return document === null ? item : withDocument(item, document);
  });
  return isBatch ? `[${made.join(",")}]` : made.join("");
}

function withDocument(text: string, document: string): string {
  const members = new Map(rawMembers(text));
  for (const name of NAMES) members.delete(name);
  members.set("query", JSON.stringify(document));
  const extensions = members.get("extensions");
  const others = extensions === undefined ? null : withoutHash(extensions);
  if (others === null) members.delete("extensions");
  else members.set("extensions", others);
  return `{${[...members].map(([name, value]) => `${JSON.stringify(name)}:${value}`).join(",")}}`;
}

/** Null where nothing is left. */
function withoutHash(extensions: string): string | null {
  if (extensions === "null") return null;
  const members = [...rawMembers(extensions)].filter(([name]) => name !== "persistedQuery");
  return members.length === 0
    ? null
    : `{${members.map(([name, value]) => `${JSON.stringify(name)}:${value}`).join(",")}}`;
}

/** Longer targets are refused by most servers. */
const TARGET_MAX = 16_384;

/** The target of a GET with this document; "" where it would be too long. */
export function targetWith(target: string, queryAt: number, document: string): string {
  const kept = target
    .slice(queryAt + 1)
    .split("&")
    .flatMap((part) => keptParameter(part));
  const made = `${target.slice(0, queryAt)}?${[`query=${encodeURIComponent(document)}`, ...kept].join("&")}`;
  return made.length > TARGET_MAX ? "" : made;
}

function keptParameter(part: string): string[] {
  const equals = part.indexOf("=");
  const name = decodeQuery(equals < 0 ? part : part.slice(0, equals));
  if (name === "query" || NAMES.includes(name)) return [];
  if (name !== "extensions") return part === "" ? [] : [part];
  const others = withoutHash(decodeURIComponent(part.slice(equals + 1).replaceAll("+", " ")).trim());
  return others === null ? [] : [`extensions=${encodeURIComponent(others)}`];
}
