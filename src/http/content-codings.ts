// The content codings that Sluice makes and undoes, by their names in Content-Encoding (RFC 9110 §8.4.1, RFC 7932,
// RFC 8878).

export type Coding = "gzip" | "br" | "zstd";

/** Those that cost least for what they save first. */
export const CODINGS: readonly Coding[] = ["zstd", "br", "gzip"];
