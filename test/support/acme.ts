// What the tests of automatic certificates share: managers whose clock the test holds, and listeners that answer the
// authority from them.
import { createServer } from "node:http";
import { createSecureContext, createServer as createTlsServer } from "node:tls";
import type { AcmeCertificate, AcmeEvent } from "../../src/certificates/acme/announce.ts";
import { AcmeManager, type AcmeManagerOptions } from "../../src/certificates/acme/manager.ts";
import type { AcmeSettings } from "../../src/certificates/acme/settings.ts";
import { createLog } from "../../src/observe/log.ts";
import type { SharedState } from "../../src/state/shared-state.ts";
import { CA_PEM } from "./pebble.ts";
import { until } from "./wait.ts";

/** A clock that runs on by itself and can be put forward. */
export class TestClock {
  #aheadMs = 0;
  readonly now = (): number => Date.now() + this.#aheadMs;
  forward(ms: number): void {
    this.#aheadMs += ms;
  }
}

/** A manager, and all that it told. */
export class Node implements AsyncDisposable {
  readonly manager: AcmeManager;
  readonly clock: TestClock;
  readonly events: AcmeEvent[] = [];
  readonly log: string[] = [];
  /** The last certificate of each name. */
  readonly served = new Map<string, AcmeCertificate>();
  /** Names of placeholders, ever. */
  readonly placeheld: string[] = [];

  constructor(state: SharedState, options: Partial<AcmeManagerOptions> = {}, clock = new TestClock()) {
    this.clock = clock;
    this.manager = new AcmeManager({
      state,
      log: createLog("debug", { write: (line) => this.log.push(line) }),
      now: clock.now,
      random: () => 0.5,
      onCertificate: (certificate) => {
        this.served.set(certificate.name, certificate);
        if (certificate.placeholder) this.placeheld.push(certificate.name);
      },
      onEvent: (event) => this.events.push(event),
      ...options,
    });
  }

  /** Waits until each name has a certificate of an authority. */
  async obtained(...names: readonly string[]): Promise<void> {
    const all = (): boolean => names.every((name) => this.served.get(name)?.placeholder === false);
    await until(() => all() || this.events.some(({ kind }) => kind === "failed"), `certificates for ${names}`, 20_000);
    if (!all()) throw new Error(`no certificates for ${names}:\n${this.log.join("")}`);
  }

  /** All that is due now, also where something else had to end first. */
  async settle(): Promise<void> {
    await this.manager.check();
    await this.manager.check();
  }

  async event(kind: AcmeEvent["kind"], name: string): Promise<AcmeEvent> {
    const find = (): AcmeEvent | undefined => this.events.findLast((each) => each.kind === kind && each.name === name);
    await until(() => find() !== undefined, `${kind} ${name}, but: ${this.log.join("")}`, 20_000);
    return find()!;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.manager.stop();
  }
}

export const settings = (
  directory: string,
  domains: readonly string[],
  more: Partial<AcmeSettings> = {},
): AcmeSettings => ({
  domains,
  directories: [directory],
  email: "ops@example.test",
  challenge: "http-01",
  keyType: "ecdsa-p256",
  ca: CA_PEM,
  ...more,
});

/** The listeners that an authority connects to; they answer from whichever manager is set. */
export class Listeners implements AsyncDisposable {
  manager: AcmeManager | null = null;
  /** Paths that were asked for. */
  readonly asked: string[] = [];
  readonly #http = createServer(async (request, response) => {
    this.asked.push(request.url ?? "");
    const [, , , token = ""] = (request.url ?? "").split("/");
    const body = (await this.manager?.findChallengeResponse(token)) ?? null;
    response.writeHead(body === null ? 404 : 200).end(body ?? "");
  });
  readonly #tls = createTlsServer({
    ALPNProtocols: ["acme-tls/1"],
    SNICallback: async (name, callback) => {
      const certificate = (await this.manager?.findAlpnCertificate(name)) ?? null;
      if (certificate === null) return callback(new Error("no certificate"));
      callback(null, createSecureContext({ cert: certificate.chainPem, key: certificate.keyPem }));
    },
  });

  static async start(): Promise<Listeners> {
    const listeners = new Listeners();
    listeners.#tls.on("tlsClientError", () => {});
    for (const server of [listeners.#http, listeners.#tls])
      await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    return listeners;
  }

  get httpPort(): number {
    return (this.#http.address() as { port: number }).port;
  }

  get tlsPort(): number {
    return (this.#tls.address() as { port: number }).port;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#http.closeAllConnections();
    for (const server of [this.#http, this.#tls]) await new Promise((resolve) => server.close(resolve));
  }
}
