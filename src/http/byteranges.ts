// The body of a 206 with several parts: multipart/byteranges (RFC 9110 §14.6). All that stands between the bytes of the
// parts is made beforehand, so that the length of the whole is known.
import { type ByteRange, contentRange } from "./ranges.ts";

/** A multipart/byteranges body: `heads[0]`, bytes of `ranges[0]`, `heads[1]`, bytes of `ranges[1]`, …, `close`. */
export interface Byteranges {
  /** For the Content-Type field of the answer. */
  readonly contentType: string;
  readonly ranges: readonly ByteRange[];
  /** What stands before each part, delimiter and fields. */
  readonly heads: readonly Buffer[];
  readonly close: Buffer;
  /** Bytes of the whole body. */
  readonly length: number;
}

/**
 * Lays out the parts. `partType` is the Content-Type of the representation, null without one; `length` how many bytes
 * it has. The boundary must be of characters that need no quotes, and so random that the parts do not hold it by
 * chance or by somebody's will: 20 letters and digits.
 */
export function layoutByteranges(
  ranges: readonly ByteRange[],
  length: number,
  partType: string | null,
  boundary: string,
): Byteranges {
  const type = partType === null ? "" : `Content-Type: ${partType}\r\n`;
  const close = Buffer.from(`\r\n--${boundary}--\r\n`, "latin1");
  let total = close.length;
  const heads = ranges.map((range, index) => {
    const delimiter = `${index === 0 ? "" : "\r\n"}--${boundary}\r\n`;
    const head = Buffer.from(`${delimiter}${type}Content-Range: ${contentRange(range, length)}\r\n\r\n`, "latin1");
    total += head.length + range.last - range.first + 1;
    return head;
  });
  return { contentType: `multipart/byteranges; boundary=${boundary}`, ranges, heads, close, length: total };
}
