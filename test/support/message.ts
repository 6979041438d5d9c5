// HTTP/1 messages as the tests read them, with a small parser that shares nothing with the one under test.

export type Field = readonly [name: string, value: string];

/** A message; text has one character for each byte. */
export class Message {
  readonly first: string;
  readonly fields: readonly Field[];
  body = "";
  trailers: readonly Field[] = [];

  constructor(head: string) {
    const [first = "", ...lines] = head.split("\r\n");
    this.first = first;
    this.fields = lines.map(field);
  }

  get method(): string {
    return this.first.split(" ")[0] ?? "";
  }
  get target(): string {
    return this.first.split(" ")[1] ?? "";
  }
  get status(): number {
    return Number(this.first.split(" ")[1]);
  }
  /** The values of that name, joined by `, `; null without one. */
  field(name: string): string | null {
    const values = this.all(name);
    return values.length === 0 ? null : values.join(", ");
  }
  all(name: string): string[] {
    return this.fields.filter(([each]) => each.toLowerCase() === name).map(([, value]) => value);
  }
}

export function field(line: string): Field {
  const colon = line.indexOf(":");
  if (colon < 1) throw new Error(`not a field line: ${JSON.stringify(line)}`);
  return [line.slice(0, colon), line.slice(colon + 1).trim()];
}

/** The text of an answer with a Content-Length. */
export function answer(status: number, body = "", fields: readonly string[] = []): string {
  const lines = [`HTTP/1.1 ${status} Test`, `Content-Length: ${body.length}`, ...fields];
  return `${lines.join("\r\n")}\r\n\r\n${body}`;
}

/** The text of a request without a body, unless one is given. */
export function request(target: string, fields: readonly string[] = [], method = "GET", body = ""): string {
  const lines = [`${method} ${target} HTTP/1.1`, "Host: app.example", ...fields];
  if (body !== "") lines.push(`Content-Length: ${body.length}`);
  return `${lines.join("\r\n")}\r\n\r\n${body}`;
}

/** The chunked form of each piece; without the last chunk. */
export const chunks = (...pieces: readonly string[]): string =>
  pieces.map((piece) => `${piece.length.toString(16)}\r\n${piece}\r\n`).join("");
