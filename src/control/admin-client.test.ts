import { afterAll, beforeAll, expect, test } from "bun:test";
import { AdminClientError, followAdmin } from "./admin-client.ts";

let server: Bun.Server<undefined>;
beforeAll(() => {
  server = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    fetch({ url, headers }) {
      if (headers.get("authorization") !== "Bearer t") return Response.json({}, { status: 401 });
      if (url.endsWith("/full")) return Response.json({ detail: "Too many watch already." }, { status: 503 });
      const pieces = [": hello\n\nevent: a\nda", 'ta: {"n":1}\n', '\nevent: a\ndata: {"n":2}\n\n'];
      return new Response(
        new ReadableStream({
          async pull(controller) {
            const piece = pieces.shift();
            if (piece === undefined) return controller.close();
            controller.enqueue(Buffer.from(piece));
            await Bun.sleep(1);
          },
        }),
      );
    },
  });
});
afterAll(() => server.stop(true));

const follow = async (path: string, token = "t"): Promise<string[]> => {
  const told: string[] = [];
  await followAdmin({ address: `127.0.0.1:${server.port}`, token }, path, (data) => told.push(data));
  return told;
};

test("a stream of events is followed to its end", async () => {
  expect(await follow("/events")).toEqual(['{"n":1}', '{"n":2}']);
});

test("a stream that does not begin says why", async () => {
  expect(follow("/full")).rejects.toThrow("answered 503: Too many watch already.");
  expect(follow("/events", "wrong")).rejects.toThrow("wants the admin token");
  await expect(followAdmin({ address: "127.0.0.1:1" }, "/", () => {})).rejects.toBeInstanceOf(AdminClientError);
});
