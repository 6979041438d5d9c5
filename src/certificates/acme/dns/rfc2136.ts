// Records by dynamic updates (RFC 2136), which BIND, Knot, PowerDNS, Windows and others understand.
import type { Rfc2136Settings } from "../settings.ts";
import { askByConnection } from "./exchange.ts";
import { CLASS, encodeQuery, encodeRecord, encodeText, encodeUpdate, TYPE } from "./message.ts";
import type { DnsProvider, TextRecord } from "./provider.ts";
import { answerFlaw, signMessage } from "./tsig.ts";

/** Nobody keeps the record longer than the order takes. */
const TTL_SECONDS = 30;
const NOTAUTH = 9;
/** RFC 1035 §4.1.1, RFC 2136 §2.2 */
const RCODES: ReadonlyMap<number, string> = new Map([
  [1, "FORMERR: it does not understand the update"],
  [2, "SERVFAIL: it failed"],
  [4, "NOTIMP: it has no dynamic updates"],
  [5, "REFUSED: it does not allow this update"],
  [NOTAUTH, "NOTAUTH: it is not the primary server of the zone, or does not accept the key"],
  [10, "NOTZONE: the name is not in the zone"],
]);

export class Rfc2136Provider implements DnsProvider {
  readonly #settings: Rfc2136Settings;
  readonly #now: () => number;

  /** `now` is the wall clock in ms since 1970: signatures hold the time. */
  constructor(settings: Rfc2136Settings, now: () => number) {
    this.#settings = settings;
    this.#now = now;
  }

  present({ name, value }: TextRecord, signal: AbortSignal): Promise<void> {
    return this.#update(name, encodeRecord(name, TYPE.TXT, CLASS.IN, TTL_SECONDS, encodeText(value)), signal);
  }

  /** RFC 2136 §2.5.4: the class NONE deletes one record and leaves the others of its name. */
  cleanUp({ name, value }: TextRecord, signal: AbortSignal): Promise<void> {
    return this.#update(name, encodeRecord(name, TYPE.TXT, CLASS.NONE, 0, encodeText(value)), signal);
  }

  async #update(name: string, change: Buffer, signal: AbortSignal): Promise<void> {
    const { server, key } = this.#settings;
    const zone = this.#settings.zone ?? (await this.#findZone(name, signal));
    const update = encodeUpdate(zone, [change]);
    const signed = key === undefined ? null : signMessage(update, key, this.#now());
    const answer = await askByConnection(server, signed?.bytes ?? update, signal);
    // A server that does not accept the signature says why in its own, so that is looked at first.
    const flaw = key === undefined ? null : answerFlaw(answer, key, signed!.mac, this.#now());
    if (answer.rcode !== 0 && (flaw === null || answer.rcode !== NOTAUTH)) {
      const why = RCODES.get(answer.rcode) ?? `code ${answer.rcode}`;
      throw new Error(`the name server ${server} did not update ${zone}: ${why}`);
    }
    if (flaw !== null) throw new Error(`the name server ${server} did not update ${zone}: ${flaw}`);
  }

  /** The zone is the nearest name above that has a SOA record at this server. */
  async #findZone(name: string, signal: AbortSignal): Promise<string> {
    const labels = name.split(".");
    for (let skip = 0; skip < labels.length; skip += 1) {
      const zone = labels.slice(skip).join(".");
      const answer = await askByConnection(this.#settings.server, encodeQuery(zone, TYPE.SOA, false), signal);
      if (answer.answers.some((record) => record.type === TYPE.SOA && record.name === zone)) return zone;
    }
    throw new Error(`the name server ${this.#settings.server} has no zone for ${name}`);
  }
}
