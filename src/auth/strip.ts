// Takes credentials out of a request once they are read: servers need not see them, and logs should not show them.
import { receivedCookies } from "../http/cookies.ts";
import type { HeaderBlock } from "../http/header-block.ts";
import { decodeQuery } from "../http/query.ts";
import type { Exchange } from "../pipeline/exchange.ts";

/** Takes away the cookies whose name is one of ours. */
export function removeCookies(headers: HeaderBlock, isOurs: (name: string) => boolean): void {
  const field = receivedCookies(headers);
  if (field === null) return;
  const rest = withoutCookies(field, isOurs);
  headers.remove("cookie");
  if (rest !== "") headers.add("cookie", rest);
}

/** A Cookie field without the cookies whose name is one of ours; "" where nothing is left. */
export function withoutCookies(field: string, isOurs: (name: string) => boolean): string {
  const rest = field.split(";").filter((pair) => !isOurs(nameOf(pair)));
  // A pair behind a comma counts as a cookie to some (http/cookies.ts): such a field is not worth taking apart.
  if (rest.some((pair) => pair.split(",").some((part) => isOurs(nameOf(part))))) return "";
  return rest.join(";").trim();
}

const nameOf = (pair: string): string => {
  const equals = pair.indexOf("=");
  return (equals < 0 ? pair : pair.slice(0, equals)).trim();
};

/** Takes a parameter out of the target, wherever it stands. */
export function removeQueryParameter(x: Exchange, name: string): void {
  const { request } = x;
  const { rawPath } = request;
  const rest = request.query.split("&").filter((part) => {
    const equals = part.indexOf("=");
    return decodeQuery(equals < 0 ? part : part.slice(0, equals)) !== name;
  });
  request.target = rest.length === 0 ? rawPath : `${rawPath}?${rest.join("&")}`;
  request.queryAt = rest.length === 0 ? -1 : rawPath.length;
}
