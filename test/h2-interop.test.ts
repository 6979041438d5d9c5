// Clients of HTTP/2 as people have them: curl, nghttp, h2load, and Node's own.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { NodeServer, run } from "./support/programs.ts";
import { startProxy, type TestProxy } from "./support/proxy.ts";
import { Pki } from "./support/tls.ts";

/** Says what it got, and sends the body back, or as many bytes as it is asked for; with a trailer for who wants it. */
const ECHO = `(request, response) => {
  const { via = "", te = "none" } = request.headers;
  const length = request.headers["content-length"] ?? "none";
  const size = Number(new URL(request.url, "http://a").searchParams.get("size"));
  const head = { "x-got": [request.method, via.split(" ")[0], length, te].join(" ") };
  if (size > 0) {
    request.resume();
    return response.writeHead(200, { ...head, "content-length": size }).end("x".repeat(size));
  }
  response.writeHead(200, te === "trailers" ? { ...head, trailer: "x-sum" } : head);
  request.on("data", (chunk) => response.write(chunk));
  request.on("end", () => {
    if (te === "trailers") response.addTrailers({ "x-sum": JSON.stringify(request.trailers) });
    response.end();
  });
}`;
const BODY = "a body of many lines\n".repeat(100_000);

let pki: Pki;
let file: string;
let node: NodeServer;
let proxy: TestProxy;
/** Without TLS, and with it. */
let plain: string;
let secure: string;

beforeAll(async () => {
  pki = await Pki.make();
  file = pki.folder.write("body", BODY);
  const files = await pki.files("server", { names: ["127.0.0.1", "localhost"] });
  node = await NodeServer.start(ECHO);
  proxy = await startProxy({
    listeners: [
      { address: "127.0.0.1:0", h2c: true },
      { address: "127.0.0.1:0", tls: { certificates: [files] } },
      { address: "127.0.0.1:0", tls: { certificates: [files] }, http2: false },
    ],
    routes: [{ to: node.url }],
  });
  [plain, secure] = [`http://${proxy.proxy.addresses[0]}`, `https://${proxy.proxy.addresses[1]}`];
});
afterAll(async () => {
  await proxy?.[Symbol.asyncDispose]();
  await node?.[Symbol.asyncDispose]();
  pki?.[Symbol.dispose]();
});

describe("curl", () => {
  const curl = (...args: readonly string[]) => run("curl", ["-sS", "-m", "20", "--cacert", pki.caFile, ...args]);
  const OVER: readonly (readonly [name: string, args: readonly string[], isSecure: boolean, version: string])[] = [
    ["--http2 over TLS", ["--http2"], true, "2"],
    ["--http2-prior-knowledge without TLS", ["--http2-prior-knowledge"], false, "2"],
    ["--http1.1 over TLS", ["--http1.1"], true, "1.1"],
    // The offer to upgrade (RFC 7540 §3.2) is not taken: RFC 9113 has dropped it.
    ["--http2 without TLS", ["--http2"], false, "1.1"],
  ];
  for (const [name, args, isSecure, version] of OVER) {
    const via = version === "2" ? "2" : "1.1";

    test(`${name}: GET, HEAD, POST`, async () => {
      const url = `${isSecure ? secure : plain}/`;
      const write = ["-w", "%{http_code} %{http_version} %header{x-got}"];
      expect((await curl(...args, ...write, `${url}?size=3`)).out).toBe(`xxx200 ${version} GET ${via} none none`);
      expect((await curl(...args, "-I", "-o", "/dev/null", ...write, url)).out).toBe(
        `200 ${version} HEAD ${via} none none`,
      );
      const posted = await curl(...args, ...write, "--data-binary", "some", url);
      expect(posted.out).toBe(`some200 ${version} POST ${via} 4 none`);
    });

    test(`${name}: 2 MB up and down`, async () => {
      const out = join(pki.folder.path, "out");
      const { err, code } = await curl(...args, "-T", file, "-o", out, `${isSecure ? secure : plain}/file`);
      expect([err, code]).toEqual(["", 0]);
      expect(readFileSync(out, "latin1") === BODY).toBe(true);
    });
  }

  test("an upload of unknown length", async () => {
    const outcome = await run(
      "curl",
      ["-sS", "-m", "20", "--http2-prior-knowledge", "-T", "-", "-w", "%header{x-got}", plain],
      BODY,
    );
    expect(outcome.out === `${BODY}PUT 2 none none`).toBe(true);
  });

  test("a hundred requests at a time over one connection", async () => {
    const write = ["-w", "%{http_code} %{http_version} %{num_connects}\\n"];
    const parallel = ["--http2", "--no-progress-meter", "--parallel", "--parallel-max", "100", "-o", "/dev/null"];
    const { out, err } = await curl(...parallel, ...write, `${secure}/[1-100]?size=20000`);
    const lines = out.trim().split("\n");
    expect(err).toBe("");
    expect(lines.filter((line) => line.startsWith("200 2 ")).length).toBe(100);
    // The first few may start before the protocol is known.
    expect(lines.reduce((sum, line) => sum + Number(line.split(" ")[2]), 0)).toBeLessThan(10);
  });

  test("a listener with http2: false speaks HTTP/1.1", async () => {
    const url = `https://${proxy.proxy.addresses[2]}/?size=1`;
    expect((await curl("--http2", "-w", "%{http_version}", url)).out).toBe("x1.1");
  });

  test("an error has a body and keeps the connection", async () => {
    const bad = `${secure}/%2e%2e/`;
    const write = ["-w", "%{http_code} %{num_connects}\\n", "-o", "/dev/null"];
    const { out } = await curl("--http2", "--path-as-is", ...write, bad, ...write.slice(2), `${secure}/?size=1`);
    expect(out).toBe("400 1\n200 0\n");
  });
});

describe("nghttp", () => {
  const nghttp = (...args: readonly string[]) => run("nghttp", ["-t", "20", ...args]);

  test("the frames of a request with a body and padding, and of an answer with trailers", async () => {
    const args = ["-v", "-b", "100", "-d", file, "-H", "te: trailers"];
    const { out, code } = await nghttp(...args, plain);
    expect(code).toBe(0);
    const frames = out.match(/(?::status|x-got|x-sum): .*|recv (?:RST_STREAM|GOAWAY)/g);
    expect(frames).toEqual([":status: 200", `x-got: POST 2 ${BODY.length} trailers`, "x-sum: {}"]);
  });

  test("settings: tables of no size, small windows, many streams", async () => {
    const args = ["-n", "-s", "-m", "50", "-w", "8", "-W", "10", "--header-table-size", "0"];
    const { out, code } = await nghttp(...args, "--encoder-header-table-size", "0", `${plain}/?size=5000`);
    expect(code).toBe(0);
    expect(out.match(/ 200 +4K /g)?.length).toBe(50);
  });

  test("the preface after an upgrade that is not taken: HTTP/1.1 goes on", async () => {
    const { out, err } = await nghttp("-u", `${plain}/?size=3`);
    expect(out + err).toContain("HTTP Upgrade failed");
  });
});

describe("h2load", () => {
  const load = async (...args: readonly string[]): Promise<string> => {
    const { out } = await run("h2load", ["-t1", ...args]);
    return /^requests: .*$/m.exec(out)?.[0] ?? out;
  };
  const well = (count: number) =>
    `requests: ${count} total, ${count} started, ${count} done, ${count} succeeded, 0 failed, 0 errored, 0 timeout`;

  test("4,000 requests over 10 connections of 50 streams", async () => {
    expect(await load("-n4000", "-c10", "-m50", `${secure}/?size=10`)).toBe(well(4000));
  });
  test("small windows", async () => {
    expect(await load("-n200", "-c2", "-m20", "-w10", "-W12", `${plain}/?size=30000`)).toBe(well(200));
  });
  test("more streams than are allowed at a time", async () => {
    expect(await load("-n2000", "-c1", "-m1000", `${plain}/?size=10`)).toBe(well(2000));
  });
  test("100 uploads of 2 MB", async () => {
    expect(await load("-n100", "-c4", "-m8", "-d", file, `${secure}/`)).toBe(well(100));
  });
});

test("Node's http2: 400 requests with bodies of many sizes and trailers, some of which are given up", async () => {
  const program = `
    const session = require("node:http2").connect(${JSON.stringify(plain)}, { maxSessionMemory: 100 });
    const one = (n) => new Promise((resolve, reject) => {
      const body = Buffer.alloc((n * 7919) % 70000, 97 + (n % 26));
      const stream = session.request({ ":method": n % 2 ? "POST" : "PUT", ":path": "/" + n, te: "trailers" }, { waitForTrailers: true });
      stream.on("wantTrailers", () => stream.sendTrailers({ "x-check": String(n) }));
      const chunks = [];
      let sum = "";
      stream.on("trailers", (fields) => { sum = fields["x-sum"]; });
      stream.on("data", (chunk) => chunks.push(chunk));
      stream.end(body);
      if (n % 10 === 0) {
        stream.on("error", () => {}).on("close", () => resolve(true));
        setTimeout(() => stream.close(8), n % 7);
        return;
      }
      stream.on("end", () => resolve(Buffer.concat(chunks).equals(body) && sum === '{"x-check":"' + n + '"}'));
      stream.on("error", reject);
    });
    Promise.all(Array.from({ length: 400 }, (_, n) => one(n))).then((all) => {
      console.log(all.filter(Boolean).length);
      session.close();
    });`;
  expect(await run("node", ["-e", program])).toEqual({ out: "400\n", err: "", code: 0 });
});
