// What a route says of content codings, ready for use: by the filter that encodes answers as they pass, and by the
// cache, which keeps them encoded.
import type { Coding } from "../../http/content-codings.ts";
import type { HeaderBlock } from "../../http/header-block.ts";
import { ID } from "../../http/header-names.ts";
import type { Levels } from "./coders.ts";
import { MediaTypes } from "./eligible.ts";
import { type Acceptance, Negotiator } from "./negotiate.ts";

export interface CodingSettings {
  /** What is offered; among codings that a client likes equally the first is used. */
  readonly algorithms: readonly Coding[];
  /** Media types that are encoded. */
  readonly types: readonly string[];
  /** Shorter content is left as it is. */
  readonly minSize: number;
  readonly levels: Levels;
  /** For what is encoded once and given out often. */
  readonly storedLevels: Levels;
  /** Codings are undone for clients that do not take them. */
  readonly decompress: boolean;
}

export class CodingPolicy {
  readonly minSize: number;
  readonly levels: Levels;
  readonly storedLevels: Levels;
  readonly decompress: boolean;
  readonly #negotiator: Negotiator;
  readonly #types: MediaTypes;

  constructor({ algorithms, types, minSize, levels, storedLevels, decompress }: CodingSettings) {
    this.#negotiator = new Negotiator(algorithms);
    this.#types = new MediaTypes(types);
    this.minSize = minSize;
    this.levels = levels;
    this.storedLevels = storedLevels;
    this.decompress = decompress;
  }

  /** The choice for this value of Accept-Encoding; null for a request without it. */
  choose(field: string | null): Acceptance {
    return this.#negotiator.choose(field);
  }

  /** Whether the content is of a type that is encoded. */
  hasType(answer: HeaderBlock): boolean {
    const type = answer.getById(ID["content-type"]);
    return type !== null && this.#types.has(type);
  }
}
