// Names of hosts as TLS and certificates know them.

const HOST_NAME_MAX = 253; // RFC 1035 §2.3.4
const LABEL_MAX = 63;

/**
 * RFC 1123 §2.1 in lower case, with underscores, which container networks use. No dot at the end and no IPv4 address,
 * as RFC 6066 §3 has it.
 */
export function isHostName(name: string): boolean {
  if (name.length === 0 || name.length > HOST_NAME_MAX) return false;
  let label = 0;
  let letters = false; // other than digits, in the last label
  for (let at = 0; at < name.length; at += 1) {
    const code = name.charCodeAt(at);
    if (code === 0x2e) {
      if (label === 0 || name.charCodeAt(at - 1) === 0x2d) return false;
      label = 0;
      letters = false;
      continue;
    }
    const isDigit = code >= 0x30 && code <= 0x39;
    const isLetter = (code >= 0x61 && code <= 0x7a) || code === 0x5f;
    if (!isDigit && !isLetter && (code !== 0x2d || label === 0)) return false;
    letters ||= !isDigit;
    label += 1;
    if (label > LABEL_MAX) return false;
  }
  // A name whose last label is a number would be read as an address by others.
  return label > 0 && letters && !name.endsWith("-");
}
