// The transformations of SecLang by name, with the meaning that the reference manual of ModSecurity v3 gives them.
import { removeComments, removeCommentsChar, replaceComments } from "./comments.ts";
import * as encodings from "./encodings.ts";
import { cssDecode, escapeSeqDecode, htmlEntityDecode, jsDecode } from "./escapes.ts";
import { normalizePath, normalizePathWin } from "./paths.ts";
import * as text from "./text.ts";
import { urlDecode, urlDecodeUni, urlEncode, utf8toUnicode } from "./url.ts";

/** Takes a value of Latin-1 characters, one for each byte. Returns the very same string where nothing changes. */
export type Transformation = (input: string) => string;

const BY_NAME: ReadonlyMap<string, Transformation> = new Map<string, Transformation>([
  ["base64decode", encodings.base64Decode],
  ["base64decodeext", encodings.base64DecodeExt],
  ["base64encode", encodings.base64Encode],
  ["cmdline", text.cmdLine],
  ["compresswhitespace", text.compressWhitespace],
  ["cssdecode", cssDecode],
  ["escapeseqdecode", escapeSeqDecode],
  ["hexdecode", encodings.hexDecode],
  ["hexencode", encodings.hexEncode],
  ["htmlentitydecode", htmlEntityDecode],
  ["jsdecode", jsDecode],
  ["length", encodings.byteLength],
  ["lowercase", text.lowercase],
  ["md5", encodings.md5],
  ["none", (input) => input],
  ["normalisepath", normalizePath],
  ["normalisepathwin", normalizePathWin],
  ["normalizepath", normalizePath],
  ["normalizepathwin", normalizePathWin],
  ["parityeven7bit", text.parityEven7bit],
  ["parityodd7bit", text.parityOdd7bit],
  ["parityzero7bit", text.parityZero7bit],
  ["removecomments", removeComments],
  ["removecommentschar", removeCommentsChar],
  ["removenulls", text.removeNulls],
  ["removewhitespace", text.removeWhitespace],
  ["replacecomments", replaceComments],
  ["replacenulls", text.replaceNulls],
  ["sha1", encodings.sha1],
  ["sqlhexdecode", encodings.sqlHexDecode],
  ["trim", text.trim],
  ["trimleft", text.trimLeft],
  ["trimright", text.trimRight],
  ["uppercase", text.uppercase],
  ["urldecode", urlDecode],
  ["urldecodeuni", urlDecodeUni],
  ["urlencode", urlEncode],
  ["utf8tounicode", utf8toUnicode],
]);

/** The transformation of that name, without regard to case; null for a name that is not known. */
export const transformation = (name: string): Transformation | null => BY_NAME.get(name.toLowerCase()) ?? null;
