// Fields laid out in one buffer as a head of HTTP/1.1 has them, so that giving them out copies one range of bytes.
import { type HeaderBlock, isFieldName, isFieldValue } from "./header-block.ts";
import { idOf } from "./header-names.ts";

/**
 * Fills the block with these fields as if they had been received, behind `HTTP/1.1 STATUS REASON CRLF` at offset 0.
 * Unlike with `add` there may be a Content-Length among them. Throws RangeError for a name or value that no message may
 * carry.
 */
export function layOut(
  block: HeaderBlock,
  status: number,
  reason: string,
  fields: readonly (readonly [name: string, value: string])[],
): HeaderBlock {
  const start = `HTTP/1.1 ${status} ${reason}\r\n`;
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
