// One request as one line of the access log, written as bytes into a buffer: JSON, combined or common.

/** What the access log reads of a finished request. Text that came off the wire is Latin-1: one character for each byte. */
export interface AccessEntry {
  readonly method: string;
  /** The target as the client wrote it. */
  readonly target: string;
  /** The minor version of HTTP/1 (10, 11); 20 and 30 for HTTP/2 and HTTP/3. */
  readonly version: number;
  /** 499 when the client went away before it was answered. */
  readonly status: number;
  /** Address of the client. */
  readonly ip: string;
  readonly scheme: string;
  /** The authority that the request was for; "" without one. */
  readonly host: string;
  /** Body bytes from and to the client. */
  readonly bytesIn: number;
  readonly bytesOut: number;
  /** From the first byte of the request to the last of the answer. */
  readonly durationMs: number;
  /** From the first byte of the request to the head of the upstream's answer; negative when it did not come to that. */
  readonly upstreamMs: number;
  readonly requestId: string;
  /** The fields of that name; "" when absent. Asked for only by formats that show them. */
  readonly userAgent: string;
  readonly referer: string;
  /** Names from the configuration; "" when there is none. */
  readonly route: string;
  readonly upstream: string;
  readonly server: string;
  readonly listener: string;
  /** Code of the fault that ended it; "" when it went well. */
  readonly fault: string;
  /** The `grpc-status` of a gRPC call; -1 without one. */
  readonly grpcStatus: number;
  /** The name of a GraphQL operation; "" without one. */
  readonly operation: string;
  /** What the cache did with the request; "" without one. */
  readonly cache: string;
  /** Who asked, as far as that is known; "" for nobody. UTF-16, unlike what comes off the wire. */
  readonly user: string;
  /** Null for what was not asked of a language model. */
  readonly tokens: TokenEntry | null;
  /** The name of the consumer, which is ASCII; "" for nobody who is one. */
  readonly consumer: string;
}

/** What a language model has read and written (pipeline/tokens.ts). The names come from the configuration. */
interface TokenEntry {
  readonly provider: string;
  readonly model: string;
  readonly input: number;
  readonly cached: number;
  readonly output: number;
  readonly estimated: boolean;
}

/** A finished connection or session of layer 4. */
export interface SessionEntry {
  readonly protocol: "tcp" | "udp";
  /** Address of the client. */
  readonly ip: string;
  /** Bytes from and to the client. */
  readonly bytesIn: number;
  readonly bytesOut: number;
  readonly durationMs: number;
  /** From its start to the connected server; negative when it did not come to that. */
  readonly upstreamMs: number;
  /** Names from the configuration; "" when there is none. */
  readonly upstream: string;
  readonly server: string;
  readonly listener: string;
  /** Code of the fault that ended it; "" when it went well. */
  readonly fault: string;
}

export type LineFormat = "json" | "combined" | "common";

/**
 * No line is longer: PIPE_BUF of Linux (pipe(7)), so that lines of several workers never tear each other in a pipe.
 * The limits below add up to less, with the keys of the JSON form; what is cut off ends in `…`.
 */
export const LINE_BYTES_MAX = 4096;
const TARGET_MAX = 1792;
/** What a language model took needs this much of the target's room. */
const TOKENS_MAX = 384;
const AGENT_MAX = 384;
const HOST_MAX = 255; // RFC 1035 §2.3.4
const WORD_MAX = 64; // methods, request ids, addresses
const NAME_MAX = 100; // names from the configuration
/** Names are few; the cache of their bytes only has to survive many reloads with new ones. */
const NAMES_MAX = 4096;

/** 1 for the bytes that every format takes as they are: visible ASCII and space without `"` and `\`. */
const PLAIN = new Uint8Array(256).map((_, byte) =>
  byte >= 0x20 && byte < 0x7f && byte !== 0x22 && byte !== 0x5c ? 1 : 0,
);
const HEX = Buffer.from("0123456789abcdef");
const ELLIPSIS = Buffer.from("…");
const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

const KEY = {
  requestId: Buffer.from(',"requestId":"'),
  protocol: Buffer.from(',"protocol":"'),
  ip: Buffer.from(',"ip":"'),
  method: Buffer.from('","method":"'),
  scheme: Buffer.from('","scheme":"'),
  host: Buffer.from('","host":"'),
  target: Buffer.from('","target":"'),
  version: Buffer.from('","version":"'),
  status: Buffer.from('","status":'),
  bytesIn: Buffer.from(',"bytesIn":'),
  bytesOut: Buffer.from(',"bytesOut":'),
  durationMs: Buffer.from(',"durationMs":'),
  listener: Buffer.from(',"listener":"'),
  route: Buffer.from(',"route":"'),
  upstream: Buffer.from(',"upstream":"'),
  server: Buffer.from(',"server":"'),
  upstreamMs: Buffer.from(',"upstreamMs":'),
  userAgent: Buffer.from(',"userAgent":"'),
  referer: Buffer.from(',"referer":"'),
  fault: Buffer.from(',"fault":"'),
  grpcStatus: Buffer.from(',"grpcStatus":'),
  operation: Buffer.from(',"operation":"'),
  cache: Buffer.from(',"cache":"'),
  user: Buffer.from(',"user":"'),
  provider: Buffer.from(',"provider":"'),
  model: Buffer.from(',"model":"'),
  inputTokens: Buffer.from(',"inputTokens":'),
  cachedTokens: Buffer.from(',"cachedTokens":'),
  outputTokens: Buffer.from(',"outputTokens":'),
  tokensEstimated: Buffer.from(',"tokensEstimated":true'),
  consumer: Buffer.from(',"consumer":"'),
} as const;
const CLF_IDENTITY = Buffer.from(" - - [");
const CLF_BEFORE_USER = Buffer.from(" - ");
const CLF_BEHIND_USER = Buffer.from(" [");
const CLF_REQUEST = Buffer.from('] "');
const CLF_HTTP = Buffer.from(" HTTP/");
const CLF_STATUS = Buffer.from('" ');
const CLF_NO_STATUS = Buffer.from('" - ');
const CLF_TEXT = Buffer.from(' "');
const CLF_NO_TEXTS = Buffer.from(' "-" "-"');
const VERSION_TEXT: Readonly<Record<number, Buffer>> = {
  10: Buffer.from("1.0"),
  11: Buffer.from("1.1"),
  20: Buffer.from("2.0"),
  30: Buffer.from("3.0"),
};

/** One character for each byte of its UTF-8. */
const bytesOf = (text: string): string => Buffer.from(text).latin1Slice();

type Escape = (out: Buffer, at: number, text: string, from: number, stop: number) => number;

export class LineWriter {
  readonly #format: LineFormat;
  readonly #escape: Escape;
  readonly #names = new Map<string, Buffer>();
  /** The start of a JSON line, or the time of a CLF line; rewritten once a second. */
  readonly #clock: Buffer;
  #second = -1;

  constructor(format: LineFormat) {
    this.#format = format;
    this.#escape = format === "json" ? escapeJson : escapeClf;
    this.#clock = Buffer.from(format === "json" ? '{"time":"2000-01-01T00:00:00.000Z"' : "01/Jan/2000:00:00:00 +0000");
  }

  /** Writes the line, its line end included, and returns where it ends: at most LINE_BYTES_MAX bytes further. `now` in ms since 1970. */
  write(out: Buffer, at: number, x: AccessEntry, now: number): number {
    const second = Math.floor(now / 1000);
    if (second !== this.#second) this.#setClock(second);
    return this.#format === "json" ? this.#json(out, at, x, now - second * 1000) : this.#clf(out, at, x);
  }

  #setClock(second: number): void {
    this.#second = second;
    const iso = new Date(second * 1000).toISOString();
    if (this.#format === "json") this.#clock.latin1Write(iso, 9);
    else
      this.#clock.latin1Write(
        `${iso.slice(8, 10)}/${MONTHS[Number(iso.slice(5, 7)) - 1]}/${iso.slice(0, 4)}:${iso.slice(11, 19)}`,
        0,
      );
  }

  /** The same for what is no request. */
  writeSession(out: Buffer, start: number, x: SessionEntry, now: number): number {
    const second = Math.floor(now / 1000);
    if (second !== this.#second) this.#setClock(second);
    if (this.#format !== "json") return this.#clfSession(out, start, x);
    let at = this.#jsonTime(out, start, now - second * 1000);
    at = this.#named(out, at, KEY.protocol, x.protocol);
    at = quote(out, this.#text(out, put(out, at, KEY.ip), x.ip, WORD_MAX));
    at = putUint(out, put(out, at, KEY.bytesIn), x.bytesIn);
    at = putUint(out, put(out, at, KEY.bytesOut), x.bytesOut);
    at = putMillis(out, put(out, at, KEY.durationMs), x.durationMs);
    at = this.#named(out, at, KEY.listener, x.listener);
    at = this.#named(out, at, KEY.upstream, x.upstream);
    at = this.#named(out, at, KEY.server, x.server);
    if (x.upstreamMs >= 0) at = putMillis(out, put(out, at, KEY.upstreamMs), x.upstreamMs);
    at = this.#named(out, at, KEY.fault, x.fault);
    out[at] = 0x7d;
    out[at + 1] = 0x0a;
    return at + 2;
  }

  /** In place of a request stands the protocol and where it went, in place of a status nothing. */
  #clfSession(out: Buffer, start: number, x: SessionEntry): number {
    let at = this.#text(out, start, x.ip, WORD_MAX);
    at = put(out, put(out, put(out, at, CLF_IDENTITY), this.#clock), CLF_REQUEST);
    at = this.#text(out, at, x.protocol === "tcp" ? "TCP" : "UDP", WORD_MAX);
    out[at] = 0x20;
    at = this.#text(out, at + 1, x.server === "" ? "-" : x.server, NAME_MAX);
    at = put(out, at, CLF_NO_STATUS);
    at = putUint(out, at, x.bytesOut);
    if (this.#format === "combined") at = put(out, at, CLF_NO_TEXTS);
    out[at] = 0x0a;
    return at + 1;
  }

  #jsonTime(out: Buffer, start: number, ms: number): number {
    const end = put(out, start, this.#clock);
    const at = end - 5; // the digits of "…000Z\""
    out[at] = 0x30 + Math.trunc(ms / 100);
    out[at + 1] = 0x30 + (Math.trunc(ms / 10) % 10);
    out[at + 2] = 0x30 + (Math.trunc(ms) % 10);
    return end;
  }

  #json(out: Buffer, start: number, x: AccessEntry, ms: number): number {
    let at = this.#jsonTime(out, start, ms);
    if (x.requestId !== "") at = quote(out, this.#text(out, put(out, at, KEY.requestId), x.requestId, WORD_MAX));
    at = this.#text(out, put(out, at, KEY.ip), x.ip, WORD_MAX);
    at = this.#text(out, put(out, at, KEY.method), x.method, WORD_MAX);
    at = this.#text(out, put(out, at, KEY.scheme), x.scheme, WORD_MAX);
    if (x.host !== "") at = this.#text(out, put(out, at, KEY.host), x.host, HOST_MAX);
    const targetMax = x.tokens === null ? TARGET_MAX : TARGET_MAX - TOKENS_MAX;
    at = this.#text(out, put(out, at, KEY.target), x.target, targetMax);
    at = put(out, put(out, at, KEY.version), versionText(x.version));
    at = putUint(out, put(out, at, KEY.status), x.status);
    at = putUint(out, put(out, at, KEY.bytesIn), x.bytesIn);
    at = putUint(out, put(out, at, KEY.bytesOut), x.bytesOut);
    at = putMillis(out, put(out, at, KEY.durationMs), x.durationMs);
    at = this.#named(out, at, KEY.listener, x.listener);
    at = this.#named(out, at, KEY.route, x.route);
    at = this.#named(out, at, KEY.upstream, x.upstream);
    at = this.#named(out, at, KEY.server, x.server);
    const upstreamMs = x.upstreamMs;
    if (upstreamMs >= 0) at = putMillis(out, put(out, at, KEY.upstreamMs), upstreamMs);
    const userAgent = x.userAgent;
    if (userAgent !== "") at = quote(out, this.#text(out, put(out, at, KEY.userAgent), userAgent, AGENT_MAX));
    const referer = x.referer;
    if (referer !== "") at = quote(out, this.#text(out, put(out, at, KEY.referer), referer, AGENT_MAX));
    at = this.#named(out, at, KEY.fault, x.fault);
    if (x.operation !== "") at = quote(out, this.#text(out, put(out, at, KEY.operation), x.operation, WORD_MAX));
    at = this.#named(out, at, KEY.cache, x.cache);
    if (x.user !== "") at = quote(out, this.#text(out, put(out, at, KEY.user), bytesOf(x.user), WORD_MAX));
    if (x.consumer !== "") at = quote(out, this.#text(out, put(out, at, KEY.consumer), x.consumer, NAME_MAX));
    if (x.grpcStatus >= 0) at = putUint(out, put(out, at, KEY.grpcStatus), x.grpcStatus);
    if (x.tokens !== null) at = this.#tokens(out, at, x.tokens);
    out[at] = 0x7d;
    out[at + 1] = 0x0a;
    return at + 2;
  }

  #tokens(out: Buffer, start: number, tokens: TokenEntry): number {
    let at = this.#named(out, start, KEY.provider, tokens.provider);
    at = this.#named(out, at, KEY.model, tokens.model);
    at = putUint(out, put(out, at, KEY.inputTokens), tokens.input);
    if (tokens.cached > 0) at = putUint(out, put(out, at, KEY.cachedTokens), tokens.cached);
    at = putUint(out, put(out, at, KEY.outputTokens), tokens.output);
    return tokens.estimated ? put(out, at, KEY.tokensEstimated) : at;
  }

  #clf(out: Buffer, start: number, x: AccessEntry): number {
    let at = this.#text(out, start, x.ip, WORD_MAX);
    if (x.user === "") at = put(out, at, CLF_IDENTITY);
    else {
      // A space would make two columns of it.
      at = this.#text(out, put(out, at, CLF_BEFORE_USER), bytesOf(x.user).replaceAll(" ", "_"), WORD_MAX);
      at = put(out, at, CLF_BEHIND_USER);
    }
    at = put(out, put(out, at, this.#clock), CLF_REQUEST);
    at = this.#text(out, at, x.method, WORD_MAX);
    out[at] = 0x20;
    at = this.#text(out, at + 1, x.target, TARGET_MAX);
    at = put(out, put(out, put(out, at, CLF_HTTP), versionText(x.version)), CLF_STATUS);
    at = putUint(out, at, x.status);
    out[at] = 0x20;
    at = putUint(out, at + 1, x.bytesOut);
    if (this.#format === "combined") {
      at = this.#clfText(out, put(out, at, CLF_TEXT), x.referer);
      at = this.#clfText(out, put(out, at, CLF_TEXT), x.userAgent);
    }
    out[at] = 0x0a;
    return at + 1;
  }

  #clfText(out: Buffer, at: number, text: string): number {
    if (text !== "") return quote(out, this.#text(out, at, text, AGENT_MAX));
    out[at] = 0x2d;
    return quote(out, at + 1);
  }

  /** Writes text off the wire, at most `max` bytes of it once escaped. */
  #text(out: Buffer, at: number, text: string, max: number): number {
    const length = Math.min(text.length, max);
    for (let i = 0; i < length; i += 1) {
      const char = text.charCodeAt(i);
      if (char > 0x7e || PLAIN[char] === 0) return this.#escape(out, at + i, text, i, at + max);
      out[at + i] = char;
    }
    return length === text.length ? at + length : put(out, at + length, ELLIPSIS);
  }

  /** Writes a member whose value comes from the configuration; nothing when it is "". */
  #named(out: Buffer, at: number, key: Buffer, name: string): number {
    if (name === "") return at;
    return quote(out, put(out, put(out, at, key), this.#names.get(name) ?? this.#remember(name)));
  }

  #remember(name: string): Buffer {
    const room = Buffer.alloc(NAME_MAX + ELLIPSIS.length);
    const bytes = room.subarray(0, this.#text(room, 0, Buffer.from(name).latin1Slice(), NAME_MAX));
    if (this.#names.size >= NAMES_MAX) this.#names.clear();
    this.#names.set(name, bytes);
    return bytes;
  }
}

const versionText = (version: number): Buffer => VERSION_TEXT[version] ?? VERSION_TEXT[11]!;

/** A loop, because these are a few bytes each: cheaper than a call into native code. */
function put(out: Buffer, at: number, bytes: Buffer): number {
  const length = bytes.length;
  for (let i = 0; i < length; i += 1) out[at + i] = bytes[i]!;
  return at + length;
}

function quote(out: Buffer, at: number): number {
  out[at] = 0x22;
  return at + 1;
}

/** Writes a whole number; what is not one (a bug elsewhere) becomes 0, so that the line stays valid. */
function putUint(out: Buffer, at: number, n: number): number {
  if (!(n >= 1 && n <= Number.MAX_SAFE_INTEGER)) {
    out[at] = 0x30;
    return at + 1;
  }
  let digits = 1;
  for (let ten = 10; n >= ten; ten *= 10) digits += 1;
  let rest = Math.trunc(n);
  for (let i = at + digits - 1; i >= at; i -= 1) {
    const next = Math.trunc(rest / 10);
    out[i] = 0x30 + (rest - next * 10);
    rest = next;
  }
  return at + digits;
}

/** Writes milliseconds with three decimals; 0 for what cannot be a time. */
function putMillis(out: Buffer, at: number, ms: number): number {
  const micros = ms > 0 && ms < Number.MAX_SAFE_INTEGER / 1000 ? Math.round(ms * 1000) : 0;
  const whole = Math.trunc(micros / 1000);
  const rest = micros - whole * 1000;
  const dot = putUint(out, at, whole);
  out[dot] = 0x2e;
  out[dot + 1] = 0x30 + Math.trunc(rest / 100);
  out[dot + 2] = 0x30 + (Math.trunc(rest / 10) % 10);
  out[dot + 3] = 0x30 + (rest % 10);
  return dot + 4;
}

/**
 * JSON strings (RFC 8259 §7). Valid UTF-8 passes; controls (C1 too: terminals obey them) are escaped; a byte that is
 * no UTF-8 becomes the text `\xff`, so that what was sent can still be seen and the line stays valid.
 */
function escapeJson(out: Buffer, start: number, text: string, from: number, stop: number): number {
  let at = start;
  for (let i = from; i < text.length; i += 1) {
    const char = text.charCodeAt(i);
    const length = char < 0x80 ? 1 : utf8Length(text, i);
    const room = char < 0x80 && PLAIN[char] === 1 ? 1 : Math.max(length, 6); // the longest escape is \u00ff
    if (at + room > stop) return put(out, at, ELLIPSIS);
    if (char < 0x80 && PLAIN[char] === 1) out[at++] = char;
    else if (char === 0x22 || char === 0x5c) at = putAscii(out, at, char === 0x22 ? '\\"' : "\\\\");
    else if (char < 0x80 || char > 0xff) at = putUnicodeEscape(out, at, char);
    else if (length === 0) at = putByteEscape(out, putAscii(out, at, "\\"), char);
    else {
      const point = length === 2 ? ((char & 0x1f) << 6) | (text.charCodeAt(i + 1) & 0x3f) : 0xa0;
      if (point < 0xa0) at = putUnicodeEscape(out, at, point);
      else for (let k = 0; k < length; k += 1) out[at++] = text.charCodeAt(i + k);
      i += length - 1;
    }
  }
  return at;
}

/** What readers of combined logs know: `\"`, `\\` and `\xff` for every byte that is not visible ASCII. */
function escapeClf(out: Buffer, start: number, text: string, from: number, stop: number): number {
  let at = start;
  for (let i = from; i < text.length; i += 1) {
    const char = text.charCodeAt(i);
    const plain = char < 0x80 && PLAIN[char] === 1;
    if (at + (plain ? 1 : 6) > stop) return put(out, at, ELLIPSIS);
    if (plain) out[at++] = char;
    else if (char === 0x22 || char === 0x5c) at = putAscii(out, at, char === 0x22 ? '\\"' : "\\\\");
    else at = char > 0xff ? putUnicodeEscape(out, at, char) : putByteEscape(out, at, char);
  }
  return at;
}

function putAscii(out: Buffer, at: number, text: string): number {
  return at + out.latin1Write(text, at);
}

function putByteEscape(out: Buffer, at: number, byte: number): number {
  out[at] = 0x5c;
  out[at + 1] = 0x78;
  out[at + 2] = HEX[byte >> 4]!;
  out[at + 3] = HEX[byte & 15]!;
  return at + 4;
}

function putUnicodeEscape(out: Buffer, at: number, unit: number): number {
  return putAscii(out, at, `\\u${unit.toString(16).padStart(4, "0")}`);
}

/** How many bytes the UTF-8 sequence at `i` has (one character for each byte); 0 when it is none (RFC 3629 §4). */
function utf8Length(text: string, i: number): number {
  const lead = text.charCodeAt(i);
  const length =
    lead >= 0xc2 && lead <= 0xdf ? 2 : lead >= 0xe0 && lead <= 0xef ? 3 : lead >= 0xf0 && lead <= 0xf4 ? 4 : 0;
  if (length === 0 || i + length > text.length) return 0;
  const second = text.charCodeAt(i + 1);
  const low = lead === 0xe0 ? 0xa0 : lead === 0xf0 ? 0x90 : 0x80;
  const high = lead === 0xed ? 0x9f : lead === 0xf4 ? 0x8f : 0xbf;
  if (second < low || second > high) return 0;
  for (let k = 2; k < length; k += 1) {
    const next = text.charCodeAt(i + k);
    if (next < 0x80 || next > 0xbf) return 0;
  }
  return length;
}
