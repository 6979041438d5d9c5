// One UDP listener of one thread.
import { parseListen } from "../config/address.ts";
import type { ListenerConfig } from "../config/schema.ts";
import type { TimerWheel } from "../core/timers.ts";
import { type UdpContext, type UdpDrop, UdpProxy, type UdpRecord } from "../server/udp-proxy.ts";
import { DatagramTarget } from "./stream-target.ts";
import type { Streams } from "./streams.ts";

export class ActiveUdpListener implements UdpContext {
  readonly name: string;
  readonly wheel: TimerWheel;
  options: ListenerConfig;
  readonly #streams: Streams;
  readonly #proxy: UdpProxy;

  constructor(name: string, options: ListenerConfig, streams: Streams, wheel: TimerWheel) {
    this.name = name;
    this.options = options;
    this.#streams = streams;
    this.wheel = wheel;
    this.#proxy = new UdpProxy(this);
  }

  get port(): number {
    return this.#proxy.port;
  }
  /** Sessions, which stand for connections here. */
  get connections(): { readonly size: number } {
    return { size: this.#proxy.sessions };
  }

  /** Begins to receive, on `port` in place of a configured 0. Throws the system's error. */
  listen(port: number): void {
    const address = parseListen(this.options.address);
    if (address?.kind !== "tcp") throw new Error(`not an address for datagrams: ${this.options.address}`);
    this.#proxy.listen({ host: address.host, port: address.port === 0 ? port : address.port });
  }
  serve(): void {
    this.#proxy.serve();
  }
  drain(): void {
    this.#proxy.drain();
  }
  destroy(): void {
    this.#proxy.destroy();
  }

  // ——— UdpContext

  get target(): DatagramTarget {
    return new DatagramTarget(this.options.udp!.to, this.#streams.find);
  }
  get idleMs(): number {
    return this.options.udp!.idle;
  }
  get sessions(): number {
    return this.options.udp!.sessions;
  }
  get sessionsPerAddress(): number {
    return this.options.limits.connectionsPerAddress;
  }
  udpSessions(change: 1 | -1): void {
    this.#streams.udpSessions(this.name, change);
  }
  udpClosed(record: UdpRecord): void {
    this.#streams.udpClosed(record);
  }
  udpDropped(why: UdpDrop): void {
    this.#streams.udpDropped(this.name, why);
  }
}
