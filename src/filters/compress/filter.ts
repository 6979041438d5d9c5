// `compress`: answers are encoded for clients that take them so, and decoded for those that do not.
import { compressSettings } from "../../config/defaults.ts";
import { atOnceMax, compressWhole, encode, leavePlace, takePlace } from "../../engines/compression/coders.ts";
import { CodingPolicy } from "../../engines/compression/coding-policy.ts";
import {
  addVary,
  codingOf,
  isDecodable,
  isPlain,
  markEncoded,
  matchTag,
  mayTransform,
} from "../../engines/compression/eligible.ts";
import type { Acceptance } from "../../engines/compression/negotiate.ts";
import { CODINGS, type Coding } from "../../http/content-codings.ts";
import { NO_GRPC } from "../../http/grpc.ts";
import { ID } from "../../http/header-names.ts";
import { type Exchange, type Filter, type KeptCodings, NOT_KEPT } from "../../pipeline/exchange.ts";
import { expectTransform, isTransformed, transformLater } from "../../pipeline/transforms.ts";
import type { FilterDefinition } from "../definition.ts";
import { DecodedBody } from "./decoded-body.ts";
import { EncodedBody } from "./encoded-body.ts";

class Compressor {
  readonly #policy: CodingPolicy;

  constructor(policy: CodingPolicy) {
    this.#policy = policy;
  }

  /** The request phase: notes what the client takes, before anybody changes what the server is told of it. */
  ask(x: Exchange): void {
    x.acceptEncoding = x.request.headers.getById(ID["accept-encoding"]);
    if (x.grpc !== NO_GRPC) return;
    if (this.#policy.decompress || this.#policy.choose(x.acceptEncoding).coding !== null) expectTransform(x);
  }

  /** The response phase. A promise where a long answer of Sluice's own has to be encoded. */
  answer(x: Exchange): undefined | Promise<undefined> {
    const { response, request } = x;
    const { headers } = response;
    if (response.status === 304) this.#answerUnmodified(x);
    else if (x.grpc === NO_GRPC && response.status !== 101 && mayTransform(request.headers, headers)) {
      const acceptance = this.#policy.choose(x.acceptEncoding);
      if (isPlain(response)) return this.#encode(x, acceptance);
      // A part says what the whole would depend on (RFC 9110 §15.3.7).
      if (response.status === 206 && this.#policy.hasType(headers)) addVary(headers);
      if (this.#policy.decompress && isDecodable(response)) this.#decode(x, acceptance);
    }
    return undefined;
  }

  /** A 304 says by what the whole answer is chosen, where that is known here (RFC 9110 §15.4.5). */
  #answerUnmodified({ request, response, unmodified }: Exchange): void {
    matchTag(request.headers, response.headers);
    if (unmodified === null || !mayTransform(request.headers, unmodified)) return;
    const told = unmodified.getById(ID["content-length"]);
    const isLong = told === null || Number(told) >= this.#policy.minSize;
    const mayBeEncoded = isLong && this.#policy.hasType(unmodified) && codingOf(unmodified) === "";
    const mayBeDecoded = this.#policy.decompress && CODINGS.some((each) => each === codingOf(unmodified));
    if (mayBeEncoded || mayBeDecoded) addVary(response.headers);
  }

  #encode(x: Exchange, { coding, required }: Acceptance): undefined | Promise<undefined> {
    const { response } = x;
    const { headers } = response;
    const isEligible = this.#policy.hasType(headers);
    if (!isEligible && !required) return undefined;
    const minSize = required ? 0 : this.#policy.minSize;
    if (knownLength(x) < minSize) return undefined;
    if (isEligible) addVary(headers);
    if (coding === null) return undefined;
    const level = this.#policy.levels[coding];
    if (x.ownBody !== null) return encodeOwn(x, x.ownBody, coding, level);
    if (x.request.method === "HEAD") headOnly(x, coding);
    else if (response.body !== "none") {
      const kept = isTransformed(x) ? null : x.kept; // what has been changed on its way is not what is kept
      if (kept === null || !sendKept(x, kept, coding))
        transformLater(x, new EncodedBody(x, { coding, level, minSize }, kept));
    }
    return undefined;
  }

  #decode(x: Exchange, { accepted, required }: Acceptance): void {
    const { response, request, ownBody } = x;
    const coding = CODINGS.find((each) => each === codingOf(response.headers));
    if (coding === undefined || ownBody !== null) return;
    addVary(response.headers);
    if (required || accepted.includes(coding)) return;
    if (request.method === "HEAD") {
      markEncoded(response.headers, "");
      response.body = "none"; // its length is that of the content as it is stored
    } else if (response.body !== "none") transformLater(x, new DecodedBody(x, coding));
  }
}

/** Marks the head of an answer to HEAD like that of the answer to GET, whose length is told where it is known. */
function headOnly(x: Exchange, coding: Coding): void {
  const { response } = x;
  markEncoded(response.headers, coding);
  const length = x.kept === null ? NOT_KEPT : x.kept.use(coding);
  response.body = length > 0 ? "length" : "none";
  response.length = Math.max(0, length);
}

/** Whether the cache has the content in this coding, and it is sent so. */
function sendKept(x: Exchange, kept: KeptCodings, coding: Coding): boolean {
  const length = kept.use(coding);
  if (length === NOT_KEPT) return false;
  const { response } = x;
  markEncoded(response.headers, coding);
  response.body = length < 0 ? "chunked" : "length";
  response.length = Math.max(0, length);
  return true;
}

/** How long the content is, or would be in the answer to a GET; infinite where nobody knows. */
function knownLength({ response, request, ownBody }: Exchange): number {
  if (ownBody !== null) return ownBody.length;
  if (response.body === "length") return response.length;
  const told = request.method === "HEAD" ? response.headers.getById(ID["content-length"]) : null;
  return told === null ? Number.POSITIVE_INFINITY : Number(told);
}

/** Encodes an answer of Sluice's own: a short one at once, and one that takes longer in the thread pool. */
function encodeOwn(x: Exchange, bytes: Buffer, coding: Coding, level: number): undefined | Promise<undefined> {
  const put = (made: Buffer): undefined => {
    markEncoded(x.response.headers, coding);
    x.ownBody = made;
    x.coded = { coding, result: "encoded", bytesIn: bytes.length, bytesOut: made.length };
    return undefined;
  };
  if (bytes.length <= atOnceMax(coding, level)) return put(encode(bytes, coding, level));
  if (!takePlace()) {
    x.coded = { coding, result: "busy", bytesIn: 0, bytesOut: 0 };
    return undefined;
  }
  return compressWhole(bytes, coding, level).then(put).finally(leavePlace);
}

/** The part that stands before all filters that change what the server gets. */
export const compressAsked: FilterDefinition = {
  key: "compress",
  compile({ compress: config }) {
    if (config === undefined) return [];
    const compressor = new Compressor(new CodingPolicy(compressSettings(config)));
    const filter: Filter = {
      name: "compress",
      request(x) {
        compressor.ask(x);
      },
    };
    return [Object.freeze(filter)];
  },
};

/** The part that stands behind all filters that look at the answer. */
export const compress: FilterDefinition = {
  key: "compress",
  compile({ compress: config }) {
    if (config === undefined) return [];
    const compressor = new Compressor(new CodingPolicy(compressSettings(config)));
    const filter: Filter = { name: "compress", response: (x) => compressor.answer(x) };
    return [Object.freeze(filter)];
  },
};
