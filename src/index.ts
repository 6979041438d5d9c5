// The public API: typed configuration, plugins, and the proxy inside a program.

import { randomBytes } from "node:crypto";
import { Changes } from "./cache/changes.ts";
import { checkConfig } from "./config/load.ts";
import type { Config, ConfigInput } from "./config/schema.ts";
import { CacheDisk, type PreparedDisk } from "./control/cache-disk.ts";
import { Certificates, type PreparedCertificates } from "./control/certificates.ts";
import { claimAddresses, claimable } from "./control/claim.ts";
import { Commons } from "./control/commons.ts";
import { compilePlan } from "./control/compile.ts";
import { DataPlane, type Prepared } from "./control/data-plane.ts";
import { Fleet } from "./control/fleet.ts";
import { boundAddress, listenerNames } from "./control/listener-names.ts";
import type { ToldOfKeys } from "./control/own-keys.ts";
import { ServerChanges } from "./control/server-changes.ts";
import { CONFIG_CHECKS } from "./control/verify.ts";
import { wallClock } from "./core/clock.ts";
import { createLog } from "./observe/log.ts";
import { Metrics } from "./observe/metrics.ts";
import { setViaPseudonym } from "./pipeline/via.ts";
import { Board } from "./upstream/board.ts";

export { ConfigError, type Diagnostic } from "./config/diagnostic.ts";
export type { Config, ConfigInput } from "./config/schema.ts";
export { ListenError } from "./control/listen-error.ts";
export { defineConfig, definePlugin } from "./control/sluice-module.ts";
export type { RequestHead, ResponseHead } from "./http/message.ts";
export type { Exchange } from "./pipeline/exchange.ts";
export type { Claims, Identity, IdentityKind } from "./pipeline/identity.ts";
export type { Plugin, PluginResult, PromptResult } from "./pipeline/plugin.ts";
export { type Reply, reply } from "./pipeline/reply.ts";

/** All proxies of a program share the name: a request that goes round among them is a loop as well. */
const VIA = `sluice-${randomBytes(4).toString("hex")}`;

/** A proxy that runs inside this program, in its thread. */
export interface Proxy {
  /** Where it listens, in the order of the configuration: `host:port` with the port that was chosen for `:0`. */
  readonly addresses: readonly string[];
  /**
   * Puts another configuration into use without losing a request. Rejects, and nothing has changed, when it is not
   * valid, when an address cannot be had, or when the proxy was closed.
   */
  reload(config: ConfigInput): Promise<void>;
  /** Stops: requests in flight are answered first, for at most the configured drain time. */
  close(): Promise<void>;
}

/**
 * Starts a proxy inside this program. Rejects with ConfigError when the configuration is not valid and with ListenError
 * when an address cannot be had. The admin listener belongs to `sluice run`: a program has its own ways to look inside.
 */
export async function createProxy(config: ConfigInput): Promise<Proxy> {
  setViaPseudonym(VIA);
  const proxy = new EmbeddedProxy(check(config));
  await proxy.start();
  return proxy;
}

const check = (input: ConfigInput): Config => checkConfig(input, CONFIG_CHECKS).config;

/** There is one thread, which acts on changes at once, and nobody can watch. */
const ALONE: ToldOfKeys = { heard: async () => {}, events: { publish() {} } };

class EmbeddedProxy implements Proxy {
  readonly #log;
  readonly #fleet: Fleet;
  readonly #certificates: Certificates;
  readonly #plane: DataPlane;
  readonly #disk: CacheDisk;
  readonly #commons: Commons;
  #config: Config;
  #ports: ReadonlyMap<string, number> = new Map();
  /** What is begun is done before the next thing begins. */
  #last: Promise<unknown> = Promise.resolve();

  constructor(config: Config) {
    this.#config = config;
    this.#log = createLog(config.log.level);
    this.#disk = new CacheDisk(this.#log);
    const memory = Board.memory(1);
    this.#fleet = new Fleet(
      {
        log: this.#log,
        memory,
        changes: new ServerChanges(null),
        onMembers: (upstream, membership) => this.#plane.setMembers(upstream, membership),
      },
      config,
    );
    this.#commons = new Commons(this.#log, (name, memory) => this.#plane.setMemory(name, memory));
    this.#certificates = new Certificates({
      log: this.#log,
      now: wallClock,
      changed: (listener) => {
        const update = this.#certificates.update(listener, new Set());
        if (update !== null) this.#plane.setCertificates(update);
      },
      onChallenge: async (change) => this.#plane.answers.set(change),
      onOrdered() {}, // programs have no metrics
    });
    this.#plane = new DataPlane({
      log: this.#log,
      metrics: new Metrics(() => {}),
      primary: true,
      board: this.#fleet.board,
      secret: this.#commons.secret,
      threads: 1,
      cacheChanges: Changes.memory(),
      peers: null,
      ban: (ban) => this.#commons.ban(ban),
      handOver: (what) => this.#commons.tagging.take(what),
      usageOf: async (who, subject) => this.#commons.usage.of(who, subject),
      ownKeys: (question) => this.#commons.consumerKeys.answer(question, ALONE),
      keys: this.#commons.ownKeys,
      event: (event) => void (event.kind === "quota" && this.#commons.usage.notice(event)), // nobody can watch
      ask: (listener, name) => this.#certificates.answer(listener, name),
      askToken: (token) => this.#certificates.responseTo(token),
    });
  }

  get addresses(): readonly string[] {
    const names = listenerNames(this.#config.listeners);
    return this.#config.listeners.map(({ address }, at) => boundAddress(address, this.#ports.get(names[at]!)));
  }

  async start(): Promise<void> {
    try {
      await this.#use(this.#config, []);
    } catch (error) {
      await this.#plane.drain(0);
      await this.#disk.close();
      this.#fleet.stop();
      await this.#commons.stop();
      await this.#certificates.stop();
      throw error;
    }
  }

  reload(input: ConfigInput): Promise<void> {
    const next = this.#last.then(() => this.#use(check(input), this.#config.listeners));
    this.#last = next.catch(() => undefined);
    return next;
  }

  async #use(config: Config, held: Config["listeners"]): Promise<void> {
    await claimAddresses(claimable(config.listeners), claimable(held));
    const commons = this.#commons.prepare(config, 1);
    const fleet = this.#fleet.prepare(config, compilePlan(config, undefined, commons.shared).upstreams);
    let certificates: PreparedCertificates | null = null;
    let disk: PreparedDisk | null = null;
    let prepared: Prepared;
    try {
      disk = await this.#disk.prepare(compilePlan(config).cacheDisk);
      certificates = this.#certificates.prepare(config);
      const { challenges } = this.#certificates;
      const { memories } = commons;
      const knowledge = { memberships: fleet.memberships, certificates: certificates.updates, challenges, memories };
      prepared = this.#plane.prepare(config, this.#ports, knowledge);
    } catch (error) {
      fleet.discard();
      certificates?.discard();
      disk?.discard();
      throw error;
    }
    fleet.commit();
    await commons.commit();
    await certificates.commit();
    await disk.commit((tier) => this.#plane.setDisk(tier.access()));
    this.#plane.commit(prepared);
    // Some may have changed since they were made ready.
    for (const update of this.#certificates.updates) this.#plane.setCertificates(update);
    this.#ports = this.#plane.ports(prepared);
    this.#log.setLevel(config.log.level);
    this.#config = config;
  }

  async close(): Promise<void> {
    await this.#last;
    await this.#plane.drain(this.#config.shutdown.drain);
    await this.#disk.close();
    this.#fleet.stop();
    await this.#commons.stop();
    await this.#certificates.stop();
  }
}
