// Providers of language models as they behave on the wire: streams, answers, errors, and streams that break off.
import { serve } from "bun";

/** The JSON that a client or a provider sends. */
export type Json = Readonly<Record<string, unknown>>;

interface SeenRequest {
  readonly path: string;
  readonly headers: Headers;
  readonly body: Json;
}

/** What it does with a request. */
type Script = (seen: SeenRequest) => Response | Promise<Response>;

export class LlmProvider implements AsyncDisposable {
  readonly seen: SeenRequest[] = [];
  /** How many of its answers were broken off by the other side. */
  cancelled = 0;
  script: Script;
  readonly #server: ReturnType<typeof serve>;

  constructor(script: Script) {
    this.script = script;
    const fetch = async (request: Request): Promise<Response> => {
      const { pathname, search } = new URL(request.url);
      const body = request.method === "GET" ? {} : ((await request.json()) as Json);
      const seen = { path: pathname + search, headers: request.headers, body };
      this.seen.push(seen);
      request.signal.addEventListener("abort", () => {
        this.cancelled += 1;
      });
      return this.script(seen);
    };
    this.#server = serve({ port: 0, hostname: "127.0.0.1", idleTimeout: 30, fetch });
  }

  get url(): string {
    return `http://127.0.0.1:${this.#server.port}`;
  }
  get last(): SeenRequest {
    return this.seen.at(-1)!;
  }
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server.stop(true);
  }
}

/** A stream of these pieces; after the last it ends, or breaks off. Before each and before that it waits for `wait`. */
export function streamOf(
  pieces: readonly string[],
  { cut = false, wait = (_at: number): unknown => undefined, fields = {} } = {},
): Response {
  let at = 0;
  const body = new ReadableStream<Uint8Array>({
    async pull(controller) {
      await wait(at);
      if (at === pieces.length) return cut ? controller.error(new Error("cut")) : controller.close();
      controller.enqueue(Buffer.from(pieces[at]!));
      at += 1;
    },
  });
  return new Response(body, { headers: { "content-type": "text/event-stream; charset=utf-8", ...fields } });
}

export const json = (value: unknown, status = 200, fields: Readonly<Record<string, string>> = {}): Response =>
  Response.json(value, { status, headers: fields });

const data = (value: unknown): string => `data: ${typeof value === "string" ? value : JSON.stringify(value)}\n\n`;
const named = (value: Json): string => `event: ${String(value.type)}\ndata: ${JSON.stringify(value)}\n\n`;

const chunk = (delta: Json, finish: string | null = null): Json => ({
  id: "chatcmpl-1",
  object: "chat.completion.chunk",
  created: 1,
  model: "gpt-4o-2024",
  choices: [{ index: 0, delta, finish_reason: finish }],
});

/** The chunks of a chat; the last but one with the usage, where `usage` is asked for. */
export const chatChunks = (words: readonly string[], usage: Json | null): string[] => [
  data(chunk({ role: "assistant", content: "" })),
  ...words.map((content) => data(chunk({ content }))),
  data(chunk({}, "stop")),
  ...(usage === null ? [] : [data({ ...chunk({}), choices: [], usage })]),
  data("[DONE]"),
];

export const CHAT_USAGE = {
  prompt_tokens: 20,
  completion_tokens: 7,
  total_tokens: 27,
  prompt_tokens_details: { cached_tokens: 5 },
  completion_tokens_details: { reasoning_tokens: 2 },
};

export const chatAnswer = (content: string, usage: Json = CHAT_USAGE): Json => ({
  id: "chatcmpl-1",
  object: "chat.completion",
  created: 1,
  model: "gpt-4o-2024",
  choices: [{ index: 0, message: { role: "assistant", content }, finish_reason: "stop" }],
  usage,
});

const MESSAGE_USAGE = { input_tokens: 10, cache_creation_input_tokens: 3, cache_read_input_tokens: 2 };

/** The events of a message. */
export const messageEvents = (words: readonly string[]): string[] => [
  named({
    type: "message_start",
    message: {
      id: "msg_1",
      type: "message",
      role: "assistant",
      model: "claude-x",
      content: [],
      usage: { ...MESSAGE_USAGE, output_tokens: 1 },
    },
  }),
  named({ type: "content_block_start", index: 0, content_block: { type: "text", text: "" } }),
  named({ type: "ping" }),
  ...words.map((text) => named({ type: "content_block_delta", index: 0, delta: { type: "text_delta", text } })),
  named({ type: "content_block_stop", index: 0 }),
  named({
    type: "message_delta",
    delta: { stop_reason: "end_turn", stop_sequence: null },
    usage: { output_tokens: 9 },
  }),
  named({ type: "message_stop" }),
];

export const messageAnswer = (text: string): Json => ({
  id: "msg_1",
  type: "message",
  role: "assistant",
  model: "claude-x",
  content: [{ type: "text", text }],
  stop_reason: "end_turn",
  stop_sequence: null,
  usage: { ...MESSAGE_USAGE, output_tokens: 9 },
});
