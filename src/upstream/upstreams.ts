// The upstreams of one plan, each made when a request first needs it: a configuration may name thousands that nobody
// uses.
import { isDeepStrictEqual } from "node:util";
import type { UpstreamConfig } from "../config/schema.ts";
import type { UpstreamMembership } from "./member.ts";
import { Upstream, type UpstreamEnvironment } from "./upstream.ts";

export type UpstreamConfigs = ReadonlyMap<string, UpstreamConfig>;
export type Memberships = ReadonlyMap<string, UpstreamMembership>;

export class Upstreams {
  readonly #configs: UpstreamConfigs;
  readonly #env: UpstreamEnvironment | null;
  readonly #memberships: Map<string, UpstreamMembership>;
  readonly #made = new Map<string, Upstream>();
  /** What took the place of this set; requests that began with this one may still ask it. */
  #next: Upstreams | null = null;

  /** `env` may be null where there are none. */
  constructor(configs: UpstreamConfigs, memberships: Memberships, env: UpstreamEnvironment | null) {
    this.#configs = configs;
    this.#env = env;
    this.#memberships = new Map(memberships);
  }

  get(name: string): Upstream | undefined {
    return this.#made.get(name) ?? this.#make(name);
  }

  #make(name: string): Upstream | undefined {
    if (this.#next !== null) return this.#next.get(name);
    const config = this.#configs.get(name);
    const membership = this.#memberships.get(name);
    if (config === undefined || membership === undefined || this.#env === null) return undefined;
    const upstream = new Upstream(name, config, membership, this.#env);
    this.#made.set(name, upstream);
    return upstream;
  }

  /** Those that were needed so far. */
  get made(): Iterable<Upstream> {
    return this.#made.values();
  }

  /** The servers of an upstream have changed; what is older than what is known is passed over. */
  setMembers(name: string, membership: UpstreamMembership): void {
    const known = this.#memberships.get(name);
    if (known === undefined || known.version >= membership.version) return;
    this.#memberships.set(name, membership);
    this.#made.get(name)?.setMembers(membership);
  }

  /**
   * Gives its place to `next`: upstreams whose settings are the same go over as they are, with their connections, and
   * the others are retired. What this set was told of servers since `next` was made ready goes over as well.
   */
  giveWay(next: Upstreams, sameEnvironment: boolean): void {
    for (const [name, membership] of this.#memberships) next.setMembers(name, membership);
    for (const [name, upstream] of this.#made) {
      const config = next.#configs.get(name);
      const membership = next.#memberships.get(name);
      const stays = sameEnvironment && config !== undefined && membership !== undefined;
      if (stays && isDeepStrictEqual(settingsOf(upstream.config), settingsOf(config))) {
        next.#made.set(name, upstream);
        upstream.setMembers(membership);
      } else upstream.retire();
    }
    this.#next = next;
  }

  retire(): void {
    for (const upstream of this.#made.values()) upstream.retire();
  }
}

/** Everything of an upstream but who its servers are and how they are checked, which the supervisor tells. */
function settingsOf(config: UpstreamConfig): unknown {
  return { ...config, servers: null, discover: null, health: null };
}
