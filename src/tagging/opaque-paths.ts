// The paths of a route under names that say nothing (`opaque`): what is asked for by one of them becomes what it stands
// for, before anybody else looks at the request.
import type { TaggingConfig } from "../config/schema-tagging.ts";
import { OpaqueNames, unveiled } from "../engines/tagging/opaque.ts";
import type { Exchange, Outcome } from "../pipeline/exchange.ts";
import { guardScript, type Hosts } from "./guard-script.ts";
import { pageScript } from "./page-script.ts";
import { scriptReply } from "./script-reply.ts";

/** What there are names for: the two scripts, what events go to, and what is for vendors. */
const WHATS = ["t", "guard", "collect", "consent", "pixel", "relay"] as const;
const PATHS: Readonly<Record<string, string>> = {
  collect: "/collect",
  consent: "/consent",
  pixel: "/pixel.gif",
};

export class OpaquePaths {
  readonly #names: OpaqueNames;
  readonly #cloak: boolean;
  readonly #hosts: Hosts;
  readonly #scripts = new Map<string, Buffer>();

  constructor(config: NonNullable<TaggingConfig["opaque"]>, route: string, hosts: Hosts) {
    const { secret, rotate, overlap, cloak } = config;
    this.#names = new OpaqueNames({ secret, scope: route, rotateMs: rotate, overlapMs: overlap }, WHATS);
    this.#cloak = cloak;
    this.#hosts = hosts;
  }

  /** The path below the route by which pages take the script, or the guard, now. */
  script(what: "t" | "guard", nowMs: number): string {
    return `/${this.#names.name(what, this.#names.period(nowMs))}.js`;
  }

  /** Answers what asks for a script; gives the request its own path back where it has another; else does nothing. */
  request(x: Exchange, below: string, nowMs: number): Outcome | undefined {
    const [, segment = "", rest = ""] = /^\/([^/.]+)(?:\.js|\/(.*))?$/.exec(below) ?? [];
    const found = this.#names.find(segment, nowMs);
    if (found === null) return undefined;
    const { what, period } = found;
    if (what === "t" || what === "guard") return scriptReply(this.#script(what, period));
    const path = what === "relay" ? unveiled(rest, segment) : (PATHS[what] ?? null);
    if (path === null) return undefined;
    const base = (x.path ?? "").slice(0, (x.path ?? "").length - below.length);
    const { request } = x;
    const { query } = request;
    request.target = base + path + (query === "" ? "" : `${path.includes("?") ? "&" : "?"}${query}`);
    request.queryAt = request.target.indexOf("?");
    return undefined;
  }

  /** The script as it is in a period: it knows the names of that. */
  #script(what: "t" | "guard", period: number): Buffer {
    const key = `${what} ${period}`;
    const known = this.#scripts.get(key);
    if (known !== undefined) return known;
    const name = (of: (typeof WHATS)[number]): string => this.#names.name(of, period);
    const made =
      what === "t"
        ? pageScript(name("collect"), name("consent"))
        : guardScript(this.#hosts, { relay: name("relay"), cloak: this.#cloak });
    if (this.#scripts.size >= SCRIPTS_MAX) this.#scripts.clear();
    this.#scripts.set(key, made);
    return made;
  }
}

/** Two scripts of the periods that are known at a time. */
const SCRIPTS_MAX = 8;
