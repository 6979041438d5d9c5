// Secrets as the configuration has them: text, or bytes in Base64.

const PREFIX = "base64:";
/** RFC 7518 section 3.2: as long as the hash at least. */
const BYTES_MIN = 32;

/** The bytes of a secret. Throws RangeError for one that is too short, and for what is no Base64. */
export function secretBytes(text: string): Buffer {
  const encoded = text.startsWith(PREFIX) ? text.slice(PREFIX.length) : null;
  const bytes = encoded === null ? Buffer.from(text) : Buffer.from(encoded, "base64");
  if (encoded !== null && bytes.toString("base64") !== encoded)
    throw new RangeError("behind `base64:` stands no Base64");
  if (bytes.length < BYTES_MIN) throw new RangeError(`a secret has at least ${BYTES_MIN} bytes`);
  return bytes;
}
