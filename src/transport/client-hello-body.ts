// The fields of a whole ClientHello (RFC 8446 §4.1.2, RFC 5246 §7.4.1.2). What could be read in two ways is refused:
// lengths that do not add up, an extension that stands there twice, a name that is none.
import { isHostName } from "../core/host-name.ts";
import { ALERT, type Alert } from "./tls-alert.ts";

export interface ClientHello {
  readonly kind: "hello";
  /** The name that the client wants to reach (RFC 6066 §3): a host name in lower case; null without one. */
  readonly serverName: string | null;
  /** The protocols that it offers, by its preference (RFC 7301), as Latin-1 text; none without the extension. */
  readonly alpn: readonly string[];
  /** The versions that it offers, such as 0x0304 for TLS 1.3, by its preference; before TLS 1.3 only the highest. */
  readonly versions: readonly number[];
  /** It carries an encrypted hello, or pretends to: `serverName` is then the public name (browsers always pretend). */
  readonly echPresent: boolean;
}

/** TLS, but against its rules; `alert` is what to answer. */
export interface InvalidHello {
  readonly kind: "invalid";
  readonly reason: string;
  readonly alert: Alert;
}

const TLS_1_2 = 0x0303;
const MAJOR = 3;
const RANDOM_BYTES = 32;
const SESSION_ID_BYTES_MAX = 32;
const NULL_COMPRESSION = 0;
const EXTENSION = { serverName: 0, alpn: 16, preSharedKey: 41, supportedVersions: 43, encryptedHello: 0xfe0d } as const;
const HOST_NAME = 0;

/** Thrown and caught within this file: each field may end the reading. */
class Refusal extends Error {
  readonly alert: Alert;
  constructor(alert: Alert, reason: string) {
    super(reason);
    this.alert = alert;
  }
}

/** Reads the message without its four bytes of header; it is whole. */
export function readHelloBody(body: Buffer): ClientHello | InvalidHello {
  try {
    return helloOf(new Fields(body));
  } catch (error) {
    if (error instanceof Refusal) return { kind: "invalid", reason: error.message, alert: error.alert };
    throw error;
  }
}

/** Numbers and vectors (RFC 8446 §3.4) one after the other. */
class Fields {
  readonly #bytes: Buffer;
  #at = 0;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  get empty(): boolean {
    return this.#at === this.#bytes.length;
  }
  u8(): number {
    return this.take(1)[0]!;
  }
  u16(): number {
    return this.take(2).readUInt16BE(0);
  }
  take(length: number): Buffer {
    const end = this.#at + length;
    if (end > this.#bytes.length) throw new Refusal(ALERT.decodeError, "a length beyond its field");
    const taken = this.#bytes.subarray(this.#at, end) as Buffer;
    this.#at = end;
    return taken;
  }
  vector8(): Buffer {
    return this.take(this.u8());
  }
  vector16(): Buffer {
    return this.take(this.u16());
  }
  /** Nothing may follow. */
  end(what: string): void {
    if (!this.empty) throw new Refusal(ALERT.decodeError, `bytes behind ${what}`);
  }
}

function helloOf(fields: Fields): ClientHello {
  const version = fields.u16();
  if (version >> 8 !== MAJOR) throw new Refusal(ALERT.protocolVersion, `version 0x${version.toString(16)}`);
  fields.take(RANDOM_BYTES);
  if (fields.vector8().length > SESSION_ID_BYTES_MAX)
    throw new Refusal(ALERT.decodeError, "the session id is too long");
  const suites = fields.vector16();
  if (suites.length === 0 || suites.length % 2 !== 0) throw new Refusal(ALERT.decodeError, "no list of cipher suites");
  const compressions = fields.vector8();
  if (compressions.length === 0) throw new Refusal(ALERT.decodeError, "no list of compressions");
  if (!compressions.includes(NULL_COMPRESSION))
    throw new Refusal(ALERT.illegalParameter, "every compression but none at all"); // RFC 5246 §7.4.1.2
  const hello = {
    kind: "hello" as const,
    serverName: null as string | null,
    alpn: [] as string[],
    // A client of TLS 1.3 says so in the extension alone (RFC 8446 §4.2.1).
    versions: [Math.min(version, TLS_1_2)],
    echPresent: false,
  };
  if (fields.empty) return hello; // extensions came with TLS 1.2, and even there may be missing
  const extensions = new Fields(fields.vector16());
  fields.end("the extensions");
  const seen = new Set<number>();
  while (!extensions.empty) {
    const type = extensions.u16();
    if (seen.has(type)) throw new Refusal(ALERT.illegalParameter, `the extension ${type} twice`); // RFC 8446 §4.2
    // RFC 8446 §4.2.11
    if (seen.has(EXTENSION.preSharedKey)) throw new Refusal(ALERT.illegalParameter, "pre_shared_key is not the last");
    seen.add(type);
    const data = extensions.vector16();
    if (type === EXTENSION.serverName) hello.serverName = serverNameOf(new Fields(data));
    else if (type === EXTENSION.alpn) hello.alpn = protocolsOf(new Fields(data));
    else if (type === EXTENSION.supportedVersions) hello.versions = versionsOf(new Fields(data));
    else if (type === EXTENSION.encryptedHello) hello.echPresent = true;
  }
  return hello;
}

/** RFC 6066 §3. Only host names exist, and there may be one of a kind. */
function serverNameOf(data: Fields): string {
  const list = new Fields(data.vector16());
  data.end("the server name");
  const type = list.u8();
  if (type !== HOST_NAME) throw new Refusal(ALERT.decodeError, `a server name of the unknown kind ${type}`);
  const name = list.vector16().latin1Slice().toLowerCase();
  list.end("the server name");
  if (!isHostName(name)) throw new Refusal(ALERT.illegalParameter, "the server name is not a host name");
  return name;
}

/** RFC 7301 §3.1. */
function protocolsOf(data: Fields): string[] {
  const list = new Fields(data.vector16());
  data.end("the protocols");
  if (list.empty) throw new Refusal(ALERT.decodeError, "an empty list of protocols");
  const protocols: string[] = [];
  while (!list.empty) {
    const protocol = list.vector8();
    if (protocol.length === 0) throw new Refusal(ALERT.decodeError, "a protocol without a name");
    const isFiller = protocol.length === 2 && isGrease(protocol.readUInt16BE(0));
    if (!isFiller) protocols.push(protocol.latin1Slice());
  }
  return protocols;
}

/** RFC 8446 §4.2.1. */
function versionsOf(data: Fields): number[] {
  const list = data.vector8();
  data.end("the versions");
  if (list.length === 0 || list.length % 2 !== 0) throw new Refusal(ALERT.decodeError, "no list of versions");
  const versions: number[] = [];
  for (let at = 0; at < list.length; at += 2) {
    const version = list.readUInt16BE(at);
    if (!isGrease(version)) versions.push(version);
  }
  return versions;
}

/** Values that stand for nothing, so that servers learn to ignore what they do not know (RFC 8701 §2): 0x?a?a. */
const isGrease = (value: number): boolean => (value & 0x0f0f) === 0x0a0a && value >> 8 === (value & 0xff);
