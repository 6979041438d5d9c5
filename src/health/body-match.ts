// What the body of a healthy answer has in it: a text, or something that fits a regular expression.

/** Looks at a body that grows. */
export interface BodyMatch {
  /** What the log says when it is not there. */
  readonly missing: string;
  /** Whether `body` has it. `whole`: nothing more is to come. `seen` bytes of it were looked at before. */
  found(body: Buffer, seen: number, whole: boolean): boolean;
}

/** Reads `text` or `~regex`. Throws SyntaxError for an expression that is none. */
export function parseBodyMatch(pattern: string): BodyMatch {
  if (pattern.startsWith("~")) {
    const regex = new RegExp(pattern.slice(1));
    return {
      missing: `body does not match ${pattern}`,
      // Only of the whole: an anchored expression would fit a part that is not the end.
      found: (body, _seen, whole) => whole && regex.test(body.toString("utf8")),
    };
  }
  const text = Buffer.from(pattern);
  return {
    missing: `body does not contain ${JSON.stringify(pattern)}`,
    found: (body, seen) => body.indexOf(text, Math.max(0, seen - text.length)) >= 0,
  };
}
