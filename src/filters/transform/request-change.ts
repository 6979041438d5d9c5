// `transform.request`: the body of a request, and what of its head is made of that.
import { within } from "../../config/compile-error.ts";
import type { RequestTransform } from "../../config/schema-transform.ts";
import { fault } from "../../core/faults.ts";
import { templatePieces } from "../../core/placeholders.ts";
import { codingOf } from "../../engines/compression/eligible.ts";
import type { JsonNode } from "../../engines/transform/json-node.ts";
import { NO_GRPC } from "../../http/grpc.ts";
import { ID } from "../../http/header-names.ts";
import { errorReply } from "../../pipeline/error-reply.ts";
import type { Exchange, FilterResult, Outcome } from "../../pipeline/exchange.ts";
import { requestBody } from "../../pipeline/held-body.ts";
import { replaceBody } from "../../pipeline/transforms.ts";
import { fieldProblem } from "../header-edit.ts";
import { BodyChange } from "./body-change.ts";
import { type BodyType, bodyTypeOf, isUtf8Type } from "./media.ts";
import { TargetChange } from "./target.ts";
import { compileBodyTemplate } from "./values.ts";

/** Fields that speak of the bytes as the client sent them (RFC 9530, RFC 3230). */
const OF_THE_BYTES = ["content-md5", "digest", "repr-digest", "content-digest"];

/** Bodies are longer than heads may be; a head that no server takes can cost a connection that others share. */
const FIELD_MAX = 32_768;

interface Field {
  readonly name: string;
  readonly value: ReturnType<typeof compileBodyTemplate>;
}

export class RequestChange {
  readonly #change: BodyChange;
  readonly #fields: readonly Field[];
  readonly #target: TargetChange | null;
  /** Something of the head is made of the body. */
  readonly #looks: boolean;
  readonly #config: RequestTransform;
  readonly #accepts: string;

  /** Throws CompileError for what cannot work. */
  constructor(config: RequestTransform, params: readonly string[]) {
    this.#config = config;
    this.#change = new BodyChange(config, config.maxBody, params);
    this.#fields = Object.entries(config.headers).map(([name, text]) =>
      within("headers", () => within(name, () => compileField(name, text, params))),
    );
    this.#target = TargetChange.of(config, params);
    const texts = [...Object.values(config.headers), ...Object.values(config.query), config.path ?? ""];
    this.#looks = texts.some((text) =>
      templatePieces(text).some((piece) => piece.kind === "placeholder" && piece.name === "body"),
    );
    const json = this.#takes("json") ? ["application/json", "application/*+json"] : [];
    this.#accepts = [...json, ...(this.#takes("xml") ? ["application/xml", "text/xml"] : [])].join(", ");
  }

  #takes(type: BodyType): boolean {
    return this.#change.takes(type, true) || (type === "json" && this.#looks);
  }

  apply(x: Exchange): FilterResult {
    const { request } = x;
    if (x.grpc !== NO_GRPC) return undefined;
    const hasBody = request.body !== "none" && !(request.body === "length" && request.length === 0);
    if (!hasBody || (this.#change.isEmpty && !this.#looks)) return this.#head(x, null);
    const contentType = request.headers.getById(ID["content-type"]);
    const type = bodyTypeOf(contentType);
    if (!this.#takes(type)) {
      return this.#config.otherTypes === "refuse" ? this.#refuseType(x, "accept", this.#accepts) : this.#head(x, null);
    }
    if (codingOf(request.headers) !== "") return this.#refuseType(x, "accept-encoding", "identity");
    if (contentType !== null && !isUtf8Type(contentType)) return this.#refuseType(x, "accept-charset", "utf-8");
    return requestBody(x, this.#config.maxBody).then((body) => this.#whole(x, body, type));
  }

  #whole(x: Exchange, body: Buffer | null, type: BodyType): Outcome | undefined {
    if (x.over) return undefined;
    if (body === null) {
      x.downstream.discardBody();
      return fault("request.body_too_large", `more than ${this.#config.maxBody} bytes`);
    }
    if (body.length === 0) return this.#head(x, null);
    let outcome: Outcome | undefined;
    const made = this.#change.apply(x, body, type, true, true, (root) => {
      outcome = this.#head(x, root);
    });
    if (outcome === undefined && made.problem !== null) outcome = fault("transform.request", made.problem);
    if (outcome !== undefined || made.bytes === null) return outcome;
    if (made.bytes !== body) this.#replace(x, made.bytes, this.#change.typeOf(type, true));
    return undefined;
  }

  #replace(x: Exchange, body: Buffer, contentType: string | null): void {
    const { headers } = x.request;
    for (const name of OF_THE_BYTES) headers.remove(name);
    if (contentType !== null) headers.set("content-type", contentType);
    replaceBody(x, body);
  }

  /** What of the head is made of the body; null for none. */
  #head(x: Exchange, body: JsonNode | null): Outcome | undefined {
    const { headers } = x.request;
    for (const { name, value } of this.#fields) {
      const text = value(x, body);
      if (text.length > FIELD_MAX) return fault("transform.request", `the field ${name} comes out too long`);
      headers.remove(name);
      if (text !== "") headers.add(name, text);
    }
    return this.#target?.apply(x, body) ?? undefined;
  }

  /** RFC 9110 §15.5.16: says what would be taken. */
  #refuseType(x: Exchange, name: string, value: string): Outcome {
    const cause = fault("transform.type", x.request.header("content-type") ?? "no content type");
    x.fault ??= cause; // for logs and bans
    const answer = errorReply(cause, x.requestId, x.request.header("accept"));
    answer.headers.set(name, value);
    return answer;
  }
}

function compileField(name: string, text: string, params: readonly string[]): Field {
  const problem = name.toLowerCase() === "host" ? "use `requestHeaders` to change Host" : fieldProblem(name);
  if (problem !== null) throw new RangeError(problem);
  return { name, value: compileBodyTemplate(text, params, "field") };
}
