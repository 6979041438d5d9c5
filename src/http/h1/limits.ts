// What one HTTP/1.1 message may cost before it is refused. Every number has a default in the configuration's schema.

export interface HeadLimits {
  /** Bytes of the start line, without its CRLF. */
  readonly startLine: number;
  /** Bytes of the header section, the last empty line included. */
  readonly section: number;
  /** Header fields. */
  readonly fields: number;
}

/** For answers of upstreams: large sets of cookies, and the 128 KB in which tagging servers of Google tell what they debug. */
export const RESPONSE_LIMITS: HeadLimits = { startLine: 8192, section: 163_840, fields: 256 };
/** Trailer sections carry a checksum or a status; 8 KB leave room for both many times over. */
export const TRAILER_LIMITS: HeadLimits = { startLine: 0, section: 8192, fields: 32 };
/** Empty lines before a request line are skipped (RFC 9112 §2.2), but not for ever: bytes. */
export const LEADING_EMPTY_BYTES_MAX = 16;
/** Bytes of chunk extensions in one body: nobody uses them, and they are the cheapest way to keep a parser busy. */
export const CHUNK_EXTENSION_BYTES_MAX = 4096;
/** Hexadecimal digits of a chunk size, leading zeros included. */
export const CHUNK_SIZE_DIGITS_MAX = 16;
/** Members of a Connection or Upgrade list: each is looked for among the fields, and nobody needs more than a few. */
export const CONNECTION_OPTIONS_MAX = 32;
/** Longest method; longer ones are not known to anybody (501, RFC 9110 §9.1). */
export const METHOD_BYTES_MAX = 32;
