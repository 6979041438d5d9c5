// The UDP side of one listener, for HTTP/3. One thread has it: the runtime cannot share a UDP port between threads.
import { groupCertificates, type ServedCertificate } from "../certificates/served.ts";
import type { ListenerConfig } from "../config/schema.ts";
import { RUNTIME_BYTES_MAX, RUNTIME_LINES_MAX } from "../http/h3/section.ts";
import type { Log } from "../observe/log.ts";
import type { AltSvc } from "../server/listener.ts";
import { listenQuic, type QuicIdentities, type QuicIdentity, type QuicListener } from "../transport/quic.ts";
import type { QuicConnection, QuicConnectionHandler } from "../transport/quic-connection.ts";

/** Who the clients of the port belong to; another listener may take its place in a reload. */
export interface QuicOwner {
  readonly options: ListenerConfig;
  acceptQuic(connection: QuicConnection): QuicConnectionHandler | null;
  onQuicHandshake(result: "ok" | "failed"): void;
}

/** Names with a certificate of their own. The runtime keeps some 900 KB for each; others get the default. */
const NAMES_MAX = 100;
/** Packets may fail to come for this long, whatever `timeouts.idle` is: less would drop people in a tunnel. */
const SILENCE_LEAST_MS = 30_000;

export class ListenerQuic {
  owner: QuicOwner;
  readonly #host: string;
  readonly #port: number;
  readonly #name: string;
  readonly #log: Log;
  #socket: QuicListener | null = null;
  #isServing = false;
  #stopped = false;

  constructor(name: string, host: string, port: number, owner: QuicOwner, log: Log) {
    this.#name = name;
    this.#host = host === "localhost" ? "127.0.0.1" : host;
    this.#port = port;
    this.owner = owner;
    this.#log = log;
  }

  /** Clients are accepted. */
  get accepts(): boolean {
    return this.#socket !== null && this.#isServing && !this.#stopped;
  }

  /** Opens the port, or takes other certificates. Without any nothing happens yet. Throws the error of the system. */
  take(certificates: readonly ServedCertificate[]): void {
    if (this.#stopped || certificates.length === 0) return;
    const identities = this.#identitiesOf(certificates);
    if (this.#socket !== null) return this.#socket.update(identities);
    this.#socket = this.#listen(identities);
    this.#log.warn("HTTP/3 of this runtime is experimental, and does not hold clients back: see docs/http3.md", {
      listener: this.#name,
    });
    if (this.#isServing) this.#socket.serve();
  }

  #listen(identities: QuicIdentities): QuicListener {
    const { timeouts, limits, tls } = this.owner.options;
    const options = {
      identities,
      handshakeMs: tls?.handshakeTimeout ?? timeouts.header,
      silenceMs: Math.max(timeouts.idle, SILENCE_LEAST_MS),
      connections: limits.connections,
      streams: limits.streams,
      fieldLines: RUNTIME_LINES_MAX,
      fieldBytes: RUNTIME_BYTES_MAX,
      accept: (connection: QuicConnection) => this.owner.acceptQuic(connection),
      onHandshake: (result: "ok" | "failed") => this.owner.onQuicHandshake(result),
      onIcmp: () =>
        this.#log.warn("ICMP errors disturb HTTP/3: have the firewall drop those about its port", {
          listener: this.#name,
        }),
      onFailed: (error: Error) => {
        this.#stopped = true;
        this.#log.error("HTTP/3 has ended", { listener: this.#name, error: error.message });
      },
    };
    try {
      return listenQuic(this.#host, this.#port, options);
    } catch (error) {
      if (this.#host !== "::") throw error;
      return listenQuic("0.0.0.0", this.#port, options); // a machine without IPv6
    }
  }

  serve(): void {
    this.#isServing = true;
    this.#socket?.serve();
  }

  stop(): void {
    this.#stopped = true;
    this.#socket?.stop();
  }

  /** The names that need more than the default, as many as may be. */
  #identitiesOf(certificates: readonly ServedCertificate[]): QuicIdentities {
    const table = groupCertificates(certificates);
    const fallback = table.fallback!;
    const identities = new Map<string, QuicIdentity>([["*", identityOf(fallback.certificates[0]!)]]);
    let left = 0;
    for (const name of new Set(certificates.flatMap(({ names }) => names))) {
      const group = table.find(name.startsWith("*.") ? `_${name.slice(1)}` : name);
      if (group === undefined || group.key === fallback.key) continue;
      if (identities.size <= NAMES_MAX) identities.set(name, identityOf(group.certificates[0]!));
      else left += 1;
    }
    if (left > 0)
      this.#log.warn("HTTP/3 has certificates for some names only", {
        listener: this.#name,
        names: NAMES_MAX,
        without: left,
      });
    return identities;
  }
}

const identityOf = ({ chainPem, keyPem }: ServedCertificate): QuicIdentity => ({ certPem: chainPem, keyPem });

const SECONDS = 1000;

/** What answers say of HTTP/3 at this port; null where the options have none. */
export function altSvcOf({ http3 }: ListenerConfig, port: number): AltSvc | null {
  if (http3 === false) return null;
  const told = http3 === true ? { port, maxAge: ALT_SVC_MS } : { port: http3.port ?? port, maxAge: http3.maxAge };
  const value = `h3=":${told.port}"; ma=${Math.floor(told.maxAge / SECONDS)}`;
  return { value, line: `Alt-Svc: ${value}\r\n` };
}

/** The default of `http3.maxAge`. */
const ALT_SVC_MS = 86_400_000;
