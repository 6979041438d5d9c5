// What requests of Sluice's own ask of those around them: their answers go to whoever made them as they are.
import type { TimerWheel } from "../core/timers.ts";
import type { Exchange } from "../pipeline/exchange.ts";
import type { ForwardEnvironment } from "./forward-environment.ts";
import type { Upstream } from "./upstream.ts";

/** No filters look at the answers of such requests; they have no trailers, and ask for no other protocol. */
export class InnerEnvironment implements ForwardEnvironment {
  readonly #env: ForwardEnvironment;

  constructor(env: ForwardEnvironment) {
    this.#env = env;
  }
  get wheel(): TimerWheel {
    return this.#env.wheel;
  }
  upstream(name: string): Upstream | null {
    return this.#env.upstream(name);
  }
  respond(): boolean {
    return true;
  }
  answerSilence(_x: Exchange, responseMs: number): number {
    return responseMs;
  }
  cleanTrailers(): void {}
  tunnelOpened(): void {}
  tunnelClosed(): void {}
  tunnelIdle(): number {
    return 0;
  }
}
