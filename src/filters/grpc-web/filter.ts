// `grpcWeb`: calls of browsers (gRPC-Web) become gRPC for the server, and its answers gRPC-Web again.
import { GRPC, GRPC_WEB, GRPC_WEB_TEXT, kindOf, mediaTypeOf, suffixOf } from "../../http/grpc.ts";
import type { Exchange, Filter } from "../../pipeline/exchange.ts";
import { transformRequest, transformResponse } from "../../pipeline/transforms.ts";
import type { FilterDefinition } from "../definition.ts";
import { Base64Decoder, Base64Encoder } from "./base64.ts";
import { TrailersToFrame } from "./frames.ts";

const isWeb = (x: Exchange): boolean => x.grpc === GRPC_WEB || x.grpc === GRPC_WEB_TEXT;

const filter: Filter = Object.freeze({
  name: "grpc-web",

  request(x) {
    if (!isWeb(x)) return;
    const { headers } = x.request;
    headers.set("content-type", `application/grpc${suffixOf(headers.get("content-type") ?? "")}`);
    // The messages of a binary call are those of gRPC already, and there are no trailers in this direction.
    if (x.grpc === GRPC_WEB_TEXT) transformRequest(x, new Base64Decoder());
    const wanted = kindOf(headers.get("accept")?.split(",", 1)[0] ?? null);
    if (wanted === GRPC_WEB || wanted === GRPC_WEB_TEXT) x.grpc = wanted;
  },

  response(x) {
    if (!isWeb(x)) return;
    const { response } = x;
    const type = response.header("content-type");
    if (kindOf(type) !== GRPC) return; // an error page, or the server speaks gRPC-Web by itself
    response.setHeader("content-type", mediaTypeOf(x.grpc, suffixOf(type ?? "") || undefined));
    if (response.body === "none") return; // the status stands in the head, where clients look first
    transformResponse(x, new TrailersToFrame());
    if (x.grpc === GRPC_WEB_TEXT) transformResponse(x, new Base64Encoder());
    x.endsInStatus = true;
  },
} satisfies Filter);

export const grpcWeb: FilterDefinition = {
  key: "grpcWeb",
  compile: (policies) => (policies.grpcWeb === true ? [filter] : []),
};
