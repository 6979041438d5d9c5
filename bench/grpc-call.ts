// One call of gRPC, as those of the scenario are: whether it is answered as the backend answers it.
import { connect, type IncomingHttpHeaders } from "node:http2";
import { ASK_MS } from "./child.ts";
import { GRPC_MESSAGE } from "./scenario.ts";

/** @returns null when the answer is whole, else what is wrong with it. Rejects when there is none. */
export async function callOnce(url: string): Promise<string | null> {
  const { origin, pathname } = new URL(url);
  const session = connect(origin);
  const { promise: broken, reject } = Promise.withResolvers<never>();
  session.setTimeout(ASK_MS, () => session.destroy(new Error("no answer")));
  session.on("error", reject);
  try {
    return await Promise.race([call(session.request(requestFields(pathname))), broken]);
  } finally {
    session.destroy();
  }
}

const requestFields = (path: string) => ({
  ":method": "POST",
  ":path": path,
  "content-type": "application/grpc",
  te: "trailers",
});

function call(stream: ReturnType<ReturnType<typeof connect>["request"]>): Promise<string | null> {
  const { promise, resolve, reject } = Promise.withResolvers<string | null>();
  let [head, trailers]: IncomingHttpHeaders[] = [{}, {}];
  const chunks: Buffer[] = [];
  stream.on("response", (fields) => {
    head = fields;
  });
  stream.on("trailers", (fields) => {
    trailers = fields;
  });
  stream.on("data", (chunk: Buffer) => chunks.push(chunk));
  stream.on("error", reject);
  stream.on("end", () => {
    const isWhole = Buffer.concat(chunks).equals(GRPC_MESSAGE);
    const status = trailers?.["grpc-status"] ?? "without a status";
    resolve(isWhole && status === "0" ? null : `status ${head?.[":status"]}, gRPC status ${status}`);
  });
  stream.end(GRPC_MESSAGE);
  return promise;
}
