// A case of cache conformance: what a client asks through the proxy, step by step, what the server answers, and what
// has to come of it.

/**
 * `required` by the RFC; `optional`: allowed, and what a good cache does; `ours`: left open, or forbidden by nobody, and
 * how this cache does it, with the reason in the name.
 */
export type Kind = "required" | "optional" | "ours";

/**
 * Where an answer has to come from: the cache; the server; the server, asked with If-None-Match or If-Modified-Since; or
 * the cache while the server is asked behind it.
 */
export type Source = "cached" | "asked" | "etag" | "lm";

/** Lines of fields: `Name: value | Name: value`; `{-10}` stands for the date of ten seconds before the case began. */
export type Fields = string;

export interface Step {
  readonly method?: string;
  readonly fields?: Fields;
  readonly body?: string;
  /** Behind the address of the case. */
  readonly target?: string;
  /** What the server answers to this step; to one that validates with 304. */
  readonly answer?: Fields;
  readonly status?: number;
  /** In place of the name of the case. */
  readonly content?: string;
  /** Heads of interim answers before it. */
  readonly interim?: readonly string[];
  /** The server closes the connection instead. */
  readonly closes?: true;
  /** Seconds that it takes. */
  readonly takes?: number;
  readonly from?: Source;
  /** The status that the client gets. */
  readonly gets?: number;
  readonly has?: Fields;
  /** Names of fields. */
  readonly lacks?: readonly string[];
  readonly text?: string;
  /** The age, at least. */
  readonly aged?: number;
  /** The interim answers that the client gets. */
  readonly told?: readonly number[];
  /** Fields that the request to the server has, and has not. */
  readonly sent?: Fields;
  readonly unsent?: readonly string[];
  /** Waits until `max-age=1` is over. */
  readonly pause?: true;
}

export interface Case {
  readonly kind: Kind;
  readonly name: string;
  readonly steps: readonly Step[];
  /** The cache of its route: as it comes, or with `heuristic`, `setCookie: store` or a `ttl`. */
  readonly route?: "plain" | "heuristic" | "cookies" | "ttl";
}

export interface Group {
  /** As the public suites name it. */
  readonly name: string;
  /** Where it stands. */
  readonly section: string;
  readonly cases: readonly Case[];
}

interface More {
  readonly first?: Step;
  readonly second?: Step;
  readonly route?: Case["route"];
}

/** The most usual case: an answer, and a second request, which is answered as `from` says. */
function twice(kind: Kind, answer: Fields, from: Source, { first, second, route }: More = {}): Case {
  const what = [first?.status ?? "", first?.method ?? "", first?.fields ?? "", answer || "nothing said"];
  const then = [first?.pause ? "a while later" : "", second?.fields ?? "", second?.method ?? ""];
  const words = [...what, "→", ...then, from].filter((word) => word !== "");
  return {
    kind,
    name: words.join(" "),
    steps: [
      { answer, ...first },
      { from, ...second },
    ],
    ...(route === undefined ? {} : { route }),
  };
}

export const required = (answer: Fields, from: Source, more?: More): Case => twice("required", answer, from, more);
export const optional = (answer: Fields, from: Source, more?: More): Case => twice("optional", answer, from, more);
export const ours = (answer: Fields, from: Source, more?: More): Case => twice("ours", answer, from, more);

/** For answers that are to become stale. */
export const LATER: More = { first: { pause: true } };
