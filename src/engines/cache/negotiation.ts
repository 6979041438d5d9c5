// The fields by which clients and servers agree on a coding and a language (RFC 9110 §12.5), in a normal form.
import { isDigit, trimSpace } from "../../http/grammar.ts";

/** One member of such a field. */
interface Choice {
  /** Lower-case. */
  readonly name: string;
  /** 0 to 1000. */
  readonly quality: number;
}

/** More members are not sorted but compared as they stand: nobody means anything by so many. */
const CHOICES_MAX = 32;

/** Codings that no server sends any more: whether a client names them changes no answer. */
const UNUSED_CODINGS: ReadonlySet<string> = new Set(["deflate", "compress", "x-compress"]);

/** What a field says, and its normal forms once somebody has asked for them. */
interface Said {
  readonly choices: readonly Choice[] | null;
  encodings: string | null;
  languages: string | null;
}

/**
 * Clients send few different values, so what they say is worked out once. Longer values, and more of them than browsers
 * and their languages make, are worked out again each time: together they take no more than half a megabyte.
 */
const SAID_MAX = 1024;
const SAID_LENGTH_MAX = 128;
const known = new Map<string, Said>();

function saidBy(field: string): Said {
  const found = known.get(field);
  if (found !== undefined) return found;
  const said: Said = { choices: choicesOf(field), encodings: null, languages: null };
  if (field.length <= SAID_LENGTH_MAX) {
    if (known.size === SAID_MAX) known.clear();
    known.set(field, said);
  }
  return said;
}

/**
 * The members of the field; null when they are not to be understood: then it is compared as it stands. Of a name that
 * comes twice the first counts. Parameters beside `q` make it not understood.
 */
function choicesOf(field: string): Choice[] | null {
  const choices: Choice[] = [];
  for (const member of field.split(",")) {
    const [written = "", weight, ...rest] = member.split(";");
    const name = trimSpace(written).toLowerCase();
    if (name === "" && weight === undefined) continue;
    const quality = weight === undefined ? 1000 : qualityOf(trimSpace(weight));
    if (name === "" || rest.length > 0 || quality < 0 || choices.length === CHOICES_MAX) return null;
    if (!choices.some((choice) => choice.name === name)) choices.push({ name, quality });
  }
  return choices;
}

/** Thousandths of a `q=0.5` (RFC 9110 §12.4.2); -1 when it is none. */
function qualityOf(text: string): number {
  if ((text[0] !== "q" && text[0] !== "Q") || text[1] !== "=") return -1;
  const whole = text.charCodeAt(2) - 0x30;
  if ((whole !== 0 && whole !== 1) || text.length > 7) return -1;
  if (text.length === 3) return whole * 1000;
  if (text[3] !== ".") return -1;
  let thousandths = 0;
  let scale = 100;
  for (let at = 4; at < text.length; at += 1) {
    if (!isDigit(text.charCodeAt(at))) return -1;
    thousandths += (text.charCodeAt(at) - 0x30) * scale;
    scale /= 10;
  }
  const quality = whole * 1000 + thousandths;
  return quality <= 1000 ? quality : -1;
}

/** The names in the order of liking: equals sorted and joined by a comma, better ones before worse, refused ones at last. */
function ranked(choices: readonly Choice[]): string {
  const sorted = [...choices].sort((a, b) => b.quality - a.quality || (a.name < b.name ? -1 : 1));
  let out = "";
  sorted.forEach(({ name, quality }, at) => {
    const before = sorted[at - 1];
    if (before !== undefined) out += before.quality === quality ? "," : ">";
    out += quality === 0 ? `!${name}` : name;
  });
  return out;
}

/**
 * Accept-Encoding in normal form: the codings by liking, whatever the numbers; without those that no server uses, and
 * without refusals of what nobody would have sent unasked.
 */
export function normalEncodings(field: string): string {
  const said = saidBy(field);
  if (said.encodings === null) said.encodings = said.choices === null ? field : tellingEncodings(said.choices);
  return said.encodings;
}

function tellingEncodings(choices: readonly Choice[]): string {
  const all = choices.some(({ name }) => name === "*");
  const telling = choices
    .map(({ name, quality }) => ({ name: name === "x-gzip" ? "gzip" : name, quality }))
    .filter(({ name, quality }, at, names) => {
      if (names.findIndex((other) => other.name === name) !== at) return false;
      if (UNUSED_CODINGS.has(name)) return false;
      // Unnamed, they are refused anyway, unless `*` lets in what is not named; identity needs a refusal to be out.
      return quality > 0 ? name !== "identity" || choices.length > 1 : all || name === "identity";
    });
  return ranked(telling);
}

/** Accept-Language in normal form: the ranges by liking, whatever case, order and numbers. */
export function normalLanguages(field: string): string {
  const said = saidBy(field);
  if (said.languages === null) said.languages = said.choices === null ? field : ranked(said.choices);
  return said.languages;
}

/** The one language that is liked better than all others; "" when there is none, or it is `*`. */
export function preferredLanguage(field: string): string {
  const { choices } = saidBy(field);
  if (choices === null) return "";
  let best = "";
  let quality = 0;
  for (const choice of choices) {
    if (choice.quality > quality) {
      best = choice.name;
      quality = choice.quality;
    } else if (choice.quality === quality) best = "";
  }
  return best === "*" ? "" : best;
}

/**
 * Whether a client that sent this Accept-Encoding (null: none) reads these codings of a Content-Encoding, lower-case. A
 * client without the field is given what the server chose for it.
 */
export function acceptedCoding(field: string | null, encoding: string): boolean {
  if (field === null) return true;
  const { choices } = saidBy(field);
  if (choices === null) return true;
  return encoding.split(",").every((written) => {
    const coding = trimSpace(written);
    const name = coding === "x-gzip" ? "gzip" : coding;
    const named = choices.find((choice) => (choice.name === "x-gzip" ? "gzip" : choice.name) === name);
    if (named !== undefined) return named.quality > 0;
    const rest = choices.find((choice) => choice.name === "*");
    return name === "identity" || (rest !== undefined && rest.quality > 0);
  });
}
