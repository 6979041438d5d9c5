// UTF-8 as bytes that are held as Latin-1 characters.

/** Whether the bytes are valid UTF-8: no overlong forms, no surrogates, nothing above U+10FFFF (RFC 3629 §4). */
export function isUtf8(text: string): boolean {
  const length = text.length;
  for (let at = 0; at < length; ) {
    const lead = text.charCodeAt(at);
    if (lead < 0x80) {
      at += 1;
      continue;
    }
    const size = sizeOfSequence(lead, text.charCodeAt(at + 1));
    if (size === 0 || at + size > length) return false;
    for (let next = 1; next < size; next += 1) if ((text.charCodeAt(at + next) & 0xc0) !== 0x80) return false;
    at += size;
  }
  return true;
}

/** How many bytes a sequence has by its first two; 0 when these begin none. */
function sizeOfSequence(lead: number, second: number): number {
  if (lead < 0xc2 || lead > 0xf4) return 0;
  if (lead < 0xe0) return 2;
  if (lead < 0xf0) {
    if (lead === 0xe0 && second < 0xa0) return 0;
    return lead === 0xed && second > 0x9f ? 0 : 3;
  }
  if (lead === 0xf0 && second < 0x90) return 0;
  return lead === 0xf4 && second > 0x8f ? 0 : 4;
}

/** The bytes of a code point in UTF-8. */
export function utf8Of(point: number): string {
  if (point < 0x80) return String.fromCharCode(point);
  if (point < 0x800) return String.fromCharCode(0xc0 | (point >> 6), 0x80 | (point & 0x3f));
  const last = String.fromCharCode(0x80 | ((point >> 6) & 0x3f), 0x80 | (point & 0x3f));
  if (point < 0x10000) return String.fromCharCode(0xe0 | (point >> 12)) + last;
  return String.fromCharCode(0xf0 | (point >> 18), 0x80 | ((point >> 12) & 0x3f)) + last;
}
