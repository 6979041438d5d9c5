// Answers as raw bytes with what they must come to: read at every cut, and sent by a hostile server through a proxy.

/** `methods`: those of the requests that are answered. */
export interface ResponseRow {
  readonly name: string;
  readonly methods?: readonly string[];
  readonly wire: string;
}

const ok = (fields: string, body = ""): string => `HTTP/1.1 200 OK\r\n${fields}\r\n${body}`;
const chunked = (body: string): string => ok("Transfer-Encoding: chunked\r\n", body);
const row = (name: string, wire: string, ...methods: readonly string[]): ResponseRow => ({
  name,
  wire,
  ...(methods.length > 0 && { methods }),
});

/** Heads that must be refused: the client is told of a broken answer. */
export const BROKEN_HEADS: readonly ResponseRow[] = [
  row("not HTTP", "hello world\r\n\r\n"),
  row("an empty line first", `\r\n${ok("Content-Length: 0\r\n")}`),
  row("a space before the version", " HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
  row("HTTP/0.9", "<html>hello</html>\r\n\r\n"),
  row("HTTP/2.0", "HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n"),
  row("HTTP/1.2", "HTTP/1.2 200 OK\r\nContent-Length: 0\r\n\r\n"),
  row("http in lower case", "http/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
  row("ICY", "ICY 200 OK\r\nContent-Length: 0\r\n\r\n"),
  row("no status", "HTTP/1.1\r\nContent-Length: 0\r\n\r\n"),
  row("a status of two digits", "HTTP/1.1 20 OK\r\nContent-Length: 0\r\n\r\n"),
  row("a status of four digits", "HTTP/1.1 2000 OK\r\nContent-Length: 0\r\n\r\n"),
  row("a status below 100", "HTTP/1.1 099 OK\r\nContent-Length: 0\r\n\r\n"),
  row("a status above 599", "HTTP/1.1 600 OK\r\nContent-Length: 0\r\n\r\n"),
  row("a status with a sign", "HTTP/1.1 +20 OK\r\nContent-Length: 0\r\n\r\n"),
  row("two spaces before the status", "HTTP/1.1  200 OK\r\nContent-Length: 0\r\n\r\n"),
  row("a tab before the status", "HTTP/1.1\t200 OK\r\nContent-Length: 0\r\n\r\n"),
  row("no space behind the status", "HTTP/1.1 200OK\r\nContent-Length: 0\r\n\r\n"),
  row("a NUL in the reason", "HTTP/1.1 200 O\0K\r\nContent-Length: 0\r\n\r\n"),
  row("a bare CR in the reason", "HTTP/1.1 200 O\rK\r\nContent-Length: 0\r\n\r\n"),
  row("a bare LF behind the status line", "HTTP/1.1 200 OK\nContent-Length: 0\r\n\r\n"),
  row("a bare LF behind a field", "HTTP/1.1 200 OK\r\nX: y\nContent-Length: 0\r\n\r\n"),
  row("a bare LF at the end of the head", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\n"),
  row("a bare CR in a value", ok("X: a\rb\r\nContent-Length: 0\r\n")),
  row("a NUL in a value", ok("X: a\0b\r\nContent-Length: 0\r\n")),
  row("a folded line", ok("X: a\r\n b\r\nContent-Length: 0\r\n")),
  row("a folded line before the first field", ok(" X: a\r\nContent-Length: 0\r\n")),
  row("a space before the colon", ok("Content-Length : 0\r\n")),
  row("an empty name", ok(": a\r\nContent-Length: 0\r\n")),
  row("a line without a colon", ok("nonsense\r\nContent-Length: 0\r\n")),
  row("a name with a space", ok("X Y: a\r\nContent-Length: 0\r\n")),
  row("length and coding", ok("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n")),
  row("coding and length", ok("Transfer-Encoding: chunked\r\nContent-Length: 0\r\n", "0\r\n\r\n")),
  row("two lengths that differ", ok("Content-Length: 5\r\nContent-Length: 6\r\n", "hello!")),
  row("two lengths that agree", ok("Content-Length: 5\r\nContent-Length: 5\r\n", "hello")),
  row("a list of lengths", ok("Content-Length: 5, 5\r\n", "hello")),
  row("an empty length", ok("Content-Length:\r\n")),
  row("a length with plus", ok("Content-Length: +5\r\n", "hello")),
  row("a length with minus", ok("Content-Length: -5\r\n", "hello")),
  row("a length in hex", ok("Content-Length: 0x5\r\n", "hello")),
  row("a length of 2^64", ok("Content-Length: 18446744073709551616\r\n")),
  row("an unknown coding", ok("Transfer-Encoding: gzip\r\n", "x")),
  row("an unknown coding before chunked", ok("Transfer-Encoding: gzip, chunked\r\n", "0\r\n\r\n")),
  row("chunked twice", ok("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n")),
  row("an empty coding", ok("Transfer-Encoding:\r\n", "x")),
  row("chunked behind a vertical tab", ok("Transfer-Encoding: \x0bchunked\r\n", "0\r\n\r\n")),
  row("a coding in HTTP/1.0", "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
  row("a 204 with a length", "HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\nhello"),
  row("a 204 with a coding", "HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
  row("a 103 with a length", "HTTP/1.1 103 Early Hints\r\nContent-Length: 5\r\n\r\nhello"),
  row("a 100 with a coding", "HTTP/1.1 100 Continue\r\nTransfer-Encoding: chunked\r\n\r\n"),
  row("Connection that is no list of tokens", ok("Connection: a b\r\nContent-Length: 0\r\n")),
];

/** Bodies that break their framing behind a good head: the client must see that the answer is cut off. */
export const BROKEN_BODIES: readonly ResponseRow[] = [
  row("no chunk size", chunked("5\r\nhello\r\n\r\n0\r\n\r\n")),
  row("a chunk size with plus", chunked("5\r\nhello\r\n+1\r\nx\r\n0\r\n\r\n")),
  row("a chunk size with 0x", chunked("5\r\nhello\r\n0x1\r\nx\r\n0\r\n\r\n")),
  row("a chunk size of 2^64 + 1", chunked("5\r\nhello\r\n10000000000000001\r\nx\r\n0\r\n\r\n")),
  row("a bare LF behind a chunk size", chunked("5\r\nhello\r\n1\nx\r\n0\r\n\r\n")),
  row("no CRLF behind a chunk", chunked("5\r\nhello0\r\n\r\n")),
  row("a chunk longer than its size", chunked("5\r\nhello!\r\n0\r\n\r\n")),
  row("a bare LF in a chunk extension", chunked("5;a\nhello\r\n0\r\n\r\n")),
  row("a bare LF in place of trailers", chunked("5\r\nhello\r\n0\r\n\n")),
  row("an answer in place of trailers", chunked("5\r\nhello\r\n0\r\nHTTP/1.1 200 OK\r\n\r\n")),
];

export type GoodResponseRow = readonly [
  name: string,
  methods: readonly string[],
  wire: string,
  want: readonly string[],
];

export const GOOD_RESPONSES: readonly GoodResponseRow[] = [
  [
    "a length",
    ["GET"],
    ok("Content-Length: 5\r\n", "hello"),
    ["head 200 OK 1.1 keep length=5", "field Content-Length: 5", "data hello", "end", "open"],
  ],
  [
    "a length of 0",
    ["GET"],
    ok("Content-Length: 0\r\n"),
    ["head 200 OK 1.1 keep none", "field Content-Length: 0", "end", "open"],
  ],
  [
    "chunks, extensions and trailers",
    ["GET"],
    chunked("5;a=b\r\nhello\r\n0\r\nX: y\r\n\r\n"),
    ["head 200 OK 1.1 keep chunked", "field Transfer-Encoding: chunked", "data hello", "trailer X: y", "end", "open"],
  ],
  [
    "no framing",
    ["GET"],
    ok("", "until the end"),
    ["head 200 OK 1.1 close close", "data until the end", "end", "close"],
  ],
  [
    "no framing, HTTP/1.0",
    ["GET"],
    "HTTP/1.0 200 OK\r\n\r\nx",
    ["head 200 OK 1.0 close close", "data x", "end", "close"],
  ],
  [
    "keep-alive without framing",
    ["GET"],
    "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n\r\nx",
    ["head 200 OK 1.0 close close", "field Connection: keep-alive", "data x", "end", "close"],
  ],
  [
    "HTTP/1.0 keep-alive",
    ["GET"],
    "HTTP/1.0 200 OK\r\nConnection: Keep-Alive\r\nContent-Length: 1\r\n\r\nx",
    [
      "head 200 OK 1.0 keep length=1",
      "field Connection: Keep-Alive",
      "field Content-Length: 1",
      "data x",
      "end",
      "open",
    ],
  ],
  [
    "HTTP/1.0 with a length",
    ["GET"],
    "HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\nx",
    ["head 200 OK 1.0 close length=1", "field Content-Length: 1", "data x", "end", "close"],
  ],
  [
    "close",
    ["GET"],
    ok("Connection: close\r\nContent-Length: 1\r\n", "xSURPLUS"),
    ["head 200 OK 1.1 close length=1", "field Connection: close", "field Content-Length: 1", "data x", "end", "close"],
  ],
  [
    "no reason",
    ["GET"],
    "HTTP/1.1 200 \r\nContent-Length: 0\r\n\r\n",
    ["head 200  1.1 keep none", "field Content-Length: 0", "end", "open"],
  ],
  [
    "no reason and no space before it",
    ["GET"],
    "HTTP/1.1 404\r\nContent-Length: 0\r\n\r\n",
    ["head 404  1.1 keep none", "field Content-Length: 0", "end", "open"],
  ],
  [
    "a reason of any bytes",
    ["GET"],
    "HTTP/1.1 599 \t\xfcber  all\r\nContent-Length: 0\r\n\r\n",
    ["head 599 \t\xfcber  all 1.1 keep none", "field Content-Length: 0", "end", "open"],
  ],
  [
    "HEAD with a length",
    ["HEAD"],
    ok("Content-Length: 5\r\n"),
    ["head 200 OK 1.1 keep none", "field Content-Length: 5", "end", "open"],
  ],
  [
    "HEAD with a coding",
    ["HEAD"],
    chunked(""),
    ["head 200 OK 1.1 keep none", "field Transfer-Encoding: chunked", "end", "open"],
  ],
  ["HEAD without framing", ["HEAD"], ok(""), ["head 200 OK 1.1 keep none", "end", "open"]],
  ["204", ["GET"], "HTTP/1.1 204 No Content\r\n\r\n", ["head 204 No Content 1.1 keep none", "end", "open"]],
  [
    "204 with a length of 0",
    ["GET"],
    "HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n",
    ["head 204 No Content 1.1 keep none", "field Content-Length: 0", "end", "open"],
  ],
  [
    "304 with a length",
    ["GET"],
    "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n",
    ["head 304 Not Modified 1.1 keep none", "field Content-Length: 5", "end", "open"],
  ],
  [
    "304 with a coding",
    ["GET"],
    "HTTP/1.1 304 Not Modified\r\nTransfer-Encoding: chunked\r\n\r\n",
    ["head 304 Not Modified 1.1 keep none", "field Transfer-Encoding: chunked", "end", "open"],
  ],
  [
    "interim answers",
    ["GET"],
    `HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n${ok("Content-Length: 1\r\n", "x")}`,
    [
      "head 100 Continue 1.1 keep none",
      "end",
      "head 103 Early Hints 1.1 keep none",
      "field Link: x",
      "end",
      "head 200 OK 1.1 keep length=1",
      "field Content-Length: 1",
      "data x",
      "end",
      "open",
    ],
  ],
  [
    "101",
    ["GET"],
    "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: WebSocket\r\n\r\n",
    [
      "head 101 Switching Protocols 1.1 keep none upgrade=websocket",
      "field Connection: upgrade",
      "field Upgrade: WebSocket",
      "end",
      "open",
    ],
  ],
  [
    "several answers",
    ["HEAD", "GET", "GET"],
    `${ok("Content-Length: 9\r\n")}${chunked("1\r\nx\r\n0\r\n\r\n")}${ok("Content-Length: 1\r\n", "y")}`,
    [
      "head 200 OK 1.1 keep none",
      "field Content-Length: 9",
      "end",
      "head 200 OK 1.1 keep chunked",
      "field Transfer-Encoding: chunked",
      "data x",
      "end",
      "head 200 OK 1.1 keep length=1",
      "field Content-Length: 1",
      "data y",
      "end",
      "open",
    ],
  ],
  [
    "a body that breaks off",
    ["GET"],
    ok("Content-Length: 5\r\n", "hel"),
    ["head 200 OK 1.1 keep length=5", "field Content-Length: 5", "data hel", "incomplete"],
  ],
  [
    "chunks that break off",
    ["GET"],
    chunked("5\r\nhello\r\n0\r\n"),
    ["head 200 OK 1.1 keep chunked", "field Transfer-Encoding: chunked", "data hello", "incomplete"],
  ],
];
