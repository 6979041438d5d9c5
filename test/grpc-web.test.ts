// Browsers' calls: gRPC-Web over HTTP/1.1, made by hand with fetch, to a server of @grpc/grpc-js that knows nothing of it.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { GrpcServer } from "./support/grpc.ts";
import { framed, Rig } from "./support/grpc-rig.ts";
import { request } from "./support/message.ts";
import { Peer } from "./support/peer.ts";
import { startProxy } from "./support/proxy.ts";
import { until } from "./support/wait.ts";

const BINARY = "application/grpc-web+proto";
const TEXT = "application/grpc-web-text+proto";
const MB = 1_048_576;

interface WebAnswer {
  readonly status: number;
  readonly type: string | null;
  readonly headers: Headers;
  readonly messages: readonly string[];
  /** Fields of the frame at the end; null without one. */
  readonly trailers: Readonly<Record<string, string>> | null;
}

/** Text may hold padding wherever a piece of it ends. */
const decoded = (text: string): Buffer =>
  Buffer.concat((text.match(/[^=]+=*/g) ?? []).map((part) => Buffer.from(part, "base64")));

function parsed(body: Buffer): Pick<WebAnswer, "messages" | "trailers"> {
  const messages: string[] = [];
  let trailers: Record<string, string> | null = null;
  for (let at = 0; at < body.length; ) {
    const end = at + 5 + body.readUInt32BE(at + 1);
    if (end > body.length || trailers !== null) throw new Error("frames that do not fit");
    const content = body.latin1Slice(at + 5, end);
    if (body[at] === 0) messages.push(content);
    else
      trailers = Object.fromEntries(
        content.split("\r\n").flatMap((line) => (line === "" ? [] : [line.split(/:(.*)/s).slice(0, 2)])),
      );
    at = end;
  }
  return { messages, trailers };
}

async function call(url: string, path: string, body: Uint8Array | string, headers: Record<string, string>) {
  const response = await fetch(`${url}${path}`, { method: "POST", body, headers });
  const type = response.headers.get("content-type");
  const bytes = Buffer.from(await response.arrayBuffer());
  const content = type?.startsWith("application/grpc-web-text") === true ? decoded(bytes.toString("latin1")) : bytes;
  return { status: response.status, type, headers: response.headers, ...parsed(content) };
}

const FORMS: readonly (readonly [name: string, type: string, write: (message: string) => Uint8Array | string])[] = [
  ["binary", BINARY, framed],
  ["text", TEXT, (message) => framed(message).toString("base64")],
];

for (const [name, type, write] of FORMS)
  describe(name, () => {
    let rig: Rig;
    const web = (path: string, message: string, more: Record<string, string> = {}): Promise<WebAnswer> =>
      call(rig.proxy.url, `/test.Echo/${path}`, write(message), { "content-type": type, "x-grpc-web": "1", ...more });
    beforeAll(async () => {
      rig = await Rig.start({ routes: [{ grpcWeb: true, to: "app" }] });
    });
    afterAll(() => rig[Symbol.asyncDispose]());

    test("a call, its fields and its trailers", async () => {
      const answer = await web("Unary", "hello", { "x-some": "field" });
      expect(answer).toMatchObject({ status: 200, type, messages: ["hello"] });
      expect(answer.headers.get("x-head")).toBe("h");
      expect(answer.trailers).toMatchObject({ "grpc-status": "0", "x-tail": "t" });
      expect((await rig.client.seen()).fields["x-some"]).toBe("field");
    });
    test("messages of every size around a group of three bytes", async () => {
      for (let length = 0; length < 8; length += 1)
        expect((await web("Unary", "x".repeat(length))).messages).toEqual(["x".repeat(length)]);
    });
    test("a server's stream", async () => {
      const { messages, trailers } = await web("Expand", "50 1000");
      expect(messages).toEqual(Array.from({ length: 50 }, (_, at) => String.fromCharCode(at).repeat(1000)));
      expect(trailers).toMatchObject({ "grpc-status": "0" });
    });
    test("messages arrive as they are sent", async () => {
      const headers = { "content-type": type };
      const response = await fetch(`${rig.proxy.url}/test.Echo/Hold`, { method: "POST", body: write("head"), headers });
      let got = "";
      const reader = response.body!.getReader();
      while (!got.includes("begun")) {
        const { value } = await reader.read();
        const text = Buffer.from(value ?? []).toString("latin1");
        got += type === TEXT ? decoded(text).toString("latin1") : text;
      }
      await reader.cancel();
      await until(async () => (await rig.client.seen()).cancelled === 1, "the server to hear that the client left");
    });
    test("an error of the server", async () => {
      const answer = await web("Unary", "x", { "x-fail": "5" });
      const told = answer.trailers ?? Object.fromEntries(answer.headers);
      expect(told).toMatchObject({ "grpc-status": "5", "x-why": "asked-for", "x-why-bin": expect.any(String) });
      expect(decodeURIComponent(told["grpc-message"]!)).toBe("as you wish: 100 % grün");
      expect([answer.status, answer.messages]).toEqual([200, []]);
    });
    test("an error behind messages", async () => {
      const { messages, trailers } = await web("Expand", "2 3", { "x-fail": "9" });
      expect([messages.length, trailers?.["grpc-status"]]).toEqual([2, "9"]);
    });
    test("a deadline, before and in the middle of an answer", async () => {
      const before = await web("Hold", "", { "grpc-timeout": "100m" });
      expect([before.headers.get("grpc-status"), before.trailers]).toEqual(["4", null]);
      const within = await web("Hold", "head", { "grpc-timeout": "100m" });
      expect([within.messages, within.trailers?.["grpc-status"]]).toEqual([["begun"], "4"]);
    });
    test("a message of 8 MB, both ways", async () => {
      const message = "0123456789abcdef".repeat(MB / 2);
      const { messages } = await web("Unary", message);
      expect(messages[0] === message).toBe(true);
    });
    test("programs call the same route", async () => {
      expect(await rig.client.unary("hello")).toMatchObject({ code: 0, text: "hello" });
    });
  });

describe("what browsers may want and send", () => {
  let rig: Rig;
  beforeAll(async () => {
    rig = await Rig.start({ routes: [{ match: { path: "/test.Echo/*" }, grpcWeb: true, to: "app" }] });
  });
  afterAll(() => rig[Symbol.asyncDispose]());

  test("text sent, binary wanted, and the other way around", async () => {
    const { url } = rig.proxy;
    const hello = framed("hello");
    const one = await call(url, "/test.Echo/Unary", hello.toString("base64"), { "content-type": TEXT, accept: BINARY });
    expect([one.type, one.messages]).toEqual([BINARY, ["hello"]]);
    const other = await call(url, "/test.Echo/Unary", hello, { "content-type": BINARY, accept: TEXT });
    expect([other.type, other.messages]).toEqual([TEXT, ["hello"]]);
  });
  test("text in several pieces, each with padding of its own", async () => {
    const hello = framed("hello, hello");
    const pieces = [hello.subarray(0, 4), hello.subarray(4, 11), hello.subarray(11)];
    const body = pieces.map((piece) => piece.toString("base64")).join("");
    expect(body).toContain("==");
    const answer = await call(rig.proxy.url, "/test.Echo/Unary", body, { "content-type": TEXT });
    expect(answer.messages).toEqual(["hello, hello"]);
  });
  for (const body of ["!!!!", "QUJ", "QQ=A", "AAAAAAVoZWxsbw==x"])
    test(`text that is none: ${body}`, async () => {
      const answer = await call(rig.proxy.url, "/test.Echo/Unary", body, { "content-type": TEXT });
      expect([answer.status, answer.type, answer.headers.get("grpc-status")]).toEqual([200, TEXT, "13"]);
      // The server was told to stop, and goes on.
      expect((await rig.client.unary("fine")).code).toBe(0);
    });
  test("no route", async () => {
    const answer = await call(rig.proxy.url, "/elsewhere", framed("x"), { "content-type": BINARY });
    expect([answer.status, answer.type, answer.headers.get("grpc-status")]).toEqual([200, BINARY, "12"]);
  });
  test("a server that goes down: before the answer, and in the middle of it", async () => {
    const server = await GrpcServer.start();
    const to = `h2c://127.0.0.1:${server.port}`;
    await using proxy = await startProxy({ routes: [{ grpcWeb: true, to }] });
    const headers = { "content-type": BINARY };
    const response = await fetch(`${proxy.url}/test.Echo/Hold`, { method: "POST", body: framed("head"), headers });
    await server.kill();
    const { messages, trailers } = parsed(Buffer.from(await response.arrayBuffer()));
    expect([messages, trailers?.["grpc-status"]]).toEqual([["begun"], "14"]);
    const answer = await call(proxy.url, "/test.Echo/Unary", framed("x"), headers);
    expect([answer.status, answer.headers.get("grpc-status")]).toEqual([200, "14"]);
  });
  test("without the policy nothing is translated", async () => {
    await using proxy = await startProxy({ routes: [{ to: `h2c://127.0.0.1:${rig.server.port}` }] });
    const response = await fetch(`${proxy.url}/test.Echo/Unary`, {
      method: "POST",
      body: framed("x"),
      headers: { "content-type": BINARY },
    });
    // What the server makes of it; its trailers are behind the body, where browsers do not look.
    expect(response.headers.get("content-type")).toBe("application/grpc+proto");
    expect(parsed(Buffer.from(await response.arrayBuffer()))).toEqual({ messages: ["x"], trailers: null });
  });
});

describe("a client that reads nothing", () => {
  for (const [name, type, write] of FORMS)
    test(`holds the server up, and gets everything later: ${name}`, async () => {
      const messages = 1024;
      await using rig = await Rig.start({ routes: [{ grpcWeb: true, to: "app" }] });
      await using peer = await Peer.connect(rig.proxy.port);
      peer.socket.pause();
      peer.send(
        request(
          "/test.Echo/Expand",
          [`Content-Type: ${type}`],
          "POST",
          Buffer.from(write(`${messages} 65536`)).toString("latin1"),
        ),
      );
      let written = -1;
      await until(async () => {
        const before = written;
        written = (await rig.client.seen()).written;
        return written > 0 && written === before;
      }, "the server to wait");
      // What the system and the connections between hold, of 64 MB.
      expect(written).toBeLessThan(24 * MB);
      peer.discarding = true;
      peer.socket.resume();
      const bytes = messages * 65_541 * (type === TEXT ? 4 / 3 : 1);
      await until(() => peer.bytesIn > bytes, "all of the answer", 20_000);
      await until(async () => (await rig.client.seen()).written === messages * 65_536, "the server to be done");
    }, 30_000);
});
