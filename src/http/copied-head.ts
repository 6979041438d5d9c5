// Copies of heads. Those of clients and servers lie in buffers that their connections use again; a fetch for the cache
// outlives the request that it was begun for, and an answer that is held back the turn that it came in.
import { HeaderBlock } from "./header-block.ts";
import { RequestHead, ResponseHead } from "./message.ts";

const STRIDE = 4;

/** A copy of a request's head without a body, for a request of our own. */
export function copiedRequest(request: RequestHead): RequestHead {
  const copy = new RequestHead();
  const from = copyBytes(request.headers, copy.headers, request.lineAt);
  copy.method = request.method;
  copy.target = request.target;
  copy.queryAt = request.queryAt;
  copy.plainPath = request.plainPath;
  copy.lineAt = request.lineAt < 0 ? -1 : request.lineAt - from;
  copy.form = request.form;
  copy.authority = request.authority;
  copy.version = request.version;
  copy.connectionNamesFields = request.connectionNamesFields;
  return copy;
}

/** A copy of an answer's head. */
export function copiedResponse(head: ResponseHead): ResponseHead {
  const copy = new ResponseHead();
  const from = copyBytes(head.headers, copy.headers, head.lineAt);
  copy.status = head.status;
  copy.reason = head.reason;
  copy.version = head.version;
  copy.lineAt = head.lineAt < 0 ? -1 : head.lineAt - from;
  copy.body = head.body;
  copy.length = head.length;
  copy.own = head.own;
  copy.connectionNamesFields = head.connectionNamesFields;
  return copy;
}

/** A copy of fields that stays. */
export function copiedFields(block: HeaderBlock): HeaderBlock {
  const copy = new HeaderBlock();
  copyBytes(block, copy, -1);
  return copy;
}

/** Copies fields, edits included, and the start line before them where there is one. Returns where the bytes began. */
function copyBytes(block: HeaderBlock, copy: HeaderBlock, lineAt: number): number {
  const from = lineAt >= 0 ? lineAt : block.count > 0 ? block.lineStart(0) : 0;
  copy.reset(Buffer.from(block.bytes.subarray(from, block.end)));
  pushFields(block, copy, block.count, -from);
  for (let at = 0; at < block.count; at += 1) {
    if (block.removed[at] === 1) copy.removeAt(at);
    if (block.secret?.[at] === 1) copy.keepSecret(at);
  }
  if (block.added !== null) copy.added = [...block.added];
  copy.personal = block.personal;
  return from;
}

/** Adds the first `count` received fields of a block to another one, whose bytes lie `shift` behind those of the first. */
export function pushFields(block: HeaderBlock, copy: HeaderBlock, count: number, shift: number): void {
  const { marks, ids } = block;
  for (let at = 0; at < count; at += 1) {
    const m = at * STRIDE;
    const [nameStart, nameEnd, valueStart, valueEnd] = [marks[m]!, marks[m + 1]!, marks[m + 2]!, marks[m + 3]!];
    const end = block.lineEnd(at) + shift;
    copy.push(ids[at]!, nameStart + shift, nameEnd + shift, valueStart + shift, valueEnd + shift, end);
  }
}
