// Requests, answers and descriptors that nobody honest sends: what is wrong is told, and nothing throws; a path leads
// where its template says.

import { type Law, type Rng, runAlone } from "../../core/fuzz.testing.ts";
import { FRAME_HEAD_BYTES } from "../../http/grpc-frames.ts";
import { normalizePath } from "../../http/path.ts";
import { answerOf } from "./answer.ts";
import { echoDescriptors, echoTranscoder } from "./descriptors.testing.ts";
import { parseTemplate } from "./path-template.ts";
import { PathTree } from "./path-tree.ts";
import { requestFrames } from "./request.ts";
import type { Transcoder } from "./transcoder.ts";

const transcoder = echoTranscoder();
const NAMES = ["name", "big", "tags", "inner", "sentAt", "sent_at", "note", "raw", "kind", "list", "ratio", "numbers"];
const MORE = ["id", "on", "deepEr", "deep_er", "__proto__", "constructor", "toString", "nope", "", "inner.on", "*"];
const VALUES = [
  '"x"',
  "1",
  "-1.5e3",
  "9007199254740993",
  "true",
  "null",
  '"AAEC"',
  '"SECOND"',
  "{}",
  "[]",
  '"\\ud800"',
];
const PATHS = [
  ["GET", "/v1/shelves/1/books/%2F"],
  ["POST", "/v1/messages"],
  ["PUT", "/v1/messages/7"],
  ["PATCH", "/v1/inner/%C3%A4"],
  ["DELETE", "/v1/files/a/b:purge"],
  ["GET", "/v1/flags/true/1/5"],
  ["GET", "/v1/tags"],
  ["POST", "/v1/chat"],
  ["POST", "/v1/raw"],
] as const;

function json(rng: Rng, depth: number): string {
  if (depth === 0 || rng.oneIn(3)) return rng.pick(VALUES);
  const items = Array.from({ length: rng.below(4) }, () => json(rng, depth - 1));
  if (rng.oneIn(3)) return `[${items.join(",")}]`;
  return `{${items.map((item) => `${JSON.stringify(rng.pick(rng.oneIn(3) ? MORE : NAMES))}:${item}`).join(",")}}`;
}

/** Some bytes are others. */
function broken(rng: Rng, bytes: Uint8Array): Uint8Array {
  const copy = Uint8Array.from(bytes.subarray(0, rng.oneIn(3) ? rng.below(bytes.length + 1) : bytes.length));
  for (let left = rng.below(5); left > 0 && copy.length > 0; left -= 1) copy[rng.below(copy.length)] = rng.below(256);
  return copy;
}

/** A request becomes messages that an answer can be made of, or a problem. */
export const requestLaw: Law = (rng) => {
  const [method, path] = rng.pick(PATHS);
  const found = transcoder.find(method, path);
  if (found.kind !== "found") throw new Error(`${method} ${path} is not found`);
  const query = Array.from({ length: rng.below(4) }, () => {
    const name = rng.pick(rng.oneIn(3) ? MORE : NAMES) + (rng.oneIn(4) ? `.${rng.pick(MORE)}` : "");
    return `${name}=${encodeURIComponent(rng.pick(VALUES).replaceAll('"', "").replace("\\ud800", ""))}`;
  }).join("&");
  const text = Buffer.from(rng.oneIn(8) ? "" : json(rng, 5));
  const bytes = rng.oneIn(8) ? Buffer.from(broken(rng, text)) : text;
  const type = rng.pick(["application/json", "application/x-ndjson", "text/plain"]);
  const frames = requestFrames(transcoder, found.value, found.segments, query, rng.oneIn(5) ? null : { bytes, type });
  if (!Buffer.isBuffer(frames)) return;
  for (let at = 0; at < frames.length; ) {
    const length = frames.readUInt32BE(at + 1);
    const end = at + FRAME_HEAD_BYTES + length;
    if (frames[at] !== 0 || end > frames.length) throw new Error("a broken frame");
    answerOf(transcoder, found.value, frames.subarray(at + FRAME_HEAD_BYTES, end));
    at = end;
  }
};

const descriptors = echoDescriptors();

/** Broken descriptors are a mistake of the configuration, whatever they are. */
export const descriptorLaw: Law = (rng) => {
  let made: Transcoder;
  try {
    made = echoTranscoder({ unbound: rng.oneIn(2) }, broken(rng, descriptors));
  } catch (error) {
    if (error instanceof RangeError) return;
    throw error;
  }
  made.find("GET", "/v1/tags");
};

const PARTS = ["a", "b", "*", "**", "{x=a/*}", "{x}", "{x=**}", "{y=*}", "{y=b/**}"];

/** What is found fits, and what fits is found. */
export const pathLaw: Law = (rng) => {
  const tree = new PathTree<RegExp>();
  const patterns: RegExp[] = [];
  for (let left = 1 + rng.below(6); left > 0; left -= 1) {
    const text = Array.from({ length: 1 + rng.below(4) }, () => `/${rng.pick(PARTS)}`).join("") + rng.pick(["", ":v"]);
    try {
      const template = parseTemplate(text);
      const pattern = new RegExp(
        `^${template.segments.map((each) => (each.kind === "literal" ? `/${each.text}` : each.kind === "one" ? "/[^/]+" : "(?:/.*)?")).join("")}${template.verb === "" ? "" : `:${template.verb}`}$`,
      );
      tree.add("GET", template, pattern);
      patterns.push(pattern);
    } catch (error) {
      if (!(error instanceof RangeError)) throw error;
    }
  }
  const raw = Array.from({ length: 1 + rng.below(5) }, () => `/${rng.pick(["a", "b", "c", "a%2Fb"])}`).join("");
  const path = normalizePath(raw + rng.pick(["", ":v", ":w"]))!;
  const found = tree.find("GET", path);
  if (found.kind === "found" && !found.value.test(path)) throw new Error(`${path} does not fit ${found.value}`);
  const fits = patterns.some((pattern) => pattern.test(path));
  if (fits !== (found.kind === "found")) throw new Error(`${path}: ${found.kind} of ${patterns.join(" ")}`);
};

export const LAWS = { requests: requestLaw, descriptors: descriptorLaw, paths: pathLaw };

if (import.meta.main) {
  runAlone("transcoding", (rng) => {
    for (const law of Object.values(LAWS)) law(rng);
  });
}
