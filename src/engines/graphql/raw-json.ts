// The members of a JSON text as they were written. What is put together anew keeps numbers that a program would round.

/** The texts of an object's members by name, or of a list's items; the text must be valid JSON. */
export function rawMembers(text: string): ReadonlyMap<string, string> {
  const members = new Map<string, string>();
  let at = skipSpace(text, 0) + 1;
  for (at = skipSpace(text, at); text[at] === '"'; at = skipSpace(text, at + 1)) {
    const end = skipValue(text, at);
    const from = skipSpace(text, skipSpace(text, end) + 1); // behind the colon
    const to = skipValue(text, from);
    members.set(JSON.parse(text.slice(at, end)) as string, text.slice(from, to));
    at = skipSpace(text, to);
    if (text[at] !== ",") break;
  }
  return members;
}

export function rawItems(text: string): readonly string[] {
  const items: string[] = [];
  let at = skipSpace(text, skipSpace(text, 0) + 1);
  while (at < text.length && text[at] !== "]") {
    const to = skipValue(text, at);
    items.push(text.slice(at, to));
    at = skipSpace(text, to);
    if (text[at] === ",") at = skipSpace(text, at + 1);
  }
  return items;
}

function skipSpace(text: string, from: number): number {
  let at = from;
  while (at < text.length && text.charCodeAt(at) <= 0x20) at += 1;
  return at;
}

/** Where the value ends that begins at `from`. */
function skipValue(text: string, from: number): number {
  let depth = 0;
  for (let at = from; at < text.length; at += 1) {
    const char = text[at]!;
    if (char === '"') {
      at += 1;
      while (at < text.length && text[at] !== '"') at += text[at] === "\\" ? 2 : 1;
      if (depth === 0) return at + 1;
    } else if (char === "{" || char === "[") depth += 1;
    else if (char === "}" || char === "]") {
      if (depth === 0) return at;
      depth -= 1;
      if (depth === 0) return at + 1;
    } else if (depth === 0 && (char === "," || char.charCodeAt(0) <= 0x20)) return at;
  }
  return text.length;
}
