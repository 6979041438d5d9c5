import { afterAll, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer as createHttp2, createSecureServer, type ServerHttp2Stream } from "node:http2";
import { createServer as createHttps } from "node:https";
import type { Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { ServerHttp } from "../config/address.ts";
import { upstreamSchema } from "../config/schema-upstreams.ts";
import { TestCa } from "../transport/tls.testing.ts";
import { compileCheck, type HealthConfig } from "./compile.ts";
import { type ProbePlan, startProbe, type Verdict } from "./probe.ts";
import { answering, listening, type TestServer, until } from "./servers.testing.ts";

const folder = mkdtempSync(join(tmpdir(), "health2-"));
const servers: TestServer[] = [];
afterAll(async () => {
  for (const server of servers) await server.close();
  rmSync(folder, { recursive: true });
});

type Serve = (stream: ServerHttp2Stream, headers: Record<string, unknown>) => void;
type HealthInput = Partial<Record<keyof HealthConfig, unknown>>;

async function serving(engine: unknown, serve: Serve | null): Promise<TestServer> {
  const http2 = engine as ReturnType<typeof createHttp2>;
  if (serve !== null)
    http2.on("stream", (stream: ServerHttp2Stream, headers: Record<string, unknown>) => {
      stream.on("error", () => {});
      serve(stream, headers);
    });
  http2.on("sessionError", () => {});
  const server = await listening(() => {}, http2 as unknown as Server);
  servers.push(server);
  return server;
}

function check(server: TestServer, http: ServerHttp, input: HealthInput = {}, more: Partial<ProbePlan> = {}) {
  const health = upstreamSchema.parse({ servers: [], health: { timeout: "2s", ...input } }).health!;
  const converse = compileCheck(health, "app.internal:8080", http);
  const plan = { address: server.address, timeout: health.timeout, tls: null, alpn: [], preface: null, converse };
  return new Promise<Verdict>((done) => startProbe({ ...plan, ...more }, () => [], done));
}

const answer =
  (status: number, body: string): Serve =>
  (stream) => {
    stream.respond({ ":status": status });
    stream.end(body);
  };
const good = (reason = "status 200"): Verdict => ({ ok: true, reason });
const bad = (reason: string): Verdict => ({ ok: false, reason });

const ANSWERS: readonly (readonly [name: string, serve: Serve, options: HealthInput, want: Verdict])[] = [
  ["a good answer", answer(200, "ok"), {}, good()],
  ["one without a body", (stream) => stream.respond({ ":status": 204 }, { endStream: true }), {}, good("status 204")],
  ["HEAD", answer(200, ""), { method: "HEAD" }, good()],
  ["an error", answer(503, "busy"), {}, bad("status 503")],
  ["an error that is expected", answer(404, ""), { status: "404" }, good("status 404")],
  ["a text in the body", answer(200, "all is well"), { body: "is well" }, good()],
  ["a body without the text", answer(200, "sick"), { body: "well" }, bad('body does not contain "well"')],
  ["a long body without the text", answer(200, "x".repeat(200_000)), { body: "y" }, bad('body does not contain "y"')],
  ["no answer", () => {}, { timeout: "120ms" }, bad("no answer within 120 ms")],
  ["a stream that is reset", (stream) => stream.close(2), {}, bad("*")],
];
for (const [name, serve, options, want] of ANSWERS)
  test(`http2: ${name}`, async () => {
    const server = await serving(createHttp2(), serve);
    const got = await check(server, "2", options);
    expect(want.reason === "*" ? { ...got, reason: "*" } : got).toEqual(want);
    await until(() => server.open.size === 0, "the check's connection is closed");
  });

test("http2: an HTTP/1.1 server", async () => {
  const server = await listening(answering("HTTP/1.1 400 Bad Request\r\n\r\n"));
  servers.push(server);
  expect((await check(server, "2")).ok).toBe(false);
});

test("http2: the request", async () => {
  const seen: Record<string, unknown>[] = [];
  const server = await serving(createHttp2(), (stream, headers) => {
    seen.push({ ...headers });
    answer(200, "")(stream, headers);
  });
  const headers = { Host: "other.test", "X-Key": "1", Connection: "x", TE: "gzip" };
  expect(await check(server, "2", { method: "POST", path: "/healthz?deep=1", headers })).toEqual(good());
  expect(seen).toEqual([
    expect.objectContaining({
      ":method": "POST",
      ":path": "/healthz?deep=1",
      ":scheme": "http",
      ":authority": "other.test",
      "user-agent": "sluice-health/1",
      "x-key": "1",
    }),
  ]);
  for (const name of ["connection", "te", "host"]) expect(seen[0]).not.toHaveProperty(name);
});

test("over TLS, what the handshake has chosen is spoken", async () => {
  const ca = await TestCa.make();
  const { certPem: cert, keyPem: key } = await ca.issue({ names: ["app.test"] });
  const caFile = join(folder, "ca.pem");
  writeFileSync(caFile, ca.pem);
  const tls = { serverName: "app.test", verify: true, ca: caFile };
  const more = { tls, alpn: ["h2", "http/1.1"] };
  const both = await serving(createSecureServer({ cert, key }), answer(204, ""));
  expect(await check(both, "either", {}, more)).toEqual(good("status 204"));
  const old = await serving(
    createHttps({ cert, key }, (_, response) => response.end("ok")),
    null,
  );
  expect(await check(old, "either", {}, more)).toEqual(good());
});
