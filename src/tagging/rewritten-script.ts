// A vendor's script on its way to a page: its addresses become those of the site.
import { brotliDecompressSync, gunzipSync, inflateSync, zstdDecompressSync } from "node:zlib";
import { fault } from "../core/faults.ts";
import { type Replacement, ScriptRewriter } from "../engines/tagging/script-rewrite.ts";
import type { HeaderBlock } from "../http/header-block.ts";
import type { BodyOutput, BodyTransform } from "../pipeline/body-transform.ts";
import type { Exchange, FilterResult } from "../pipeline/exchange.ts";
import { transformResponse } from "../pipeline/transforms.ts";

/** Rewrites the answer's body, which passes meanwhile. */
export function rewriteScript(x: Exchange, replacements: readonly Replacement[]): FilterResult {
  const { response } = x;
  const { headers } = response;
  const coding = (headers.get("content-encoding") ?? "identity").trim().toLowerCase();
  if (coding !== "identity" && !Object.hasOwn(DECODERS, coding))
    return fault("upstream.bad_response", `a script came encoded: ${coding.slice(0, 20)}`);
  headers.remove("content-encoding");
  // It is another text than the one that these are about.
  for (const name of ["content-md5", "digest", "content-digest", "repr-digest", "accept-ranges"]) headers.remove(name);
  if (x.request.method === "HEAD") {
    response.body = "none";
    headers.remove("content-length");
    return undefined;
  }
  const decode = DECODERS[coding];
  const rewriter = new ScriptRewriter(replacements);
  transformResponse(x, decode === undefined ? new RewrittenScript(rewriter) : new DecodedScript(rewriter, decode));
  return undefined;
}

type Decode = (bytes: Buffer, options: { readonly maxOutputLength: number }) => Buffer;

const DECODERS: Readonly<Record<string, Decode>> = {
  gzip: gunzipSync,
  "x-gzip": gunzipSync,
  deflate: inflateSync,
  br: brotliDecompressSync,
  zstd: zstdDecompressSync,
};

class RewrittenScript implements BodyTransform {
  readonly #rewriter: ScriptRewriter;

  constructor(rewriter: ScriptRewriter) {
    this.#rewriter = rewriter;
  }

  push(bytes: Buffer, from: number, to: number, out: BodyOutput): void {
    const made = this.#rewriter.push(Buffer.from(bytes.subarray(from, to)));
    if (made.length > 0) out.data(made, 0, made.length);
  }

  end(trailers: HeaderBlock | null, out: BodyOutput): void {
    const rest = this.#rewriter.end();
    if (rest.length > 0) out.data(rest, 0, rest.length);
    out.end(trailers);
  }
}

/** The largest tags have less than 1 MB, and compressed less than a third of it. */
const ENCODED_MAX = 4_194_304;
const DECODED_MAX = 16_777_216;

/** It was asked for as it is, but some servers do not listen: then it is read whole. */
class DecodedScript implements BodyTransform {
  readonly #rewriter: ScriptRewriter;
  readonly #decode: Decode;
  readonly #pieces: Buffer[] = [];
  #length = 0;
  #isOver = false;

  constructor(rewriter: ScriptRewriter, decode: Decode) {
    this.#rewriter = rewriter;
    this.#decode = decode;
  }

  push(bytes: Buffer, from: number, to: number, out: BodyOutput): void {
    if (this.#isOver) return;
    this.#length += to - from;
    if (this.#length > ENCODED_MAX) return this.#fail(out, "it is too long");
    this.#pieces.push(Buffer.from(bytes.subarray(from, to)));
  }

  end(trailers: HeaderBlock | null, out: BodyOutput): void {
    if (this.#isOver) return;
    let plain: Buffer;
    try {
      plain = this.#decode(Buffer.concat(this.#pieces), { maxOutputLength: DECODED_MAX });
    } catch {
      return this.#fail(out, "it cannot be decoded");
    }
    for (const part of [this.#rewriter.push(plain), this.#rewriter.end()])
      if (part.length > 0) out.data(Buffer.from(part), 0, part.length);
    out.end(trailers);
  }

  #fail(out: BodyOutput, why: string): void {
    this.#isOver = true;
    out.fail(fault("upstream.bad_response", `a script came encoded, and ${why}`));
  }
}
