// Parts of answers: RFC 9111 §3.3, §3.4, RFC 9110 §14, §15.3.7.
import { type Case, type Group, optional, ours, required } from "./case.ts";

const FRESH = 'Cache-Control: max-age=3600 | ETag: "a"';
const CONTENT = "0123456789A";

/** A stored answer, and a request for a part of it. */
const part = (kind: typeof optional, range: string, gets: number, text: string, contentRange: string): Case =>
  kind(FRESH, "cached", {
    first: { content: CONTENT },
    second: {
      fields: `Range: ${range}`,
      gets,
      text,
      ...(contentRange === "" ? { lacks: ["content-range"] } : { has: `Content-Range: ${contentRange}` }),
    },
  });

const onCondition = (condition: string, gets: number): Case =>
  required(`${FRESH} | Last-Modified: {-1000} | Date: {0}`, "cached", {
    first: { content: CONTENT },
    second: { fields: `Range: bytes=0-1 | If-Range: ${condition}`, gets, text: gets === 206 ? "01" : CONTENT },
  });

const PARTIAL_GROUP: Group = {
  name: "partial",
  section: "RFC 9111 §3.3, RFC 9110 §14",
  cases: [
    part(optional, "bytes=0-1", 206, "01", "bytes 0-1/11"),
    part(optional, "bytes=1-", 206, "123456789A", "bytes 1-10/11"),
    part(optional, "bytes=-1", 206, "A", "bytes 10-10/11"),
    part(optional, "bytes=-100", 206, CONTENT, "bytes 0-10/11"),
    part(optional, "bytes=0-100", 206, CONTENT, "bytes 0-10/11"),
    part(optional, "BYTES=0-1", 206, "01", "bytes 0-1/11"),
    part(required, "bytes=11-", 416, "", "bytes */11"),
    part(required, "bytes=-0", 416, "", "bytes */11"),
    part(required, "bytes=5-4", 200, CONTENT, ""),
    part(required, "bytes=a-b", 200, CONTENT, ""),
    part(required, "lines=0-1", 200, CONTENT, ""),
    part(required, "bytes", 200, CONTENT, ""),
    onCondition('"a"', 206),
    onCondition('"b"', 200),
    onCondition('W/"a"', 200),
    onCondition("{-1000}", 206),
    onCondition("{-900}", 200),
    required(FRESH, "cached", {
      first: { content: CONTENT },
      second: { fields: "Range: bytes=0-1", method: "HEAD", gets: 200 },
    }),
    optional(FRESH, "cached", {
      first: { content: CONTENT, fields: "Range: bytes=0-1", unsent: ["range"], gets: 206, text: "01" },
      second: { text: CONTENT },
    }),
    required(`${FRESH} | A: 1`, "cached", {
      first: { content: CONTENT },
      second: { fields: "Range: bytes=0-1", gets: 206, text: "01", has: 'A: 1 | ETag: "a"' },
    }),
    {
      kind: "required",
      name: "a 206 that nobody asked for is not given out as the whole",
      steps: [
        { status: 206, answer: `${FRESH} | Content-Range: bytes 0-4/10`, content: "01234" },
        { answer: FRESH, content: "0123456789", from: "asked", text: "0123456789" },
      ],
    },
    {
      kind: "ours",
      name: "a 206 that contradicts itself is not stored",
      steps: [
        { fields: "Range: bytes=-5", status: 206, answer: `${FRESH} | Content-Range: bytes 4-9/10`, content: "01234" },
        {
          fields: "Range: bytes=-5",
          status: 206,
          answer: `${FRESH} | Content-Range: bytes 5-9/10`,
          content: "56789",
          from: "asked",
        },
      ],
    },
    {
      kind: "required",
      name: "a stale answer is validated before a part of it is given out",
      steps: [
        { answer: 'Cache-Control: max-age=1 | ETag: "a"', content: CONTENT, pause: true },
        { fields: "Range: bytes=0-1", answer: FRESH, from: "etag", unsent: ["range"], gets: 206, text: "01" },
      ],
    },
    ours(FRESH, "cached", {
      first: { content: CONTENT },
      second: { fields: "Range: bytes=0-1,4-5", gets: 206, has: "Content-Range: bytes 0-5/11", text: "012345" },
    }),
  ],
};

export const PARTIAL: readonly Group[] = [PARTIAL_GROUP];
