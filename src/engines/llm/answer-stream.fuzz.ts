// The law of streams: wherever the network cuts a provider's stream, clients get the same bytes and the same is counted.
// Run alone with `bun src/engines/llm/answer-stream.fuzz.ts [SEED]`.
import { type Rng, runAlone } from "../../core/fuzz.testing.ts";
import { AnswerStream } from "./answer-stream.ts";
import type { Api } from "./formats.ts";
import { StreamMeter } from "./meter.ts";
import { Redactor } from "./redact.ts";
import { KINDS } from "./sensitive.ts";

const WORDS = ["Hello", " there", " ann@exa", "mple.com", " 4111 1111 ", "1111 1111", " ä日本😀", "", "\\n", "data: x"];
const ENDS = ["\n\n", "\r\n\r\n", "\r\r"];

type Sample = (rng: Rng) => unknown;

const CHAT: readonly Sample[] = [
  (rng) => ({ choices: [{ index: rng.below(2), delta: { content: rng.pick(WORDS) }, finish_reason: null }] }),
  () => ({ choices: [{ index: 0, delta: {}, finish_reason: "stop" }] }),
  (rng) => ({ choices: [], usage: { prompt_tokens: rng.below(99), completion_tokens: rng.below(99) } }),
  (rng) => ({
    id: "1",
    choices: [{ index: 0, delta: { tool_calls: [{ index: rng.below(2), id: "c", function: { arguments: "{" } }] } }],
  }),
  () => ({ error: { message: "no" } }),
];
const MESSAGES: readonly Sample[] = [
  (rng) => ({ type: "content_block_delta", index: 0, delta: { type: "text_delta", text: rng.pick(WORDS) } }),
  () => ({ type: "message_start", message: { id: "m", model: "x", usage: { input_tokens: 5, output_tokens: 1 } } }),
  () => ({ type: "content_block_start", index: 1, content_block: { type: "tool_use", id: "t", name: "f", input: {} } }),
  () => ({ type: "content_block_delta", index: 1, delta: { type: "input_json_delta", partial_json: '{"a"' } }),
  () => ({ type: "content_block_stop", index: 0 }),
  (rng) => ({ type: "message_delta", delta: { stop_reason: "end_turn" }, usage: { output_tokens: rng.below(99) } }),
  () => ({ type: "message_stop" }),
  () => ({ type: "error", error: { message: "no" } }),
];
const ODD = ["[DONE]", "{", "null", "[]", '"a"', "1", '{"choices":"x","delta":[]}', '{"type":7,"index":{}}', ""];

function streamOf(rng: Rng, samples: readonly Sample[]): Buffer {
  let text = "";
  for (let i = 0; i < rng.below(14); i += 1) {
    const data = rng.oneIn(6) ? rng.pick(ODD) : JSON.stringify(rng.pick(samples)(rng));
    const end = rng.pick(ENDS);
    const line = end.slice(0, end.length / 2);
    text += rng.oneIn(8) ? `: comment${line}` : "";
    text += rng.oneIn(3) ? `event: x${line}` : "";
    text += `data:${rng.pick(["", " "])}${data}${rng.oneIn(12) ? line : end}`;
  }
  return Buffer.from(text);
}

function feed(
  taker: { push(bytes: Buffer, from: number, to: number): void; end(): void },
  wire: Buffer,
  rng: Rng | null,
) {
  for (let at = 0; at < wire.length; ) {
    const to = rng === null ? wire.length : Math.min(wire.length, at + 1 + rng.below(rng.pick([1, 5, 60, 400])));
    taker.push(wire, at, to);
    at = to;
  }
  taker.end();
}

export function answerStreamLaw(rng: Rng): void {
  const [from, samples]: [Api, readonly Sample[]] = rng.oneIn(2) ? ["chat", CHAT] : ["messages", MESSAGES];
  const to: Api = rng.oneIn(2) ? from : from === "chat" ? "messages" : "chat";
  const redactor = rng.oneIn(2) ? new Redactor(KINDS, []) : null;
  const hidesUsage = rng.oneIn(2);
  const wire = streamOf(rng, samples);
  const results = [null, rng].map((cuts) => {
    const out: Buffer[] = [];
    const plan = { from, to, hidesUsage, redactor, found() {}, prompt: 3, seconds: 1 };
    const stream = new AnswerStream(plan, (bytes) => out.push(Buffer.from(bytes)));
    feed(stream, wire, cuts);
    const meter = new StreamMeter(from);
    feed(meter, wire, cuts);
    const counted = JSON.stringify(stream.result(3));
    if (counted !== JSON.stringify(meter.result(3))) throw new Error(`counted ${counted} in a changed stream`);
    return `${counted} ${Buffer.concat(out)}`;
  });
  if (results[0] !== results[1]) throw new Error(`in pieces: ${results[1]}\nas a whole: ${results[0]}`);
  if (from === to && redactor === null && !hidesUsage && !results[0]!.endsWith(` ${wire}`))
    throw new Error("what is not to be changed has changed");
}

if (import.meta.main) runAlone("answer stream", answerStreamLaw);
