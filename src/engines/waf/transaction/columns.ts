// What rules look at, as columns: entries with a name and a value, or one value alone.

/** Collections whose entries have names; the values of a `…_NAMES` column are the names of the other. */
const COLLECTIONS = [
  "ARGS_GET",
  "ARGS_GET_NAMES",
  "ARGS_POST",
  "ARGS_POST_NAMES",
  "REQUEST_HEADERS",
  "REQUEST_HEADERS_NAMES",
  "REQUEST_COOKIES",
  "REQUEST_COOKIES_NAMES",
  "FILES",
  "FILES_NAMES",
  "FILES_SIZES",
  "FILES_TMPNAMES",
  "FILES_TMP_CONTENT",
  "MULTIPART_FILENAME",
  "MULTIPART_NAME",
  "MULTIPART_PART_HEADERS",
  "XML_TEXT",
  "XML_ATTRIBUTES",
] as const;

/** Single values that are known with the head of the request or with its body. */
const SCALARS = [
  "ARGS_COMBINED_SIZE",
  "AUTH_TYPE",
  "FILES_COMBINED_SIZE",
  "INBOUND_DATA_ERROR",
  "MULTIPART_BOUNDARY_QUOTED",
  "MULTIPART_BOUNDARY_WHITESPACE",
  "MULTIPART_CRLF_LF_LINES",
  "MULTIPART_DATA_AFTER",
  "MULTIPART_DATA_BEFORE",
  "MULTIPART_FILE_LIMIT_EXCEEDED",
  "MULTIPART_HEADER_FOLDING",
  "MULTIPART_INVALID_HEADER_FOLDING",
  "MULTIPART_INVALID_PART",
  "MULTIPART_INVALID_QUOTING",
  "MULTIPART_LF_LINE",
  "MULTIPART_MISSING_SEMICOLON",
  "MULTIPART_SEMICOLON_MISSING",
  "MULTIPART_STRICT_ERROR",
  "MULTIPART_UNMATCHED_BOUNDARY",
  "PATH_INFO",
  "QUERY_STRING",
  "REMOTE_ADDR",
  "REMOTE_HOST",
  "REMOTE_PORT",
  "REMOTE_USER",
  "REQBODY_ERROR",
  "REQBODY_ERROR_MSG",
  "REQBODY_PROCESSOR_ERROR",
  "REQBODY_PROCESSOR_ERROR_MSG",
  "REQUEST_BASENAME",
  "REQUEST_BODY",
  "REQUEST_BODY_LENGTH",
  "REQUEST_FILENAME",
  "REQUEST_LINE",
  "REQUEST_METHOD",
  "REQUEST_PROTOCOL",
  "REQUEST_URI",
  "REQUEST_URI_RAW",
  "SERVER_ADDR",
  "SERVER_NAME",
  "SERVER_PORT",
  "UNIQUE_ID",
  "URLENCODED_ERROR",
  "USERAGENT_IP",
] as const;

/** What comes with the response. From here on columns belong to the prefilter of responses. */
const RESPONSE = [
  "RESPONSE_HEADERS",
  "RESPONSE_HEADERS_NAMES",
  "OUTBOUND_DATA_ERROR",
  "RESPONSE_BODY",
  "RESPONSE_CONTENT_LENGTH",
  "RESPONSE_CONTENT_TYPE",
  "RESPONSE_PROTOCOL",
  "RESPONSE_STATUS",
  "STATUS_LINE",
] as const;

const NAMES = [...COLLECTIONS, ...SCALARS, ...RESPONSE] as const;

export type ColumnName = (typeof NAMES)[number];

/** The number of each column. */
export const COLUMN = Object.fromEntries(NAMES.map((name, id) => [name, id])) as { readonly [N in ColumnName]: number };

export const COLUMN_COUNT = NAMES.length;
export const FIRST_RESPONSE_COLUMN = COLUMN.RESPONSE_HEADERS;

/** Columns of which some rule may choose entries by name. */
export const isCollection = (id: number): boolean =>
  id < COLLECTIONS.length || id === COLUMN.RESPONSE_HEADERS || id === COLUMN.RESPONSE_HEADERS_NAMES;

/** `ARGS_GET` for `ARGS_GET_NAMES`: the column whose names are the values of this one; -1 when it is none. */
export function namedColumn(id: number): number {
  const name = NAMES[id]!;
  if (name === "FILES_NAMES" || !name.endsWith("_NAMES")) return -1;
  return COLUMN[name.slice(0, -"_NAMES".length) as ColumnName];
}
