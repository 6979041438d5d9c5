// `waf`: the application firewall. It sees requests as they came, before anything changes them.
import { NO_GRPC } from "../../http/grpc.ts";
import type { Exchange, Filter, FilterResult, Outcome } from "../../pipeline/exchange.ts";
import { lookAhead, transformResponse } from "../../pipeline/transforms.ts";
import type { FilterDefinition } from "../definition.ts";
import { Firewall } from "./firewall.ts";
import { loadRules } from "./rule-files.ts";
import { RequestLook, ResponseLook, refusal, Visit } from "./visit.ts";

export const waf: FilterDefinition = {
  key: "waf",
  compile({ waf: config }, { route, shared }) {
    if (config === undefined) return [];
    const firewall = new Firewall(loadRules(config), route, shared);
    const filter: Filter = {
      name: "waf",
      request: (x) => request(firewall, x),
      response: (x) => response(firewall, x),
    };
    return [Object.freeze(filter)];
  },
};

function request(firewall: Firewall, x: Exchange): FilterResult {
  const tx = firewall.take();
  const visit = new Visit(firewall, x, tx);
  x.held = visit;
  const outcome = visit.requestHead(tx);
  if (outcome !== undefined) return outcome;
  // Messages of gRPC and of other protocols are no text, and a call may last for hours.
  const seen = x.request.body !== "none" && x.grpc === NO_GRPC && x.request.upgrade === "";
  if (!seen || !tx.wantsRequestBody) return refusal(tx.requestBody());
  return new Promise<Outcome | undefined>((resolve) => lookAhead(x, new RequestLook(visit, x, resolve)));
}

function response(firewall: Firewall, x: Exchange): Outcome | undefined {
  const visit = visitOf(firewall, x);
  const tx = visit?.transaction;
  if (!visit || !tx) return undefined;
  const outcome = visit.responseHead(tx);
  if (outcome !== undefined) return outcome;
  if (x.ownBody === null && x.response.body !== "none" && x.grpc === NO_GRPC && tx.wantsResponseBody) {
    transformResponse(x, new ResponseLook(visit));
    return undefined;
  }
  if (x.ownBody !== null && tx.wantsResponseBody) tx.responsePiece(x.ownBody);
  return refusal(tx.responseBody());
}

function visitOf(firewall: Firewall, x: Exchange): Visit | null {
  for (let held = x.held; held !== null; held = held.next) {
    if (held instanceof Visit && held.firewall === firewall) return held;
  }
  return null;
}
