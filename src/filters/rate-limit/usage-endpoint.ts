// `/.auth/usage`: what somebody has of his plan, and what he has used, for himself. The `auth` of a route says who it is:
// that of the one that is named by `?route=`, else of the first one that has `quota`.
import type { Endpoint } from "../../auth/endpoints.ts";
import { fault } from "../../core/faults.ts";
import { subjectOf } from "../../engines/usage/meter.ts";
import { HeaderBlock } from "../../http/header-block.ts";
import type { Exchange, Filter, Outcome, Route } from "../../pipeline/exchange.ts";
import type { Shared } from "../../pipeline/shared.ts";
import { PlanFilter } from "./plan-filter.ts";

const ROUTE = "route=";

/** A route that knows who asks and holds them to a plan. */
interface Known {
  readonly name: string;
  readonly auth: Filter;
  readonly quota: PlanFilter;
}

/** Null where no route has both `auth` and `quota`. */
export function usageEndpoint(routes: readonly Route[], shared: Shared): Endpoint | null {
  const known = routes.flatMap(({ name, requestFilters }): Known[] => {
    const auth = requestFilters.find((filter) => filter.name === "auth");
    const quota = requestFilters.find((filter) => filter instanceof PlanFilter);
    return auth === undefined || quota === undefined ? [] : [{ name, auth, quota }];
  });
  if (known.length === 0) return null;
  return {
    methods: ["GET", "HEAD"],
    handle(x) {
      const { query } = x.request;
      const asked = query.startsWith(ROUTE) ? decoded(query.slice(ROUTE.length)) : null;
      const route = query === "" ? known[0] : known.find(({ name }) => name === asked);
      if (route === undefined) return fault("route.none", `no route with \`quota\` for ${query}`);
      const outcome = route.auth.request!(x);
      if (!(outcome instanceof Promise)) return outcome ?? tell(x, route, shared);
      return outcome.then((settled) => {
        if (x.over) return fault("client.gone");
        return settled ?? tell(x, route, shared);
      });
    },
  };
}

async function tell(x: Exchange, { quota }: Known, shared: Shared): Promise<Outcome> {
  const { identity } = x;
  if (identity === null) return fault("auth.required");
  const state = quota.describe(x);
  const isConsumer = identity.consumer !== "";
  const used = await shared.usageOf(isConsumer ? "consumer" : "user", subjectOf(identity));
  const who = isConsumer ? { consumer: identity.consumer } : { user: identity.user };
  const body = { ...who, plan: state?.plan ?? null, limits: state?.limits ?? [], usage: used };
  return {
    status: 200,
    headers: HeaderBlock.of([["Content-Type", "application/json"]]),
    body: Buffer.from(`${JSON.stringify(body, null, 2)}\n`),
  };
}

function decoded(text: string): string | null {
  try {
    return decodeURIComponent(text);
  } catch {
    return null;
  }
}
