// Distinguished names as RFC 4514 writes them.

/**
 * The attributes of a name (`CN=robot`), types in upper case; null for what is no name. Escapes are kept, as both sides
 * of a comparison have them.
 */
export function attributesOf(name: string): ReadonlySet<string> | null {
  const attributes = new Set<string>();
  let from = 0;
  for (let at = 0; at <= name.length; at += 1) {
    const char = name[at];
    if (char === "\\") at += 1;
    if (at < name.length && char !== "," && char !== "+") continue;
    const part = name.slice(from, at).trim();
    const equals = part.indexOf("=");
    if (equals < 1 || equals === part.length - 1) return null;
    attributes.add(`${part.slice(0, equals).trim().toUpperCase()}=${part.slice(equals + 1).trim()}`);
    from = at + 1;
  }
  return attributes;
}
