import { describe, expect, test } from "bun:test";
import { HeaderBlock } from "../header-block.ts";
import { frame, uint32 } from "./frame-reader.testing.ts";
import { ERROR, SETTING, TYPE } from "./frames.ts";
import { answer, data, type Fields, GET, headers, OK, OPEN, POST, SessionRig } from "./session.testing.ts";

const settings = (id: number, value: number): Buffer =>
  frame(TYPE.settings, 0, 0, Buffer.concat([Buffer.from([0, id]), uint32(value)]));
const goaway = (last: number, code: number): Buffer => frame(TYPE.goaway, 0, 0, uint32(last, code));
const reset = (id: number, code: number): Buffer => frame(TYPE.rstStream, 0, id, uint32(code));
const BODY = Buffer.from("0123456789");

/** The answer to the last PING, as the peer would give it. */
function pong(rig: SessionRig): void {
  const bytes = rig.out.take();
  rig.text.read(bytes);
  const at = bytes.lastIndexOf(Buffer.from([0, 0, 8, TYPE.ping, 0]));
  rig.feed(frame(TYPE.ping, 1, 0, bytes.subarray(at + 9, at + 17)));
}

describe("server", () => {
  test("an answer with content and trailers", () => {
    const rig = SessionRig.begun("server");
    rig.feed(headers(1, POST, OPEN), data(1, "abc"), data(1, "", true));
    const { stream } = rig.stream(1);
    answer(stream, 103, [["link", "</a>"]]);
    answer(stream, 200, [["X-A", "1"]]);
    stream.sendData(BODY, 2, 5);
    stream.sendData(BODY, 0, 0);
    stream.sendEnd(HeaderBlock.of([["x-sum", "7"]]));
    stream.sendData(BODY, 0, 3); // behind the end: nothing
    stream.sendEnd(null);
    expect(rig.written()).toEqual([
      "HEADERS 1 :status: 103, link: </a>",
      "HEADERS 1 :status: 200, x-a: 1",
      "DATA 1 3",
      "HEADERS 1 end x-sum: 7",
    ]);
    expect(rig.heard).toEqual(["1 request POST /", "1 data 3", "1 end", "1 gone"]);
    expect(rig.session.openStreams).toBe(0);
  });

  test("the end goes with the last content, or alone", () => {
    const rig = SessionRig.begun("server");
    rig.feed(headers(1, GET), headers(3, GET), headers(5, GET));
    for (const id of [1, 3, 5]) answer(rig.stream(id).stream, 200, []);
    rig.stream(1).stream.sendData(BODY, 0, 10, true);
    rig.stream(3).stream.sendData(BODY, 0, 10);
    rig.stream(3).stream.sendEnd(null);
    rig.stream(5).stream.sendData(BODY, 0, 0, true);
    expect(rig.written().slice(3)).toEqual(["DATA 1 10 end", "DATA 3 10", "DATA 3 0 end", "DATA 5 0 end"]);
  });

  test("trailers of nothing are none", () => {
    const rig = SessionRig.begun("server");
    rig.feed(headers(1, GET));
    answer(rig.stream(1).stream, 200, []);
    rig.stream(1).stream.sendEnd(new HeaderBlock());
    expect(rig.written().at(-1)).toBe("DATA 1 0 end");
  });

  test("a head larger than a frame is continued", () => {
    const rig = SessionRig.begun("server");
    rig.feed(headers(1, GET));
    const fields: Fields = Array.from({ length: 30 }, (_, i) => [
      `x-${i}`,
      `${"\x01~".repeat(700)}`.replaceAll("\x01", "^"),
    ]);
    answer(rig.stream(1).stream, 200, fields, true);
    const [line, ...more] = rig.written();
    expect([line!.startsWith("HEADERS 1 end :status: 200, x-0: ^~^~"), line!.split(", ").length, more]).toEqual([
      true,
      31,
      [],
    ]);
  });

  test("more streams than allowed are refused; content for them is dropped", () => {
    const rig = SessionRig.begun("server", { concurrentStreams: 2 });
    rig.feed(headers(1, GET), headers(3, GET), headers(5, POST, OPEN), data(5, "x", true));
    expect(rig.written()).toEqual(["RST_STREAM 5 refusedStream"]);
    expect(rig.session.openStreams).toBe(2);
    answer(rig.stream(1).stream, 200, [], true);
    rig.feed(headers(7, GET));
    expect(rig.heard.at(-1)).toBe("7 request GET / end");
  });

  test("a stream that was reset counts as open until its work is over", () => {
    const rig = SessionRig.begun("server", { concurrentStreams: 1 });
    rig.releases = false;
    rig.feed(headers(1, GET), reset(1, ERROR.cancel), headers(3, GET));
    expect(rig.written()).toEqual(["RST_STREAM 3 refusedStream"]);
    rig.stream(1).stream.release();
    rig.feed(headers(5, GET));
    expect(rig.heard).toEqual(["1 request GET / end", "1 reset cancel by peer", "1 gone", "5 request GET / end"]);
  });

  test("whoever does not read its answers gets no more streams than it may have open", () => {
    const rig = SessionRig.begun("server", { concurrentStreams: 3 });
    rig.out.full = true;
    rig.serve = ({ stream }) => answer(stream, 200, [], true);
    rig.feed(...[1, 3, 5, 7].map((id) => headers(id, GET)));
    expect(rig.written().at(-1)).toBe("RST_STREAM 7 refusedStream");
    rig.out.full = false;
    rig.session.writable();
    rig.feed(headers(9, GET));
    expect(rig.written()).toEqual(["HEADERS 9 end :status: 200"]);
  });

  test("a head over a limit of ours is told as that", () => {
    const rig = SessionRig.begun("server", { head: { startLine: 100, section: 200, fields: 3 } });
    const rows: readonly (readonly [fields: Fields, want: string])[] = [
      [[...GET, ["x", "y".repeat(120)], ["z", "y".repeat(80)]], "refused h1.head_too_large"],
      [[...GET, ["a", ""], ["b", ""], ["c", ""]], "refused h1.head_too_large"],
      [[...GET.slice(0, 3), [":path", `/${"p".repeat(110)}`]], "refused h1.request_line_too_long"],
      [[...GET, ["expect", "more"]], "refused h1.expectation"],
      [[[":method", "M".repeat(40)], ...GET.slice(1)], "refused h1.method_unknown"],
      [GET, "request GET / end"],
    ];
    let id = -1;
    for (const [fields, want] of rows) {
      id += 2;
      rig.feed(headers(id, fields));
      expect(rig.heard.at(-1)).toBe(`${id} ${want}`);
    }
    expect(rig.written()).toEqual([]);
    rig.feed(
      headers(id + 2, [...GET, ...Array.from({ length: 6 }, (_, i): [string, string] => [`x${i}`, "y".repeat(99)])]),
    );
    expect([rig.written(), rig.fault?.code]).toEqual([[`GOAWAY ${id + 2} enhanceYourCalm`], "h2.abuse"]);
  });

  test("extended CONNECT", () => {
    const CONNECT: Fields = [[":method", "CONNECT"], [":protocol", "websocket"], ...GET.slice(1)];
    const rig = SessionRig.begun("server");
    rig.feed(headers(1, CONNECT, OPEN), data(1, "ping"));
    const { stream, head } = rig.stream(1);
    expect([head?.upgrade, rig.heard]).toEqual(["websocket", ["1 request GET /", "1 data 4"]]);
    answer(stream, 200, []);
    stream.sendData(BODY, 0, 4);
    rig.feed(data(1, "", true));
    stream.sendEnd(null);
    expect(rig.written()).toEqual(["HEADERS 1 :status: 200", "DATA 1 4", "DATA 1 0 end"]);
    expect(rig.heard.slice(2)).toEqual(["1 end", "1 gone"]);
    const without = SessionRig.begun("server", { connectProtocol: false });
    without.feed(headers(1, CONNECT, OPEN));
    expect(without.written()).toEqual(["RST_STREAM 1 protocol"]);
  });

  test("a driver that resets hears nothing more", () => {
    const rig = SessionRig.begun("server");
    rig.feed(headers(1, POST, OPEN));
    const { stream } = rig.stream(1);
    answer(stream, 200, []);
    stream.reset(ERROR.none);
    stream.reset(ERROR.cancel);
    stream.sendData(BODY, 0, 1, true);
    answer(stream, 200, []);
    rig.feed(data(1, "x", true));
    expect(rig.written()).toEqual(["HEADERS 1 :status: 200", "RST_STREAM 1 none"]);
    expect(rig.heard).toEqual(["1 request POST /", "1 gone"]);
  });
});

describe("going away", () => {
  test("a server warns, and names the last stream a round trip later", () => {
    const rig = SessionRig.begun("server");
    rig.feed(headers(1, GET));
    rig.session.goaway(ERROR.none);
    rig.session.goaway(ERROR.none);
    expect([rig.session.draining, rig.session.awaitingPong]).toEqual([true, true]);
    rig.feed(headers(3, GET)); // was on its way
    pong(rig);
    expect(rig.written()).toEqual([`GOAWAY ${0x7fff_ffff} none`, "PING", "GOAWAY 3 none"]);
    expect(rig.session.awaitingPong).toBe(false);
    rig.feed(headers(5, GET));
    expect(rig.written()).toEqual(["RST_STREAM 5 refusedStream"]);
    answer(rig.stream(3).stream, 200, [], true);
    expect(rig.written()).toEqual(["HEADERS 3 end :status: 200"]);
    // An error that follows does not raise the last stream.
    rig.feed(frame(TYPE.ping, 0, 0, "x"));
    expect(rig.written()).toEqual(["GOAWAY 3 frameSize"]);
  });

  test("with an error at once", () => {
    const rig = SessionRig.begun("server");
    rig.feed(headers(1, GET));
    rig.session.goaway(ERROR.none);
    rig.session.goaway(ERROR.settingsTimeout);
    expect(rig.written()).toEqual([`GOAWAY ${0x7fff_ffff} none`, "PING", "GOAWAY 1 settingsTimeout"]);
    expect([rig.session.awaitingPong, rig.session.broken]).toEqual([false, false]);
  });

  test("a client that is told so opens no more, and sends again what was not served", () => {
    const rig = SessionRig.begun("client");
    for (let i = 0; i < 3; i += 1) rig.request();
    const early = rig.session.open(rig.stream(1))!;
    rig.feed(goaway(0x7fff_ffff, 0));
    expect(rig.heard).toEqual(["goaway none"]);
    expect(rig.session.open(rig.stream(1))).toBeNull();
    rig.feed(goaway(3, 0));
    expect(rig.heard.slice(1)).toEqual(["5 gone", "5 reset refusedStream by peer", "goaway none"]);
    rig.feed(headers(1, OK), headers(3, OK));
    expect(rig.heard.slice(4)).toEqual(["1 head 200", "1 end", "1 gone", "3 head 200", "3 end", "3 gone"]);
    // Opened before, and not used: nothing of it is sent.
    rig.written();
    early.handler = rig.stream(5);
    early.beginHead(100).request("GET", "https", "a.test", "/");
    early.finishHead(true);
    expect([rig.written(), rig.stream(5).heard.at(-1), rig.session.openStreams]).toEqual([
      [],
      "reset refusedStream",
      0,
    ]);
  });

  test("a lost connection is told to all streams, and nothing more is written", () => {
    for (const role of ["server", "client"] as const) {
      const rig = SessionRig.begun(role);
      if (role === "server") rig.feed(headers(1, GET), headers(3, POST, OPEN));
      else for (let i = 0; i < 2; i += 1) rig.request();
      rig.written();
      rig.heard.length = 0;
      rig.session.lost();
      rig.session.lost();
      rig.session.writable();
      rig.session.goaway(0);
      rig.session.ping();
      rig.stream(1).stream.sendData(BODY, 0, 1);
      rig.feed(frame(TYPE.ping, 0, 0, "12345678"));
      expect(rig.heard.filter((line) => line.includes("reset"))).toEqual([
        "1 reset cancel by peer",
        "3 reset cancel by peer",
      ]);
      expect([rig.written(), rig.session.openStreams]).toEqual([[], 0]);
    }
  });
});

test("PING is answered with its own bytes, and a sign of life is awaited once", () => {
  const rig = SessionRig.begun("client");
  rig.feed(frame(TYPE.ping, 0, 0, "sluice!!"));
  expect(rig.out.take().subarray(9).toString()).toBe("sluice!!");
  rig.session.ping();
  rig.session.ping();
  expect(rig.session.awaitingPong).toBe(true);
  pong(rig);
  expect([rig.session.awaitingPong, rig.glitches]).toEqual([false, []]);
  rig.feed(frame(TYPE.ping, 1, 0, "12345678"));
  expect(rig.glitches).toEqual(["odd"]);
});

describe("client", () => {
  test("a request with content and trailers", () => {
    const rig = SessionRig.begun("client");
    const { stream } = rig.request([["X-A", "1"]], false, "POST");
    stream.sendData(BODY, 0, 10);
    stream.sendEnd(HeaderBlock.of([["x-sum", "7"]]));
    expect(rig.written()).toEqual([
      "HEADERS 1 :method: POST, :scheme: https, :path: /, :authority: a.test, x-a: 1",
      "DATA 1 10",
      "HEADERS 1 end x-sum: 7",
    ]);
    rig.feed(headers(1, [...OK, ["x", "y"]], OPEN), data(1, "abc", true));
    expect(rig.heard).toEqual(["1 head 200 x: y", "1 data 3", "1 end", "1 gone"]);
  });

  test("as many streams as the server's settings say", () => {
    const rig = SessionRig.begun("client");
    rig.feed(settings(SETTING.maxConcurrentStreams, 2));
    rig.request();
    rig.request();
    expect(rig.session.open(rig.stream(1))).toBeNull();
    rig.feed(headers(1, OK));
    expect(rig.session.open(rig.stream(1))).not.toBeNull();
    expect(rig.session.openStreams).toBe(2);
  });

  test("before its settings a server has a hundred, and none when they name none", () => {
    const rig = new SessionRig("client");
    rig.session.start();
    for (let i = 0; i < 100; i += 1) rig.request();
    expect(rig.session.open(rig.stream(1))).toBeNull();
    rig.feed(frame(TYPE.settings, 0, 0));
    expect(rig.session.open(rig.stream(1))).not.toBeNull();
  });

  test("an answer before the request is complete, and the server's word that it needs no more", () => {
    const rig = SessionRig.begun("client");
    const { stream } = rig.request([], false, "POST");
    rig.feed(headers(1, OK));
    stream.sendData(BODY, 0, 10);
    rig.feed(reset(1, ERROR.none));
    stream.sendData(BODY, 0, 10, true);
    expect(rig.written().slice(1)).toEqual(["DATA 1 10"]);
    expect(rig.heard).toEqual(["1 head 200", "1 end", "1 gone", "1 reset none by peer"]);
  });

  test("a whole answer that a paused driver has not taken outlives such a reset", () => {
    const rig = SessionRig.begun("client");
    const { stream } = rig.request([], false, "POST");
    stream.pause();
    rig.feed(headers(1, OK, OPEN), data(1, "abc", true), reset(1, ERROR.none));
    expect(rig.heard).toEqual(["1 head 200", "1 gone"]);
    stream.resume();
    expect(rig.heard.slice(2)).toEqual(["1 data 3", "1 end"]);
  });

  test("the table of the server's size is kept to", () => {
    const rig = SessionRig.begun("client");
    rig.feed(settings(SETTING.headerTableSize, 0));
    rig.written();
    rig.request([["x-a", "1"]]);
    const first = rig.out.take();
    rig.request([["x-a", "1"]]);
    expect([first[9], rig.out.take().length]).toEqual([0x20, first.length - 1]);
  });

  test("an answer with too large a head costs its stream", () => {
    const rig = SessionRig.begun("client", { head: { startLine: 100, section: 100, fields: 3 } });
    rig.request();
    rig.request();
    rig.written();
    rig.feed(headers(1, [...OK, ["x", "y".repeat(100)]]), headers(3, OK));
    expect(rig.written()).toEqual(["RST_STREAM 1 enhanceYourCalm"]);
    expect(rig.heard).toEqual(["1 gone", "1 reset enhanceYourCalm", "3 head 200", "3 end", "3 gone"]);
  });

  test("no end of interim answers", () => {
    const rig = SessionRig.begun("client");
    rig.request();
    rig.written();
    for (let i = 0; i < 33; i += 1) rig.feed(headers(1, [[":status", "103"]], OPEN));
    expect(rig.written()).toEqual(["RST_STREAM 1 enhanceYourCalm"]);
    expect(rig.heard.filter((line) => line === "1 head 103").length).toBe(32);
  });
});
