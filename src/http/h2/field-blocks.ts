// Field blocks that come (RFC 9113 §4.3, §6.2, §6.10): gathered, decoded, and made into heads and trailers.
import type { RequestHead, ResponseHead } from "../message.ts";
import { ERROR, FLAG, readUint31 } from "./frames.ts";
import { type FieldSink, HpackDecoder } from "./hpack-decoder.ts";
import { CONTINUATIONS_MAX, INTERIMS_MAX, SECTION_FACTOR_MAX } from "./limits.ts";
import type { Priority } from "./priority-field.ts";
import { RequestHeadBuilder } from "./request-head-builder.ts";
import { ResponseHeadBuilder } from "./response-head-builder.ts";
import type { SessionCore } from "./session-core.ts";
import type { H2Stream } from "./stream.ts";
import { TrailerBuilder } from "./trailers.ts";

/** The decoder's table: the size before a setting, of which we send none. */
const TABLE_BYTES = 4096;
const CARRY_BYTES_MIN = 4096;

// Nothing else is decoded between the begin and the end of a section, so all connections of a thread share these.
const requests = new RequestHeadBuilder();
const responses = new ResponseHeadBuilder();

const NO_BYTES: Buffer = Buffer.alloc(0);

/** Takes fields that nobody wants: the decoder's table must hear of them all the same. */
const NOWHERE: FieldSink = {
  buffer: Buffer.alloc(0),
  at: 0,
  room: () => false,
  field() {},
  skipped() {},
};

export class FieldBlocks {
  readonly #core: SessionCore;
  readonly #decoder: HpackDecoder = new HpackDecoder(TABLE_BYTES);
  #trailers: TrailerBuilder | null = null;
  /** The stream whose CONTINUATION must come next; 0 while none must. */
  awaited = 0;
  #end = false;
  /** RFC 7540 §5.3.1: the stream was made to depend on itself. */
  #isOwnParent = false;
  #carry: Buffer | null = null;
  #carried = 0;
  #frames = 0;
  /** What a block may take, coded or decoded, before the connection ends. */
  readonly #bytesMax: number;
  /** A head that was taken and is not needed. */
  #spare: RequestHead | ResponseHead | null = null;

  constructor(core: SessionCore) {
    this.#core = core;
    const { head } = core.options;
    this.#bytesMax = SECTION_FACTOR_MAX * (head.startLine + head.section);
  }

  /** The payload of HEADERS. */
  headers(id: number, flags: number, bytes: Buffer, start: number, end: number): void {
    const core = this.#core;
    let from = start;
    let to = end;
    if ((flags & FLAG.padded) !== 0) {
      if (from === to) return core.connectionError(ERROR.frameSize, "HEADERS without its padding length");
      to -= bytes[from]!;
      from += 1;
    }
    this.#isOwnParent = false;
    if ((flags & FLAG.priority) !== 0) {
      if (from + 5 > end) return core.connectionError(ERROR.frameSize, "HEADERS without its priority");
      this.#isOwnParent = readUint31(bytes, from) === id;
      from += 5;
    }
    if (from > to) return core.connectionError(ERROR.protocol, "more padding than payload");
    this.#end = (flags & FLAG.endStream) !== 0;
    if ((flags & FLAG.endHeaders) !== 0) return this.#block(id, bytes, from, to);
    this.awaited = id;
    this.#frames = 1;
    this.#gather(bytes, from, to);
  }

  /** The payload of the CONTINUATION that was awaited. */
  continuation(flags: number, bytes: Buffer, from: number, to: number): void {
    const core = this.#core;
    this.#frames += 1;
    if (this.#frames > CONTINUATIONS_MAX)
      return core.connectionError(ERROR.enhanceYourCalm, "a field block in too many frames");
    this.#gather(bytes, from, to);
    if (core.broken || (flags & FLAG.endHeaders) === 0) return;
    const id = this.awaited;
    const block = this.#carry!;
    const length = this.#carried;
    this.awaited = 0;
    this.#carry = null;
    this.#carried = 0;
    this.#block(id, block, 0, length);
  }

  #gather(bytes: Buffer, from: number, to: number): void {
    const core = this.#core;
    if (from === to) core.glitch("empty");
    const need = this.#carried + (to - from);
    if (need > this.#bytesMax) {
      this.#carry = null;
      return core.connectionError(ERROR.enhanceYourCalm, "a field block far over its limit");
    }
    if (this.#carry === null || this.#carry.length < need) {
      const grown = Buffer.allocUnsafeSlow(Math.max(CARRY_BYTES_MIN, need * 2));
      this.#carry?.copy(grown, 0, 0, this.#carried);
      this.#carry = grown;
    }
    bytes.copy(this.#carry, this.#carried, from, to);
    this.#carried = need;
  }

  /** A whole block: for whom is it? */
  #block(id: number, bytes: Buffer, from: number, to: number): void {
    const core = this.#core;
    const { table } = core;
    const stream = table.byId.get(id);
    if (stream !== undefined) {
      if (stream.remoteEnded) {
        if (this.#decode(bytes, from, to, NOWHERE)) core.streamError(stream, ERROR.streamClosed);
      } else if (this.#isOwnParent) {
        if (this.#decode(bytes, from, to, NOWHERE)) core.streamError(stream, ERROR.protocol);
      } else if (core.isServer || stream.hasFinalHead) this.#trailer(stream, bytes, from, to);
      else this.#response(stream, bytes, from, to);
    } else if (core.isServer && id > table.lastPeer) this.#request(id, bytes, from, to);
    else if (table.wasReset(id)) {
      if (this.#decode(bytes, from, to, NOWHERE)) core.glitch("late");
    } else if (table.wasSkipped(id)) core.connectionError(ERROR.protocol, "HEADERS on a stream below others");
    else core.connectionError(ERROR.streamClosed, "HEADERS on a closed stream");
  }

  /** False when the connection is lost. */
  #decode(bytes: Buffer, from: number, to: number, sink: FieldSink): boolean {
    const problem = this.#decoder.decode(bytes, from, to, sink);
    if (problem === "") return true;
    this.#core.connectionError(ERROR.compression, problem);
    return false;
  }

  /** False when the connection is lost: such a section is no mistake. */
  #isSane(size: number): boolean {
    if (size <= this.#bytesMax) return true;
    this.#core.connectionError(ERROR.enhanceYourCalm, "a field section far over its limit");
    return false;
  }

  #head(): RequestHead | ResponseHead {
    const head = this.#spare ?? this.#core.owner.takeHead();
    this.#spare = null;
    return head;
  }

  /** The next head may have it. The bytes of a large one are not kept for that. */
  #spares(head: RequestHead | ResponseHead): void {
    head.headers.bytes = NO_BYTES;
    this.#spare = head;
  }

  // ——— the server's role

  #request(id: number, bytes: Buffer, from: number, to: number): void {
    const core = this.#core;
    const { options, table } = core;
    const end = this.#end;
    table.peerOpened(id);
    if (core.crowded || id > core.lastTaken) {
      if (this.#decode(bytes, from, to, NOWHERE)) core.refuse(id, ERROR.refusedStream, "refused");
      return;
    }
    const head = this.#head() as RequestHead;
    requests.begin(head, options.head, options.dropUnderscores, options.connectProtocol);
    if (!this.#decode(bytes, from, to, requests)) return;
    requests.finish(end);
    const { fault } = requests;
    if (!this.#isSane(requests.size)) return;
    if (requests.malformed !== "" || this.#isOwnParent) {
      this.#spares(head);
      core.refuse(id, ERROR.protocol, "error");
      return;
    }
    const stream = core.accept(id);
    stream.remoteEnded = end;
    stream.isTunnel = head.upgrade !== "" || head.method === "CONNECT";
    if (!stream.isTunnel && fault === null) stream.contentLeft = requests.contentLength;
    this.#prioritise(stream, requests.priority);
    const { owner } = core;
    core.adopt(stream, fault === null ? owner.onRequest(stream, head) : owner.onRefused(fault, head, stream));
  }

  /** What PRIORITY_UPDATE has said before the stream came goes before its field (RFC 9218 §7). */
  #prioritise(stream: H2Stream, field: Priority | null): void {
    const core = this.#core;
    const { early } = core;
    let priority = field;
    if (early !== null) {
      priority = early.get(stream.id) ?? field;
      for (const id of early.keys()) if (id <= stream.id) early.delete(id);
    }
    if (priority === null) return;
    core.prioritised = true;
    stream.urgency = priority.urgency;
    stream.incremental = priority.incremental;
  }

  // ——— the client's role

  #response(stream: H2Stream, bytes: Buffer, from: number, to: number): void {
    const core = this.#core;
    const end = this.#end;
    const head = this.#head() as ResponseHead;
    responses.begin(head, core.options.head);
    if (!this.#decode(bytes, from, to, responses)) return;
    responses.finish(end, stream.method);
    if (!this.#isSane(responses.size)) return;
    if (responses.malformed !== "" || responses.fault !== null) {
      this.#spares(head);
      core.streamError(stream, responses.malformed !== "" ? ERROR.protocol : ERROR.enhanceYourCalm);
      return;
    }
    if (head.status < 200) {
      stream.interims += 1;
      if (stream.interims > INTERIMS_MAX) {
        this.#spares(head);
        core.streamError(stream, ERROR.enhanceYourCalm);
      } else stream.handler.onHead(head);
      return;
    }
    core.glitches.answers += 1;
    stream.hasFinalHead = true;
    stream.isTunnel = stream.method === "CONNECT" && head.status < 300;
    if (!stream.isTunnel) stream.contentLeft = responses.contentLength;
    stream.remoteEnded = end;
    stream.handler.onHead(head);
    if (end && !stream.closed) core.remoteEnd(stream, null);
  }

  // ——— both

  /** RFC 9113 §8.1: trailers end the message. */
  #trailer(stream: H2Stream, bytes: Buffer, from: number, to: number): void {
    const core = this.#core;
    this.#trailers ??= new TrailerBuilder();
    const builder = this.#trailers;
    builder.begin(core.options.dropUnderscores);
    if (!this.#decode(bytes, from, to, builder)) return;
    const trailers = builder.finish();
    if (!this.#isSane(builder.size)) return;
    if (!this.#end || stream.isTunnel || stream.contentLeft > 0 || builder.malformed !== "")
      core.streamError(stream, ERROR.protocol);
    else if (builder.fault !== null) core.streamError(stream, ERROR.enhanceYourCalm);
    else core.remoteEnd(stream, trailers);
    builder.letGo();
  }
}
