// `responseHeaders`: fields set, added and removed on the way to the client.
import type { Filter } from "../../pipeline/exchange.ts";
import type { FilterDefinition } from "../definition.ts";
import { compileHeaderEdit } from "../header-edit.ts";

export const responseHeaders: FilterDefinition = {
  key: "responseHeaders",
  compile(policies, { params }) {
    if (policies.responseHeaders === undefined) return [];
    const edit = compileHeaderEdit(policies.responseHeaders, params, hostProblem);
    const filter: Filter = {
      name: "response-headers",
      response(x) {
        edit(x, x.response.headers);
      },
    };
    return [Object.freeze(filter)];
  },
};

const hostProblem = (name: string): string | null => (name === "host" ? "responses have no Host field" : null);
