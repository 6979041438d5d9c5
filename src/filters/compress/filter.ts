// `compress`: answers are encoded for clients that take them so, and decoded for those that do not.
import { COMPRESS_DEFAULTS } from "../../config/defaults.ts";
import type { PolicyConfig } from "../../config/schema.ts";
import {
  atOnceMax,
  compressWhole,
  encode,
  type Levels,
  leavePlace,
  takePlace,
} from "../../engines/compression/coders.ts";
import {
  addVary,
  codingOf,
  isDecodable,
  isPlain,
  MediaTypes,
  markEncoded,
  matchTag,
  mayTransform,
} from "../../engines/compression/eligible.ts";
import { type Acceptance, Negotiator } from "../../engines/compression/negotiate.ts";
import { CODINGS, type Coding } from "../../http/content-codings.ts";
import { NO_GRPC } from "../../http/grpc.ts";
import { ID } from "../../http/header-names.ts";
import type { Exchange, Filter } from "../../pipeline/exchange.ts";
import { expectTransform, transformLater } from "../../pipeline/transforms.ts";
import type { FilterDefinition } from "../definition.ts";
import { DecodedBody } from "./decoded-body.ts";
import { EncodedBody } from "./encoded-body.ts";

type Config = Exclude<PolicyConfig["compress"], boolean | undefined>;

class Compressor {
  readonly #negotiator: Negotiator;
  readonly #types: MediaTypes;
  readonly #minSize: number;
  readonly #levels: Levels;
  readonly #decompress: boolean;

  constructor({ algorithms, types, minSize, levels, decompress }: Config) {
    this.#negotiator = new Negotiator(algorithms);
    this.#types = new MediaTypes(types);
    this.#minSize = minSize;
    this.#levels = levels;
    this.#decompress = decompress;
  }

  /** The request phase: notes what the client takes, before anybody changes what the server is told of it. */
  ask(x: Exchange): void {
    x.acceptEncoding = x.request.headers.getById(ID["accept-encoding"]);
    if (x.grpc !== NO_GRPC) return;
    if (this.#decompress || this.#negotiator.choose(x.acceptEncoding).coding !== null) expectTransform(x);
  }

  /** The response phase. A promise where a long answer of Sluice's own has to be encoded. */
  answer(x: Exchange): undefined | Promise<undefined> {
    const { response, request } = x;
    const { headers } = response;
    if (response.status === 304) matchTag(request.headers, headers);
    else if (x.grpc === NO_GRPC && response.status !== 101 && mayTransform(request.headers, headers)) {
      const acceptance = this.#negotiator.choose(x.acceptEncoding);
      if (isPlain(response)) return this.#encode(x, acceptance);
      if (this.#decompress && isDecodable(response)) this.#decode(x, acceptance);
    }
    return undefined;
  }

  #encode(x: Exchange, { coding, required }: Acceptance): undefined | Promise<undefined> {
    const { response } = x;
    const { headers } = response;
    const type = headers.getById(ID["content-type"]);
    const isEligible = type !== null && this.#types.has(type);
    if (!isEligible && !required) return undefined;
    const minSize = required ? 0 : this.#minSize;
    if (knownLength(x) < minSize) return undefined;
    if (isEligible) addVary(headers);
    if (coding === null) return undefined;
    const level = this.#levels[coding];
    if (x.ownBody !== null) return encodeOwn(x, x.ownBody, coding, level);
    if (response.body !== "none") transformLater(x, new EncodedBody(x, { coding, level, minSize }));
    else if (x.request.method === "HEAD") markEncoded(headers, coding); // the fields that a GET would get
    return undefined;
  }

  #decode(x: Exchange, { accepted, required }: Acceptance): void {
    const { response, request, ownBody } = x;
    const coding = CODINGS.find((each) => each === codingOf(response.headers));
    if (coding === undefined || ownBody !== null) return;
    addVary(response.headers);
    if (required || accepted.includes(coding)) return;
    if (response.body !== "none") transformLater(x, new DecodedBody(x, coding));
    else if (request.method === "HEAD") markEncoded(response.headers, "");
  }
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

/** What `true` stands for. */
const configOf = (config: true | Config): Config => (config === true ? COMPRESS_DEFAULTS : config);

/** The part that stands before all filters that change what the server gets. */
export const compressAsked: FilterDefinition = {
  key: "compress",
  compile({ compress: config }) {
    if (config === undefined) return [];
    const compressor = new Compressor(configOf(config));
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
    const compressor = new Compressor(configOf(config));
    const filter: Filter = { name: "compress", response: (x) => compressor.answer(x) };
    return [Object.freeze(filter)];
  },
};
