// The words of a directive: bare ones end at white space, quoted ones at their quote.
import { SecLangError } from "./error.ts";
import { type LogicalLine, placeAt } from "./lines.ts";

/** One word of a directive, without its quotes. */
export interface Word {
  readonly text: string;
  /** Offset of the first character inside of the quotes. */
  readonly at: number;
  readonly quoted: boolean;
}

const isBlank = (code: number): boolean => code === 0x20 || code === 0x09;

/**
 * Splits a logical line. Inside of quotes, a backslash before the same quote stands for the quote alone; every other
 * backslash is left to whoever reads the word, because regular expressions are full of them.
 */
export function splitWords(line: LogicalLine): Word[] {
  const { text } = line;
  const words: Word[] = [];
  let at = 0;
  while (at < text.length) {
    if (isBlank(text.charCodeAt(at))) {
      at += 1;
      continue;
    }
    const first = text[at]!;
    if (first === '"' || first === "'") {
      const end = closingQuote(text, at + 1, first);
      if (end < 0) throw new SecLangError(placeAt(line, at), `this ${first} is not closed; add the missing quote`);
      const inner = text.slice(at + 1, end);
      words.push({ text: inner.replaceAll(`\\${first}`, first), at: at + 1, quoted: true });
      at = end + 1;
      if (at < text.length && !isBlank(text.charCodeAt(at))) {
        throw new SecLangError(placeAt(line, at), "white space is expected after a closing quote");
      }
      continue;
    }
    const start = at;
    while (at < text.length && !isBlank(text.charCodeAt(at))) at += 1;
    words.push({ text: text.slice(start, at), at: start, quoted: false });
  }
  return words;
}

/** A backslash hides the quote after it, whatever stands before the backslash: `\\"` is a backslash and a hidden quote. */
function closingQuote(text: string, from: number, quote: string): number {
  for (let at = text.indexOf(quote, from); at >= 0; at = text.indexOf(quote, at + 1)) {
    if (text[at - 1] !== "\\" || at === from) return at;
  }
  return -1;
}
