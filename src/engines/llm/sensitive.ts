// Finds what should not reach a provider: addresses, numbers of phones, cards and accounts, keys. One pass over the
// text, in time that grows with its length alone; numbers that have check digits must have the right ones.

export const KINDS = ["email", "phone", "card", "iban", "secret"] as const;
export type Kind = (typeof KINDS)[number];

export interface Span {
  from: number;
  to: number;
  /** What it is: one of the kinds, or the name of a rule. */
  readonly label: string;
}

const ALNUM = 1;
const DIGIT = 2;
/** May be part of a name before the @ (RFC 5321 §4.1.2, without quotes and rarities). */
const LOCAL = 4;
/** Base64 in its form for URLs, of which keys consist. */
const TOKEN = 8;
const CLASSES: Uint8Array = new Uint8Array(128);
for (let code = 0; code < 128; code += 1) {
  const char = String.fromCharCode(code);
  if (/[A-Za-z0-9]/.test(char)) CLASSES[code] = ALNUM | LOCAL | TOKEN;
  if (/[0-9]/.test(char)) CLASSES[code]! |= DIGIT;
  if (/[._%+-]/.test(char)) CLASSES[code]! |= LOCAL;
  if (/[_-]/.test(char)) CLASSES[code]! |= TOKEN;
}

const is = (text: string, at: number, wanted: number): boolean => {
  const code = text.charCodeAt(at);
  return code < 128 && (CLASSES[code]! & wanted) !== 0;
};

/**
 * What is found in a text, in the order of their places, without overlaps. `isCut`: there is more of the text, so that
 * what its end cuts off counts as well.
 */
export function findSensitive(text: string, kinds: ReadonlySet<Kind>, isCut = false): Span[] {
  const spans: Span[] = [];
  if (kinds.has("email")) findEmails(text, spans);
  if (kinds.has("secret")) findKeyBlocks(text, spans);
  if (kinds.size > (kinds.has("email") ? 1 : 0)) findWords(text, spans, kinds, isCut);
  return inOrder(spans);
}

/** What begins first is kept, and of two that overlap the longer one. */
export function inOrder(spans: Span[]): Span[] {
  if (spans.length < 2) return spans;
  spans.sort((a, b) => a.from - b.from || b.to - a.to);
  const kept: Span[] = [];
  for (const span of spans) {
    const last = kept.at(-1);
    if (last === undefined || span.from >= last.to) kept.push(span);
    else if (span.to > last.to) last.to = span.to;
  }
  return kept;
}

const BACKSLASH = 0x5c;
const LOWER_U = 0x75;
/** A letter behind a backslash, of texts in JSON in a text: arguments and results of tools are that. */
const ESCAPES: ReadonlySet<number> = new Set([..."bfnrt"].map((char) => char.charCodeAt(0)));
/** `\u` and four digits. */
const UNICODE_ESCAPE = 6;

/** Whether a letter or digit is the last of an escape: what stands behind it begins a word. */
const endsEscape = (text: string, at: number): boolean =>
  (ESCAPES.has(text.charCodeAt(at)) && text.charCodeAt(at - 1) === BACKSLASH) ||
  (text.charCodeAt(at - UNICODE_ESCAPE + 2) === LOWER_U && text.charCodeAt(at - UNICODE_ESCAPE + 1) === BACKSLASH);

/** How much of what begins here belongs to an escape whose backslash stands before it. */
function escapeLength(text: string, from: number): number {
  if (text.charCodeAt(from - 1) !== BACKSLASH) return 0;
  if (text.charCodeAt(from) === LOWER_U) return UNICODE_ESCAPE - 1;
  return ESCAPES.has(text.charCodeAt(from)) ? 1 : 0;
}

const LOCAL_MAX = 64;
const DOMAIN_MAX = 255;

function findEmails(text: string, spans: Span[]): void {
  for (let at = text.indexOf("@"); at >= 0; at = text.indexOf("@", at + 1)) {
    let from = at;
    while (from > 0 && at - from < LOCAL_MAX && is(text, from - 1, LOCAL)) from -= 1;
    from = Math.min(at, from + escapeLength(text, from));
    let to = at + 1;
    let dot = -1;
    while (to < text.length && to - at <= DOMAIN_MAX && (is(text, to, ALNUM) || ".-".includes(text[to]!))) {
      if (text[to] === "." && is(text, to + 1, ALNUM)) dot = to;
      to += 1;
    }
    while (to > at && !is(text, to - 1, ALNUM)) to -= 1;
    if (from < at && dot > at + 1 && to - dot > 2) spans.push({ from, to, label: "email" });
  }
}

const BLOCK = "-----BEGIN ";
const BLOCK_END = "-----END ";
const KEY = "PRIVATE KEY";
const LABEL_MAX = 40;

function findKeyBlocks(text: string, spans: Span[]): void {
  for (let from = text.indexOf(BLOCK); from >= 0; from = text.indexOf(BLOCK, from + 1)) {
    const label = text.slice(from, from + LABEL_MAX);
    if (!label.includes(KEY)) continue;
    const end = text.indexOf(BLOCK_END, from);
    const close = end < 0 ? -1 : text.indexOf("-----", end + BLOCK_END.length);
    const to = close < 0 ? text.length : close + 5;
    spans.push({ from, to, label: "secret" });
    from = to - 1;
  }
}

/** What begins where a word does. */
function findWords(text: string, spans: Span[], kinds: ReadonlySet<Kind>, isCut: boolean): void {
  let isInside = false;
  // No token begins before this, as one that ends at the same place was none.
  let noTokenUntil = 0;
  const hasNumbers = kinds.has("card") || kinds.has("phone");
  const hasIban = kinds.has("iban");
  const hasSecret = kinds.has("secret");
  for (let at = 0; at < text.length; at += 1) {
    const code = text.charCodeAt(at);
    const kind = code < 128 ? CLASSES[code]! : 0;
    // Whatever is no letter of ASCII may stand before a number or a key.
    const begins = !isInside;
    const isLetter = (kind & ALNUM) !== 0;
    isInside = isLetter && !endsEscape(text, at);
    if (!begins) continue;
    if (kind === 0 && code !== PLUS && code !== PAREN) continue;
    let to = 0;
    let label = "";
    if (hasNumbers && ((kind & DIGIT) !== 0 || code === PLUS || code === PAREN)) {
      const found = numberAt(text, at, kinds);
      to = found.to;
      label = found.label;
    }
    if (to === 0 && isLetter && hasIban) {
      to = ibanEnd(text, at);
      label = "iban";
    }
    if (to === 0 && isLetter && hasSecret && (code !== LOWER_E || at >= noTokenUntil)) {
      to = secretEnd(text, at, isCut);
      label = "secret";
      if (to < 0) noTokenUntil = -to;
    }
    if (to <= 0) continue;
    spans.push({ from: at, to, label });
    at = to - 1;
    isInside = true;
  }
}

// ——— numbers

const PLUS = 0x2b;
const PAREN = 0x28;
const CARD_MIN = 13;
const CARD_MAX = 19;
const PHONE_MIN = 8;
const PHONE_MAX = 15;
/** Digits and what separates them: no number that is looked for is longer. */
const NUMBER_CHARS_MAX = 40;

interface Found {
  readonly to: number;
  readonly label: string;
}
const NOT_FOUND: Found = { to: 0, label: "" };

/** The digits of the number at hand, and how they are grouped: one number is looked at at a time. */
const digits: Uint8Array = new Uint8Array(CARD_MAX + 1);
const groups: Uint8Array = new Uint8Array(CARD_MAX + 1);

/** A card's number (ISO/IEC 7812) or a phone's that begins here: the longest that is one. */
function numberAt(text: string, from: number, kinds: ReadonlySet<Kind>): Found {
  // The rest of a date, a version or an address is no number of its own.
  if (from > 1 && "-./".includes(text[from - 1]!) && is(text, from - 2, DIGIT)) return NOT_FOUND;
  const isCard = kinds.has("card");
  const isPhone = kinds.has("phone");
  const stop = Math.min(text.length, from + NUMBER_CHARS_MAX);
  let best = NOT_FOUND;
  let [count, groupCount, group, separators, isSpread] = [0, 0, 0, 0, false];
  for (let at = from; at <= stop; at += 1) {
    const code = at < stop ? text.charCodeAt(at) : 0;
    if (code >= 0x30 && code <= 0x39) {
      if (count >= CARD_MAX) break;
      digits[count] = code - 0x30;
      count += 1;
      group += 1;
      separators = 0;
      continue;
    }
    if (group > 0 && !is(text, at, ALNUM)) {
      groups[groupCount] = group;
      groupCount += 1;
      if (isCard && isCardNumber(count)) best = { to: at, label: "card" };
      else if (isPhone && isPhoneNumber(text.charCodeAt(from) === PLUS, count, isSpread))
        best = { to: at, label: "phone" };
      // Small groups are those of phone numbers that begin as such.
      const mayGoOn = group > 2 || groupCount === 1 || digits[0] === 0 || text.charCodeAt(from) === PLUS;
      if (!mayGoOn) break;
      group = 0;
    }
    if (!isSeparator(code) && !(code === PLUS && at === from)) break;
    separators += 1;
    if (separators > (count === 0 ? 1 : 2)) break;
    isSpread ||= count > 0 || code === PAREN;
  }
  return best;
}

const SEPARATORS: ReadonlySet<number> = new Set([..." -.()/"].map((char) => char.charCodeAt(0)));
const isSeparator = (code: number): boolean => SEPARATORS.has(code);

/** The Luhn check, which one number in ten passes by chance; numbers of one digit pass it too. */
function isCardNumber(count: number): boolean {
  if (count < CARD_MIN || digits[0]! < 2 || digits[0]! > 6) return false;
  let sum = 0;
  let isSame = true;
  for (let i = 0; i < count; i += 1) {
    const digit = digits[count - 1 - i]!;
    const twice = i % 2 === 1 ? digit * 2 : digit;
    sum += twice > 9 ? twice - 9 : twice;
    isSame &&= digit === digits[0];
  }
  return sum % 10 === 0 && !isSame;
}

/** International with a plus; national with a leading zero, or as North America writes it. */
function isPhoneNumber(hasPlus: boolean, count: number, isSpread: boolean): boolean {
  if (hasPlus) return count >= PHONE_MIN && count <= PHONE_MAX;
  if (!isSpread) return false;
  if (digits[0] === 0) return count >= 9 && count <= 13 && groups[0]! <= 6;
  if (count === 10) return groups[0] === 3 && groups[1] === 3 && groups[2] === 4;
  return count === 11 && groups[0] === 1 && groups[1] === 3 && groups[2] === 3 && groups[3] === 4;
}

/** How long the numbers of a country are (the registry of ISO 13616). */
const IBAN_LENGTHS: ReadonlyMap<string, number> = new Map(
  (
    "AD24 AE23 AL28 AT20 AZ28 BA20 BE16 BG22 BH22 BI27 BR29 BY28 CH21 CR22 CY28 CZ24 DE22 DJ27 DK18 DO28 EE20 EG29 " +
    "ES24 FI18 FK18 FO18 FR27 GB22 GE22 GI23 GL18 GR27 GT28 HR21 HU28 IE22 IL23 IQ23 IS26 IT27 JO30 KW30 KZ20 LB28 " +
    "LC32 LI21 LT20 LU20 LV21 LY25 MC27 MD24 ME22 MK19 MN20 MR27 MT31 MU30 NI28 NL18 NO15 OM23 PK24 PL28 PS29 PT25 " +
    "QA29 RO24 RS22 RU33 SA24 SC31 SD18 SE24 SI19 SK24 SM27 SO23 ST25 SV28 TL23 TN24 TR26 UA29 VA22 VG24 XK20 YE30"
  )
    .split(" ")
    .map((each) => [each.slice(0, 2), Number(each.slice(2))]),
);

/** Where an IBAN ends that begins here; 0 for none. */
function ibanEnd(text: string, from: number): number {
  if (!is(text, from + 2, DIGIT) || !is(text, from + 3, DIGIT)) return 0;
  const length = IBAN_LENGTHS.get(text.slice(from, from + 2).toUpperCase());
  if (length === undefined) return 0;
  let digits = "";
  let at = from;
  while (digits.length < length && at < text.length) {
    const char = text[at]!;
    if (is(text, at, ALNUM)) digits += char;
    else if (char !== " " || !is(text, at + 1, ALNUM)) return 0;
    at += 1;
  }
  if (digits.length < length || is(text, at, ALNUM)) return 0;
  let rest = 0;
  for (const char of `${digits.slice(4)}${digits.slice(0, 4)}`.toUpperCase()) {
    const value = Number.parseInt(char, 36);
    rest = (rest * (value > 9 ? 100 : 10) + value) % 97;
  }
  return rest === 1 ? at : 0;
}

// ——— keys

/** How keys of well-known services begin, and how many characters follow at least. */
const PREFIXES: readonly (readonly [prefix: string, min: number])[] = [
  ["sk-", 20],
  ["sk_live_", 16],
  ["sk_test_", 16],
  ["rk_live_", 16],
  ["whsec_", 16],
  ["ghp_", 30],
  ["gho_", 30],
  ["ghu_", 30],
  ["ghs_", 30],
  ["ghr_", 30],
  ["github_pat_", 22],
  ["glpat-", 20],
  ["AKIA", 16],
  ["ASIA", 16],
  ["AIza", 35],
  ["xoxb-", 20],
  ["xoxp-", 20],
  ["xoxa-", 20],
  ["xoxr-", 20],
  ["xapp-", 20],
  ["npm_", 36],
  ["hf_", 30],
  ["gsk_", 20],
  ["pypi-", 40],
  ["dop_v1_", 40],
  ["SG.", 20],
];
/** Those that begin with a letter, by its code: most letters have none. */
const BY_LETTER: readonly (typeof PREFIXES | null)[] = Array.from({ length: 128 }, (_, code) => {
  const own = PREFIXES.filter(([prefix]) => prefix.charCodeAt(0) === code);
  return own.length === 0 ? null : own;
});
const JWT = "eyJ";
const LOWER_E = JWT.charCodeAt(0);
const JWT_PART_MIN = 10;

/** Where a key ends that begins here; 0 for none, and below 0 as `jwtEnd` says. */
function secretEnd(text: string, from: number, isCut: boolean): number {
  const code = text.charCodeAt(from);
  if (code === LOWER_E) return text.startsWith(JWT, from) ? jwtEnd(text, from, isCut) : 0;
  const prefixes = BY_LETTER[code];
  if (!prefixes) return 0;
  for (const [prefix, min] of prefixes) {
    if (text.charCodeAt(from + 1) !== prefix.charCodeAt(1) || !text.startsWith(prefix, from)) continue;
    const begin = from + prefix.length;
    const to = tokenEnd(text, begin);
    if (to - begin >= min) return to;
  }
  return 0;
}

function tokenEnd(text: string, from: number): number {
  let at = from;
  while (at < text.length && (is(text, at, TOKEN) || (text[at] === "." && is(text, at + 1, TOKEN)))) at += 1;
  return at;
}

/**
 * Three parts of base64 with points between them (RFC 7519). Where there are not: the end of the first one, below 0, as
 * none begins within it either.
 */
function jwtEnd(text: string, from: number, isCut: boolean): number {
  let parts = 0;
  let first = 0;
  let at = from;
  for (let begin = from; parts < 3; begin = at + 1) {
    at = begin;
    while (at < text.length && is(text, at, TOKEN)) at += 1;
    if (parts === 0) first = at;
    if (isCut && at === text.length) return at;
    if (parts < 2 && (at - begin < JWT_PART_MIN || text[at] !== ".")) return -first;
    parts += 1;
  }
  return at;
}
