// No honest request is refused: neither by the starter rules, nor by the Core Rule Set at paranoia level 1.
import { expect, test } from "bun:test";
import { benignRequest, Whims } from "./support/benign.ts";
import { answer } from "./support/message.ts";
import { Peer } from "./support/peer.ts";
import { startProxy } from "./support/proxy.ts";
import { RawBackend } from "./support/raw-backend.ts";

const REQUESTS = 300;

/** Sends requests one after the other over one connection; gives those that were refused. */
async function refusedOf(waf: object, whims: Whims): Promise<string[]> {
  await using backend = await RawBackend.answering(() => answer(200));
  await using proxy = await startProxy({ routes: [{ waf, to: backend.url }] });
  await using peer = await Peer.connect(proxy.port);
  const refused: string[] = [];
  for (let count = 0; count < REQUESTS; count += 1) {
    const { kind, text } = benignRequest(whims);
    peer.send(text);
    const { status } = await peer.response();
    if (status !== 200) refused.push(`${status} ${kind}: ${text}`);
  }
  return refused;
}

test("the starter rules refuse none of it", async () => {
  expect(await refusedOf({}, new Whims(7, true))).toEqual([]);
}, 20_000);

test("the Core Rule Set refuses none of it at its first level", async () => {
  expect(await refusedOf({ crs: "/usr/share/modsecurity-crs" }, new Whims(8, false))).toEqual([]);
}, 20_000);
