// Whether the vendors of routes with `tagging` answer where it has to be known: Google's tag gateway and tagging
// servers. Looked at once with each configuration that names others than before, beside the traffic.
import { CompileError } from "../config/compile-error.ts";
import type { Config, RouteConfig } from "../config/schema.ts";
import type { Log } from "../observe/log.ts";
import { presetOf } from "../tagging/presets.ts";
import { taggingPrefixes } from "./compile-tagging.ts";

/** One look at a vendor. */
export interface VendorCheck {
  readonly route: string;
  /** The path that was asked for. */
  readonly path: string;
  /** Empty when all is well, else what is wrong. */
  readonly problem: string;
}

interface Question {
  readonly route: string;
  readonly server: string;
  readonly path: string;
}

/** A vendor that takes longer is of no use. */
const WAIT_MS = 5000;
/** `ok`, or a page of errors, of which nobody needs more. */
const ANSWER_MAX = 1024;

export class VendorChecks {
  readonly #log: Log;
  #asked = "";
  #found: readonly VendorCheck[] = [];
  #stop = new AbortController();

  constructor(log: Log) {
    this.#log = log;
  }

  /** What was found, of all routes. */
  get found(): readonly VendorCheck[] {
    return this.#found;
  }

  /** Asks the vendors of a configuration that has come into use; returns at once. */
  start(config: Config): void {
    const questions = questionsOf(config);
    const asked = JSON.stringify(questions);
    if (asked === this.#asked) return;
    this.close();
    this.#asked = asked;
    this.#stop = new AbortController();
    const { signal } = this.#stop;
    void Promise.all(questions.map((question) => ask(question, signal))).then((found) => {
      if (signal.aborted) return;
      this.#found = found;
      for (const { route, path, problem } of found)
        if (problem === "") this.#log.info("a vendor of tagging answers", { route, path });
        else this.#log.warn("a vendor of tagging does not answer as it should", { route, path, problem });
    });
  }

  close(): void {
    this.#stop.abort();
    this.#asked = "";
    this.#found = [];
  }
}

function questionsOf({ routes, upstreams }: Config): Question[] {
  return routes.flatMap((route, at) => {
    const { tagging, name = `route-${at + 1}` } = route;
    if (tagging?.preset !== "google-tag-gateway" && tagging?.preset !== "sgtm") return [];
    const to = presetOf(tagging).vendors[0]!.to;
    const first = upstreams[to]?.servers?.[0];
    const server = first === undefined ? to : typeof first === "string" ? first : first.url;
    if (!URL.canParse(server)) return [];
    return pathsOf(route).map((path) => ({ route: name, server: server.replace(/\/$/, ""), path }));
  });
}

function pathsOf({ tagging, match }: RouteConfig): string[] {
  if (tagging?.preset !== "google-tag-gateway") return ["/healthy"];
  try {
    return taggingPrefixes(match).flatMap((prefix) => [`${prefix}/healthy`, `${prefix}/?validate_geo=healthy`]);
  } catch (error) {
    if (error instanceof RangeError || error instanceof CompileError) return []; // such a route is not in use
    throw error;
  }
}

async function ask({ route, server, path }: Question, stop: AbortSignal): Promise<VendorCheck> {
  try {
    const response = await fetch(server + path, {
      redirect: "manual",
      headers: { "x-forwarded-country": "US", "x-forwarded-region": "CA", "x-forwarded-countryregion": "US-CA" },
      signal: AbortSignal.any([stop, AbortSignal.timeout(WAIT_MS)]),
    });
    const text = await beginning(response);
    if (response.status !== 200) return { route, path, problem: `it answers with ${response.status}` };
    return { route, path, problem: text.trim() === "ok" ? "" : "it does not say ok" };
  } catch (error) {
    return { route, path, problem: error instanceof Error ? error.message : String(error) };
  }
}

async function beginning({ body }: Response): Promise<string> {
  const decoder = new TextDecoder();
  let text = "";
  if (body !== null)
    for await (const piece of body) {
      text += decoder.decode(piece as Uint8Array, { stream: true });
      if (text.length > ANSWER_MAX) break;
    }
  return text;
}
