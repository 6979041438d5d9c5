// Detectors under mutation: they never throw, what they say does not depend on what was asked before, an attack stays one
// when its letters change case and its blanks their kind, and the time grows with the length alone.
// `bun src/engines/waf/detect/detect.fuzz.ts 182` replays one seed.
import { type Rng, runAlone } from "../../../core/fuzz.testing.ts";
import { BENIGN } from "./benign.testing.ts";
import { SQL_ATTACKS } from "./sql-attacks.testing.ts";
import { detectSqli } from "./sqli.ts";
import { detectXss } from "./xss.ts";
import { XSS_ATTACKS } from "./xss-attacks.testing.ts";

const bytesOf = (text: string): string => Buffer.from(text, "utf8").latin1Slice();
const SQL = Object.values(SQL_ATTACKS).flat().map(bytesOf);
const XSS = Object.values(XSS_ATTACKS).flat().map(bytesOf);
const ALL = [...SQL, ...XSS, ...Object.values(BENIGN).flat().map(bytesOf)];

const PIECES: readonly string[] = [
  ...[
    "'",
    '"',
    "`",
    "\\",
    "/*",
    "*/",
    "/*!50000",
    "--",
    "#",
    "\n",
    "(",
    ")",
    ";",
    ",",
    "=",
    "<",
    ">",
    "||",
    "&&",
    "|",
    "@",
  ],
  ...[
    " or ",
    " and ",
    " union ",
    " select ",
    "1",
    "0x1",
    "1e5",
    "sleep(",
    "x",
    "\0",
    "\xff",
    "\xa0",
    " ",
    "N'",
    "!",
    "<a ",
  ],
  ...[
    "<script",
    "</",
    "<!--",
    "-->",
    "<?",
    " onerror=",
    " href=",
    "javascript:",
    "&#106;",
    " style=",
    "url(",
    "/",
    "{",
    ".",
  ],
];

function mutated(rng: Rng): string {
  let text = rng.pick(ALL);
  for (let left = rng.below(6); left > 0; left -= 1) {
    const at = rng.below(text.length + 1);
    const kind = rng.below(4);
    if (kind === 0) text = text.slice(0, at) + rng.pick(PIECES) + text.slice(at);
    else if (kind === 1) text = text.slice(0, at) + text.slice(at + 1 + rng.below(4));
    else if (kind === 2) text = text.slice(0, at) + String.fromCharCode(rng.below(256)) + text.slice(at);
    else text = text.slice(at) + rng.pick(ALL).slice(rng.below(10));
  }
  return text;
}

/** The same for whoever runs it: letters in any case, SQL's blanks as other blanks or comments. */
function disguised(rng: Rng, attack: string, blanks: readonly string[]): string {
  let text = "";
  for (const letter of attack) {
    if (letter === " " && blanks.length > 0) text += rng.pick(blanks);
    else text += rng.oneIn(2) ? letter.toUpperCase() : letter.toLowerCase();
  }
  return text;
}

/** Blanks in strings and behind dashes mean themselves: only attacks without any are given others. */
const plainBlanks = (attack: string): boolean => !/["'`#]|--|\/\*/.test(attack.slice(1));

function detectLaw(rng: Rng): void {
  const text = mutated(rng);
  const first = detectSqli(text);
  const markup = detectXss(text);
  detectSqli(rng.pick(ALL));
  detectXss(rng.pick(ALL));
  if (detectSqli(text) !== first || detectXss(text) !== markup) throw new Error(`${JSON.stringify(text)} changes`);
  if (first.length > 17) throw new Error(`${JSON.stringify(text)} has the fingerprint ${first}`);

  const attack = rng.pick(SQL);
  const sql = disguised(rng, attack, plainBlanks(attack) ? [" ", "\t", "\n", "  ", "/**/", " /*x*/ "] : []);
  // XOR with the same case on both sides is not kept: `a=a` compares names as they are written.
  if (detectSqli(sql) === "" && !/\b(\w)=\1\b/i.test(attack)) throw new Error(`${JSON.stringify(sql)} is not found`);
  const html = disguised(rng, rng.pick(XSS), []);
  if (!detectXss(html)) throw new Error(`${JSON.stringify(html)} is not found`);
}

/** Pieces that take as long as any when they come again and again. */
const REPEATED: readonly string[] = [
  ...PIECES,
  ...PIECES.map((piece) => `${piece}a`),
  ...SQL.slice(0, 40),
  ...XSS.slice(0, 40),
];

/** Time of the processor for one text, in microseconds. */
function cost(text: string): number {
  const before = process.cpuUsage();
  detectSqli(text);
  detectXss(text);
  const { user, system } = process.cpuUsage(before);
  return user + system;
}

const LONG = 60_000;
/** Half a microsecond a byte is ten times what the slowest needs; what is quadratic needs a thousand times as much. */
const BUDGET_US = LONG / 2;

function timeLaw(rng: Rng): void {
  const start = rng.pick(["", "'", '"', "1 ", "1 or ", "' or ", "<a ", "<", "x' union select "]);
  const piece = rng.pick(REPEATED) + (rng.oneIn(2) ? rng.pick(PIECES) : "");
  const text = start + piece.repeat(Math.ceil(LONG / piece.length));
  // The second time: what the first one met may have been the compiler or the collector.
  if (cost(text) > BUDGET_US && cost(text) > BUDGET_US) throw new Error(`${JSON.stringify(start + piece)}… is slow`);
}

export const DETECT_LAWS = { detect: detectLaw, "time of detection": timeLaw };

if (import.meta.main) {
  runAlone("detect", (rng) => {
    for (const law of Object.values(DETECT_LAWS)) law(rng);
  });
}
