// What has been sent of a request, so that it can be sent again from its beginning.
import type { HeaderBlock } from "../http/header-block.ts";
import { ReplayBuffer } from "./replay-buffer.ts";
import type { UpstreamClient } from "./upstream-client.ts";

export class SentRequest {
  /** All of it is here. */
  isWhole = true;
  /** Its end has come. */
  ended = false;
  #trailers: HeaderBlock | null = null;
  /** The body; null while there is none, and when it is not kept. */
  #body: ReplayBuffer | null = null;

  /** Somebody else will look at its pieces again. */
  get keepsBody(): boolean {
    return this.#body !== null;
  }

  /** Keeps one more piece of a body of at most `bytesMax`; `must` keeps it anyway. */
  add(bytes: Buffer, from: number, to: number, bytesMax: number, must: boolean): void {
    if (!this.isWhole) return;
    this.#body ??= new ReplayBuffer(bytesMax);
    if (!this.#body.add(bytes, from, to, must)) this.forget();
  }

  end(trailers: HeaderBlock | null): void {
    this.ended = true;
    this.#trailers = trailers;
  }

  /** It will not be sent again. */
  forget(): void {
    this.isWhole = false;
    this.#body = null;
  }

  sendTo(client: UpstreamClient): void {
    this.#body?.sendTo(client);
    if (this.ended) client.sendEnd(this.#trailers);
  }
}
