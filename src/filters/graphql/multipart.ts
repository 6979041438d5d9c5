// The part of a body with files that says what is asked for (`operations`), read so strictly that nobody can find
// another one in it: RFC 7578, and what the GraphQL multipart request specification makes of it.

const PARTS_MAX = 100;
const HEAD_MAX = 4096;
const BOUNDARY = /^multipart\/form-data;\s*boundary=(?:"([\w'()+,\-./:=? ]{1,70})"|([\w'+\-.]{1,70}))$/i;
const DISPOSITION = /^form-data; ?name="([\w.-]{1,100})"(?:; ?filename="[^"\\\r\n]{0,512}")?$/;
const TEXT_TYPE = /^(?:text\/plain|application\/json)(?:; ?charset="?utf-8"?)?$/i;
const FIELD = /^([A-Za-z-]{1,50}):[ \t]*(.*?)[ \t]*$/;

export type Parts = { readonly operations: Buffer; readonly problem: null } | { readonly problem: string };

/** The `operations` of a whole body. */
export function operationsPart(body: Buffer, contentType: string): Parts {
  const match = BOUNDARY.exec(contentType);
  if (match === null) return { problem: "The boundary is missing, or not as it should be." };
  const dash = Buffer.from(`--${match[1] ?? match[2]}`);
  const between = Buffer.concat([CRLF, dash]);
  if (body.subarray(0, dash.length).compare(dash) !== 0) return BROKEN;
  let operations: Buffer | null = null;
  let at = dash.length;
  for (let count = 0; count <= PARTS_MAX; count += 1) {
    if (isAt(body, at, DASHES)) {
      const isEnd = at + 2 === body.length || (isAt(body, at + 2, CRLF) && at + 4 === body.length);
      if (!isEnd) return BROKEN;
      return operations === null ? { problem: 'There is no part "operations".' } : { operations, problem: null };
    }
    if (!isAt(body, at, CRLF)) return BROKEN;
    const headEnd = body.indexOf(BLANK, at);
    const end = headEnd < 0 ? -1 : body.indexOf(between, headEnd + BLANK.length - CRLF.length);
    if (headEnd < 0 || end < 0 || headEnd - at > HEAD_MAX) return BROKEN;
    const part = partOf(body.latin1Slice(at + 2, headEnd));
    if (part === null) return { problem: "A part has a head that is not as it should be." };
    if (part.name === "operations" && (operations !== null || part.isFile))
      return { problem: 'There is one part "operations", and it is no file.' };
    if (part.name === "operations")
      operations = body.subarray(headEnd + BLANK.length, Math.max(end, headEnd + BLANK.length));
    at = end + between.length;
  }
  return { problem: `There are more than ${PARTS_MAX} parts.` };
}

const CRLF = Buffer.from("\r\n");
const BLANK = Buffer.from("\r\n\r\n");
const DASHES = Buffer.from("--");
const BROKEN: Parts = { problem: "The parts of the body are not as they should be." };

const isAt = (body: Buffer, at: number, bytes: Buffer): boolean =>
  at + bytes.length <= body.length && body.subarray(at, at + bytes.length).equals(bytes);

/** What the head of a part says; null where it could be read in two ways. */
function partOf(head: string): { readonly name: string; readonly isFile: boolean } | null {
  let found: { readonly name: string; readonly isFile: boolean } | null = null;
  let type = "";
  for (const line of head.split("\r\n")) {
    const [, name = "", value = ""] = FIELD.exec(line) ?? [];
    const lower = name.toLowerCase();
    if (lower === "content-disposition") {
      const disposition = DISPOSITION.exec(value);
      if (disposition === null || found !== null) return null;
      found = { name: disposition[1]!, isFile: value.includes("filename=") };
    } else if (lower !== "content-type" || type !== "") return null;
    else type = value;
  }
  // In another charset, text is another text: by that of its part, or of a part that says it of all (RFC 7578 §4.6).
  if (found === null || found.name === "_charset_") return null;
  return found.isFile || type === "" || TEXT_TYPE.test(type) ? found : null;
}
