import { expect, test } from "bun:test";
import { HeaderBlock } from "../http/header-block.ts";
import { SentRequest } from "./sent-request.ts";
import type { UpstreamClient } from "./upstream-client.ts";

const MOST = 10;

/** What a server would be sent: pieces, and the end with its trailers. */
function again(sent: SentRequest): string {
  let text = "";
  sent.sendTo({
    sendData: (bytes: Buffer, from: number, to: number) => void (text += `${bytes.latin1Slice(from, to)};`),
    sendEnd: (trailers: HeaderBlock | null) => void (text += `end ${trailers?.get("x-sum") ?? ""}`),
  } as unknown as UpstreamClient);
  return text;
}
const add = (sent: SentRequest, text: string, must = false): void =>
  sent.add(Buffer.from(`..${text}.`), 2, 2 + text.length, MOST, must);

test("nothing, a body, and its end", () => {
  const sent = new SentRequest();
  expect([again(sent), sent.isWhole, sent.keepsBody, sent.ended]).toEqual(["", true, false, false]);
  add(sent, "one");
  add(sent, "two");
  expect([again(sent), sent.keepsBody]).toEqual(["one;two;", true]);
  sent.end(HeaderBlock.of([["x-sum", "6"]]));
  expect([again(sent), sent.ended]).toEqual(["one;two;end 6", true]);
});

test("too long a body is not kept, unless it must be", () => {
  const sent = new SentRequest();
  add(sent, "0123456789", true);
  add(sent, "more", true);
  expect([again(sent), sent.isWhole]).toEqual(["0123456789;more;", true]);
  add(sent, "x");
  expect([again(sent), sent.isWhole, sent.keepsBody]).toEqual(["", false, false]);
  add(sent, "y", true);
  expect([again(sent), sent.isWhole]).toEqual(["", false]);
});

test("what is forgotten stays so", () => {
  const sent = new SentRequest();
  add(sent, "one");
  sent.forget();
  add(sent, "two");
  expect([sent.isWhole, sent.keepsBody, again(sent)]).toEqual([false, false, ""]);
});
