// Certificates of clients: the listener has verified them (`tls.clientAuth`), and here it is said which ones may.
import { within } from "../../config/compile-error.ts";
import type { MtlsConfig } from "../../config/schema-auth.ts";
import type { ClientCertificate } from "../../core/client-certificate.ts";
import type { Exchange } from "../../pipeline/exchange.ts";
import type { Identity } from "../../pipeline/identity.ts";
import type { Authenticator, Verdict } from "../authenticator.ts";
import type { Consumers } from "../consumers/consumers.ts";
import type { AuthContext } from "../context.ts";
import { attributesOf } from "./names.ts";

/** Throws CompileError for names that are none. */
export function compileMtls(config: MtlsConfig, { consumers }: AuthContext): Authenticator {
  const { subjects, issuers, sans, fingerprints } = config;
  const namesAny = [subjects, issuers, sans, fingerprints].some((names) => names !== undefined);
  if (!namesAny && !config.consumers)
    throw new RangeError("it names nobody: give it `subjects`, `sans`, `issuers`, `fingerprints` or `consumers`");
  const own = namesAny ? new Names(config, namesOf("subjects", subjects), namesOf("issuers", issuers)) : null;
  return new Certificates(config.user, own, config.consumers ? consumers : null);
}

/** Names by their attributes, in any order. */
type NameList = readonly ReadonlySet<string>[];

function namesOf(key: string, names: readonly string[] | undefined): NameList | null {
  if (names === undefined) return null;
  return within(key, () =>
    names.map((name, at) =>
      within(at, () => {
        const attributes = attributesOf(name);
        if (attributes === null) throw new RangeError(`"${name}" is not a name: write it like CN=robot,O=Example`);
        return attributes;
      }),
    ),
  );
}

class Certificates implements Authenticator {
  readonly kind = "mtls";
  /** There is nothing that a program could do about it once the connection is made. */
  readonly challenge = "";
  readonly #user: MtlsConfig["user"];
  /** Those that may by their names; null where none are named. */
  readonly #names: Names | null;
  /** Those whose certificates are taken as well; null for none. */
  readonly #consumers: Consumers | null;
  /** What was found out last about a certificate: its requests come one after another. */
  #last: ClientCertificate | null = null;
  #lastIdentity: Identity | null = null;
  #lastMay = false;

  constructor(user: MtlsConfig["user"], names: Names | null, consumers: Consumers | null) {
    this.#user = user;
    this.#names = names;
    this.#consumers = consumers;
  }

  authenticate(x: Exchange): Verdict {
    const certificate = x.clientCert;
    if (certificate === null) return null;
    if (certificate !== this.#last) {
      this.#last = certificate;
      this.#lastIdentity = identityOf(certificate, this.#user);
      this.#lastMay = this.#names?.fits(certificate) ?? false;
    }
    const identity = this.#lastIdentity;
    if (identity === null || this.#lastMay || this.#consumers === null) return this.#lastMay ? identity : null;
    return this.#consumers.judge(identity) === null ? null : identity; // whether he may now is asked of all kinds
  }
}

class Names {
  readonly #subjects: NameList | null;
  readonly #issuers: NameList | null;
  readonly #sans: ReadonlySet<string> | null;
  readonly #fingerprints: ReadonlySet<string> | null;

  constructor({ sans, fingerprints }: MtlsConfig, subjects: NameList | null, issuers: NameList | null) {
    this.#subjects = subjects;
    this.#issuers = issuers;
    this.#sans = sans === undefined ? null : new Set(sans);
    this.#fingerprints =
      fingerprints === undefined ? null : new Set(fingerprints.map((text) => text.replaceAll(":", "").toLowerCase()));
  }

  fits({ subject, issuer, san, fingerprint }: ClientCertificate): boolean {
    if (this.#subjects !== null && !isOneOf(subject, this.#subjects)) return false;
    if (this.#issuers !== null && !isOneOf(issuer, this.#issuers)) return false;
    if (this.#sans !== null && !san.some((name) => this.#sans!.has(name))) return false;
    return this.#fingerprints === null || this.#fingerprints.has(fingerprint);
  }
}

/** Whether a name has all attributes of one that is wanted: `CN=robot` is also `CN=robot,O=Example`. */
function isOneOf(name: string, wanted: NameList): boolean {
  const attributes = attributesOf(name);
  return attributes !== null && wanted.some((one) => one.isSubsetOf(attributes));
}

function identityOf(certificate: ClientCertificate, which: MtlsConfig["user"]): Identity | null {
  const { subject, issuer, san, fingerprint, serial } = certificate;
  const cn = [...(attributesOf(subject) ?? [])].find((attribute) => attribute.startsWith("CN="))?.slice(3) ?? "";
  const user = { subject, cn, san: san[0] ?? "", fingerprint }[which];
  if (user === "") return null;
  const claims = { subject, issuer, san, cn, fingerprint, serial };
  return { kind: "mtls", user, issuer, groups: [], scopes: [], plan: "", consumer: "", limits: null, claims };
}
