// Logical lines of a rule file: comments and empty lines left out, continued lines joined.
import type { Place } from "./error.ts";

/** One directive as text, with what is needed to find a character of it in the file again. */
export interface LogicalLine {
  readonly file: string;
  readonly text: string;
  /** Number of the first physical line, from 1. */
  readonly line: number;
  /** Offsets in `text` at which the second, third, … physical line begins. */
  readonly breaks: readonly number[];
}

/** The position in the file of the character at `offset` of a logical line. */
export function placeAt(line: LogicalLine, offset: number): Place {
  let row = 0;
  while (row < line.breaks.length && line.breaks[row]! <= offset) row += 1;
  const start = row === 0 ? 0 : line.breaks[row - 1]!;
  return { file: line.file, line: line.line + row, column: offset - start + 1 };
}

const isComment = (text: string): boolean => /^[ \t]*(?:#|$)/.test(text);

/** A backslash before the end of a line continues it; the next line is taken as it is, indentation included. */
export function logicalLines(file: string, text: string): LogicalLine[] {
  const rows = text.split("\n");
  const lines: LogicalLine[] = [];
  for (let at = 0; at < rows.length; at += 1) {
    const first = at;
    let row = withoutReturn(rows[at]!);
    if (isComment(row)) continue;
    let joined = "";
    const breaks: number[] = [];
    while (row.endsWith("\\") && at + 1 < rows.length) {
      joined += row.slice(0, -1);
      breaks.push(joined.length);
      at += 1;
      row = withoutReturn(rows[at]!);
    }
    lines.push({ file, text: joined + row, line: first + 1, breaks });
  }
  return lines;
}

const withoutReturn = (row: string): string => (row.endsWith("\r") ? row.slice(0, -1) : row);
