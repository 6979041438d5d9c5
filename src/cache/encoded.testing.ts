// For tests of what is kept encoded: stored answers, and a cache of which only the room counts.
import zlib from "node:zlib";
import { COMPRESS_DEFAULTS } from "../config/defaults.ts";
import { NO_VARY } from "../engines/cache/vary.ts";
import { CodingPolicy, type CodingSettings } from "../engines/compression/coding-policy.ts";
import type { Coding } from "../http/content-codings.ts";
import { HeaderBlock } from "../http/header-block.ts";
import { layOut } from "../http/laid-out.ts";
import { Body } from "./body.ts";
import type { EncoderOwner } from "./encoded.ts";
import { Address, Entry } from "./entry.ts";

const UNDO: Readonly<Record<Coding, (bytes: Buffer) => Buffer>> = {
  gzip: (bytes) => zlib.gunzipSync(bytes),
  br: (bytes) => zlib.brotliDecompressSync(bytes),
  zstd: (bytes) => zlib.zstdDecompressSync(bytes),
};

export const policyOf = (settings: Partial<CodingSettings> = {}): CodingPolicy =>
  new CodingPolicy({ ...COMPRESS_DEFAULTS, ...settings });

/** Content that is whole, in these pieces. */
export function bodyOf(...pieces: readonly Buffer[]): Body {
  const body = new Body(-1, null);
  for (const piece of pieces) body.append(piece, 0, piece.length);
  body.finish(null);
  return body;
}

export function bytesOf(body: Body): Buffer {
  const pieces: Buffer[] = [];
  for (let at = 0; at < body.pieces; at += 1) pieces.push(body.piece(at)!.subarray(0, body.filled(at)) as Buffer);
  return Buffer.concat(pieces);
}

export const decoded = (body: Body, coding: Coding): Buffer => UNDO[coding](bytesOf(body));

const STAMP = { slot: 0, count: 0, purges: 0, disk: 0 };
const VARIANT = { rule: NO_VARY, key: "", encoding: "", language: "" };
const TIMES: Entry["times"] = {
  bornAt: 0,
  freshUntil: 1e6,
  refreshUntil: 1e6,
  errorUntil: 1e6,
  downUntil: 1e6,
  mayBeStale: true,
  immutable: false,
};

/** A stored answer with these fields. */
export function entryOf(body: Body, fields: Readonly<Record<string, string>> = {}, status = 200): Entry {
  const all = Object.entries({ "content-type": "application/json", ...fields });
  const headers = layOut(new HeaderBlock(), status, "OK", [...all, ["content-length", String(body.length)]]);
  return new Entry("", VARIANT, [], STAMP, TIMES, { status, reason: "OK", headers }, body);
}

/** Stores one answer for each address. */
export class Room implements EncoderOwner {
  readonly #stored = new Map<string, Address>();
  /** An answer may take so many bytes with all that is made of it. */
  entryMax: number = Number.POSITIVE_INFINITY;
  /** So many may be in work. */
  workMax: number = Number.POSITIVE_INFINITY;
  inWork = 0;
  /** What was counted last, by address. */
  readonly counted = new Map<string, number>();
  readonly store: EncoderOwner["store"] = {
    peek: (address) => this.#stored.get(address),
    valueBytesMax: () => this.entryMax,
    put: (address, stored) => {
      this.counted.set(address, stored.bytes);
      return true;
    },
  };

  set(address: string, entry: Entry): void {
    const stored = new Address();
    stored.add(entry);
    this.#stored.set(address, stored);
  }
  get(address: string): Entry {
    return this.#stored.get(address)!.variants[0]!;
  }
  delete(address: string): void {
    this.#stored.delete(address);
  }

  mayHold(bytes: number): boolean {
    return this.inWork + bytes <= this.workMax;
  }
  held(bytes: number): void {
    this.inWork += bytes;
  }
}
