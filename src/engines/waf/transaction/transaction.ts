// One request and its response, as the rules see them: five phases, fed with values as they come.
import { parseCookies, parseUrlEncoded, type TakeArgument, URLENCODED_INVALID } from "../bodies/url-encoded.ts";
import type { Program } from "../rules/program.ts";
import { STEP_WORK, work } from "../work.ts";
import { COLUMN } from "./columns.ts";
import type { Host } from "./host.ts";
import { firstHeader, processorOf, readRequestBody } from "./request-body.ts";
import { beginPhase, LOGGING, runPhase } from "./run.ts";
import { type Interruption, type Match, State } from "./state.ts";
import { baseName, decoded, withoutAuthority } from "./uri.ts";

/** Where a request comes from, and what its first line says. All texts are bytes as Latin-1 characters. */
export interface RequestLine {
  readonly id: string;
  readonly method: string;
  /** The request target as it came. */
  readonly target: string;
  /** `HTTP/1.1`, `HTTP/2.0`, `HTTP/3.0`. */
  readonly protocol: string;
  readonly remoteAddress: string;
  readonly remotePort: number;
  readonly serverAddress: string;
  readonly serverPort: number;
}

/** What is left to say of a transaction when it is over. */
export interface Report {
  readonly interruption: Interruption | null;
  /** What would have been decided, where the engine only detects. */
  readonly detected: Interruption | null;
  readonly matches: readonly Match[];
  /** Whether a rule, or the status of the answer, wants it in the audit log. */
  readonly audit: boolean;
  readonly auditParts: string;
  /** All that rules have added, those that are only tried and those of higher paranoia levels among them. */
  readonly inboundScore: number;
  readonly outboundScore: number;
}

/** Of a body that is kept for the audit log, whose lines have an end. */
const KEPT_TEXT = 16_384;

/** May be used again for the next request after `begin`. */
export class Transaction {
  readonly state: State;
  /** Keeps the beginning of both bodies until the next request, for the audit log. */
  keepsBodies = false;
  requestText = "";
  responseText = "";
  /** What has come of a body; no more pieces than the limit has bytes. */
  #pieces: string[] = [];
  #length = 0;
  #cut = false;
  /** Whether a phase was begun and is not over. */
  #runs = false;
  readonly #phases: Program["phases"];
  readonly #takeGet: TakeArgument;
  readonly #takePost: TakeArgument;
  readonly #takeCookie: TakeArgument;

  constructor(program: Program, host: Host) {
    const state = new State(program, host);
    this.state = state;
    this.#phases = program.phases;
    const { columns } = state;
    const [get, post, cookies] = [
      columns[COLUMN.ARGS_GET]!,
      columns[COLUMN.ARGS_POST]!,
      columns[COLUMN.REQUEST_COOKIES]!,
    ];
    this.#takeGet = (name, value) => get.add(name, value);
    this.#takePost = (name, value) => post.add(name, value);
    this.#takeCookie = (name, value) => cookies.add(name, value);
  }

  /** Starts a new request; what is known of the last one is forgotten. */
  begin(line: RequestLine): void {
    const { state } = this;
    state.reset();
    this.#forgetBody();
    this.requestText = "";
    this.responseText = "";
    state.startedMs = state.host.now();
    const { columns } = state;
    const uri = withoutAuthority(line.target);
    const mark = uri.indexOf("?");
    const query = mark < 0 ? "" : uri.slice(mark + 1);
    const path = decoded(mark < 0 ? uri : uri.slice(0, mark));
    columns[COLUMN.UNIQUE_ID]!.set(line.id);
    columns[COLUMN.REQUEST_METHOD]!.set(line.method);
    columns[COLUMN.REQUEST_PROTOCOL]!.set(line.protocol);
    columns[COLUMN.REQUEST_LINE]!.set(`${line.method} ${line.target} ${line.protocol}`);
    columns[COLUMN.REQUEST_URI_RAW]!.set(line.target);
    columns[COLUMN.REQUEST_URI]!.set(decoded(uri));
    columns[COLUMN.REQUEST_FILENAME]!.set(path);
    columns[COLUMN.PATH_INFO]!.set(path);
    columns[COLUMN.REQUEST_BASENAME]!.set(baseName(path));
    columns[COLUMN.QUERY_STRING]!.set(query);
    columns[COLUMN.REMOTE_ADDR]!.set(line.remoteAddress);
    columns[COLUMN.REMOTE_HOST]!.set(line.remoteAddress);
    columns[COLUMN.USERAGENT_IP]!.set(line.remoteAddress);
    columns[COLUMN.REMOTE_PORT]!.set(String(line.remotePort));
    columns[COLUMN.SERVER_ADDR]!.set(line.serverAddress);
    columns[COLUMN.SERVER_PORT]!.set(String(line.serverPort));
    const { argumentSeparator, argumentsLimit } = state.settings;
    const outcome = query === "" ? 0 : parseUrlEncoded(query, argumentSeparator, argumentsLimit, this.#takeGet);
    columns[COLUMN.URLENCODED_ERROR]!.set((outcome & URLENCODED_INVALID) === 0 ? "0" : "1");
    columns[COLUMN.INBOUND_DATA_ERROR]!.set("0");
    columns[COLUMN.OUTBOUND_DATA_ERROR]!.set("0");
  }

  requestHeader(name: string, value: string): void {
    this.state.columns[COLUMN.REQUEST_HEADERS]!.add(name, value);
    // By length first: few fields have six letters.
    if (name.length === 6 && name.toLowerCase() === "cookie") {
      parseCookies(value, this.state.settings.argumentsLimit, this.#takeCookie);
    } else if (name.length === 4 && name.toLowerCase() === "host") {
      const port = value.lastIndexOf(":");
      const host = port > value.lastIndexOf("]") ? value.slice(0, port) : value;
      this.state.columns[COLUMN.SERVER_NAME]!.set(host);
    } else if (name.length === 13 && name.toLowerCase() === "authorization") {
      const blank = value.indexOf(" ");
      this.state.columns[COLUMN.AUTH_TYPE]!.set(blank < 0 ? value : value.slice(0, blank));
    }
  }

  /** Phase 1, to be run in steps. */
  beginRequestHead(): void {
    const { state } = this;
    state.bodyProcessor = processorOf(firstHeader(state, "content-type"));
    this.#combineArguments();
    this.#runs = beginPhase(state, 1);
  }

  /** Phase 1. The answer is what the rules decided so far; null when the request goes on. */
  requestHead(): Interruption | null {
    this.beginRequestHead();
    return this.#finish();
  }

  /**
   * A step of the phase that was begun; false when it was the last one. Other requests may be served before the next.
   * A step takes a few milliseconds at most, whatever the values are.
   */
  step(most = STEP_WORK): boolean {
    return this.#run(most);
  }

  /** Whether phase 2 wants to see the body. */
  get wantsRequestBody(): boolean {
    return this.state.requestBodyAccess && this.state.engine !== "off" && this.state.allowed < 2;
  }

  /** A piece of the request's body. False when no more is looked at. */
  requestPiece(bytes: Uint8Array): boolean {
    return this.#piece(bytes, this.state.requestBodyLimit);
  }

  /** Reads the body, when all of it has come, or as much as is looked at; phase 2 follows in steps. */
  beginRequestBody(): void {
    const { state } = this;
    if (this.wantsRequestBody) {
      if (this.#cut) {
        state.columns[COLUMN.INBOUND_DATA_ERROR]!.set("1");
        if (state.settings.requestBodyLimitAction === "reject") this.#refuse(413);
      }
      const text = this.#text();
      if (this.keepsBodies) this.requestText = text.slice(0, KEPT_TEXT);
      readRequestBody(state, text, this.#cut, this.#takePost);
      this.#combineArguments();
    }
    this.#forgetBody();
    this.#runs = beginPhase(state, 2);
  }

  /** What was decided so far. */
  get interruption(): Interruption | null {
    return this.state.interruption;
  }

  /** Phase 2 at once, for requests without a body or with one that is short. */
  requestBody(): Interruption | null {
    this.beginRequestBody();
    return this.#finish();
  }

  responseHeader(name: string, value: string): void {
    const { columns } = this.state;
    columns[COLUMN.RESPONSE_HEADERS]!.add(name, value);
    if (name.length === 12 && name.toLowerCase() === "content-type") columns[COLUMN.RESPONSE_CONTENT_TYPE]!.set(value);
    else if (name.length === 14 && name.toLowerCase() === "content-length") {
      columns[COLUMN.RESPONSE_CONTENT_LENGTH]!.set(value);
    }
  }

  /** Phase 3, to be run in steps. */
  beginResponseHead(status: number, protocol: string): void {
    const { columns } = this.state;
    columns[COLUMN.RESPONSE_STATUS]!.set(String(status));
    columns[COLUMN.RESPONSE_PROTOCOL]!.set(protocol);
    columns[COLUMN.STATUS_LINE]!.set(`${protocol} ${status}`);
    this.#runs = beginPhase(this.state, 3);
  }

  /** Phase 3. */
  responseHead(status: number, protocol: string): Interruption | null {
    this.beginResponseHead(status, protocol);
    return this.#finish();
  }

  /** Whether phase 4 wants to see the body of the response: only of types that SecResponseBodyMimeType names. */
  get wantsResponseBody(): boolean {
    const { state } = this;
    if (!state.responseBodyAccess || state.engine === "off" || state.allowed === 3) return false;
    const type = state.columns[COLUMN.RESPONSE_CONTENT_TYPE]!.values[0] ?? "";
    const end = type.search(/[;\s]/);
    const name = (end < 0 ? type : type.slice(0, end)).toLowerCase();
    return state.settings.responseTypes.includes(name) || state.settings.responseTypes.includes("*");
  }

  /** A piece of the response's body. False when no more is looked at. */
  responsePiece(bytes: Uint8Array): boolean {
    return this.#piece(bytes, this.state.responseBodyLimit);
  }

  /** Phase 4, to be run in steps. */
  beginResponseBody(): void {
    const { state } = this;
    if (this.#cut) {
      state.columns[COLUMN.OUTBOUND_DATA_ERROR]!.set("1");
      if (state.settings.responseBodyLimitAction === "reject") this.#refuse(502);
    }
    if (this.wantsResponseBody) {
      const text = this.#text();
      if (this.keepsBodies) this.responseText = text.slice(0, KEPT_TEXT);
      state.columns[COLUMN.RESPONSE_BODY]!.set(text);
    }
    this.#forgetBody();
    this.#runs = beginPhase(state, 4);
  }

  /** Phase 4. */
  responseBody(): Interruption | null {
    this.beginResponseBody();
    return this.#finish();
  }

  /** Phase 5, and what is to be logged. */
  logging(status: number): Report {
    const { state } = this;
    this.#runs = beginPhase(state, LOGGING);
    this.#finish();
    return {
      interruption: state.interruption,
      detected: state.detected,
      matches: state.matches.slice(),
      audit: this.#toAudit(status),
      auditParts: state.auditParts,
      inboundScore: state.inboundScore,
      outboundScore: state.outboundScore,
    };
  }

  /** Runs what is left of a phase at once. */
  #finish(): Interruption | null {
    this.#run(Number.POSITIVE_INFINITY);
    return this.state.interruption;
  }

  /** Runs the phase that was begun until it is over or the work is done; true when there is more of it. */
  #run(most: number): boolean {
    if (!this.#runs) return false;
    work.left = most;
    this.#runs = !runPhase(this.state, this.#phases[this.state.phase]!);
    return this.#runs;
  }

  #toAudit(status: number): boolean {
    const { auditEngine, settings, toAudit } = this.state;
    if (auditEngine !== "relevant") return auditEngine === "on";
    return toAudit || (settings.auditStatus?.test(String(status)) ?? false);
  }

  #refuse(status: number): void {
    const { state } = this;
    const interruption = { action: "deny" as const, status, url: "", rule: 0 };
    if (state.engine === "on") state.interruption ??= interruption;
    else state.detected ??= interruption;
  }

  #piece(bytes: Uint8Array, limit: number): boolean {
    const room = limit - this.#length;
    if (bytes.length > room) this.#cut = true;
    const taken = Math.min(bytes.length, room);
    if (taken > 0) {
      this.#pieces.push(latin1(bytes, taken));
      this.#length += taken;
    }
    return !this.#cut;
  }

  #text(): string {
    return this.#pieces.length === 1 ? this.#pieces[0]! : this.#pieces.join("");
  }

  #forgetBody(): void {
    if (this.#pieces.length > 0) this.#pieces = [];
    this.#length = 0;
    this.#cut = false;
  }

  #combineArguments(): void {
    const { columns } = this.state;
    const size = sizeOf(columns[COLUMN.ARGS_GET]!) + sizeOf(columns[COLUMN.ARGS_POST]!);
    columns[COLUMN.ARGS_COMBINED_SIZE]!.set(String(size));
  }
}

function sizeOf(column: { readonly keys: readonly string[]; readonly values: readonly string[] }): number {
  let size = 0;
  for (let at = 0; at < column.keys.length; at += 1) size += column.keys[at]!.length + column.values[at]!.length;
  return size;
}

const latin1 = (bytes: Uint8Array, end: number): string =>
  Buffer.from(bytes.buffer, bytes.byteOffset, end).latin1Slice(0, end);
