// Who may connect to a listener at all: looked at before a byte is read, and before TLS begins.
import type { ListenerConfig } from "../config/schema.ts";
import type { ListenerAccessConfig } from "../config/schema-access.ts";
import { Timer, type TimerWheel } from "../core/timers.ts";
import { AddressRules } from "../filters/access/address-rules.ts";
import type { AddressList, Shared } from "../pipeline/shared.ts";
import type { Connection, ConnectionHandler } from "../transport/connection.ts";

/** How long a connection in the tarpit is kept: as long as scanners wait, and not for ever. */
const KEPT_MS = 60_000;
/** Connections kept at a time: each costs its client as much as it costs us. More are closed. */
const KEPT_MAX = 1024;

export class ListenerGate {
  readonly #rules: AddressRules;
  readonly #denied: AddressList;
  readonly #tarpit: boolean;
  readonly #wheel: TimerWheel;
  #kept = 0;

  /** Throws CompileError for what is neither an address nor a network. */
  constructor(config: ListenerAccessConfig, shared: Shared, denied: AddressList, wheel: TimerWheel) {
    this.#rules = new AddressRules(config, shared);
    this.#denied = denied;
    this.#tarpit = config.drop === "tarpit";
    this.#wheel = wheel;
  }

  admits(address: string): boolean {
    return this.#denied.find(address) === 0 && this.#rules.allows(address);
  }

  /** What becomes of the connection of somebody who is not admitted: null to close it. */
  drop(connection: Connection): ConnectionHandler | null {
    if (!this.#tarpit || this.#kept >= KEPT_MAX) return null;
    this.#kept += 1;
    connection.pause();
    const timer = new Timer(() => connection.destroy(true));
    this.#wheel.arm(timer, KEPT_MS);
    return {
      onData() {},
      onDrain() {},
      onEnd: () => connection.destroy(),
      onClose: () => {
        this.#kept -= 1;
        this.#wheel.disarm(timer);
      },
    };
  }
}

/** The gate of a listener; null where everybody may connect. Throws CompileError for addresses that are none. */
export const gateFor = (
  { access }: ListenerConfig,
  shared: Shared,
  denied: AddressList,
  wheel: TimerWheel,
): ListenerGate | null => (access === undefined ? null : new ListenerGate(access, shared, denied, wheel));
