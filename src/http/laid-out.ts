// Fields laid out in one buffer as a head of HTTP/1.1 has them, so that giving them out copies one range of bytes.
import { type HeaderBlock, isFieldName, isFieldValue } from "./header-block.ts";
import { idOf } from "./header-names.ts";
import type { RequestHead } from "./message.ts";

type Fields = readonly (readonly [name: string, value: string])[];

/**
 * Fills the block with these fields as if they had been received, behind `HTTP/1.1 STATUS REASON CRLF` at offset 0.
 * Unlike with `add` there may be a Content-Length among them. Throws RangeError for a name or value that no message may
 * carry.
 */
export function layOut(block: HeaderBlock, status: number, reason: string, fields: Fields): HeaderBlock {
  return layBehind(block, `HTTP/1.1 ${status} ${reason}\r\n`, fields);
}

/**
 * Makes the head of a request in origin form for its authority, which is its Host, with these fields behind that. There
 * may be a Content-Length among them; `body` and `length` are the caller's. Throws RangeError for a target, authority,
 * name or value that no message may carry.
 */
export function layOutRequest(
  request: RequestHead,
  method: string,
  target: string,
  authority: string,
  fields: Fields,
): void {
  if (target[0] !== "/" || !isVisible(target)) throw new RangeError(`not a target: ${JSON.stringify(target)}`);
  const host: Fields = authority === "" ? [] : [["Host", authority]];
  layBehind(request.headers, `${method} ${target} HTTP/1.1\r\n`, [...host, ...fields]);
  request.method = method;
  request.target = target;
  request.queryAt = target.indexOf("?");
  request.authority = authority;
  request.lineAt = 0;
}

/** Nothing but visible ASCII, and no fragment. */
function isVisible(target: string): boolean {
  for (let at = 0; at < target.length; at += 1) {
    const code = target.charCodeAt(at);
    if (code <= 0x20 || code >= 0x7f || code === 0x23) return false;
  }
  return true;
}

function layBehind(block: HeaderBlock, start: string, fields: Fields): HeaderBlock {
  let text = start;
  for (const [name, value] of fields) {
    if (!isFieldName(name) || !isFieldValue(value)) throw new RangeError(`not a field: ${name}: ${value}`);
    text += `${name}: ${value}\r\n`;
  }
  block.reset(Buffer.from(text, "latin1"));
  let at = start.length;
  for (const [name, value] of fields) {
    const valueAt = at + name.length + 2;
    const valueEnd = valueAt + value.length;
    block.push(idOf(name.toLowerCase()), at, at + name.length, valueAt, valueEnd, valueEnd + 2);
    at = valueEnd + 2;
  }
  return block;
}
