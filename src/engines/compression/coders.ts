// Makes and undoes content codings with the runtime's coders: small bodies at once, in the loop, and all else piece by
// piece in the thread pool, so that no request waits for another one's body.
//
// Measured on JSON of 18 KB: at once gzip 5 takes 80 µs, br 4 122 µs, zstd 3 26 µs. The way through the thread pool
// and back costs another 80 to 100 µs of CPU, which is worth it only where the work itself is more than that.
import zlib from "node:zlib";
import type { Coding } from "../../http/content-codings.ts";
import { ZstdFrames } from "./zstd-frames.ts";

const {
  Z_SYNC_FLUSH,
  BROTLI_OPERATION_FLUSH,
  BROTLI_PARAM_QUALITY,
  BROTLI_PARAM_LGWIN,
  BROTLI_PARAM_SIZE_HINT,
  ZSTD_c_compressionLevel,
  ZSTD_c_windowLog,
  ZSTD_c_hashLog,
  ZSTD_c_chainLog,
  ZSTD_d_windowLogMax,
  ZSTD_e_flush,
} = zlib.constants;

/** How hard each coding tries. */
export type Levels = { readonly [Name in Coding]: number };

/** Up to this many bytes a body is encoded at once, at usual levels: about 0.4 ms, less than most handlers take. */
export const AT_ONCE_MAX = 65_536;
/** The same for levels that take up to ten times as long. */
const AT_ONCE_SLOW_MAX = 8192;

/** The largest body that `encode` may be given for this coding and level; 0 where none is small enough. */
export function atOnceMax(coding: Coding, level: number): number {
  if (coding === "gzip") return AT_ONCE_MAX;
  const [usual, slow] = coding === "br" ? [5, 9] : [9, 15];
  return level <= usual ? AT_ONCE_MAX : level <= slow ? AT_ONCE_SLOW_MAX : 0;
}

/** Encodes a whole body at once. */
export function encode(bytes: Buffer, coding: Coding, level: number): Buffer {
  if (coding === "br") return zlib.brotliCompressSync(bytes, brotliOptions(level, bytes.length));
  if (coding === "zstd") return Bun.zstdCompressSync(bytes, { level });
  const made = Bun.gzipSync(bytes as Uint8Array<ArrayBuffer>, { level: level as 6 });
  return Buffer.from(made.buffer, made.byteOffset, made.byteLength);
}

/** Encodes a whole body in the thread pool. */
export function compressWhole(bytes: Buffer, coding: Coding, level: number): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const done = (error: Error | null, made: Buffer): void => (error === null ? resolve(made) : reject(error));
    if (coding === "br") zlib.brotliCompress(bytes, brotliOptions(level, bytes.length), done);
    else if (coding === "zstd") zlib.zstdCompress(bytes, { params: { [ZSTD_c_compressionLevel]: level } }, done);
    else zlib.gzip(bytes, { level }, done);
  });
}

const brotliOptions = (level: number, length: number): zlib.BrotliOptions => ({
  params: { [BROTLI_PARAM_QUALITY]: level, [BROTLI_PARAM_SIZE_HINT]: length },
});

/** Output comes in pieces of this size. */
const CHUNK_BYTES = 32_768;
/**
 * Coders find repetitions over this distance (2^18, 256 KB; gzip has 32 KB anyhow): further back there is little to
 * gain in text, and memory is what it costs. A coder of gzip takes about 0.5 MB, of br up to 2 MB, of zstd up to
 * 1.7 MB.
 */
const WINDOW_LOG = 18;
/** The tables of zstd, which would grow with the level: 2^16 entries of four bytes. */
const TABLE_LOG = 16;
/** Windows of Brotli (RFC 7932 §9.1). */
const BROTLI_WINDOW_LOG_MIN = 10;
const BROTLI_WINDOW_LOG_MAX = 22;
/** The largest window that has to be understood (RFC 9659): 8 MB. */
const DECODED_WINDOW_LOG_MAX = 23;

/** The coders that a thread may have open at a time: with what they hold at most about 256 MB. */
const CODERS_MAX = 128;
let open = 0;

/** Takes a place for a coder; false when there is none left. */
export function takePlace(): boolean {
  if (open >= CODERS_MAX) return false;
  open += 1;
  return true;
}
export function leavePlace(): void {
  open -= 1;
}
/** How many places are taken. */
export const placesTaken = (): number => open;

/** Who gets what a coder makes. */
export interface CoderOwner {
  onCoded(bytes: Buffer): void;
  onCodedEnd(): void;
  /** What was to be decoded is broken. Nothing follows. */
  onCoderFault(error: Error): void;
  /** So many bytes that it was given have been worked in. */
  onTaken(bytes: number): void;
}

type CoderStream = zlib.Gzip | zlib.Gunzip | zlib.BrotliCompress | zlib.BrotliDecompress;

/** One body on its way through the thread pool. Has no place of its own: see `takePlace`. */
export class Coder {
  readonly #stream: CoderStream;
  readonly #flushKind: number;
  readonly #owner: CoderOwner;
  /** Of zstd that is decoded. */
  readonly #frames: ZstdFrames | null;

  private constructor(stream: CoderStream, flushKind: number, owner: CoderOwner, frames: ZstdFrames | null = null) {
    this.#stream = stream;
    this.#flushKind = flushKind;
    this.#owner = owner;
    this.#frames = frames;
    stream.on("data", (bytes: Buffer) => owner.onCoded(bytes));
    stream.on("end", () => {
      if (frames === null || frames.isWhole) owner.onCodedEnd();
      else owner.onCoderFault(new Error("unexpected end of zstd"));
    });
    stream.on("error", (error: Error) => owner.onCoderFault(error));
  }

  static encoder(coding: Coding, level: number, owner: CoderOwner): Coder {
    const chunkSize = CHUNK_BYTES;
    if (coding === "gzip") return new Coder(zlib.createGzip({ level, chunkSize }), Z_SYNC_FLUSH, owner);
    if (coding === "br") {
      const params = { [BROTLI_PARAM_QUALITY]: level, [BROTLI_PARAM_LGWIN]: WINDOW_LOG };
      return new Coder(zlib.createBrotliCompress({ params, chunkSize }), BROTLI_OPERATION_FLUSH, owner);
    }
    const params = {
      [ZSTD_c_compressionLevel]: level,
      [ZSTD_c_windowLog]: WINDOW_LOG,
      [ZSTD_c_hashLog]: TABLE_LOG,
      [ZSTD_c_chainLog]: TABLE_LOG,
    };
    return new Coder(zlib.createZstdCompress({ params, chunkSize }), ZSTD_e_flush, owner);
  }

  /**
   * For content of this many bytes that is worth the work: with all the memory that its level is best with, some 30 MB
   * at level 9 of br, and 100 MB at the highest of zstd.
   */
  static thorough(coding: Coding, level: number, length: number, owner: CoderOwner): Coder {
    const chunkSize = CHUNK_BYTES;
    if (coding === "gzip") return Coder.encoder(coding, level, owner);
    if (coding === "br") {
      // A window that is larger than the content makes it longer, and its tables larger.
      const window = Math.min(Math.max(Math.ceil(Math.log2(length)), BROTLI_WINDOW_LOG_MIN), BROTLI_WINDOW_LOG_MAX);
      const params = { ...brotliOptions(level, length).params, [BROTLI_PARAM_LGWIN]: window };
      return new Coder(zlib.createBrotliCompress({ params, chunkSize }), BROTLI_OPERATION_FLUSH, owner);
    }
    const params = { [ZSTD_c_compressionLevel]: level };
    const options = { params, pledgedSrcSize: length, chunkSize };
    return new Coder(zlib.createZstdCompress(options), ZSTD_e_flush, owner);
  }

  static decoder(coding: Coding, owner: CoderOwner): Coder {
    const chunkSize = CHUNK_BYTES;
    if (coding === "gzip") return new Coder(zlib.createGunzip({ chunkSize }), Z_SYNC_FLUSH, owner);
    if (coding === "br") return new Coder(zlib.createBrotliDecompress({ chunkSize }), BROTLI_OPERATION_FLUSH, owner);
    const params = { [ZSTD_d_windowLogMax]: DECODED_WINDOW_LOG_MAX };
    return new Coder(zlib.createZstdDecompress({ params, chunkSize }), ZSTD_e_flush, owner, new ZstdFrames());
  }

  /** The bytes must stay as they are until they are taken. */
  write(bytes: Buffer): void {
    this.#frames?.push(bytes);
    this.#stream.write(bytes, (error) => {
      if (!error) this.#owner.onTaken(bytes.length);
    });
  }
  /** Puts out all that the bytes so far amount to. */
  flush(): void {
    this.#stream.flush(this.#flushKind);
  }
  end(): void {
    this.#stream.end();
  }
  /** Puts out nothing until `resume`, and works on only as far as a little fits in hand. */
  pause(): void {
    this.#stream.pause();
  }
  resume(): void {
    this.#stream.resume();
  }
  close(): void {
    this.#stream.destroy();
  }
}
