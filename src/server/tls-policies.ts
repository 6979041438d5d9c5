// Terms of TLS that differ by host: which hold for a handshake, and whether a request may come over it. What a client
// asks for in its hello binds it to nothing: each request is looked at again (RFC 9110 §7.4, RFC 8446 §4.2.11).
import type { ListenerConfig } from "../config/schema.ts";
import type { ClientAuth } from "../config/schema-tls.ts";
import { fault } from "../core/faults.ts";
import { isHostName } from "../core/host-name.ts";
import { HostTable } from "../core/host-table.ts";
import { identifyClient } from "../pipeline/client.ts";
import type { Exchange } from "../pipeline/exchange.ts";
import type { HandshakePolicy } from "../transport/tls-info.ts";
import type { ExchangeHandler } from "./listener.ts";

type TlsConfig = NonNullable<ListenerConfig["tls"]>;

/** What holds for some names. */
export interface TlsPolicy extends HandshakePolicy {
  readonly minVersion: "1.2" | "1.3";
  readonly ciphers: string | undefined;
  /** Null: clients are not asked for certificates. */
  readonly clientAuth: ClientAuth | null;
}

/** The policies of one listener. */
export class TlsPolicies {
  /** What the listener itself says. */
  readonly usual: TlsPolicy;
  /** For clients that name no host, or an address: whatever they ask for later, they have proved no less. */
  readonly strictest: TlsPolicy;
  /** Each once, those above included. */
  readonly all: readonly TlsPolicy[];
  readonly #byHost: HostTable<TlsPolicy>;

  constructor(tls: Pick<TlsConfig, "minVersion" | "ciphers" | "clientAuth" | "policies">) {
    const byKey = new Map<string, TlsPolicy>();
    const one = (policy: TlsPolicy): TlsPolicy => {
      const known = byKey.get(policy.key) ?? policy;
      byKey.set(policy.key, known);
      return known;
    };
    this.usual = one(policyOf(tls.minVersion, tls.ciphers, tls.clientAuth));
    this.#byHost = new HostTable(
      tls.policies.flatMap(({ hosts, minVersion, ciphers, clientAuth }) => {
        const auth = clientAuth === false ? undefined : (clientAuth ?? tls.clientAuth);
        const policy = one(policyOf(minVersion ?? tls.minVersion, ciphers ?? tls.ciphers, auth));
        return hosts.map((host) => [host, policy] as const);
      }),
    );
    this.all = [...byKey.values()];
    this.strictest = this.all.reduce((a, b) => (strictness(b) > strictness(a) ? b : a));
  }

  /** What holds for a host in lower case, without port; "" for none. */
  of(host: string): TlsPolicy {
    const name = host.endsWith(".") ? host.slice(0, -1) : host;
    return isHostName(name) ? (this.#byHost.find(name) ?? this.usual) : this.strictest;
  }
}

function policyOf(
  minVersion: TlsPolicy["minVersion"],
  ciphers: string | undefined,
  clientAuth: ClientAuth | undefined,
): TlsPolicy {
  const auth = clientAuth ?? null;
  // Suites that can be chosen are those of TLS 1.2.
  const suites = minVersion === "1.3" ? undefined : ciphers;
  const key = JSON.stringify([minVersion, suites ?? "", auth?.mode ?? "", auth?.ca ?? "", auth?.crl ?? ""]);
  return { key, needsCertificate: auth?.mode === "require", minVersion, ciphers: suites, clientAuth: auth };
}

/** Who must show a certificate before who may, and that before the version. */
const strictness = ({ needsCertificate, clientAuth, minVersion }: TlsPolicy): number =>
  (needsCertificate ? 4 : 0) + (clientAuth !== null ? 2 : 0) + (minVersion === "1.3" ? 1 : 0);

/** Refuses requests for hosts whose terms are not those of their connection, and gives all others to the next handler. */
export class PolicyHandler implements ExchangeHandler {
  readonly #policies: () => TlsPolicies;
  readonly #next: ExchangeHandler;

  constructor(policies: () => TlsPolicies, next: ExchangeHandler) {
    this.#policies = policies;
    this.#next = next;
  }

  handle(x: Exchange): void {
    const made = x.client.tls?.policy ?? null;
    if (made !== null && this.#policies().of(x.host).key === made.key) return this.#next.handle(x);
    identifyClient(x, null);
    x.downstream.fail(fault("request.misdirected", `other terms of TLS hold for ${x.host}`));
  }

  finished(x: Exchange): void {
    this.#next.finished(x);
  }
}
