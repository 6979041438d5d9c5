// Who keeps the answer to a request that is not to be carried out twice.
import type { ResponseHead } from "../http/message.ts";

export interface AnswerKeeper {
  /** A client that leaves, once all of its request is there, does not end the request. */
  readonly stays: boolean;
  /** Longest content that is kept. */
  readonly bodyMax: number;
  /** The request goes to a server: from now on one of the next two is called, whatever becomes of the client. */
  begun(): void;
  /** The whole answer; null for content that is longer than what is kept. The head is a copy. */
  answered(head: ResponseHead, content: readonly Buffer[] | null): void;
  /** There is no answer, or not all of it. */
  failed(): void;
}
