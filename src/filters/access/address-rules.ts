// Which addresses may: of all the networks that hold one, the most specific decides, whichever list it stands in.
import { within } from "../../config/compile-error.ts";
import { type Cidr, parseCidr } from "../../core/ip.ts";
import { IpMap } from "../../core/ip-map.ts";
import type { AddressList, Shared } from "../../pipeline/shared.ts";

/** The keys of the configuration that name addresses. */
export interface AddressConfig {
  readonly allow?: readonly string[] | undefined;
  readonly deny?: readonly string[] | undefined;
  readonly allowFiles?: readonly string[] | undefined;
  readonly denyFiles?: readonly string[] | undefined;
}

export class AddressRules {
  readonly #allow: readonly AddressList[];
  readonly #deny: readonly AddressList[];
  /** Only who is in a list of those who may is let in. */
  readonly #listed: boolean;

  /** Throws CompileError for what is neither an address nor a network. */
  constructor({ allow, deny, allowFiles, denyFiles }: AddressConfig, shared: Shared) {
    this.#allow = [...inline(allow, "allow"), ...(allowFiles ?? []).map((path) => shared.addresses(path))];
    this.#deny = [...inline(deny, "deny"), ...(denyFiles ?? []).map((path) => shared.addresses(path))];
    this.#listed = allow !== undefined || allowFiles !== undefined;
  }

  /** A text that is no address (the peer of a unix socket) is in no list. */
  allows(ip: string): boolean {
    const allowed = mostSpecific(this.#allow, ip);
    const denied = mostSpecific(this.#deny, ip);
    return allowed === 0 && denied === 0 ? !this.#listed : allowed > denied;
  }
}

/** One more than the longest prefix under which a list has the address; 0 for none. */
function mostSpecific(lists: readonly AddressList[], ip: string): number {
  let best = 0;
  for (let i = 0; i < lists.length; i += 1) {
    const found = lists[i]!.find(ip);
    if (found > best) best = found;
  }
  return best;
}

function inline(texts: readonly string[] | undefined, key: string): AddressList[] {
  if (texts === undefined || texts.length === 0) return [];
  const networks = within(key, () =>
    texts.map(
      (text, at): Cidr =>
        within(at, () => {
          const network = parseCidr(text);
          if (network === null) throw new RangeError(`"${text}" is not an address or network`);
          return network;
        }),
    ),
  );
  return [IpMap.of(networks)];
}
