// Checks of form: @validateByteRange, @validateUrlEncoding, @validateUtf8Encoding, and numbers of cards and people.
import { SecLangError } from "../seclang/error.ts";
import { captureOne, type Operator, type OperatorMaker } from "./operator.ts";
import { regexOf } from "./patterns.ts";

const plain = (test: (value: string) => boolean): Operator => ({
  literals: null,
  pure: true,
  weight: 2,
  match: (_state, value) => test(value),
});

/** Matches when a byte is outside of the ranges. */
const validateByteRange: OperatorMaker = (argument, context) => {
  const allowed = new Uint8Array(256);
  for (const part of argument.split(",")) {
    const range = /^\s*(\d{1,3})(?:-(\d{1,3}))?\s*$/.exec(part);
    const from = Number(range?.[1]);
    const to = Number(range?.[2] ?? range?.[1]);
    if (range === null || from > to || to > 255) {
      throw new SecLangError(context.place, `${JSON.stringify(part)} is no range of bytes; write it as 32-126`);
    }
    allowed.fill(1, from, to + 1);
  }
  return plain((value) => {
    for (let at = 0; at < value.length; at += 1) {
      if (allowed[value.charCodeAt(at)] === 0) return true;
    }
    return false;
  });
};

const isHex = (code: number): boolean =>
  (code >= 0x30 && code <= 0x39) || ((code | 0x20) >= 0x61 && (code | 0x20) <= 0x66);

/** Matches when a percent sign has no two hexadecimal digits after it. */
function badUrlEncoding(value: string): boolean {
  for (let at = value.indexOf("%"); at >= 0; at = value.indexOf("%", at + 1)) {
    if (at + 2 >= value.length || !isHex(value.charCodeAt(at + 1)) || !isHex(value.charCodeAt(at + 2))) return true;
  }
  return false;
}

/** Matches what is no UTF-8: cut sequences, overlong forms, surrogates, and what lies beyond U+10FFFF (RFC 3629). */
function badUtf8(value: string): boolean {
  for (let at = 0; at < value.length; ) {
    const first = value.charCodeAt(at);
    at += 1;
    if (first < 0x80) continue;
    if (first < 0xc2 || first > 0xf4) return true;
    const more = first < 0xe0 ? 1 : first < 0xf0 ? 2 : 3;
    const second = value.charCodeAt(at);
    if (first === 0xe0 && second < 0xa0) return true;
    if (first === 0xed && second > 0x9f) return true;
    if (first === 0xf0 && second < 0x90) return true;
    if (first === 0xf4 && second > 0x8f) return true;
    for (let each = 0; each < more; each += 1, at += 1) {
      // Not a number (NaN) beyond the end, which is no continuation either.
      if ((value.charCodeAt(at) & 0xc0) !== 0x80) return true;
    }
  }
  return false;
}

/** The checksum of card numbers (ISO/IEC 7812, Luhn). */
function isCard(digits: string): boolean {
  let sum = 0;
  for (let at = digits.length - 1, double = false; at >= 0; at -= 1, double = !double) {
    const digit = digits.charCodeAt(at) - 0x30;
    sum += double ? (digit > 4 ? digit * 2 - 9 : digit * 2) : digit;
  }
  return digits.length > 0 && sum % 10 === 0;
}

/** Social security numbers of the United States: no area 000, 666 or 9xx, no group 00, no serial 0000. */
function isSsn(digits: string): boolean {
  if (digits.length !== 9) return false;
  const area = Number(digits.slice(0, 3));
  return area > 0 && area < 900 && area !== 666 && digits.slice(3, 5) !== "00" && digits.slice(5) !== "0000";
}

/** Taxpayer numbers of Brazil: two check digits modulo 11. */
function isCpf(digits: string): boolean {
  if (digits.length !== 11 || /^(\d)\1+$/.test(digits)) return false;
  const check = (count: number): number => {
    let sum = 0;
    for (let at = 0; at < count; at += 1) sum += Number(digits[at]) * (count + 1 - at);
    return ((sum * 10) % 11) % 10;
  };
  return check(9) === Number(digits[9]) && check(10) === Number(digits[10]);
}

/** Social insurance numbers of Austria: the fourth digit checks the others modulo 11. */
function isSvnr(digits: string): boolean {
  if (digits.length !== 10) return false;
  const weights = [3, 7, 9, 0, 5, 8, 4, 2, 1, 6];
  let sum = 0;
  for (let at = 0; at < 10; at += 1) sum += Number(digits[at]) * weights[at]!;
  return sum % 11 === Number(digits[3]);
}

/** Matches when a match of the expression is a number with a right checksum; tries each place of the value. */
const numbers =
  (valid: (digits: string) => boolean): OperatorMaker =>
  (argument, context) => {
    const regex = regexOf(argument, context);
    return {
      literals: regex.literals,
      pure: true,
      match(state, value, capture) {
        let from = 0;
        while (from <= value.length) {
          const rest = value.slice(from);
          if (!regex.exec(rest, state.captures)) return false;
          const [start, end] = [state.captures[0]!, state.captures[1]!];
          const found = rest.slice(start, end);
          if (valid(found.replace(/\D/g, ""))) {
            if (capture) captureOne(state, found);
            return true;
          }
          // From the end of the match, so that the value is gone through once.
          from += Math.max(end, start + 1);
        }
        return false;
      },
    };
  };

export const checkOperators: Readonly<Record<string, OperatorMaker>> = {
  validatebyterange: validateByteRange,
  validateurlencoding: () => plain(badUrlEncoding),
  validateutf8encoding: () => plain(badUtf8),
  verifycc: numbers(isCard),
  verifyssn: numbers(isSsn),
  verifycpf: numbers(isCpf),
  verifysvnr: numbers(isSvnr),
};
