// The body of a hit, which may come compressed: read, changed, and put back into the same form.
import { promisify } from "node:util";
import { brotliCompress, brotliDecompress, deflate, gunzip, gzip, inflate } from "node:zlib";

type Code = (bytes: Buffer) => Promise<Buffer>;

interface Coding {
  decode(bytes: Buffer, maxOutputLength: number): Promise<Buffer>;
  readonly encode: Code;
}

const CODINGS: Readonly<Record<string, Coding>> = {
  gzip: coding(gunzip, promisify(gzip)),
  deflate: coding(inflate, promisify(deflate)),
  br: coding(brotliDecompress, promisify(brotliCompress)),
};

type Callback = (error: Error | null, result: Buffer) => void;

function coding(decode: (bytes: Buffer, options: object, callback: Callback) => void, encode: Code): Coding {
  return {
    decode: (bytes, maxOutputLength) =>
      new Promise((resolve, reject) =>
        decode(bytes, { maxOutputLength }, (error, made) => (error === null ? resolve(made) : reject(error))),
      ),
    encode,
  };
}

/** Events are repetitive, but not more than this: beyond it somebody means harm. */
const RATIO_MAX = 20;

/**
 * The body with its text changed; the same one where nothing changes. What cannot be looked through is no hit that may
 * pass: a text says why.
 */
export async function cleanBody(
  body: Buffer,
  contentEncoding: string,
  bytesMax: number,
  change: (text: string) => string,
): Promise<Buffer | string> {
  const name = contentEncoding.trim().toLowerCase();
  // Some vendors compress in the page itself, and do not say so.
  const isGzip = name === "" && body[0] === 0x1f && body[1] === 0x8b;
  if (!isGzip && (name === "" || name === "identity")) return changed(body, change) ?? NO_TEXT;
  const used = Object.hasOwn(CODINGS, name) || isGzip ? CODINGS[isGzip ? "gzip" : name]! : null;
  if (used === null) return `the content coding ${name.slice(0, 20)} is unknown`;
  let plain: Buffer;
  try {
    plain = await used.decode(body, bytesMax * RATIO_MAX);
  } catch {
    return "the body cannot be decoded";
  }
  const made = changed(plain, change);
  if (made === null) return NO_TEXT;
  return made === plain ? body : used.encode(made);
}

const NO_TEXT = "the body is neither text nor compressed text";

function changed(bytes: Buffer, change: (text: string) => string): Buffer | null {
  const text = bytes.toString();
  if (text.includes("\ufffd")) return null;
  const made = change(text);
  return made === text ? bytes : Buffer.from(made);
}
