// HTTP/3 of a whole process: where clients are told of it, and what reloads and stops do to its connections.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { createSocket } from "node:dgram";
import { connect } from "node:http2";
import { H3Client, head } from "./support/h3.ts";
import { answer } from "./support/message.ts";
import { refusingPort } from "./support/ports.ts";
import { RawBackend } from "./support/raw-backend.ts";
import { sluice } from "./support/sluice.ts";
import { type Files, getTls, Pki, secure } from "./support/tls.ts";
import { until } from "./support/wait.ts";

let pki: Pki;
let files: Files;
let backend: RawBackend;
/** Answers that `/slow` waits for. */
const answers: (() => void)[] = [];

beforeAll(async () => {
  pki = await Pki.make();
  files = await pki.files("app", { names: ["app.test"] });
  backend = await RawBackend.answering(async ({ target }) => {
    if (target === "/slow") await new Promise<void>((go) => answers.push(go));
    return answer(200, "fine", ['Alt-Svc: h3=":9"; ma=5']);
  });
});
afterAll(async () => {
  await backend?.[Symbol.asyncDispose]();
  pki?.[Symbol.dispose]();
});

type Http3 = boolean | object;
const config = (http3: Http3, more: object = {}, rest: object = {}): Record<string, unknown> => ({
  listeners: [secure({ certificates: [files], ...more }, { http3 })],
  routes: [{ match: { path: "/here" }, respond: { body: "here" } }, { to: backend.url }],
  ...rest,
});

/** What Alt-Svc says over HTTP/2. */
async function altSvcOfH2(port: number, path: string): Promise<unknown> {
  const session = connect(`https://127.0.0.1:${port}`, { rejectUnauthorized: false, servername: "app.test" });
  session.on("error", () => {});
  try {
    const stream = session.request({ ":path": path, ":authority": "app.test" });
    const fields = await new Promise<Record<string, unknown>>((resolve, reject) => {
      stream.on("response", resolve);
      stream.on("error", reject);
    });
    return fields["alt-svc"];
  } finally {
    session.destroy();
  }
}

describe("Alt-Svc", () => {
  test("says where HTTP/3 is, over HTTP/1.1 and HTTP/2, from all workers, in place of what servers say", async () => {
    await using proxy = await pki.run(config(true));
    const port = proxy.port();
    const expected = `h3=":${port}"; ma=86400`;
    for (let n = 0; n < 12; n += 1) {
      for (const path of ["/", "/here", "/a\\b"]) {
        const got = await getTls(port, { servername: "app.test", ALPNProtocols: ["http/1.1"] }, path);
        expect(got.all("alt-svc")).toEqual([expected]);
      }
    }
    for (const path of ["/", "/here"]) expect(await altSvcOfH2(port, path)).toBe(expected);
    await using client = await H3Client.connect(port);
    expect((await client.get("/")).body.latin1Slice()).toBe("fine");
  });
  test("says what the configuration says of the port", async () => {
    await using proxy = await pki.run(config({ port: 443, maxAge: "1h" }));
    const got = await getTls(proxy.port(), { servername: "app.test" });
    expect(got.all("alt-svc")).toEqual(['h3=":443"; ma=3600']);
  });
  test("is the server's own business without HTTP/3", async () => {
    await using proxy = await pki.run(config(false));
    const got = await getTls(proxy.port(), { servername: "app.test" });
    expect(got.all("alt-svc")).toEqual(['h3=":9"; ma=5']);
    expect(await altSvcOfH2(proxy.port(), "/here")).toBeUndefined();
  });
});

describe("start", () => {
  test("fails where the UDP port is taken", async () => {
    // One that is free for TCP: else that is what fails first.
    const port = await refusingPort();
    const socket = createSocket("udp4");
    await new Promise<void>((resolve) => socket.bind(port, "127.0.0.1", resolve));
    const listener = { address: `127.0.0.1:${port}`, tls: { certificates: [files] }, http3: true };
    const path = pki.folder.write("taken.json", {
      workers: 2,
      admin: false,
      listeners: [listener],
      routes: [{ respond: {} }],
    });
    const ended = await sluice(["run", "--config", path]);
    await new Promise<void>((resolve) => socket.close(resolve));
    expect(ended.code).not.toBe(0);
    expect(ended.err).toMatch(/cannot listen on .*: UDP port \d+ of 127\.0\.0\.1, for HTTP\/3, is in use/);
  });
  test("warns that this is experimental", async () => {
    await using proxy = await pki.run(config(true));
    await proxy.said("HTTP/3 of this runtime is experimental");
    expect(proxy.err).not.toContain("ExperimentalWarning");
    expect(proxy.out).toContain(`HTTP/3 on udp://127.0.0.1:${proxy.port()}\n`);
    const { body } = await proxy.admin("GET", "/api/status");
    expect(body).toMatchObject({ listeners: [{ http3: true }] });
  });
});

describe("certificates", () => {
  test("are chosen by name, and others are taken up while connections stay", async () => {
    const exact = await pki.files("exact", { names: ["exact.test"] });
    const wild = await pki.files("wild", { names: ["*.wild.test"] });
    const own = await pki.files("own", { names: ["app.test"] });
    const own1 = { certificates: [own, exact, wild] };
    await using proxy = await pki.run({ listeners: [secure(own1, { http3: true })], routes: [{ to: backend.url }] });
    const cases = [
      ["exact.test", "DNS:exact.test"],
      ["a.wild.test", "DNS:*.wild.test"],
      ["unknown.test", "DNS:app.test"],
    ] as const;
    for (const [name, names] of cases) {
      await using client = await H3Client.connect(proxy.port(), name);
      expect(client.names).toBe(names);
    }
    await using staying = await H3Client.connect(proxy.port());
    await pki.replace("exact", { names: ["exact.test", "new.test"] });
    await until(async () => {
      await using client = await H3Client.connect(proxy.port(), "new.test");
      return client.names.includes("new.test");
    }, "the new certificate");
    expect((await staying.get("/")).status).toBe(200);
  });
});

describe("a reload", () => {
  test("keeps connections, which get the new routes", async () => {
    await using proxy = await pki.run(config(true));
    await using client = await H3Client.connect(proxy.port());
    expect((await client.get("/here")).body.latin1Slice()).toBe("here");
    for (let n = 0; n < 3; n += 1) {
      const done = await pki.reload(proxy, config(true, {}, { routes: [{ respond: { body: `new ${n}` } }] }));
      expect(done.status).toBe(200);
      expect((await client.get("/here")).body.latin1Slice()).toBe(`new ${n}`);
    }
    expect(client.closedWith).toBeNull();
  });
  test("that opens the listener anew takes the UDP port along", async () => {
    await using proxy = await pki.run(config(true, {}, { shutdown: { drain: "5s" } }));
    const port = proxy.port();
    await using client = await H3Client.connect(port);
    const slow = await client.begin(head("GET", "/slow"));
    await until(() => answers.length === 1, "the request");
    const other = { keyLog: `${pki.folder.path}/keys` };
    expect((await pki.reload(proxy, config(true, other, { shutdown: { drain: "5s" } }))).status).toBe(200);
    await until(() => client.hasGoaway, "GOAWAY");
    await using next = await H3Client.connect(proxy.port());
    expect((await next.get("/here")).status).toBe(200);
    answers.pop()!();
    expect((await slow.done).status).toBe(200);
    expect((await getTls(port, { servername: "app.test" })).all("alt-svc")).toHaveLength(1);
  });
  test("may begin with HTTP/3, and end it", async () => {
    await using proxy = await pki.run(config(false));
    const port = proxy.port();
    expect((await pki.reload(proxy, config(true))).status).toBe(200);
    const client = await H3Client.connect(port);
    expect((await client.get("/")).status).toBe(200);
    expect((await pki.reload(proxy, config(false))).status).toBe(200);
    await until(() => client.closedWith !== null, "the end of the connection");
    expect((await getTls(port, { servername: "app.test" })).all("alt-svc")).toEqual(['h3=":9"; ma=5']);
  });
});

test("a stop lets requests end and takes no more", async () => {
  await using proxy = await pki.run(config(true, {}, { shutdown: { drain: "5s" } }));
  await using client = await H3Client.connect(proxy.port());
  const slow = await client.begin(head("GET", "/slow"));
  await until(() => answers.length === 1, "the request");
  proxy.signal("SIGTERM");
  await until(() => client.hasGoaway, "GOAWAY");
  answers.pop()!();
  expect((await slow.done).status).toBe(200);
  await until(() => client.closedWith !== null && proxy.code !== null, "the end");
  expect(proxy.code).toBe(0);
});

test("requests and connections are counted and logged", async () => {
  const path = `${pki.folder.path}/h3.log`;
  const listeners = [secure({ certificates: [files] }, { http3: true }), secure({ certificates: [files] })];
  await using proxy = await pki.run(config(true, {}, { listeners, log: { access: { path, format: "json" } } }));
  await using client = await H3Client.connect(proxy.port());
  await client.get("/here");
  const logged = async (): Promise<string> => ((await Bun.file(path).exists()) ? await Bun.file(path).text() : "");
  await until(async () => (await logged()).includes("/here"), "the line");
  expect(await logged()).toContain('"version":"3.0"');
  const metrics = await proxy.metrics();
  const of = (name: string): number[] =>
    [...metrics].filter(([series]) => series.startsWith(name)).map(([, value]) => value);
  expect(of("sluice_http3_streams{")).toEqual([0]); // the other listener has no such series
  expect(of("sluice_connections{").toSorted()).toEqual([0, 1]);
  expect(of("sluice_tls_handshakes_total{").reduce((a, b) => a + b)).toBe(1);
});
