// Templates: text with placeholders, compiled once, filled in from an exchange. Values come from clients, so each is
// made harmless for the place it goes to; a template can never write a line end into a field or a host into a path.
import { clientCertPart } from "../core/client-certificate.ts";
import { isPlaceholder, type TemplatePiece, templatePieces } from "../core/placeholders.ts";
import { cookieValues } from "../http/cookies.ts";
import { encodeComponent, encodeUri } from "../http/path.ts";
import { queryValues } from "../http/query.ts";
import type { Exchange } from "./exchange.ts";
import { claimText } from "./identity.ts";

/**
 * Where the text goes: a field value, a URI reference (location, path), one value of a query, or a body that is plain,
 * HTML or JSON (there inside a string).
 */
export type TemplatePlace = "field" | "uri" | "query" | "text" | "html" | "json";

export interface Template {
  /** The text when nothing in it depends on the request, else null. */
  readonly constant: string | null;
  /** The text for this exchange, one byte for each character (as field values are), UTF-8 where it is not ASCII. */
  render(x: Exchange): string;
}

/** The value of a placeholder as bytes, and whether it is URI syntax already (kept) or data (encoded in URIs). */
interface Source {
  readonly isUri: boolean;
  get(x: Exchange, argument: string): string;
}

const SOURCES: Readonly<Record<string, Source>> = {
  host: { isUri: true, get: (x) => x.request.host },
  query: { isUri: true, get: (x) => x.request.query },
  // What does not begin with a slash (`*`, an authority) would change the host when it stands behind one.
  path: { isUri: true, get: (x) => rooted(x.request.path) },
  uri: { isUri: true, get: (x) => rooted(x.request.target) },
  scheme: { isUri: true, get: (x) => x.scheme },
  ip: { isUri: true, get: (x) => x.ip },
  method: { isUri: false, get: (x) => x.request.method },
  requestId: { isUri: false, get: (x) => x.requestId },
  route: { isUri: false, get: (x) => toBytes(x.route?.name ?? "") },
  upstream: { isUri: false, get: (x) => toBytes(x.upstream) },
  server: { isUri: false, get: (x) => toBytes(x.server?.name ?? "") },
  // Nobody is signed in on a route without `auth`.
  user: { isUri: false, get: (x) => toBytes(x.identity?.user ?? "") },
  consumer: { isUri: false, get: (x) => x.identity?.consumer ?? "" }, // names of consumers are ASCII
};

const rooted = (target: string | null): string => (target?.startsWith("/") ? target : "/");

const FAMILIES: Readonly<Record<string, Source>> = {
  claim: { isUri: false, get: (x, name) => toBytes(claimText(x.identity, name)) },
  header: { isUri: false, get: (x, name) => x.request.header(name) ?? "" },
  cookie: { isUri: false, get: (x, name) => cookieValues(x.request.header("cookie"), name)[0] ?? "" },
  clientCert: { isUri: false, get: (x, part) => certificatePart(x, part) },
  query: { isUri: false, get: (x, name) => toBytes(queryValues(x.request.query, name)[0] ?? "") },
};

function certificatePart(x: Exchange, part: string): string {
  const certificate = x.client.certificate;
  return certificate === null ? "" : toBytes(clientCertPart(certificate, part));
}

/**
 * Placeholders that one place has of its own, before all others: for the name and the argument of one, where its text
 * comes from; null where it is none of them. Throws RangeError for one that cannot be.
 */
export type OwnSources = (name: string, argument: string) => (() => string) | null;

const PARAM: Source = { isUri: false, get: (x, name) => toBytes(x.params?.[name] ?? "") };

/**
 * Compiles a template for one place. `params` are the names of the route's path parameters. Throws RangeError for an
 * unknown placeholder and for control characters in a field or URI.
 */
export function compileTemplate(
  template: string,
  params: readonly string[],
  place: TemplatePlace,
  own: OwnSources | null = null,
): Template {
  let before = "";
  const pieces = templatePieces(template).map((piece) => {
    const compiled = compilePiece(piece, params, place === "uri" ? uriPlace(piece, before) : place, own);
    before += typeof compiled === "string" ? compiled : "x";
    return compiled;
  });
  if (pieces.every((piece) => typeof piece === "string")) {
    const constant = pieces.join("");
    return Object.freeze({ constant, render: () => constant });
  }
  return Object.freeze({
    constant: null,
    render(x: Exchange): string {
      let out = "";
      for (const piece of pieces) out += typeof piece === "string" ? piece : piece(x);
      return out;
    },
  });
}

/**
 * Behind a `?` of the template itself a placeholder is one value, whose `&` must not begin the next parameter
 * (`/login?next={uri}`); unless it is the query, standing where parameters begin (`/new?{query}`).
 */
function uriPlace(piece: TemplatePiece, before: string): TemplatePlace {
  if (piece.kind === "text" || !before.includes("?")) return "uri";
  return piece.name === "query" && piece.argument === "" && /[?&]$/.test(before) ? "uri" : "query";
}

type Piece = string | ((x: Exchange) => string);

function compilePiece(
  piece: TemplatePiece,
  params: readonly string[],
  place: TemplatePlace,
  own: OwnSources | null,
): Piece {
  if (piece.kind === "text") return literal(piece.text, place);
  const { name, argument } = piece;
  const make = MAKERS[place];
  const ownText = own === null ? null : own(name, argument);
  if (ownText !== null) return () => make(withoutControls(toBytes(ownText())), false);
  const written = argument === "" ? name : `${name}.${argument}`;
  if (!isPlaceholder(name, argument, params)) {
    throw new RangeError(`unknown placeholder {${written}}; for the text itself write {{${written}}}`);
  }
  const source = argument !== "" ? FAMILIES[name] : params.includes(name) ? PARAM : SOURCES[name];
  if (source === undefined) throw new Error(`placeholder without a source: ${written}`);
  const key = argument === "" ? name : argument;
  return (x) => make(withoutControls(source.get(x, key)), source.isUri);
}

/** What a value becomes in each place. */
const MAKERS: Readonly<Record<TemplatePlace, (value: string, isUri: boolean) => string>> = {
  field: (value) => value,
  uri: (value, isUri) => (isUri ? encodeUri(value) : encodeComponent(value)),
  query: encodeComponent,
  text: (value) => value,
  html: (value) => value.replace(/[&<>"']/g, (char) => `&#${char.charCodeAt(0)};`),
  json: (value) => JSON.stringify(value).slice(1, -1),
};

function literal(text: string, place: TemplatePlace): string {
  const bytes = toBytes(text);
  if (place === "query") return encodeComponent(bytes);
  if (place !== "field" && place !== "uri") return bytes;
  if (withoutControls(bytes) !== bytes) throw new RangeError("control characters cannot stand here");
  return place === "field" ? bytes : bytes.split("#").map(encodeUri).join("#");
}

/** UTF-8, one character for each byte; ASCII stays as it is. */
function toBytes(text: string): string {
  for (let at = 0; at < text.length; at += 1) if (text.charCodeAt(at) > 0x7f) return Buffer.from(text).latin1Slice();
  return text;
}

function withoutControls(value: string): string {
  for (let at = 0; at < value.length; at += 1) {
    const code = value.charCodeAt(at);
    if (code < 0x20 || code === 0x7f) return value.replace(/[\x00-\x1f\x7f]/g, "");
  }
  return value;
}
