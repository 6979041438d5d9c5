// Makes of an event as it was told one that may be written down and passed on.
import { uuidV7 } from "../core/request-id.ts";
import type { Consent } from "../engines/tagging/consent/consent.ts";
import { missing } from "../engines/tagging/consent/consent.ts";
import type { Params, ParamValue, TagEvent } from "../engines/tagging/event.ts";
import { type AddressDetail, reducedAddress } from "../engines/tagging/privacy/address.ts";
import { type AddressRules, CLICK_IDS, cleanAddress, originOf } from "../engines/tagging/privacy/page-address.ts";
import { pseudonym } from "../engines/tagging/privacy/pseudonym.ts";
import type { Scrubber } from "../engines/tagging/privacy/scrub.ts";
import { readUserAgent, reducedUserAgent } from "../engines/tagging/privacy/user-agent.ts";
import type { RawEvent } from "./raw-event.ts";

export interface RefineRules {
  readonly ip: AddressDetail;
  readonly userAgent: "full" | "reduced" | "none";
  readonly referrer: "full" | "origin" | "none";
  readonly clickIds: "keep" | "consent" | "drop";
  readonly campaigns: boolean;
  /** Names of query parameters whose values are taken out, in small letters. */
  readonly parameters: ReadonlySet<string>;
  readonly replacement: string;
}

/** Under which salt ids become pseudonyms now; null where they stay as they are. */
export type SaltNow = () => Uint8Array | null;

const CAMPAIGNS = ["utm_source", "utm_medium", "utm_campaign", "utm_term", "utm_content", "utm_id"];
const NO_NAMES: ReadonlySet<string> = new Set();

export class Refinery {
  readonly #rules: RefineRules;
  readonly #scrubber: Scrubber;
  readonly #salt: SaltNow;
  readonly #addresses: AddressRules;
  readonly #addressesWithClicks: AddressRules;

  constructor(rules: RefineRules, scrubber: Scrubber, salt: SaltNow) {
    this.#rules = rules;
    this.#scrubber = scrubber;
    this.#salt = salt;
    const { parameters: redact, replacement, campaigns } = rules;
    const remove = campaigns ? [] : CAMPAIGNS;
    this.#addresses = { redact, remove: new Set([...remove, ...CLICK_IDS]), replacement };
    this.#addressesWithClicks = { redact, remove: campaigns ? NO_NAMES : new Set(remove), replacement };
  }

  of(raw: RawEvent): TagEvent {
    const { consent } = raw;
    const isMeasured = missing(consent, ["analytics"]) === null;
    const text = (value: string): string => this.#scrubber.text(value);
    return {
      id: text(raw.id) === raw.id ? raw.id : uuidV7(),
      name: text(raw.name),
      time: raw.time,
      // Without consent nothing may tell one visitor from another.
      clientId: isMeasured ? this.#name(raw.clientId) : "",
      sessionId: isMeasured ? this.#name(raw.sessionId) : "",
      userId: isMeasured ? this.#name(raw.userId) : "",
      url: this.#address(raw.url, consent),
      title: text(raw.title),
      referrer: this.#referrer(raw, consent),
      language: text(raw.language),
      screen: text(raw.screen),
      params: this.#params(raw),
      user: isMeasured ? this.#addressed(this.#scrubber.params(raw.user), consent) : NO_PARAMS,
      items: raw.items.map((item) => this.#scrubber.params(item)),
      ip: isMeasured ? reducedAddress(raw.ip, this.#rules.ip) : "",
      userAgent: this.#agent(raw.userAgent),
      place: raw.place,
      consent,
      tag: text(raw.tag),
    };
  }

  /** An id; a pseudonym of it where ids are not to last. An address of mail is none, whoever uses it as one. */
  #name(id: string): string {
    const salt = this.#salt();
    return salt === null ? this.#scrubber.text(id) : pseudonym(id, salt);
  }

  #address(address: string, consent: Consent): string {
    const { clickIds } = this.#rules;
    const keeps = clickIds === "keep" || (clickIds === "consent" && consent.ads === "granted");
    return this.#scrubber.text(cleanAddress(address, keeps ? this.#addressesWithClicks : this.#addresses));
  }

  #referrer(raw: RawEvent, consent: Consent): string {
    const { referrer } = this.#rules;
    if (referrer === "none" || raw.referrer === "") return "";
    // Pages of the site itself are known anyway.
    const isOwn = originOf(raw.referrer) === originOf(raw.url);
    return referrer === "full" || isOwn ? this.#address(raw.referrer, consent) : originOf(raw.referrer);
  }

  #params(raw: RawEvent): Params {
    const params = this.#addressed(this.#scrubber.params(raw.params), raw.consent);
    const { device } = readUserAgent(raw.userAgent);
    return { ...params, device_class: device, ...(raw.isBot ? { bot: true } : {}) };
  }

  /** Values that are addresses (`link_url`) are cleaned as such. */
  #addressed(params: Params, consent: Consent): Params {
    const clean: Record<string, ParamValue> = Object.create(null) as Record<string, ParamValue>;
    for (const [name, value] of Object.entries(params))
      clean[name] = typeof value === "string" && IS_ADDRESS.test(value) ? this.#address(value, consent) : value;
    return clean;
  }

  #agent(agent: string): string {
    const { userAgent } = this.#rules;
    if (userAgent === "none") return "";
    return userAgent === "reduced" ? reducedUserAgent(agent) : this.#scrubber.text(agent);
  }
}

const NO_PARAMS: Params = Object.freeze({});
const IS_ADDRESS = /^(?:https?:)?\/\/|^\/[^\s]*\?/i;
