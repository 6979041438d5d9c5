// `idempotency`: requests with the same key are carried out once (draft-ietf-httpapi-idempotency-key-header-07). The
// first one takes the key and goes on; its answer is kept (claim.ts) and given to those that come again.
import { createHash } from "node:crypto";
import { CompileError } from "../../config/compile-error.ts";
import type { IdempotencyConfig } from "../../config/schema-traffic.ts";
import { type FaultCode, fault } from "../../core/faults.ts";
import { addressKey } from "../../core/ip.ts";
import { NO_GRPC } from "../../http/grpc.ts";
import { HeaderBlock } from "../../http/header-block.ts";
import { errorReply } from "../../pipeline/error-reply.ts";
import type { Exchange, Filter, FilterResult, Outcome } from "../../pipeline/exchange.ts";
import type { Claimed, KeptAnswer } from "../../pipeline/key-book.ts";
import type { Reply } from "../../pipeline/reply.ts";
import type { Shared } from "../../pipeline/shared.ts";
import { watchRequest } from "../../pipeline/transforms.ts";
import type { FilterDefinition } from "../definition.ts";
import { Claim } from "./claim.ts";
import { fingerprintOf, PassingFingerprint } from "./fingerprint.ts";
import { parseKey } from "./key.ts";

/** Below the time that a thread waits for another one's word. */
const WAIT_MAX_MS = 25_000;
/** Whoever is refused because the first request is under way may ask again soon. */
const BUSY_SECONDS = 1;

export const idempotency: FilterDefinition = {
  key: "idempotency",
  compile({ idempotency: config }, { route, shared }) {
    if (config === undefined) return [];
    if (config.waitTimeout > WAIT_MAX_MS)
      throw new CompileError(`clients wait ${WAIT_MAX_MS / 1000}s at most`, ["waitTimeout"]);
    const once = new Once(config, route, shared);
    return [
      Object.freeze<Filter>({
        name: "idempotency",
        request: (x) => once.request(x),
        response: (x) => (x.ownBody !== null && x.keeper instanceof Claim ? keepOwn(x, x.keeper) : undefined),
      }),
    ];
  },
};

/** Keeps an answer of Sluice's own. Nobody else may have read the request, whose content is part of what it is. */
function keepOwn(x: Exchange, claim: Claim): undefined | Promise<undefined> {
  const keep = (): undefined => {
    claim.keep(x.response.status, x.response.headers, x.ownBody === null ? null : [x.ownBody]);
  };
  return claim.isFingerprinted ? keep() : fingerprintOf(x).then(keep);
}

class Once {
  readonly #config: IdempotencyConfig;
  readonly #route: string;
  readonly #shared: Shared;
  readonly #methods: ReadonlySet<string>;
  readonly #header: string;

  constructor(config: IdempotencyConfig, route: string, shared: Shared) {
    this.#config = config;
    this.#route = route;
    this.#shared = shared;
    this.#methods = new Set(config.methods);
    this.#header = config.header.toLowerCase();
  }

  request(x: Exchange): FilterResult {
    const { request } = x;
    // Messages of gRPC and tunnels are streams; there is no such field for them.
    if (!this.#methods.has(request.method) || x.grpc !== NO_GRPC || request.upgrade !== "") return undefined;
    const values = request.headers.getAll(this.#header);
    if (values.length === 0)
      return this.#config.required ? this.#refuse(x, "idempotency.missing", "missing") : undefined;
    const { format, keyLength, leaseMs, waitMs } = this.#terms;
    const key = values.length > 1 ? null : parseKey(values[0]!, format, keyLength);
    if (key === null) return this.#refuse(x, "idempotency.malformed", "malformed");
    const id = createHash("sha256")
      .update(`${this.#route}\n${whoIs(x)}\n${key}`)
      .digest("base64url");
    return this.#shared.keys.claim({ id, leaseMs, waitMs }).then((claimed) => this.#claimed(x, id, claimed));
  }

  get #terms(): Pick<IdempotencyConfig, "format" | "keyLength"> & { leaseMs: number; waitMs: number } {
    const { format, keyLength, lease, concurrent, waitTimeout } = this.#config;
    return { format, keyLength, leaseMs: lease, waitMs: concurrent === "wait" ? waitTimeout : 0 };
  }

  #claimed(x: Exchange, id: string, claimed: Claimed): Outcome | undefined | Promise<Outcome | undefined> {
    if (x.over) {
      if (claimed.kind === "taken") this.#shared.keys.finish(id, claimed.token, null, 0);
      return undefined;
    }
    switch (claimed.kind) {
      case "taken":
        this.#begin(x, id, claimed.token);
        return undefined;
      case "busy":
        return this.#refuse(x, "idempotency.busy", "busy", BUSY_SECONDS);
      case "unknown":
        if (this.#config.onStoreError === "deny") return this.#refuse(x, "idempotency.unavailable", "unknown", 1);
        this.#count("unknown");
        return undefined;
      case "kept":
        return this.#again(x, claimed.answer);
    }
  }

  #begin(x: Exchange, id: string, token: number): void {
    this.#count("first");
    const fingerprint = new PassingFingerprint(x);
    if (x.request.body !== "none") watchRequest(x, fingerprint);
    // What is kept has to suit whoever asks again.
    x.request.headers.set("accept-encoding", "identity");
    const claim = new Claim(id, token, this.#config, this.#shared.keys, fingerprint, x.held);
    x.keeper = claim;
    x.held = claim;
  }

  async #again(x: Exchange, answer: KeptAnswer): Promise<Outcome | undefined> {
    if (this.#config.fingerprint === "request") {
      const fingerprint = await fingerprintOf(x);
      if (x.over || fingerprint === null) return undefined;
      if (fingerprint !== answer.fingerprint) return this.#refuse(x, "idempotency.reused", "reused");
    }
    const { status, fields, body } = answer;
    if (body === null) return this.#refuse(x, "idempotency.lost", "lost");
    this.#count("replayed");
    const headers = HeaderBlock.of(fields);
    headers.set("Idempotency-Replayed", "true");
    return { status, headers, body: Buffer.from(body.buffer, body.byteOffset, body.byteLength) };
  }

  #count(result: string): void {
    this.#shared.count("sluice_idempotency_total", [this.#route, result]);
  }

  #refuse(x: Exchange, code: FaultCode, result: string, retryAfter = 0): Reply {
    this.#count(result);
    const cause = fault(code, "", retryAfter);
    x.fault ??= cause; // for the log
    const answer = errorReply(cause, x.requestId, x.request.header("accept"));
    if (answer.headers.get("content-type") !== "application/problem+json") return answer;
    const problem = JSON.parse(answer.body.toString()) as object;
    const body = { ...problem, type: `urn:sluice:problem:${code.replace(".", ":")}` };
    return { ...answer, body: Buffer.from(`${JSON.stringify(body)}\n`) };
  }
}

/** Whose key it is: keys of others mean nothing. A letter says what stands behind it. */
function whoIs({ identity, ip }: Exchange): string {
  if (identity === null) return `a${addressKey(ip)}`;
  return identity.consumer === "" ? `u${identity.issuer}\n${identity.user}` : `c${identity.consumer}`;
}
