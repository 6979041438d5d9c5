// Names and values of a query, a form or cookies, decoded.

/** As many as the firewall compares: nobody honest sends more. */
const PAIRS_MAX = 1000;

export class Pairs {
  readonly names: string[] = [];
  /** As they came: lists are split before they are decoded. */
  readonly values: string[] = [];
  /** What is wrong with all of it; "" for nothing. */
  problem = "";

  /** `a=1&b=2`, of a query or a form. */
  static query(text: string): Pairs {
    return new Pairs().#read(text, "&");
  }

  /** `a=1; b=2`, of a Cookie field (RFC 6265 §4.2.1). */
  static cookies(text: string): Pairs {
    return new Pairs().#read(text, ";");
  }

  #read(text: string, separator: "&" | ";"): Pairs {
    for (let from = 0; from < text.length; ) {
      const found = text.indexOf(separator, from);
      const end = found < 0 ? text.length : found;
      if (end > from && !this.#add(text.slice(from, end), separator)) return this;
      // Some servers take a semicolon for the end of a pair: what stands behind it is a pair as well.
      const semicolon = separator === "&" ? text.indexOf(";", from) : -1;
      if (semicolon >= 0 && semicolon < end && !this.#addParts(text.slice(semicolon + 1, end))) return this;
      from = end + 1;
    }
    return this;
  }

  #addParts(text: string): boolean {
    return text.split(";", PAIRS_MAX + 1).every((part) => part === "" || this.#add(part, "&"));
  }

  #add(pair: string, separator: "&" | ";"): boolean {
    const equals = pair.indexOf("=");
    const name = equals < 0 ? pair : pair.slice(0, equals);
    // Programs that read cookies leave out the space around a name.
    const decoded = separator === ";" ? name.trim() : decode(name, true);
    if (decoded === null) this.problem = "has a name that is encoded wrong";
    else if (this.names.length >= PAIRS_MAX) this.problem = `must not have more than ${PAIRS_MAX} parts`;
    if (decoded === null || this.problem !== "") return false;
    this.names.push(decoded);
    this.values.push(equals < 0 ? "" : pair.slice(equals + 1));
    return true;
  }
}

/** The text without its percent-encoding; null where that is none, or no UTF-8. `plus`: a plus is a space. */
export function decode(text: string, plus: boolean): string | null {
  let percent = false;
  let other = false;
  for (let at = 0; at < text.length; at += 1) {
    const code = text.charCodeAt(at);
    if (code === 0x25 /* % */) percent = true;
    else if (code === 0x2b /* + */ || code > 0x7f) other = true;
  }
  if (!percent && !other) return text;
  // Bytes beyond ASCII that are not encoded: one character each, which is no UTF-8 yet.
  const spaced = other && plus ? text.replaceAll("+", " ") : text;
  if (!percent) return spaced;
  try {
    return decodeURIComponent(spaced);
  } catch {
    return null;
  }
}
