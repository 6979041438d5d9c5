// What rules ask of a multipart body beyond its parts: one bit for each MULTIPART_ variable.

export const MULTIPART_FLAG = {
  boundaryQuoted: 1 << 0,
  boundaryWhitespace: 1 << 1,
  dataBefore: 1 << 2,
  dataAfter: 1 << 3,
  headerFolding: 1 << 4,
  lfLine: 1 << 5,
  crlfLine: 1 << 6,
  missingSemicolon: 1 << 7,
  invalidQuoting: 1 << 8,
  invalidPart: 1 << 9,
  invalidHeaderFolding: 1 << 10,
  fileLimitExceeded: 1 << 11,
} as const;

/** Those that MULTIPART_STRICT_ERROR is made of; a fault makes it as well. Lines that end in CRLF are as they should be. */
export const MULTIPART_STRICT: number = Object.values(MULTIPART_FLAG)
  .filter((flag) => flag !== MULTIPART_FLAG.crlfLine)
  .reduce((all, flag) => all | flag, 0);
