// The body of a gRPC answer as clients of HTTP get it. One message is held back until its status is known, which comes
// last; of a stream only the first message is waited for.
import { fault } from "../../core/faults.ts";
import { type AnswerContent, answerOf, httpStatusOf, statusJson } from "../../engines/transcode/answer.ts";
import { type Binding, isHttpBody, type Transcoder } from "../../engines/transcode/transcoder.ts";
import { GRPC_STATUS, grpcStatusOf } from "../../http/grpc.ts";
import { FRAME_HEAD_BYTES } from "../../http/grpc-frames.ts";
import { reasonOf } from "../../http/h1/writer.ts";
import type { HeaderBlock } from "../../http/header-block.ts";
import type { BodyOutput, HoldingTransform } from "../../pipeline/body-transform.ts";
import type { Exchange } from "../../pipeline/exchange.ts";

/** What an answer of many messages is. */
export type StreamForm = "ndjson" | "sse" | "array";

const STREAM_TYPES: Readonly<Record<StreamForm, string>> = {
  ndjson: "application/x-ndjson",
  sse: "text/event-stream",
  array: "application/json",
};
const BAD_REQUEST = 400;
const NEW_LINE = Buffer.from("\n");
const EVENT = Buffer.from("data: ");
const EVENT_END = Buffer.from("\n\n");
const ERROR_EVENT = Buffer.from("event: error\ndata: ");

export class AnswerBody implements HoldingTransform {
  holding = true;
  readonly full = false; // what is held back is bounded by the longest message
  readonly #x: Exchange;
  readonly #transcoder: Transcoder;
  readonly #binding: Binding;
  /** `raw`: messages say themselves what they are, and go out one behind the other. */
  readonly #form: StreamForm | "raw";
  readonly #max: number;
  /** Of the frame that is being read: its head, and its message once that is known to be so long. */
  readonly #head: Buffer = Buffer.alloc(FRAME_HEAD_BYTES);
  #headBytes = 0;
  #message: Buffer | null = null;
  #messageBytes = 0;
  /** The one message of an answer that is no stream. */
  #answer: AnswerContent | null = null;
  #sent = 0;
  #isOver = false;

  constructor(x: Exchange, transcoder: Transcoder, binding: Binding, form: StreamForm, max: number) {
    this.#x = x;
    this.#transcoder = transcoder;
    this.#binding = binding;
    const { method, responseBody } = binding;
    this.#form = isHttpBody(responseBody === null ? method.output : responseBody.message) ? "raw" : form;
    this.#max = max;
    // What follows in the response phase sees the type that it has in most cases.
    x.response.setHeader("content-type", binding.streams ? STREAM_TYPES[form] : "application/json");
  }

  push(bytes: Buffer, from: number, to: number, out: BodyOutput): void {
    let at = from;
    while (at < to && !this.#isOver) {
      if (this.#message === null) {
        this.#head[this.#headBytes] = bytes[at]!;
        this.#headBytes += 1;
        at += 1;
        if (this.#headBytes < FRAME_HEAD_BYTES) continue;
        const length = this.#head.readUInt32BE(1);
        if (this.#head[0] !== 0) return this.#fail(out, "a message is compressed, though that was not asked for");
        if (length > this.#max) return this.#fail(out, `a message of ${length} bytes`);
        this.#message = Buffer.allocUnsafe(length);
        this.#messageBytes = 0;
      }
      const message: Buffer = this.#message;
      const end = Math.min(to, at + message.length - this.#messageBytes);
      bytes.copy(message, this.#messageBytes, at, end);
      this.#messageBytes += end - at;
      at = end;
      if (this.#messageBytes === message.length) this.#take(message, out);
    }
  }

  #take(message: Buffer, out: BodyOutput): void {
    this.#message = null;
    this.#headBytes = 0;
    let content: AnswerContent;
    try {
      content = answerOf(this.#transcoder, this.#binding, message);
    } catch (error) {
      return this.#fail(out, error instanceof Error ? error.message : String(error));
    }
    if (this.#binding.streams) return this.#stream(content, out);
    if (this.#answer !== null) return this.#fail(out, "more than one message");
    this.#answer = content;
  }

  #stream({ bytes, type }: AnswerContent, out: BodyOutput): void {
    this.#sent += 1;
    if (this.#sent === 1) {
      if (type !== "") this.#x.response.setHeader("content-type", type);
      this.#release();
    }
    if (this.#form === "raw") return bytes.length === 0 ? undefined : put(out, bytes);
    if (this.#form === "sse") return put(out, Buffer.concat([EVENT, bytes, EVENT_END]));
    if (this.#form === "ndjson") return put(out, Buffer.concat([bytes, NEW_LINE]));
    put(out, Buffer.concat([Buffer.from(this.#sent === 1 ? "[" : ","), bytes]));
  }

  end(trailers: HeaderBlock | null, out: BodyOutput): void {
    if (this.#isOver) return;
    // A status without messages stands in the head.
    const fields = trailers?.has("grpc-status") ? trailers : this.#x.response.headers;
    const code = grpcStatusOf(fields);
    if (code === GRPC_STATUS.ok && this.#headBytes > 0) return this.#fail(out, "it ends within a message");
    if (code !== GRPC_STATUS.ok) return this.#failed(fields, code, out);
    if (!this.#binding.streams) return this.#finish(trailers, out);
    if (this.#sent === 0) this.#release();
    if (this.#form === "array") put(out, Buffer.from(this.#sent === 0 ? "[]" : "]"));
    this.#close(out);
  }

  #finish(trailers: HeaderBlock | null, out: BodyOutput): void {
    const answer = this.#answer;
    if (answer === null) return this.#fail(out, "there is no message");
    if (answer.type !== "") this.#x.response.setHeader("content-type", answer.type);
    // What the server adds behind its message: clients of HTTP look for fields in the head.
    trailers?.forEach((name, value) => {
      const lower = name.toLowerCase();
      if (!isOfGrpc(lower)) this.#x.response.headers.add(lower, value);
    });
    this.#release();
    if (answer.bytes.length > 0) put(out, answer.bytes);
    this.#close(out);
  }

  /** The server says that the call has failed. */
  #failed(fields: HeaderBlock, code: number, out: BodyOutput): void {
    const message = fields.get("grpc-message") ?? "";
    const details = fields.get("grpc-status-details-bin") ?? "";
    const status = statusJson(this.#transcoder, { code, message, details });
    if (this.#sent === 0) {
      const { response } = this.#x;
      // A proxy before the server may have said what it has to say in HTTP alone.
      response.status = code < 0 && response.status >= BAD_REQUEST ? response.status : httpStatusOf(code);
      response.reason = reasonOf(response.status);
      response.lineAt = -1;
      response.setHeader("content-type", "application/json");
      this.#release();
      put(out, Buffer.from(`${JSON.stringify(status)}\n`));
      return this.#close(out);
    }
    // The status of HTTP has left: the end of the stream says it, where it can.
    const error = Buffer.from(JSON.stringify(this.#form === "sse" ? status : { error: status }));
    if (this.#form === "array" || this.#form === "raw") return this.#fail(out, `status ${code} behind messages`);
    if (this.#form === "sse") put(out, Buffer.concat([ERROR_EVENT, error, EVENT_END]));
    else put(out, Buffer.concat([error, NEW_LINE]));
    this.#close(out);
  }

  /** Lets the head go, without what is about gRPC alone. */
  #release(): void {
    const { headers } = this.#x.response;
    for (const name of OF_GRPC) headers.remove(name);
    this.holding = false;
  }

  #close(out: BodyOutput): void {
    this.#isOver = true;
    out.end(null);
  }

  #fail(out: BodyOutput, why: string): void {
    this.#isOver = true;
    this.holding = false;
    out.fail(fault("transcode.response", `${this.#binding.target}: ${why}`));
  }

  gone(): void {
    this.#isOver = true;
    this.holding = false;
    this.#message = null;
    this.#answer = null;
  }
}

const put = (out: BodyOutput, bytes: Buffer): void => out.data(bytes, 0, bytes.length);

const OF_GRPC = ["grpc-status", "grpc-message", "grpc-status-details-bin", "grpc-encoding", "grpc-accept-encoding"];
const isOfGrpc = (lower: string): boolean => lower.startsWith("grpc-") || lower === "content-type";
