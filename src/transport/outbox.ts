// One buffer per thread in which heads and small bodies are put together, so that they leave in one system call. It
// belongs to one connection at a time and is emptied at the end of every turn of the event loop that wrote to it.
import { beginTurnTime, endTurnTime } from "../core/clock.ts";
import { freeSpent, spent } from "../core/spent.ts";
import type { Connection } from "./connection.ts";

/** Room for a head of the largest allowed size and a first piece of body. */
const SIZE = 131_072;
/** Up to this many bytes copying is cheaper than a system call of their own. */
const COPY_MAX = 32_768;

let buffer = Buffer.allocUnsafeSlow(SIZE);
let used = 0;
let owner: Connection | null = null;
let inTurn = false;
let scheduled = false;

/**
 * Takes the outbox for this connection and makes room for `bytes` more. Returns the buffer; the caller writes from
 * `outbox.at` on and says with `outbox.wrote(end)` how far it came.
 */
export function openOutbox(connection: Connection, bytes: number): Buffer {
  if (owner !== connection) {
    flushOutbox();
    owner = connection;
    if (!inTurn && !scheduled) {
      scheduled = true;
      queueMicrotask(flushScheduled);
    }
  }
  if (used + bytes > buffer.length) makeRoom(connection, bytes);
  return buffer;
}

function makeRoom(connection: Connection, bytes: number): void {
  flushOutbox();
  owner = connection;
  // A head that edits made larger than any that is read.
  if (bytes > buffer.length) buffer = Buffer.allocUnsafeSlow(bytes);
}

/** Where the next byte goes. */
export const outboxAt = (): number => used;
/** Says how far the buffer is filled now. */
export function outboxWrote(end: number): void {
  used = end;
}

/** Whether this connection has bytes in the outbox. */
export const inOutbox = (connection: Connection): boolean => owner === connection && used > 0;

/** Sends what was put together. */
export function flushOutbox(): void {
  const connection = owner;
  if (connection === null) return;
  const end = used;
  owner = null;
  used = 0;
  if (end > 0) connection.send(buffer, 0, end, true);
  if (buffer.length > SIZE) buffer = Buffer.allocUnsafeSlow(SIZE);
}

function flushScheduled(): void {
  scheduled = false;
  if (!inTurn) flushOutbox();
}

/** Called by transports around every event: what the event wrote leaves when it is over. */
export function beginTurn(): void {
  beginTurnTime();
  inTurn = true;
}
export function endTurn(): void {
  endTurnTime();
  inTurn = false;
  if (owner !== null) flushOutbox();
  freeSpent();
}

/**
 * Sends `bytes[start, end)` behind what the outbox holds for the connection; small pieces join it. The bytes must stay.
 * `given`: nobody else looks at them or at the rest of their buffer (core/spent.ts).
 */
export function write(connection: Connection, bytes: Buffer, start: number, end: number, given = false): void {
  const length = end - start;
  if (length <= COPY_MAX) {
    const out = openOutbox(connection, length);
    bytes.copy(out, used, start, end);
    used += length;
    if (given) spent(bytes);
    return;
  }
  if (inOutbox(connection)) flushOutbox();
  connection.send(bytes, start, end, false, given);
}

/**
 * Sends `bytes[start, end)` at once, in one call with what the outbox holds for the connection: that is moved into the
 * bytes before `start`, which are free for it. All of them may change after the call.
 */
export function writeBehindRoom(connection: Connection, bytes: Buffer, start: number, end: number): void {
  let from = start;
  if (inOutbox(connection)) {
    if (used > start) flushOutbox();
    else {
      from -= used;
      buffer.copy(bytes, from, 0, used);
      owner = null;
      used = 0;
    }
  }
  connection.send(bytes, from, end, true);
}
