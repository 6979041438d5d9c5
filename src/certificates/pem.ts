// PEM (RFC 7468): the blocks of a text. What stands around them, such as comments, is left out.

export interface PemBlock {
  /** `CERTIFICATE`, `PRIVATE KEY`, … */
  readonly label: string;
  /** From BEGIN to END, both included, without a line end. */
  readonly text: string;
}

const BEGIN = "-----BEGIN ";
const DASHES = "-----";

/** The blocks in their order. One that does not end is not there: its file may still be being written. */
export function pemBlocks(text: string): PemBlock[] {
  const blocks: PemBlock[] = [];
  let at = text.indexOf(BEGIN);
  while (at >= 0) {
    const labelAt = at + BEGIN.length;
    const labelEnd = text.indexOf(DASHES, labelAt);
    if (labelEnd < 0) break;
    const label = text.slice(labelAt, labelEnd);
    const endLine = `-----END ${label}-----`;
    const end = text.indexOf(endLine, labelEnd);
    if (end < 0) break;
    const stop = end + endLine.length;
    blocks.push({ label, text: text.slice(at, stop) });
    at = text.indexOf(BEGIN, stop);
  }
  return blocks;
}

/** DER as a PEM block, with a line end. */
export function toPem(label: string, der: ArrayBuffer | Uint8Array): string {
  const base64 = Buffer.from(der instanceof Uint8Array ? der : new Uint8Array(der)).toString("base64");
  const lines = base64.match(/.{1,64}/g) ?? [];
  return `${BEGIN}${label}-----\n${lines.join("\n")}\n-----END ${label}-----\n`;
}
