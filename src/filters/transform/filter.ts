// `transform`: servers get other bodies than clients send, and clients other ones than servers do.
import { CompileError, within } from "../../config/compile-error.ts";
import { NO_GRPC } from "../../http/grpc.ts";
import type { Exchange, Filter, FilterResult } from "../../pipeline/exchange.ts";
import { expectTransform } from "../../pipeline/transforms.ts";
import type { FilterDefinition } from "../definition.ts";
import { RequestChange } from "./request-change.ts";
import { ResponseChange } from "./response-change.ts";

export const transform: FilterDefinition = {
  key: "transform",
  compile({ transform: config, transcode }, { params }) {
    if (config === undefined) return [];
    const { request, response } = config;
    const requests = request === undefined ? null : within("request", () => new RequestChange(request, params));
    const responses =
      response === undefined
        ? []
        : within("response", () =>
            Array.isArray(response)
              ? response.map((each, at) => within(at, () => new ResponseChange(each, params)))
              : [new ResponseChange(response, params)],
          );
    // Their messages become JSON only behind this.
    if (transcode !== undefined && responses.some(({ changesBodies }) => changesBodies))
      throw new CompileError("answers that `transcode` makes JSON of cannot be changed", ["response"]);
    const filter: Filter = {
      name: "transform",
      request(x) {
        if (responses.length > 0 && x.grpc === NO_GRPC) expectAnswer(x, responses);
        return requests?.apply(x);
      },
    };
    if (responses.length === 0) return [Object.freeze(filter)];
    return [Object.freeze<Filter>({ ...filter, response: (x) => answer(x, responses) })];
  },
};

/** The answer has to come whole, and best as it is: only then it can be changed. */
function expectAnswer(x: Exchange, changes: readonly ResponseChange[]): void {
  if (!changes.some(({ changesBodies }) => changesBodies)) return;
  const { headers } = x.request;
  headers.set("accept-encoding", "identity");
  headers.remove("range");
  headers.remove("if-range");
  if (changes.some(({ isPersonal }) => isPersonal)) {
    headers.remove("if-none-match");
    headers.remove("if-modified-since");
  }
  expectTransform(x);
}

function answer(x: Exchange, changes: readonly ResponseChange[]): FilterResult {
  // What other policies refuse a request with is for the client as it is.
  if (x.grpc !== NO_GRPC || (x.ownBody !== null && x.fault !== null)) return undefined;
  for (const change of changes) if (change.isFor(x.response.status)) return change.apply(x);
  return undefined;
}
