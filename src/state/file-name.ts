// Keys of the shared state as names of files, readable for whoever looks into the folder.
import { createHash } from "node:crypto";

/** What file systems take, less room for nothing: 255 bytes is the limit of nearly all (NAME_MAX). */
const NAME_LENGTH_MAX = 255;
/** How much of a key stays readable in the name of a long one. */
const READABLE_LENGTH = 180;
/** Letters have no upper case, so that keys stay apart on file systems that ignore it. */
const PLAIN = /^[a-z0-9._-]$/;

/** One name for each key, without `/` and without a leading dot; a long key ends in its digest. */
export function encodeKey(key: string): string {
  let name = "";
  for (const char of key) {
    if (char === "/") name += "+";
    else if (PLAIN.test(char) && !(char === "." && name === "")) name += char;
    else name += `%${char.charCodeAt(0).toString(16).padStart(2, "0")}`;
  }
  if (name.length <= NAME_LENGTH_MAX) return name;
  const digest = createHash("sha256").update(key).digest("hex");
  return `${name.slice(0, READABLE_LENGTH)}~${digest}`;
}

/** The key, or null when the name tells only its digest. */
export function decodeKey(name: string): string | null {
  if (name.includes("~")) return null;
  return name
    .replaceAll("+", "/")
    .replace(/%([0-9a-f]{2})/g, (_, digits: string) => String.fromCharCode(Number.parseInt(digits, 16)));
}
