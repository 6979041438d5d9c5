// The parts of a request target as rules see them.

/** What stands after scheme and authority of an absolute target; the target itself in all other forms. */
export function withoutAuthority(target: string): string {
  if (target.charCodeAt(0) === 0x2f) return target;
  const at = target.indexOf("://");
  if (at <= 0) return target;
  const slash = target.indexOf("/", at + 3);
  return slash < 0 ? "/" : target.slice(slash);
}

function hexValue(code: number): number {
  if (code >= 0x30 && code <= 0x39) return code - 0x30;
  const lower = code | 0x20;
  return lower >= 0x61 && lower <= 0x66 ? lower - 0x57 : -1;
}

/** Decodes percent signs with two hexadecimal digits, once, as libmodsecurity does; a plus sign stays one. */
export function decoded(path: string): string {
  let at = path.indexOf("%");
  if (at < 0) return path;
  let text = "";
  let done = 0;
  for (; at >= 0; at = path.indexOf("%", at + 1)) {
    const high = at + 2 < path.length ? hexValue(path.charCodeAt(at + 1)) : -1;
    const low = high < 0 ? -1 : hexValue(path.charCodeAt(at + 2));
    if (low < 0) continue;
    text += path.slice(done, at) + String.fromCharCode(high * 16 + low);
    done = at + 3;
    at += 2;
  }
  return done === 0 ? path : text + path.slice(done);
}

/** What stands after the last slash; backslashes count, as they do for some servers. */
export function baseName(path: string): string {
  return path.slice(Math.max(path.lastIndexOf("/"), path.lastIndexOf("\\")) + 1);
}
