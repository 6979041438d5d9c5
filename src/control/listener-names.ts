// What listeners are called in logs, metrics and reloads.
import type { ListenerConfig } from "../config/schema.ts";

/**
 * A name for each listener, in the same order: its address, with `udp ` in front for datagrams, and numbered from the
 * second on where several ask the system for a port with the same words (`127.0.0.1:0`, `127.0.0.1:0 (2)`).
 */
export function listenerNames(listeners: readonly { readonly address: string; readonly udp?: unknown }[]): string[] {
  const seen = new Map<string, number>();
  return listeners.map(({ address, udp }) => {
    const name = udp === undefined ? address : `udp ${address}`;
    const count = (seen.get(name) ?? 0) + 1;
    seen.set(name, count);
    return count === 1 ? name : `${name} (${count})`;
  });
}

/** Where a listener really is: its address, with the port that the system chose in place of 0. */
export function boundAddress(address: string, port: number | undefined): string {
  return address.startsWith("unix:") || port === undefined ? address : address.replace(/\d+$/, String(port));
}

/** Where a listener is found: a URL, or the path of a unix socket; `port` in place of a configured 0. */
export function boundUrl({ address, tcp, udp, tls }: ListenerConfig, port: number | undefined): string {
  if (address.startsWith("unix:")) return address;
  const real = boundAddress(address, port);
  const scheme = udp !== undefined ? "udp" : tcp !== undefined ? "tcp" : tls !== undefined ? "https" : "http";
  return `${scheme}://${real.startsWith(":") ? `0.0.0.0${real}` : real}`;
}
