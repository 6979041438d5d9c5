// The body of a request, read by the processor that its Content-Type or a rule chose.
import { parseJson } from "../bodies/json.ts";
import { type MultipartBody, parseMultipart } from "../bodies/multipart.ts";
import { MULTIPART_FLAG, MULTIPART_STRICT } from "../bodies/multipart-flags.ts";
import { parseUrlEncoded, type TakeArgument, URLENCODED_INVALID, URLENCODED_TOO_MANY } from "../bodies/url-encoded.ts";
import { parseXml } from "../bodies/xml.ts";
import { COLUMN, type ColumnName } from "./columns.ts";
import type { State } from "./state.ts";

const FLAGS: readonly (readonly [ColumnName, number])[] = [
  ["MULTIPART_BOUNDARY_QUOTED", MULTIPART_FLAG.boundaryQuoted],
  ["MULTIPART_BOUNDARY_WHITESPACE", MULTIPART_FLAG.boundaryWhitespace],
  ["MULTIPART_DATA_AFTER", MULTIPART_FLAG.dataAfter],
  ["MULTIPART_DATA_BEFORE", MULTIPART_FLAG.dataBefore],
  ["MULTIPART_FILE_LIMIT_EXCEEDED", MULTIPART_FLAG.fileLimitExceeded],
  ["MULTIPART_HEADER_FOLDING", MULTIPART_FLAG.headerFolding],
  ["MULTIPART_INVALID_HEADER_FOLDING", MULTIPART_FLAG.invalidHeaderFolding],
  ["MULTIPART_INVALID_PART", MULTIPART_FLAG.invalidPart],
  ["MULTIPART_INVALID_QUOTING", MULTIPART_FLAG.invalidQuoting],
  ["MULTIPART_LF_LINE", MULTIPART_FLAG.lfLine],
  ["MULTIPART_MISSING_SEMICOLON", MULTIPART_FLAG.missingSemicolon],
  ["MULTIPART_SEMICOLON_MISSING", MULTIPART_FLAG.missingSemicolon],
];

/** The processor for a media type in lower case; empty for one that has none. */
export function processorOf(contentType: string): string {
  const end = contentType.search(/[;,\s]/);
  const type = (end < 0 ? contentType : contentType.slice(0, end)).toLowerCase();
  // ModSecurity compares no more than this of types of forms, as some servers do.
  if (type.startsWith("application/x-www-form-urlencoded")) return "URLENCODED";
  if (type.startsWith("multipart/form-data")) return "MULTIPART";
  if (type === "application/json" || type.endsWith("+json")) return "JSON";
  if (type === "application/xml" || type === "text/xml" || type.endsWith("+xml")) return "XML";
  return "";
}

/**
 * Fills the columns that come with a body.
 *
 * @param cut whether the body goes on beyond the limit: that it ends too early is no error of it then
 * @param takePost adds to ARGS_POST
 */
export function readRequestBody(state: State, body: string, cut: boolean, takePost: TakeArgument): void {
  const { columns, bodyProcessor } = state;
  columns[COLUMN.REQUEST_BODY_LENGTH]!.set(String(body.length));
  const fault = process(state, body, cut, takePost);
  // Forms with parts and XML are seen by what they hold, and not a second time as a whole. What nothing could read, or
  // not to its end, is looked at as it came.
  const whole = (bodyProcessor !== "MULTIPART" && bodyProcessor !== "XML") || state.forceRequestBody;
  if (whole || (fault !== "" && !cut)) columns[COLUMN.REQUEST_BODY]!.set(body);
  // Of a form, only that it ends too early is no fault then: behind others it would not be read on.
  setError(state, cut && bodyProcessor !== "MULTIPART" ? "" : fault);
}

function setError(state: State, fault: string): void {
  const { columns } = state;
  const flag = fault === "" ? "0" : "1";
  columns[COLUMN.REQBODY_ERROR]!.set(flag);
  columns[COLUMN.REQBODY_PROCESSOR_ERROR]!.set(flag);
  columns[COLUMN.REQBODY_ERROR_MSG]!.set(fault);
  columns[COLUMN.REQBODY_PROCESSOR_ERROR_MSG]!.set(fault);
}

function process(state: State, body: string, cut: boolean, takePost: TakeArgument): string {
  const { settings } = state;
  const count = Math.max(0, settings.argumentsLimit - state.columns[COLUMN.ARGS_GET]!.keys.length);
  const limits = { depth: settings.depthLimit, count };
  switch (state.bodyProcessor) {
    case "URLENCODED": {
      const outcome = parseUrlEncoded(body, settings.argumentSeparator, count, takePost);
      if ((outcome & URLENCODED_INVALID) !== 0) state.columns[COLUMN.URLENCODED_ERROR]!.set("1");
      return (outcome & URLENCODED_TOO_MANY) === 0 ? "" : "there are more arguments than SecArgumentsLimit allows";
    }
    case "JSON":
      return body === "" ? "" : parseJson(body, limits, takePost);
    case "XML": {
      if (body === "") return "";
      const { fault, text, attributes } = parseXml(body, limits);
      if (text !== "") state.columns[COLUMN.XML_TEXT]!.add("/*", text);
      for (const value of attributes) state.columns[COLUMN.XML_ATTRIBUTES]!.add("//@*", value);
      return fault;
    }
    case "MULTIPART": {
      const type = firstHeader(state, "content-type");
      const form = parseMultipart(body, type, { parts: count, files: settings.uploadFileLimit });
      takeForm(state, body, form, cut, takePost);
      if (form.fault !== "") return cut && form.endsEarly ? "" : form.fault;
      return form.noFilesLength > settings.requestBodyNoFilesLimit ? "the fields of the form are too long" : "";
    }
    default:
      return "";
  }
}

function takeForm(state: State, body: string, form: MultipartBody, cut: boolean, takePost: TakeArgument): void {
  const { columns } = state;
  const contents = columns[COLUMN.FILES_TMP_CONTENT]!;
  let size = 0;
  for (const part of form.parts) {
    for (const header of part.headers) columns[COLUMN.MULTIPART_PART_HEADERS]!.add(part.name, header);
    if (part.fileName === null) {
      takePost(part.name, part.value);
      continue;
    }
    columns[COLUMN.FILES]!.add(part.name, part.fileName);
    if (part.fileNameExtended !== null) columns[COLUMN.FILES]!.add(part.name, part.fileNameExtended);
    columns[COLUMN.FILES_NAMES]!.add(part.name, part.name);
    columns[COLUMN.FILES_SIZES]!.add(part.name, String(part.end - part.start));
    columns[COLUMN.MULTIPART_FILENAME]!.add("", part.fileName);
    columns[COLUMN.MULTIPART_NAME]!.add("", part.name);
    // A piece of the body is not copied, but only some rules look at it at all.
    if (contents.pairs.length > 0) contents.add(part.name, body.slice(part.start, part.end));
    size += part.end - part.start;
  }
  columns[COLUMN.FILES_COMBINED_SIZE]!.set(String(size));
  for (const [name, flag] of FLAGS) columns[COLUMN[name]]!.set((form.flags & flag) === 0 ? "0" : "1");
  // Of a form that goes on beyond the limit, only what was seen can be wrong.
  const strict = cut ? (form.flags & MULTIPART_STRICT) !== 0 : form.strictError;
  const lines = form.flags & (MULTIPART_FLAG.crlfLine | MULTIPART_FLAG.lfLine);
  const mixed = lines === (MULTIPART_FLAG.crlfLine | MULTIPART_FLAG.lfLine);
  columns[COLUMN.MULTIPART_CRLF_LF_LINES]!.set(mixed ? "1" : "0");
  columns[COLUMN.MULTIPART_STRICT_ERROR]!.set(strict ? "1" : "0");
  columns[COLUMN.MULTIPART_UNMATCHED_BOUNDARY]!.set(String(form.unmatchedBoundary));
}

/** The value of the first field of that name (in lower case); empty when there is none. */
export function firstHeader(state: State, name: string): string {
  const headers = state.columns[COLUMN.REQUEST_HEADERS]!;
  for (let at = 0; at < headers.keys.length; at += 1) {
    if (headers.keys[at]!.toLowerCase() === name) return headers.values[at]!;
  }
  return "";
}
