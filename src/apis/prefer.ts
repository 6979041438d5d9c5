// What a client prefers of several examples: `Prefer: code=404, example=NAME` (RFC 7240).

export interface Preferences {
  /** A status; 0 for none. */
  readonly code: number;
  /** Name of an example; "" for none. */
  readonly example: string;
}

const NOTHING: Preferences = { code: 0, example: "" };
const FIELD_MAX = 1000;
const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const COMMA = 0x2c;
const SEMICOLON = 0x3b;

/** Of a preference that is there twice, the first counts (RFC 7240 §2); those that are not known are left alone. */
export function preferencesOf(field: string | null): Preferences {
  if (field === null || field.length > FIELD_MAX) return NOTHING;
  let code = 0;
  let example = "";
  for (let from = 0; from < field.length; ) {
    const end = partEnd(field, from);
    const equals = field.indexOf("=", from);
    if (equals >= 0 && equals < end) {
      const name = field.slice(from, equals).trim().toLowerCase();
      const value = plain(field.slice(equals + 1, end).trim());
      if (name === "code" && code === 0) code = statusOf(value);
      else if (name === "example" && example === "") example = value;
    }
    from = end + 1;
  }
  return { code, example };
}

/** Where a preference, or a parameter of one, ends: at a comma or semicolon outside of quotes. */
function partEnd(field: string, from: number): number {
  let isQuoted = false;
  for (let at = from; at < field.length; at += 1) {
    const char = field.charCodeAt(at);
    if (isQuoted && char === BACKSLASH) at += 1;
    else if (char === QUOTE) isQuoted = !isQuoted;
    else if (!isQuoted && (char === COMMA || char === SEMICOLON)) return at;
  }
  return field.length;
}

const plain = (text: string): string =>
  text.length > 1 && text.startsWith('"') && text.endsWith('"') ? text.slice(1, -1).replaceAll("\\", "") : text;

function statusOf(text: string): number {
  const status = Number(text);
  const isNumber = text === String(status); // and not 2e2
  return isNumber && Number.isInteger(status) && status >= 200 && status < 600 ? status : 0;
}
