// What the peer's frames do (RFC 9113 §5, §6): every rule about them that needs no look into a field block.
import { cameBack, lend, SPENT_MIN } from "../../core/spent.ts";
import { FieldBlocks } from "./field-blocks.ts";
import { ReceiveWindow } from "./flow.ts";
import type { FrameSink } from "./frame-reader.ts";
import { ERROR, FLAG, FRAME_BYTES_MAX, readUint31, readUint32, TYPE } from "./frames.ts";
import { EARLY_PRIORITIES_MAX, WINDOW_DEFAULT } from "./limits.ts";
import { parsePriority } from "./priority-field.ts";
import type { SessionCore } from "./session-core.ts";
import { applySettings } from "./settings.ts";
import type { H2Stream } from "./stream.ts";

/** A warning, the last stream, and an error (RFC 9113 §6.8). */
const GOAWAYS_FREE = 3;

/**
 * Pieces up to this of a large chunk are copied. Whoever keeps one of them, for another try of its request, would keep
 * all of the chunk.
 */
const SMALL_BYTES = 1024;
const SMALL_BLOCK_BYTES = 4096;

/** Where they are copied to, one behind the other and never over one another; they may be kept. */
let small: Buffer = Buffer.alloc(0);
let smallAt = 0;

/** Copies into `small`; returns where the copy begins. */
function copySmall(bytes: Buffer, from: number, to: number): number {
  const size = to - from;
  if (small.length - smallAt < size) {
    small = Buffer.allocUnsafeSlow(SMALL_BLOCK_BYTES);
    smallAt = 0;
  }
  const at = smallAt;
  bytes.copy(small, at, from, to);
  smallAt += size;
  return at;
}

export class Receiver implements FrameSink {
  readonly #core: SessionCore;
  readonly #blocks: FieldBlocks;
  // The frame that is being read.
  #length = 0;
  #type = 0;
  #flags = 0;
  #id = 0;
  #goaways = 0;
  /** The stream of a DATA frame; null when its content is dropped. */
  #stream: H2Stream | null = null;

  constructor(core: SessionCore) {
    this.#core = core;
    this.#blocks = new FieldBlocks(core);
  }

  /** A field block has begun, and more of it must come before anything else. */
  get isInside(): boolean {
    return this.#blocks.awaited !== 0;
  }

  // ——— before the payload

  onFrame(length: number, type: number, flags: number, id: number): boolean {
    const core = this.#core;
    if (core.broken) return false;
    this.#length = length;
    this.#type = type;
    this.#flags = flags;
    this.#id = id;
    if (length > FRAME_BYTES_MAX) core.connectionError(ERROR.frameSize, "a frame over MAX_FRAME_SIZE");
    else if (!core.peer.received && (type !== TYPE.settings || (flags & FLAG.ack) !== 0))
      core.connectionError(ERROR.protocol, "the first frame is not SETTINGS"); // RFC 9113 §3.4
    else if (this.#blocks.awaited !== 0) {
      if (type !== TYPE.continuation || id !== this.#blocks.awaited)
        core.connectionError(ERROR.protocol, "a frame between HEADERS and its CONTINUATION"); // §6.10
    } else if (type === TYPE.data) this.#onData(length, id);
    else this.#check(length, type, id);
    return !core.broken;
  }

  /** On which streams the frame may come, and how long it is. */
  #check(length: number, type: number, id: number): void {
    const core = this.#core;
    switch (type) {
      case TYPE.headers:
        if (this.#isWrongStream(id)) core.connectionError(ERROR.protocol, "HEADERS on a stream that cannot be");
        return;
      case TYPE.priority:
        if (id === 0) core.connectionError(ERROR.protocol, "PRIORITY on stream 0");
        return;
      case TYPE.rstStream:
      case TYPE.windowUpdate:
        if (length !== 4) core.connectionError(ERROR.frameSize, "RST_STREAM or WINDOW_UPDATE of a wrong length");
        else if (id === 0 ? type === TYPE.rstStream : this.#isIdle(id))
          core.connectionError(ERROR.protocol, "RST_STREAM or WINDOW_UPDATE on an idle stream");
        return;
      case TYPE.settings:
      case TYPE.ping:
      case TYPE.goaway:
      case TYPE.priorityUpdate:
        if (id !== 0) core.connectionError(ERROR.protocol, "a frame of the connection on a stream");
        else if (type === TYPE.ping ? length !== 8 : type === TYPE.goaway && length < 8)
          core.connectionError(ERROR.frameSize, "PING or GOAWAY of a wrong length");
        return;
      case TYPE.pushPromise:
        return core.connectionError(ERROR.protocol, "PUSH_PROMISE without leave"); // §8.4
      case TYPE.continuation:
        return core.connectionError(ERROR.protocol, "CONTINUATION without HEADERS");
      default:
        core.glitch("unknown"); // §5.5
    }
  }

  /** Streams are opened by clients, and have odd ids (RFC 9113 §5.1.1). */
  #isWrongStream(id: number): boolean {
    return (id & 1) === 0 || (!this.#core.isServer && this.#isIdle(id));
  }

  /** RFC 9113 §5.1: nobody has used the stream yet. Those with even ids never are. */
  #isIdle(id: number): boolean {
    const { isServer, table } = this.#core;
    return (id & 1) === 0 || id >= (isServer ? table.lastPeer + 1 : table.nextLocal);
  }

  // ——— DATA (RFC 9113 §6.1)

  #onData(length: number, id: number): void {
    const core = this.#core;
    const { receiveWindow, table } = core;
    this.#stream = null;
    if (this.#isIdle(id)) return core.connectionError(ERROR.protocol, "DATA on an idle stream");
    receiveWindow.left -= length; // whatever becomes of the frame (§6.9)
    if (receiveWindow.left < 0) return core.connectionError(ERROR.flowControl, "more than the connection's window");
    const stream = table.byId.get(id);
    if (stream === undefined) {
      if (table.wasReset(id)) return core.glitch("late");
      const skipped = table.wasSkipped(id);
      return core.connectionError(skipped ? ERROR.protocol : ERROR.streamClosed, "DATA on a closed stream");
    }
    if (stream.remoteEnded) return core.streamError(stream, ERROR.streamClosed);
    if (!core.isServer && !stream.hasFinalHead) return core.streamError(stream, ERROR.protocol); // §8.1
    stream.receiveWindow ??= this.#newWindow();
    stream.receiveWindow.left -= length;
    // A window that our SETTINGS have made negative still lets empty frames in (§6.9.1, §6.9.2).
    if (length > 0 && stream.receiveWindow.left < 0) return core.streamError(stream, ERROR.flowControl);
    this.#stream = stream;
  }

  /** Until our SETTINGS are acknowledged the peer may still go by the default (RFC 9113 §6.5.3). */
  #newWindow(): ReceiveWindow {
    const { options, settingsPending, now } = this.#core;
    const { streamWindow } = options;
    const size = settingsPending > 0 ? Math.max(streamWindow, WINDOW_DEFAULT) : streamWindow;
    return new ReceiveWindow(size, Math.max(size, options.streamWindowMax), now);
  }

  onDataBegin(content: number): void {
    const core = this.#core;
    const stream = this.#stream;
    const padding = this.#length - content;
    if (padding > 0) core.giveBack(stream, padding);
    if (content > 0) core.dataFrames += 1;
    if (stream === null) return;
    if (content === 0) {
      if ((this.#flags & FLAG.endStream) === 0) core.glitch("empty");
    } else if (stream.contentLeft >= 0) {
      // RFC 9113 §8.1.1: more content than Content-Length says is malformed.
      stream.contentLeft -= content;
      if (stream.contentLeft < 0) this.#malformed(stream);
    }
  }

  #malformed(stream: H2Stream): void {
    this.#stream = null;
    this.#core.streamError(stream, ERROR.protocol);
  }

  onData(bytes: Buffer, from: number, to: number): void {
    const core = this.#core;
    if (core.broken) return;
    const stream = this.#stream;
    if (stream === null || stream.closed) return core.giveBack(null, to - from);
    if (stream.paused || (stream.held !== null && stream.held.length > 0)) {
      return core.hold(stream, bytes, from, to);
    }
    const size = to - from;
    if (bytes.length < SPENT_MIN) stream.handler.onData(bytes, from, to);
    else if (size <= SMALL_BYTES) {
      const at = copySmall(bytes, from, to);
      stream.handler.onData(small, at, at + size);
    } else {
      const before = lend(bytes);
      stream.handler.onData(bytes, from, to, true);
      if (!cameBack(before)) core.passedOn = true;
    }
    core.giveBack(stream, size);
  }

  onDataEnd(): void {
    const stream = this.#stream;
    this.#stream = null;
    if (stream === null || stream.closed || (this.#flags & FLAG.endStream) === 0) return;
    if (stream.contentLeft > 0) this.#malformed(stream);
    else this.#core.remoteEnd(stream, null);
  }

  onBadPadding(): void {
    const why = "more padding than payload";
    this.#core.connectionError(this.#length === 0 ? ERROR.frameSize : ERROR.protocol, why);
  }

  // ——— whole payloads

  onPayload(bytes: Buffer, from: number, to: number): void {
    const id = this.#id;
    switch (this.#type) {
      case TYPE.headers:
        return this.#blocks.headers(id, this.#flags, bytes, from, to);
      case TYPE.continuation:
        return this.#blocks.continuation(this.#flags, bytes, from, to);
      case TYPE.priority:
        return this.#onPriority(id, bytes, from, to);
      case TYPE.rstStream:
        return this.#onReset(id, readUint32(bytes, from));
      case TYPE.settings:
        return this.#onSettings(bytes, from, to);
      case TYPE.ping:
        return this.#onPing(bytes, from);
      case TYPE.goaway:
        return this.#onGoaway(readUint31(bytes, from), readUint32(bytes, from + 4));
      case TYPE.windowUpdate:
        return this.#onWindowUpdate(id, readUint31(bytes, from));
      default:
        this.#onPriorityUpdate(bytes, from, to);
    }
  }

  /** The scheme of RFC 7540 is read over (RFC 9113 §5.3.2); only what breaks its rules has consequences. */
  #onPriority(id: number, bytes: Buffer, from: number, to: number): void {
    const core = this.#core;
    core.glitch("priority");
    const isShort = to - from !== 5;
    if (!isShort && readUint31(bytes, from) !== id) return;
    const code = isShort ? ERROR.frameSize : ERROR.protocol;
    const stream = core.table.byId.get(id);
    if (stream !== undefined) core.streamError(stream, code);
    else if (this.#isIdle(id)) core.connectionError(code, "a broken PRIORITY on an idle stream");
    else core.glitch("late");
  }

  #onReset(id: number, code: number): void {
    const core = this.#core;
    const stream = core.table.byId.get(id);
    if (stream === undefined) core.glitch("late");
    else core.peerReset(stream, code);
  }

  #onSettings(bytes: Buffer, from: number, to: number): void {
    const core = this.#core;
    if ((this.#flags & FLAG.ack) === 0) applySettings(core, bytes, from, to);
    else if (from !== to) core.connectionError(ERROR.frameSize, "an acknowledgement with settings");
    else if (core.settingsPending === 0) core.glitch("odd");
    else this.#onAcknowledged();
  }

  /** The peer goes by our settings: windows that began with a larger default are what they should be. */
  #onAcknowledged(): void {
    const core = this.#core;
    core.settingsPending -= 1;
    const excess = WINDOW_DEFAULT - core.options.streamWindow;
    if (excess <= 0) return;
    for (const stream of core.table.byId.values()) {
      const { receiveWindow } = stream;
      if (receiveWindow === null) continue;
      receiveWindow.left -= excess;
      receiveWindow.size -= excess;
      core.giveBack(stream, 0); // of the smaller window enough may be owed
    }
  }

  #onPing(bytes: Buffer, from: number): void {
    const core = this.#core;
    if ((this.#flags & FLAG.ack) !== 0) {
      if (!core.pong(readUint32(bytes, from), readUint32(bytes, from + 4))) core.glitch("odd");
      return;
    }
    core.glitch("ping");
    if (!core.broken) core.sender.pong(bytes, from);
  }

  #onGoaway(last: number, code: number): void {
    const core = this.#core;
    this.#goaways += 1;
    if (this.#goaways > GOAWAYS_FREE) core.glitch("odd");
    if (!core.broken) core.peerGoaway(last, code);
  }

  #onWindowUpdate(id: number, increment: number): void {
    const core = this.#core;
    const { sender, table } = core;
    core.glitch("window");
    if (core.broken) return;
    if (id === 0) {
      if (increment === 0) core.connectionError(ERROR.protocol, "WINDOW_UPDATE by nothing");
      else if (!sender.grow(increment)) core.connectionError(ERROR.flowControl, "the connection's window is too large");
      return;
    }
    const stream = table.byId.get(id);
    if (stream === undefined) return; // §6.9: it may come behind the end of a stream
    if (increment === 0) core.streamError(stream, ERROR.protocol);
    else if (!sender.growStream(stream, increment)) core.streamError(stream, ERROR.flowControl);
    else sender.pump();
  }

  /** RFC 9218 §7.1. */
  #onPriorityUpdate(bytes: Buffer, from: number, to: number): void {
    const core = this.#core;
    if (!core.isServer) return core.connectionError(ERROR.protocol, "PRIORITY_UPDATE of a server");
    if (to - from < 4) return core.connectionError(ERROR.frameSize, "PRIORITY_UPDATE of a wrong length");
    const id = readUint31(bytes, from);
    if ((id & 1) === 0) return core.connectionError(ERROR.protocol, "PRIORITY_UPDATE for a stream that cannot be");
    core.glitch("priority");
    const priority = parsePriority(bytes.latin1Slice(from + 4, to));
    if (core.broken || priority === null) return;
    core.prioritised = true;
    const stream = core.table.byId.get(id);
    if (stream !== undefined) return core.reprioritise(stream, priority.urgency, priority.incremental);
    if (!this.#isIdle(id)) return;
    core.early ??= new Map();
    if (core.early.size < EARLY_PRIORITIES_MAX || core.early.has(id)) core.early.set(id, priority);
  }
}
