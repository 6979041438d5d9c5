// All that brings more configuration, for whoever loads and reloads it.
import { resolve } from "node:path";
import type { Diagnostic } from "../config/diagnostic.ts";
import type { Fragment, Provided } from "../config/fragment.ts";
import type { Config } from "../config/schema.ts";
import type { Log } from "../observe/log.ts";
import { DockerProvider, type DockerTimes } from "./docker-provider.ts";
import { missingProblem } from "./file-folder.ts";
import { FileProvider } from "./file-provider.ts";

type Settings = Config["providers"];

export interface ProvidersOptions {
  readonly log: Log;
  /** From 0 to 1: spreads the pauses after failures. */
  readonly random: () => number;
  /** Time between two looks at a folder beside what the system tells. */
  readonly filePollMs?: number;
  readonly dockerTimes?: Partial<DockerTimes>;
}

interface Running<T> {
  /** Its settings; another text takes another provider. */
  readonly key: string;
  readonly provider: T;
}

/** The providers of one configuration. */
interface Team {
  readonly files: Running<FileProvider> | null;
  readonly docker: Running<DockerProvider> | null;
}

const NOBODY: Team = { files: null, docker: null };

/**
 * The providers of the configuration in use. `read` makes those of a configuration that is being loaded ready beside
 * them; `accept` puts them into use, and until then (or when it is refused) nothing has changed.
 */
export class Providers {
  readonly #options: ProvidersOptions;
  #current: Team = NOBODY;
  #candidate: Team | null = null;
  /** The fragments in use by their sources. */
  #accepted = new Map<string, Fragment>();
  #reported = new Set<string>();
  #onChange: (() => void) | null = null;
  /** Whether something has changed since it was given away last. */
  #isStale = false;
  /** Whether `onChange` was called since. */
  #isTold = false;

  constructor(options: ProvidersOptions) {
    this.#options = options;
  }

  /** The `provide` of LoadOptions: starts what these settings name and does not run yet, and tells what it has. */
  readonly read = async (settings: Settings, base: string): Promise<Provided> => {
    const refused = this.#candidate;
    const folder = settings.files === undefined ? null : resolve(base, settings.files.path);
    const candidate: Team = { files: this.#filesFor(folder), docker: this.#dockerFor(settings) };
    this.#candidate = candidate;
    if (refused !== null) this.#dismiss(refused);
    const isOther = candidate.files?.provider.read() === true;
    await candidate.docker?.provider.started();
    const missing = candidate.files?.provider.missing ?? null;
    // The folder of the configuration in use may go for a while; one that was never there is a mistake.
    const isMistake = missing !== null && candidate.files !== this.#current.files;
    const problems = isMistake ? [missingProblem(settings.files!.path, folder!, missing)] : [];
    const provided = this.#giveAway(candidate, problems);
    // Should this configuration be refused, the one in use has yet to get them.
    if (isOther && candidate.files !== null) this.#changed(candidate.files.provider);
    return provided;
  };

  /** What the providers of the configuration in use have now. */
  get provided(): Provided {
    const refused = this.#candidate;
    this.#candidate = null;
    if (refused !== null) this.#dismiss(refused);
    return this.#giveAway(this.#current, []);
  }

  /**
   * Puts the providers of the last `read` into use: a configuration with these fragments is what runs now. Logs what
   * was wrong with the others, each once.
   */
  accept({ fragments, rejected }: { fragments: readonly Fragment[]; rejected: readonly Diagnostic[] }): void {
    const { log } = this.#options;
    this.#accepted = new Map(fragments.map((one) => [one.source, withoutBefore(one)]));
    const reported = new Set<string>();
    for (const { severity, message, hint, file, line, column } of rejected) {
      const text = JSON.stringify([file, line, column, message]);
      reported.add(text);
      const place = line > 0 ? { file, line, column } : { source: file };
      const fields = { problem: message, hint, ...place };
      if (!this.#reported.has(text))
        log[severity === "error" ? "error" : "warn"]("a part of the configuration is wrong", fields);
    }
    if (reported.size === 0 && this.#reported.size > 0) log.info("all parts of the configuration are fine again");
    this.#reported = reported;
    const previous = this.#current;
    this.#current = this.#candidate ?? previous;
    this.#candidate = null;
    this.#dismiss(previous);
    if (this.#onChange === null) return;
    if (this.#current.files !== previous.files) this.#current.files?.provider.follow();
    this.#tell();
  }

  /**
   * Calls `onChange` when the providers in use have something new: at once if they have by now, and not again before it
   * was taken (`provided`, `read`).
   */
  follow(onChange: () => void): void {
    this.#onChange = onChange;
    this.#current.files?.provider.follow();
    this.#tell();
  }

  stop(): void {
    const teams = [this.#current, this.#candidate ?? NOBODY];
    this.#onChange = null;
    this.#current = NOBODY;
    this.#candidate = null;
    for (const team of teams) this.#dismiss(team);
  }

  #filesFor(folder: string | null): Team["files"] {
    if (folder === null) return null;
    if (this.#current.files?.key === folder) return this.#current.files;
    const { log, filePollMs } = this.#options;
    const poll = filePollMs === undefined ? {} : { pollMs: filePollMs };
    const provider = new FileProvider(folder, { log, changed: () => this.#changed(provider), ...poll });
    return { key: folder, provider };
  }

  #dockerFor({ docker }: Settings): Team["docker"] {
    if (docker === undefined) return null;
    const key = JSON.stringify(docker);
    if (this.#current.docker?.key === key) return this.#current.docker;
    const { log, random, dockerTimes } = this.#options;
    const provider = new DockerProvider({
      socket: docker.socket,
      network: docker.network ?? null,
      log,
      random,
      changed: () => this.#changed(provider),
      ...(dockerTimes === undefined ? {} : { times: dockerTimes }),
    });
    return { key, provider };
  }

  /** Stops those of a team that is not needed any more. */
  #dismiss({ files, docker }: Team): void {
    const { files: ours, docker: our } = this.#current;
    if (files !== ours && files !== this.#candidate?.files) files?.provider.stop();
    if (docker !== our && docker !== this.#candidate?.docker) docker?.provider.stop();
  }

  #changed(provider: FileProvider | DockerProvider): void {
    this.#isStale = true;
    const { files, docker } = this.#current;
    if (provider === files?.provider || provider === docker?.provider) this.#tell();
  }

  #tell(): void {
    if (this.#onChange === null || !this.#isStale || this.#isTold) return;
    this.#isTold = true;
    this.#onChange();
  }

  #giveAway({ files, docker }: Team, problems: Provided["problems"]): Provided {
    this.#isStale = false;
    this.#isTold = false;
    const states = files?.provider.states ?? [];
    const fragments = [
      ...states.flatMap(({ fragment, source }) => fragment ?? this.#accepted.get(source) ?? []),
      ...(docker?.provider.fragments ?? []),
    ];
    return {
      fragments: fragments.map((one) => {
        const before = this.#accepted.get(one.source);
        return before === undefined ? one : { ...one, before };
      }),
      problems,
      rejected: [...states.flatMap(({ diagnostics }) => diagnostics), ...(docker?.provider.diagnostics ?? [])],
    };
  }
}

function withoutBefore({ before: _, ...fragment }: Fragment): Fragment {
  return fragment;
}
