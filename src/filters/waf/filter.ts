// `waf`: the application firewall. It sees requests as they came, before anything changes them.
import type { Transaction } from "../../engines/waf/index.ts";
import { NO_GRPC } from "../../http/grpc.ts";
import type { Exchange, Filter, FilterResult, Outcome } from "../../pipeline/exchange.ts";
import { expectTransform, lookAhead } from "../../pipeline/transforms.ts";
import type { FilterDefinition } from "../definition.ts";
import { Firewall } from "./firewall.ts";
import { ResponseLook } from "./response-look.ts";
import { loadRules } from "./rule-files.ts";
import { lookAtTail } from "./tail-look.ts";
import { RequestLook, refusal, Visit } from "./visit.ts";

export const waf: FilterDefinition = {
  key: "waf",
  compile({ waf: config }, { route, shared }) {
    if (config === undefined) return [];
    const firewall = new Firewall(loadRules(config), config, route, shared);
    const filter: Filter = {
      name: "waf",
      request: (x) => request(firewall, x),
      response: (x) => response(firewall, x),
    };
    return [Object.freeze(filter)];
  },
};

function request(firewall: Firewall, x: Exchange): FilterResult {
  if (!firewall.looks()) return undefined;
  const tx = firewall.take();
  const visit = new Visit(firewall, x, tx);
  x.held = visit;
  visit.beginRequest(tx);
  if (!tx.step()) return behindHead(visit, x, tx);
  return visit.finish().then((goesOn) => (goesOn ? behindHead(visit, x, tx) : undefined));
}

/** Phase 1 is over. */
function behindHead(visit: Visit, x: Exchange, tx: Transaction): FilterResult {
  const outcome = refusal(x, tx.interruption);
  if (outcome !== undefined) return outcome;
  // Messages of gRPC and of other protocols are no text, and a call may last for hours. What HTTP/1 sends before it asks
  // for another protocol is a body like others: a server need not agree.
  const { body, upgrade, version } = x.request;
  const seen = body !== "none" && x.grpc === NO_GRPC && (upgrade === "" || version < 20);
  if (seen && tx.wantsRequestBody) {
    return new Promise<Outcome | undefined>((resolve) => {
      const look = new RequestLook(visit, x, (outcome) => {
        if (outcome === undefined && look.goesOn && !x.over) lookAtTail(visit, x, tx);
        resolve(outcome);
      });
      lookAhead(x, look);
    });
  }
  tx.beginRequestBody();
  if (!tx.step()) return behindBody(x, tx);
  return visit.finish().then((goesOn) => (goesOn ? behindBody(x, tx) : undefined));
}

/** Phase 2 is over, of a request whose body was not read ahead. */
function behindBody(x: Exchange, tx: Transaction): ReturnType<typeof refusal> {
  // Whoever holds the answer back has to hear how the client takes it.
  if (tx.state.responseBodyAccess) expectTransform(x);
  return refusal(x, tx.interruption);
}

function response(firewall: Firewall, x: Exchange): FilterResult {
  const visit = visitOf(firewall, x);
  const tx = visit?.transaction;
  // What the rules have answered in place of a server is not looked at again.
  if (!visit || !tx || tx.interruption !== null) return undefined;
  const outcome = visit.responseHead(tx);
  if (outcome !== undefined) return outcome;
  if (x.response.body !== "none" && x.grpc === NO_GRPC && tx.wantsResponseBody) {
    if (x.ownBody !== null) tx.responsePiece(x.ownBody);
    else if (ResponseLook.start(visit, x, tx.state.responseBodyLimit)) return undefined;
  }
  return refusal(x, tx.responseBody());
}

function visitOf(firewall: Firewall, x: Exchange): Visit | null {
  for (let held = x.held; held !== null; held = held.next) {
    if (held instanceof Visit && held.firewall === firewall) return held;
  }
  return null;
}
