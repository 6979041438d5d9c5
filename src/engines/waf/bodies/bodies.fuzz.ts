// Bodies, whole and broken: no parser throws or gives more than it was given; what a slow twin takes apart comes out the
// same; what was written by the rules is read back. `bun src/engines/waf/bodies/bodies.fuzz.ts 182` replays one seed.
import { type Rng, runAlone } from "../../../core/fuzz.testing.ts";
import { FormTail } from "./form-tail.ts";
import { parseJson } from "./json.ts";
import { parseMultipart } from "./multipart.ts";
import { MULTIPART_STRICT } from "./multipart-flags.ts";
import { parseCookies, parseUrlEncoded } from "./url-encoded.ts";
import { parseXml } from "./xml.ts";

const LIMITS = { depth: 12, count: 50 };

const PIECES: readonly string[] = [
  ...[
    '{"a":1}',
    '{"a":[1,2,{"b":null}]}',
    "[",
    "]",
    "{",
    "}",
    ",",
    ":",
    '"',
    '"k"',
    "\\",
    "\\u0041",
    "\\ud83d",
    "1",
    "-0",
  ],
  ...[
    "1.5e3",
    "true",
    "false",
    "null",
    " ",
    "\n",
    "\xc3\xa9",
    "\xff",
    "<a>",
    "</a>",
    "<a/>",
    '<a b="c">',
    "<b",
    "&lt;",
  ],
  ...[
    "&#60;",
    "&x;",
    "<!--",
    "-->",
    "<![CDATA[",
    "]]>",
    "<?x ?>",
    "<!DOCTYPE a>",
    "<!ENTITY",
    "--b",
    "--b--",
    "\r\n",
    "--",
  ],
  ...[
    'Content-Disposition: form-data; name="f"',
    '; filename="x"',
    "X: y",
    "\r\n\r\n",
    "-- b",
    "=",
    "&",
    "a=b",
    "%41",
    "+",
  ],
  ...["%", ";", "'", "\0", "name=", "filename*=UTF-8''x", "\t", "aa"],
];

function piecesOf(rng: Rng): string {
  let text = "";
  for (let left = rng.below(14); left > 0; left -= 1)
    text += rng.oneIn(9) ? String.fromCharCode(rng.below(256)) : rng.pick(PIECES);
  return text;
}

function assert(holds: boolean, what: string): void {
  if (!holds) throw new Error(what);
}

function randomJson(rng: Rng, depth: number): unknown {
  const kind = rng.below(depth === 0 ? 4 : 6);
  if (kind === 0) return rng.below(1000) / 8;
  if (kind === 1) return rng.pick([true, false, null]);
  if (kind < 4) return rng.pick(["", "x", '"\\/\b\n', "<script>", "\u00e9\u20ac", "\u{1f600}", "a.b", "\u0000"]);
  const size = rng.below(4);
  if (kind === 4) return Array.from({ length: size }, () => randomJson(rng, depth - 1));
  return Object.fromEntries(
    Array.from({ length: size }, (_, at) => [
      rng.pick(["", "k", "\u00e9", "a b"]) + (rng.oneIn(2) ? at : ""),
      randomJson(rng, depth - 1),
    ]),
  );
}

/** What a value is as arguments, by recursion. */
function walk(name: string, value: unknown, into: string[]): void {
  if (Array.isArray(value)) for (const [at, item] of value.entries()) walk(`${name}.array_${at}`, item, into);
  else if (typeof value === "object" && value !== null)
    for (const [key, item] of Object.entries(value)) walk(`${name}.${key === "" ? "empty-key" : key}`, item, into);
  else into.push(`${name}=${value === null ? "" : value}`);
}

const bytesOf = (text: string): string => Buffer.from(text, "utf8").latin1Slice();

function jsonLaw(rng: Rng): void {
  const value = randomJson(rng, 4);
  const plain = JSON.stringify(value);
  const escaped = (unit: string): string => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`;
  const text = rng.oneIn(2) ? plain : plain.replace(/[\u0080-\uffff]/g, escaped);
  const wanted: string[] = [];
  walk("json", value, wanted);
  const found: string[] = [];
  const fault = parseJson(bytesOf(text), { depth: 12, count: 1000 }, (name, item) => found.push(`${name}=${item}`));
  // Objects of the runtime have keys that are numbers first.
  assert(fault === "", `${text}: ${fault}`);
  assert(found.join("\n") === bytesOf(wanted.join("\n")), `${text} is ${found.join("|")}, not ${wanted.join("|")}`);

  const broken = piecesOf(rng);
  let given = 0;
  const outcome = parseJson(broken, LIMITS, () => (given += 1));
  assert(given <= LIMITS.count, `${given} values of ${JSON.stringify(broken)}`);
  let valid = true;
  try {
    JSON.parse(Buffer.from(broken, "latin1").toString("utf8"));
  } catch {
    valid = false;
  }
  const utf8 = Buffer.from(Buffer.from(broken, "latin1").toString("utf8")).latin1Slice() === broken;
  if (utf8) assert((outcome === "") === valid || outcome.includes("too "), `${JSON.stringify(broken)}: ${outcome}`);
}

function formsLaw(rng: Rng): void {
  const text = piecesOf(rng);
  const found: string[] = [];
  parseUrlEncoded(text, "&", 1000, (name, value) => found.push(`${name}\n${value}`));
  const decode = (part: string): string =>
    part.replace(/\+|%([0-9a-f]{2})/gi, (_, hex) =>
      hex === undefined ? " " : String.fromCharCode(Number.parseInt(hex, 16)),
    );
  const wanted = text
    .split("&")
    .filter((piece) => piece !== "")
    .map((piece) => {
      const equals = piece.indexOf("=");
      return equals < 0
        ? `${decode(piece)}\n`
        : `${decode(piece.slice(0, equals))}\n${decode(piece.slice(equals + 1))}`;
    });
  assert(found.join("\n") === wanted.join("\n"), `${JSON.stringify(text)} is ${JSON.stringify(found)}`);
  let length = 0;
  parseCookies(text, 1000, (name, value) => {
    length += name.length + value.length;
  });
  assert(length <= text.length, `cookies of ${JSON.stringify(text)} grew`);
}

const CONTENTS: readonly string[] = ["", "v", "a\r\n", "\r\n", "--", "\r\n-", "--x", "\n", "\xff\0", "a--", "\r"];

function multipartLaw(rng: Rng): void {
  const wanted = Array.from({ length: rng.below(4) }, (_, at) => ({
    name: rng.pick(["f", "a b", 'q"q', "\\", `n${at}`]),
    file: rng.oneIn(3) ? rng.pick(["x.txt", 'a"b', "c:\\d"]) : null,
    content: rng.pick(CONTENTS) + rng.pick(CONTENTS),
  }));
  const quoted = (text: string): string => `"${text.replace(/["\\]/g, "\\$&")}"`;
  const body = wanted.map(({ name, file, content }) => {
    const fileName = file === null ? "" : `; filename=${quoted(file)}`;
    return `--bound\r\nContent-Disposition: form-data; name=${quoted(name)}${fileName}\r\n\r\n${content}\r\n`;
  });
  const text = `${body.join("")}--bound--\r\n`;
  const form = parseMultipart(text, "multipart/form-data; boundary=bound", { parts: 9, files: 9 });
  const show = JSON.stringify(text);
  assert(
    form.fault === "" && form.parts.length === wanted.length,
    `${show}: ${form.fault}, ${form.parts.length} parts`,
  );
  for (const [at, part] of form.parts.entries()) {
    const { name, file, content } = wanted[at]!;
    assert(part.name === name && part.fileName === file, `${show}: ${part.name}, ${part.fileName}`);
    assert(text.slice(part.start, part.end) === content, `${show}: ${text.slice(part.start, part.end)}`);
    assert(part.value === (file === null ? content : ""), `${show}: value ${part.value}`);
  }
  const broken = `${rng.oneIn(4) ? "" : "--b\r\n"}${piecesOf(rng)}`;
  const read = parseMultipart(broken, "multipart/form-data; boundary=b", { parts: 3, files: 1 });
  assert(read.parts.length <= 3, `${read.parts.length} parts of ${JSON.stringify(broken)}`);
  for (const { start, end } of read.parts)
    assert(start <= end && end <= broken.length, `a part lies at ${start}-${end} of ${JSON.stringify(broken)}`);
  assert(read.noFilesLength <= broken.length, `${read.noFilesLength} bytes of fields in ${JSON.stringify(broken)}`);
}

const TAIL_TYPE = "multipart/form-data; boundary=b";
const TAIL_LIMITS = { parts: 99, files: 99 };
const TAIL_PARTS: readonly string[] = ["f", 'g"; filename="x'].map(
  (name) => `--b\r\nContent-Disposition: form-data; name="${name}"\r\n\r\n`,
);

/** What is seen ahead and what is seen of the tail is what a reader of the whole sees. */
function tailLaw(rng: Rng): void {
  let text = `${TAIL_PARTS[1]}${"x".repeat(2000)}\r\n`;
  for (let left = rng.below(5); left > 0; left -= 1) {
    const content = rng.oneIn(4) ? piecesOf(rng) : rng.pick(CONTENTS) + rng.pick(CONTENTS);
    text += `${rng.pick(TAIL_PARTS)}${content}\r\n`;
  }
  if (!rng.oneIn(8)) text += "--b--\r\n";
  const limit = 1500 + rng.below(text.length - 1500);
  const tail = new FormTail(TAIL_TYPE, limit);
  const bytes = Buffer.from(text, "latin1");
  for (let at = 0; at < bytes.length; ) {
    const end = Math.min(bytes.length, at + 1 + rng.below(rng.oneIn(2) ? 4 : 900));
    tail.push(bytes.subarray(at, end));
    at = end;
  }
  tail.end();
  const whole = parseMultipart(text, TAIL_TYPE, TAIL_LIMITS);
  const ahead = parseMultipart(text.slice(0, limit), TAIL_TYPE, TAIL_LIMITS);
  const rest = tail.pending ? parseMultipart(tail.take(), TAIL_TYPE, TAIL_LIMITS) : null;
  const show = `${JSON.stringify(text.slice(2000))} at ${limit - 2000}`;
  const isAheadBad = (ahead.fault !== "" && !ahead.endsEarly) || (ahead.flags & MULTIPART_STRICT) !== 0;
  assert(whole.strictError === (isAheadBad || rest?.strictError === true), `${show}: ${whole.fault}, ${rest?.fault}`);
  if (whole.strictError) return;
  const seen = new Set([...ahead.parts, ...(rest?.parts ?? [])].map(({ fileName, value }) => `${fileName} ${value}`));
  for (const { fileName, value } of whole.parts)
    assert(seen.has(`${fileName} ${value}`), `${show}: ${value} is missing`);
}

function randomXml(rng: Rng, depth: number, text: string[], attributes: string[]): string {
  const name = rng.pick(["a", "b:c", "\xc3\xa9", "_1"]);
  let tag = `<${name}`;
  if (rng.oneIn(2)) {
    tag += ` x${rng.pick(["=", " = "])}"v&lt;&#65;"`;
    attributes.push("v<A");
  }
  if (depth === 0 || rng.oneIn(4)) return `${tag}/>`;
  tag += ">";
  for (let left = rng.below(4); left > 0; left -= 1) {
    const kind = rng.below(4);
    if (kind === 0) tag += rng.pick(["<!-- <x> -->", "<?p ?>"]);
    else if (kind === 1) {
      tag += "<![CDATA[<&]]>";
      text.push("<&");
    } else if (kind === 2) {
      tag += "t&amp;\xc3\xa9";
      text.push("t&\xc3\xa9");
    } else tag += randomXml(rng, depth - 1, text, attributes);
  }
  return `${tag}</${name}>`;
}

function xmlLaw(rng: Rng): void {
  const text: string[] = [];
  const attributes: string[] = [];
  const xml = rng.pick(["", '<?xml version="1.0"?>\n', "<!DOCTYPE a>"]) + randomXml(rng, 4, text, attributes);
  const read = parseXml(xml, { depth: 9, count: 1000 });
  assert(read.fault === "", `${xml}: ${read.fault}`);
  assert(read.text === text.join(""), `${xml}: ${read.text}`);
  assert(read.attributes.join("|") === attributes.join("|"), `${xml}: ${read.attributes}`);
  const broken = piecesOf(rng);
  const other = parseXml(rng.oneIn(2) ? broken : `<r>${broken}</r>`, LIMITS);
  assert(
    other.attributes.length <= LIMITS.count && other.text.length <= broken.length * 2,
    `${JSON.stringify(broken)} grew`,
  );
}

const LONG = 60_000;
/** Half a microsecond a byte: ten times what the slowest needs, and far below what is quadratic. */
const BUDGET_US = LONG / 2;
const BEGINNINGS: readonly string[] = [
  "",
  "[",
  '{"a":',
  '"',
  "<a>",
  "<a ",
  "--b\r\n",
  "--b\r\nContent-Disposition: form-data; name=f\r\n\r\n",
];

function timeLaw(rng: Rng): void {
  const piece = rng.pick(PIECES) + (rng.oneIn(2) ? rng.pick(PIECES) : "");
  const text = rng.pick(BEGINNINGS) + piece.repeat(Math.ceil(LONG / piece.length));
  // The second time: what the first one met may have been the compiler or the collector.
  assert(cost(text) <= BUDGET_US || cost(text) <= BUDGET_US, `${JSON.stringify(text.slice(0, 60))}… is slow`);
}

/** Time of the processor for one text, in microseconds. */
function cost(text: string): number {
  const before = process.cpuUsage();
  parseJson(text, LIMITS, () => undefined);
  parseXml(text, LIMITS);
  parseMultipart(text, "multipart/form-data; boundary=b", { parts: 50, files: 9 });
  parseUrlEncoded(text, "&", 1000, () => undefined);
  parseCookies(text, 1000, () => undefined);
  const { user, system } = process.cpuUsage(before);
  return user + system;
}

export const BODY_LAWS = {
  "json body": jsonLaw,
  form: formsLaw,
  "multipart body": multipartLaw,
  "tail of a form": tailLaw,
  "xml body": xmlLaw,
  "time of bodies": timeLaw,
};

function bodiesLaw(rng: Rng): void {
  for (const law of Object.values(BODY_LAWS)) law(rng);
}

if (import.meta.main) runAlone("bodies", bodiesLaw);
