// The parameters of a query as servers read them: between `&`, `+` a space, `%XX` a byte. Nothing else parts them: what
// takes `;` for a separator as well would see other parameters than the server does.
import { decodePercent } from "../../http/path.ts";

export interface QueryPiece {
  /** As it stands in the query. */
  readonly written: string;
  /** Decoded, one byte for each character. */
  readonly name: string;
  readonly value: string;
}

/** The parameters in their order; empty ones between two `&` are left out. */
export function queryPieces(query: string): QueryPiece[] {
  const pieces: QueryPiece[] = [];
  for (const written of query.split("&")) {
    if (written === "") continue;
    const equals = written.indexOf("=");
    const name = decoded(equals < 0 ? written : written.slice(0, equals));
    pieces.push({ written, name, value: equals < 0 ? "" : decoded(written.slice(equals + 1)) });
  }
  return pieces;
}

const decoded = (text: string): string => decodePercent(text.replaceAll("+", " "));
