// Changes of bodies as they pass. A filter puts a transform into an exchange; from then on every piece goes through it,
// on the request's side or the answer's. An exchange without any has none of this in its way.
//
//   client → first request transform → … → last → Forward → server
//   client ← last answer transform ← … ← first ← Forward ← server
//
// Back-pressure passes through: what a transform gives out counts as sent or forwarded like any other bytes, and both
// sides are paused and go on as without it. A late transform, which works while others go on, adds what it has in hand.
import { type RequestHead, ResponseHead } from "../http/message.ts";
import type { BodyLook, BodyOutput, BodyTransform, HoldingTransform, LateTransform } from "./body-transform.ts";
import type { Exchange } from "./exchange.ts";
import { TransformedDownstream } from "./transformed-downstream.ts";

/**
 * Puts a transform behind those of the request that are there: its length is not known any more then. For the request
 * phase. A request without a body stays as it is.
 */
export function transformRequest(x: Exchange, transform: BodyTransform): void {
  if (x.request.body === "none") return;
  forgetLength(x.request);
  transformed(x).request.add(transform);
}

/** The same for one that puts out what it is given: the length stays. */
export function watchRequest(x: Exchange, transform: BodyTransform): void {
  transformed(x).request.add(transform);
}

/** The same for the answer. For the response phase, before the head is written. */
export function transformResponse(x: Exchange, transform: BodyTransform): void {
  if (x.response.body === "none") return;
  forgetLength(x.response);
  transformed(x).response.add(transform);
}

/** Says in the request phase that a late transform of the answer may follow, or one that holds it back. */
export function expectTransform(x: Exchange): void {
  x.expectsLate = true;
}

/**
 * Makes ready for the transform that is expected, before the body of the request is asked for: from then on it is
 * heard how the client takes the answer. An answer for which this is not called gets none.
 */
export function openTransforms(x: Exchange): void {
  if (x.expectsLate) transformed(x);
}

/** Whether something changes the answer's body by now. */
export function isTransformed({ downstream }: Exchange): boolean {
  return downstream instanceof TransformedDownstream && !downstream.response.empty;
}

/**
 * Puts a late transform behind all others of the answer; there can be one. For the response phase of an exchange that
 * expects it. The head's length and framing are the transform's to change.
 */
export function transformLater(x: Exchange, transform: LateTransform): void {
  if (x.response.body !== "none") transformed(x).addLate(transform);
}

/**
 * Keeps an answer back, head and body, until it has been looked at; then it lets all of it through as it came. For the
 * response phase of an exchange that expects it, or whose request was read ahead. `room` of what is returned is to be
 * called when it is not full any more.
 */
export function holdResponse(x: Exchange, transform: HoldingTransform): { room(): void } {
  return transformed(x).hold(transform);
}

/**
 * Reads the body of a request ahead and keeps what was read, until the look has seen enough; from then on the client is
 * held up until somebody asks for the body, who gets all of it. For the request phase, of a filter that waits for it;
 * another filter may look behind it.
 */
export function lookAhead(x: Exchange, look: BodyLook): void {
  const { request, downstream } = x;
  if (request.expectContinue) {
    // The client waits for this before it sends anything, and no server has been asked.
    downstream.informational(Object.assign(new ResponseHead(), { status: 100 }));
    request.expectContinue = false;
    request.headers.removeReceived("expect");
  }
  transformed(x).lookAhead(look);
}

/**
 * Puts another body in place of the request's, of which all must have been read ahead. What was to see the one that the
 * client sent as it passes sees it now; whoever looks from here on sees the new one.
 */
export function replaceBody(x: Exchange, body: Buffer): void {
  const { request } = x;
  transformed(x).replaceAhead(body);
  if (request.body !== "length") return;
  request.headers.removeReceived("content-length");
  request.length = body.length;
}

/**
 * The body that a transform of an answer is about to put out is this long, and it puts out nothing more. The client is
 * told, unless something behind the transform changes the body again.
 */
export function knowLength(x: Exchange, out: BodyOutput, length: number): void {
  const { downstream, response } = x;
  if (!(downstream instanceof TransformedDownstream) || !downstream.isExit(out)) return;
  response.body = "length";
  response.length = length;
}

/** The body's length is not known any more. */
export function forgetLength(head: RequestHead | ResponseHead): void {
  head.body = "chunked";
  head.length = 0;
  head.headers.removeReceived("content-length");
}

function transformed(x: Exchange): TransformedDownstream {
  if (x.downstream instanceof TransformedDownstream) return x.downstream;
  const downstream = new TransformedDownstream(x, x.downstream);
  x.downstream = downstream;
  return downstream;
}
