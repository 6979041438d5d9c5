// `grpc`: which methods may be called, and how long the messages of clients may be.
import { type Fault, fault } from "../../core/faults.ts";
import { NO_GRPC } from "../../http/grpc.ts";
import { FrameTracker } from "../../http/grpc-frames.ts";
import type { BodyOutput, BodyTransform } from "../../pipeline/body-transform.ts";
import type { Exchange, Filter } from "../../pipeline/exchange.ts";
import { watchRequest } from "../../pipeline/transforms.ts";
import type { FilterDefinition } from "../definition.ts";

export const grpc: FilterDefinition = {
  key: "grpc",
  compile({ grpc: config }) {
    if (config === undefined) return [];
    const allow = config.allow === undefined ? null : config.allow.map(compilePattern);
    const deny = config.deny.map(compilePattern);
    const max = config.maxMessage ?? 0;
    return [
      Object.freeze<Filter>({
        name: "grpc",
        request(x) {
          // Behind `transcode` all that is forwarded as gRPC is looked at, whatever the client has sent.
          if (x.grpc === NO_GRPC && x.rpc === "") return config.only ? fault("grpc.only") : undefined;
          const refusal = refusalOf(x, allow, deny);
          if (refusal !== null) return refusal;
          if (max > 0 && x.request.body !== "none") watchRequest(x, new MessageLimit(max));
          return undefined;
        },
      }),
    ];
  },
};

/** Whether names of a service and a method are meant. */
type Pattern = (service: string, method: string) => boolean;

function compilePattern(text: string): Pattern {
  const [service = "", method = ""] = text.split("/");
  const isService = compileName(service);
  const isMethod = compileName(method);
  return (ofService, ofMethod) => isService(ofService) && isMethod(ofMethod);
}

function compileName(name: string): (text: string) => boolean {
  if (!name.endsWith("*")) return (text) => text === name;
  const start = name.slice(0, -1);
  return (text) => text.startsWith(start);
}

function refusalOf(x: Exchange, allow: readonly Pattern[] | null, deny: readonly Pattern[]): Fault | null {
  if (allow === null && deny.length === 0) return null;
  const path = x.rewrittenTarget === "" ? (x.request.path ?? "") : x.rewrittenTarget.split("?", 1)[0]!;
  const slash = path.indexOf("/", 1);
  const service = path.slice(1, slash);
  const method = path.slice(slash + 1);
  // What is no path of a method is none, whatever a pattern would make of it.
  if (slash < 0 || method === "" || method.includes("/")) return fault("grpc.method", path);
  if (deny.some((isMeant) => isMeant(service, method))) return fault("grpc.denied", path);
  return allow === null || allow.some((isMeant) => isMeant(service, method)) ? null : fault("grpc.method", path);
}

/** Ends a call with a message that is too long before any of it has passed. */
class MessageLimit implements BodyTransform {
  readonly #frames = new FrameTracker();
  readonly #max: number;

  constructor(max: number) {
    this.#max = max;
  }

  push(bytes: Buffer, from: number, to: number, out: BodyOutput): void {
    this.#frames.pass(bytes, from, to);
    if (this.#frames.longest <= this.#max) return out.data(bytes, from, to);
    out.fail(fault("grpc.message_too_large", `${this.#frames.longest} bytes`));
  }

  end(trailers: Parameters<BodyOutput["end"]>[0], out: BodyOutput): void {
    out.end(trailers);
  }
}
