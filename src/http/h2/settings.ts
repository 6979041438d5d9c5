// The settings of both sides (RFC 9113 §6.5): what ours say, and what the peer's mean.
import type { PeerSettings } from "./contracts.ts";
import { ERROR, FRAME_BYTES_MAX, readUint32, SETTING, WINDOW_MAX } from "./frames.ts";
import { SETTINGS_FREE, type SessionOptions } from "./limits.ts";
import type { SessionCore } from "./session-core.ts";

const PAIR_BYTES = 6;
/** RFC 9113 §6.5.2. */
const FRAME_SIZE_MAX = 0xff_ffff;

type Peer = { -readonly [name in keyof PeerSettings]: PeerSettings[name] };

/** What our SETTINGS say: identifiers and values in turn. */
export function ownSettings(isServer: boolean, options: SessionOptions): number[] {
  const pairs = [SETTING.initialWindowSize, options.streamWindow];
  pairs.push(SETTING.maxHeaderListSize, options.head.startLine + options.head.section);
  if (isServer) {
    pairs.push(SETTING.maxConcurrentStreams, options.concurrentStreams, SETTING.noRfc7540Priorities, 1);
    if (options.connectProtocol) pairs.push(SETTING.enableConnectProtocol, 1);
  } else pairs.push(SETTING.enablePush, 0);
  return pairs;
}

/** Takes over the peer's SETTINGS in `bytes[from, to)`, one after the other, and acknowledges them (RFC 9113 §6.5.3). */
export function applySettings(core: SessionCore, bytes: Buffer, from: number, to: number): void {
  if ((to - from) % PAIR_BYTES !== 0) return core.connectionError(ERROR.frameSize, "SETTINGS of a wrong length");
  core.glitch("settings");
  const free = SETTINGS_FREE * PAIR_BYTES;
  for (let over = to - from - free; over > 0 && !core.broken; over -= free) core.glitch("odd");
  const peer: Peer = { ...core.peer, received: true };
  // Before its SETTINGS come a server's limit is a guess of ours, and without one there is none.
  if (!core.peer.received) peer.maxConcurrentStreams = Number.POSITIVE_INFINITY;
  for (let at = from; at < to; at += PAIR_BYTES) {
    if (core.broken) return;
    applyOne(core, peer, (bytes[at]! << 8) | bytes[at + 1]!, readUint32(bytes, at + 2));
  }
  if (core.broken) return;
  core.peer = peer;
  core.prioritised ||= peer.noRfc7540Priorities;
  core.sender.settingsAck();
  core.sender.pump();
  core.owner.onPeerSettings();
}

function applyOne(core: SessionCore, peer: Peer, setting: number, value: number): void {
  switch (setting) {
    case SETTING.headerTableSize:
      peer.headerTableSize = value;
      core.sender.encoder.setPeerTableSize(value);
      return;
    case SETTING.enablePush:
      if (value > 1 || (!core.isServer && value === 1)) core.connectionError(ERROR.protocol, "invalid ENABLE_PUSH");
      return;
    case SETTING.maxConcurrentStreams:
      peer.maxConcurrentStreams = value;
      return;
    case SETTING.initialWindowSize:
      if (value > WINDOW_MAX) return core.connectionError(ERROR.flowControl, "INITIAL_WINDOW_SIZE too large");
      moveWindows(core, value - peer.initialWindow);
      peer.initialWindow = value;
      return;
    case SETTING.maxFrameSize:
      if (value < FRAME_BYTES_MAX || value > FRAME_SIZE_MAX)
        core.connectionError(ERROR.protocol, "MAX_FRAME_SIZE out of range");
      peer.maxFrame = value;
      return;
    case SETTING.maxHeaderListSize:
      peer.maxHeaderList = value;
      return;
    case SETTING.enableConnectProtocol:
      // RFC 8441 §3: what has been offered stays offered.
      if (value > 1 || (value === 0 && peer.enableConnectProtocol))
        core.connectionError(ERROR.protocol, "invalid ENABLE_CONNECT_PROTOCOL");
      peer.enableConnectProtocol = value === 1;
      return;
    case SETTING.noRfc7540Priorities:
      // RFC 9218 §2.1: what the first SETTINGS say stays.
      if (value > 1 || (core.peer.received && (value === 1) !== core.peer.noRfc7540Priorities))
        core.connectionError(ERROR.protocol, "invalid NO_RFC7540_PRIORITIES");
      peer.noRfc7540Priorities = value === 1;
      return;
    default:
      return; // RFC 9113 §6.5.2: unknown ones are ignored
  }
}

/** RFC 9113 §6.9.2: the windows of all streams move by what the setting has changed, and may become negative. */
function moveWindows(core: SessionCore, change: number): void {
  if (change === 0) return;
  for (const stream of core.table.byId.values()) {
    if (core.sender.growStream(stream, change)) continue;
    return core.connectionError(ERROR.flowControl, "INITIAL_WINDOW_SIZE makes a window too large");
  }
}
