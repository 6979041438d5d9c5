// What users type, made harmless for names and filters of a directory.

/**
 * A value within a name or a filter: every character that could mean something is written as its byte, which both
 * grammars take for any of ASCII (RFC 4514 section 2.4, RFC 4515 section 3). What lies beyond means nothing in either,
 * and stays: the library would take its bytes for characters.
 */
export const escapeValue = (value: string): string =>
  value.replace(/[\x00-\x2c\x2f\x3a-\x3f\x5b-\x5e\x60\x7b-\x7f]/g, escaped);

const escaped = (char: string): string => `\\${char.charCodeAt(0).toString(16).padStart(2, "0")}`;
