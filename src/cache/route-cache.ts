// The cache policy of a route, compiled.
import type { KeyRule } from "../engines/cache/key.ts";
import type { CachePolicy } from "../engines/cache/policy.ts";
import type { CodingPolicy } from "../engines/compression/coding-policy.ts";
import type { ResponseHead } from "../http/message.ts";
import type { Upstream } from "../upstream/upstream.ts";

export class RouteCache {
  readonly policy: CachePolicy;
  readonly key: KeyRule;
  /** Whether the key has more than the address. */
  readonly hasExtras: boolean;
  /** Longer content is not stored. */
  readonly bodyMax: number;
  /** Whether answers go to the disk tier as well. */
  readonly disk: boolean;
  /** How its answers are encoded; null where they are not. */
  readonly coding: CodingPolicy | null;
  /** Response filters that leave stored answers in these codings as they are. Others have to see every answer. */
  readonly idleFilters: number;
  /** Lower-case name of the field with the tags of an answer; "" for none. */
  readonly #tags: string;
  readonly #route: string;
  #upstream: Upstream | null = null;
  #mark = "";

  constructor(
    route: string,
    policy: CachePolicy,
    key: KeyRule,
    bodyMax: number,
    tags: string,
    coding: CodingPolicy | null,
    disk: boolean,
  ) {
    this.disk = disk;
    this.coding = coding;
    this.idleFilters = coding === null ? 0 : 1;
    this.#tags = tags;
    this.policy = policy;
    this.key = key;
    this.hasExtras = key.headers.length > 0 || key.cookies.length > 0 || key.device;
    this.bodyMax = bodyMax;
    this.#route = route;
  }

  /** The tags of an answer, which spaces or commas stand between. */
  tagsOf({ headers }: ResponseHead): readonly string[] {
    const field = this.#tags === "" ? null : headers.get(this.#tags);
    return field === null ? [] : field.split(/[\s,]+/).filter((tag) => tag !== "");
  }

  /**
   * What keeps answers of this route apart from those of others for the same address: what chose the route, or one of
   * its upstreams, may be nothing that is in the key.
   */
  mark(upstream: Upstream): string {
    if (upstream !== this.#upstream) {
      this.#upstream = upstream;
      this.#mark = `${this.#route}\n${upstream.name}\n`;
    }
    return this.#mark;
  }
}
