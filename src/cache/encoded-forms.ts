// Stored answers as clients get them on a route where `compress` is the only thing that may change them: with the head
// that the filter would have made, and the content in a coding. A hit then costs what one without a filter costs.
import type { CodingPolicy } from "../engines/compression/coding-policy.ts";
import { addVary, codingOf, isPlain as isUncoded, markEncoded, mayTransform } from "../engines/compression/eligible.ts";
import { CODINGS, type Coding } from "../http/content-codings.ts";
import { HeaderBlock } from "../http/header-block.ts";
import { ID } from "../http/header-names.ts";
import { layOut } from "../http/laid-out.ts";
import type { CodedBody, Exchange } from "../pipeline/exchange.ts";
import type { Body } from "./body.ts";
import { Entry, type Forms } from "./entry.ts";

/** The form of an answer that this request gets; null where the filter has to decide. */
export function readyForm(x: Exchange, { forms }: Entry, policy: CodingPolicy): Entry | null {
  // A client may forbid to change the content; few send the field at all.
  if (forms === null || forms.policy !== policy || x.request.headers.received(ID["cache-control"])) return null;
  const { coding, required } = policy.choose(x.acceptEncoding);
  if (coding === null || !forms.isCoded) return required ? null : forms.plain;
  return forms[coding];
}

/** Makes the forms of a stored answer that its content is there for. Whether it takes more memory now. */
export function makeForms(entry: Entry, policy: CodingPolicy): boolean {
  let isNew = false;
  if (entry.forms?.policy !== policy) {
    entry.forms = formsOf(entry, policy);
    isNew = true;
  }
  const { forms, body } = entry;
  if (!forms.isCoded || body.coded === null) return isNew;
  for (const coding of CODINGS) {
    const content = body.coded[coding];
    if (content === null || !content.body.done || forms[coding] !== null) continue;
    const form = changed(entry, content.body, (headers) => {
      markEncoded(headers, coding);
      addVary(headers);
    });
    form.count = new KeptCount(coding, "kept", body, content.body);
    forms[coding] = form;
    isNew = true;
  }
  return isNew;
}

/** For an answer that there is no room to make forms of. */
export const noForms = (policy: CodingPolicy): Forms => ({
  policy,
  plain: null,
  isCoded: false,
  zstd: null,
  br: null,
  gzip: null,
});

/** What the filter would do about any request for this answer, its codings left out. */
function formsOf(entry: Entry, policy: CodingPolicy): Forms {
  const { status, headers } = entry.stored;
  const { body } = entry;
  const forms = noForms(policy);
  if (codingOf(headers) !== "") return { ...forms, plain: policy.decompress ? null : entry };
  const isEligible =
    isUncoded({ status, headers }) &&
    mayTransform(NO_FIELDS, headers) &&
    policy.hasType(headers) &&
    body.length >= policy.minSize;
  if (!isEligible) return { ...forms, plain: entry.hasContent && body.length > 0 ? entry : null };
  return { ...forms, isCoded: body.length > 0, plain: changed(entry, body, addVary) };
}

const NO_FIELDS = new HeaderBlock();

/** The same answer with another head, and this content. */
function changed(entry: Entry, body: Body, change: (headers: HeaderBlock) => void): Entry {
  const { status, reason, headers } = entry.stored;
  change(headers);
  headers.remove("content-length");
  const fields = [...headers.entries(), ["Content-Length", String(body.length)] as const];
  const laidOut = layOut(new HeaderBlock(), status, reason, fields);
  return new Entry(entry.extra, entry, [], entry.stamp, entry.times, { status, reason, headers: laidOut }, body);
}

/** What is counted of an answer whose content may still be made. */
export class KeptCount implements CodedBody {
  readonly coding: Coding;
  readonly result: "kept" | "encoded";
  readonly #body: Body;
  readonly #content: Body;

  constructor(coding: Coding, result: "kept" | "encoded", body: Body, content: Body) {
    this.coding = coding;
    this.result = result;
    this.#body = body;
    this.#content = content;
  }
  get bytesIn(): number {
    return this.#body.length;
  }
  get bytesOut(): number {
    return this.#content.length;
  }
}
