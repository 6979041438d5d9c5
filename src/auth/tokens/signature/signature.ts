// `signature`: requests that their senders have signed (RFC 9421), bodies included (RFC 9530).
import { within } from "../../../config/compile-error.ts";
import type { SignatureConfig } from "../../../config/schema-auth-tokens.ts";
import { fault } from "../../../core/faults.ts";
import { KeyHash } from "../../../engines/storage/key-hash.ts";
import { isFieldName } from "../../../http/header-block.ts";
import type { Exchange } from "../../../pipeline/exchange.ts";
import type { Shared } from "../../../pipeline/shared.ts";
import type { Authenticator, Refused, Verdict } from "../../authenticator.ts";
import type { Consumers, Known } from "../../consumers/consumers.ts";
import type { AuthContext } from "../../context.ts";
import { refused } from "../token-source.ts";
import { DERIVED } from "./components.ts";
import { checkBody, digestsOf, isEmptyBody } from "./content-digest.ts";
import { Nonces } from "./nonces.ts";
import { coveredNames, type Signature, signatureBase, signaturesOf } from "./signatures.ts";
import { type SigningKey, signingKey, verifierFor } from "./signing-key.ts";

const DIGEST = "content-digest";

const refusal = (why: string, guess = false): Refused => refused(why, "", guess);
const MALFORMED = refusal("no signature that can be read");
const UNKNOWN_KEY = refusal("an unknown key", true);
const ALGORITHM = refusal("the key is for another algorithm");
const UNCOVERED = refusal("too little is signed");
const NO_DIGEST = refusal("the body is not signed");
const UNDATED = refusal("the signature does not say when it was made");
const OLD = refusal("the signature is too old");
const FUTURE = refusal("the signature is from the future");
const NO_NONCE = refusal("there is no nonce");
const LACKS = refusal("the request lacks something that is signed");
const WRONG = refusal("a wrong signature", true);
const USED = refusal("the nonce was used before");
const BODY = refusal("the body is not the one that was signed");

/** Throws CompileError for keys that are none, and for components that there are not. */
export function compileSignature(config: SignatureConfig, { shared, scope, consumers }: AuthContext): Authenticator {
  if (config.keys.length === 0 && !config.consumers)
    throw new RangeError("there are no `keys`, so nobody could get in: write some, or `consumers: true`");
  within("components", () => {
    for (const [at, name] of config.components.entries()) within(at, () => checkComponent(name));
  });
  const keys = new Map<string, SigningKey>();
  within("keys", () => {
    for (const [at, key] of config.keys.entries())
      within(at, () => {
        if (keys.has(key.id)) throw new RangeError(`there is another key with the id "${key.id}"`);
        keys.set(key.id, signingKey(key));
      });
  });
  const memory = shared.memory(`nonces ${scope} ${config.nonces}`, Nonces.bytes(config.nonces));
  return new Signatures(config, keys, new Nonces(memory), config.consumers ? consumers : null, shared);
}

function checkComponent(name: string): void {
  if (name.startsWith("@") ? DERIVED.includes(name) : isFieldName(name) && name === name.toLowerCase()) return;
  throw new RangeError(`"${name}" is nothing to sign: write a field's name in lower case, or ${DERIVED.join(", ")}`);
}

class Signatures implements Authenticator {
  readonly kind = "signature";
  /** There is no challenge for it (RFC 9421 section 5 has a field of its own), but a 401 has to have one. */
  readonly challenge = "Signature";
  readonly #config: SignatureConfig;
  readonly #keys: ReadonlyMap<string, SigningKey>;
  readonly #nonces: Nonces;
  /** Those whose keys are taken as well; null for none. */
  readonly #consumers: Consumers | null;
  /** Their keys, as long as they are what they were. */
  readonly #signers = new WeakMap<Known, SigningKey>();
  readonly #shared: Shared;
  readonly #hash: KeyHash;

  constructor(
    config: SignatureConfig,
    keys: ReadonlyMap<string, SigningKey>,
    nonces: Nonces,
    consumers: Consumers | null,
    shared: Shared,
  ) {
    this.#consumers = consumers;
    this.#config = config;
    this.#keys = keys;
    this.#nonces = nonces;
    this.#shared = shared;
    this.#hash = new KeyHash(shared.seed);
  }

  authenticate(x: Exchange): Verdict | Promise<Verdict> {
    const signatures = signaturesOf(x.request.headers);
    if (signatures === null) return null;
    const { tag } = this.#config;
    const wanted = signatures.filter((signature) => tag === undefined || signature.tag === tag);
    // One by a key that is known, whoever else has signed it.
    const ours = wanted.find(({ keyId }) => this.#keyOf(keyId) !== null) ?? wanted[0];
    return ours === undefined ? MALFORMED : this.#judge(x, ours);
  }

  #judge(x: Exchange, signature: Signature): Verdict | Promise<Verdict> {
    const key = this.#keyOf(signature.keyId);
    if (key === null) return UNKNOWN_KEY;
    if ("refused" in key) return key;
    if (signature.algorithm !== "" && signature.algorithm !== key.algorithm) return ALGORITHM;
    const problem = this.#timeProblem(signature) ?? this.#coverageProblem(x, signature);
    if (problem !== null) return problem;
    const base = signatureBase(x, signature.list);
    if (base === null) return LACKS;
    if (!key.verify(base, signature.bytes)) return WRONG;
    const use = signature.nonce === "" ? "new" : this.#use(signature);
    if (use === "full") return { answer: fault("auth.unavailable", "no room for nonces") };
    if (use === "used") return USED;
    if (this.#config.body === "unsigned" || !coveredNames(signature.list).has(DIGEST)) return key.identity;
    return this.#checkBody(x, key);
  }

  #keyOf(id: string): SigningKey | Refused | null {
    const own = this.#keys.get(id);
    if (own !== undefined || this.#consumers === null) return own ?? null;
    const known = this.#consumers.signer(id);
    if (known === null) return null;
    const problem = this.#consumers.problem(known);
    if (problem !== null) return problem;
    let signer = this.#signers.get(known);
    if (signer === undefined) {
      const material = known.credential.key!;
      signer = { algorithm: material.algorithm, identity: known.identity, verify: verifierFor(material) };
      this.#signers.set(known, signer);
    }
    return signer;
  }

  #timeProblem({ created, expires, nonce }: Signature): Refused | null {
    const { maxAge, leeway } = this.#config;
    const now = this.#shared.wallNow();
    if (Number.isNaN(created)) return UNDATED;
    if (created * 1000 > now + leeway) return FUTURE;
    if (created * 1000 + maxAge + leeway < now) return OLD;
    if (!Number.isNaN(expires) && expires * 1000 + leeway < now) return OLD;
    return nonce === "" && this.#config.nonce === "required" ? NO_NONCE : null;
  }

  #coverageProblem(x: Exchange, { list }: Signature): Refused | null {
    const covered = coveredNames(list);
    if (!this.#config.components.every((name) => covered.has(name) || isAbsentDigest(x, name))) return UNCOVERED;
    if (this.#config.body === "unsigned" || x.request.body === "none") return null;
    return covered.has(DIGEST) ? null : NO_DIGEST;
  }

  #use({ keyId, nonce, created }: Signature): ReturnType<Nonces["use"]> {
    const { maxAge, leeway } = this.#config;
    this.#hash.of(JSON.stringify([keyId, nonce]));
    const until = created * 1000 + maxAge + leeway;
    return this.#nonces.use(this.#hash.low, this.#hash.high, until, this.#shared.wallNow());
  }

  #checkBody(x: Exchange, { identity }: SigningKey): Verdict | Promise<Verdict> {
    const digests = digestsOf(x.request.headers);
    if (digests.length === 0) return NO_DIGEST;
    if (x.request.body === "none") return isEmptyBody(digests) ? identity : BODY;
    return checkBody(x, digests, this.#config.bodyBuffer).then((fits) => (fits ? identity : BODY));
  }
}

/** A request without a body has nothing that it could be the digest of. */
const isAbsentDigest = ({ request }: Exchange, name: string): boolean => name === DIGEST && request.body === "none";
