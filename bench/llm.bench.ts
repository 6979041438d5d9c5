// What language models cost the gateway: looking at a request, at each event of a stream, and at texts:
// `bun bench/llm.bench.ts`.
// Sketch: a request is parsed, walked and written again, each some microseconds for 4 KB. An event of a stream of 250
// bytes is found by its line ends, made text and parsed: one to two microseconds. Changing it writes it again. Over a
// budget an event is looked at twice.
import { AnswerStream } from "../src/engines/llm/answer-stream.ts";
import { StreamMeter } from "../src/engines/llm/meter.ts";
import { promptOf } from "../src/engines/llm/prompt.ts";
import { Redactor } from "../src/engines/llm/redact.ts";
import { findSensitive, KINDS } from "../src/engines/llm/sensitive.ts";
import { parseJson } from "../src/engines/openapi/json-text.ts";
import { bench, finish } from "./per-call.ts";

const TEXT = "The quick brown fox jumps over the lazy dog, and nobody minds that it does so in 2026. ";
const messages = Array.from({ length: 8 }, (_, at) => ({
  role: at % 2 === 0 ? "user" : "assistant",
  content: TEXT.repeat(6),
}));
const REQUEST = Buffer.from(JSON.stringify({ model: "smart", stream: true, temperature: 0.5, messages }));
const CHUNK = Buffer.from(
  `data: ${JSON.stringify({
    id: "chatcmpl-123456789012345678901234567890",
    object: "chat.completion.chunk",
    created: 1_790_000_000,
    model: "gpt-4o-2024-08-06",
    service_tier: "default",
    system_fingerprint: "fp_1234567890",
    choices: [{ index: 0, delta: { content: " brown" }, logprobs: null, finish_reason: null }],
    usage: null,
  })}\n\n`,
);
const KINDS_SET = new Set(KINDS);
const LONG = TEXT.repeat(48);

/** What came out, so that it does not come to nothing. */
let made = 1;
const count = (bytes: Buffer): void => {
  made = bytes.length;
};
const plan = { from: "chat", to: "chat", hidesUsage: true, redactor: null, found() {}, prompt: 1, seconds: 1 } as const;
const meter = new StreamMeter("chat");
const stripped = new AnswerStream(plan, count);
const marked = new AnswerStream({ ...plan, redactor: new Redactor(KINDS, []) }, count);
const translated = new AnswerStream({ ...plan, to: "messages" }, count);

const PER_ROUND = 20_000;

bench(
  "request: parsed, walked, written",
  REQUEST.length,
  60_000,
  () => {
    const parsed = parseJson(REQUEST);
    if (parsed.problem !== null) return 0;
    const { tokens } = promptOf("chat", parsed.value as Record<string, unknown>);
    return tokens + Buffer.from(JSON.stringify(parsed.value)).length;
  },
  5000,
);
for (const [name, budgetNs, stream] of [
  ["event: metered from a copy", 6000, meter],
  ["event: metered, and looked at for usage", 6000, stripped],
  ["event: marked and written again", 15_000, marked],
  ["event: translated", 15_000, translated],
] as const)
  bench(
    name,
    CHUNK.length,
    budgetNs,
    () => {
      stream.push(CHUNK, 0, CHUNK.length);
      return made;
    },
    PER_ROUND,
  );
bench("text looked through", LONG.length, 80_000, () => findSensitive(LONG, KINDS_SET).length + 1, 5000);
finish();
