import { expect, test } from "bun:test";
import { DEFAULT_POLICY } from "../engines/cache/policy.ts";
import { storedHead } from "../engines/cache/stored-head.ts";
import { admit } from "../engines/cache/storing.ts";
import { variantOf } from "../engines/cache/vary.ts";
import { layOut } from "../http/laid-out.ts";
import { RequestHead, ResponseHead } from "../http/message.ts";
import { exchangeOf } from "../pipeline/exchange.fixture.ts";
import { Body } from "./body.ts";
import { Address, Entry } from "./entry.ts";

const NOW = Date.UTC(2026, 0, 1);
const STAMP = { slot: 0, count: 0, purges: 0, disk: 0 };

type Fields = readonly (readonly [string, string])[];

function entryOf(fields: Fields, request: RequestHead = new RequestHead(), extra = "", content = "hello"): Entry {
  const head = new ResponseHead();
  head.reason = "OK";
  layOut(head.headers, 200, "OK", [["Cache-Control", "max-age=60"], ...fields]);
  const admission = admit(request, head, NOW, NOW, DEFAULT_POLICY);
  if ("refusal" in admission) throw new Error(admission.refusal);
  const stored = storedHead(head, [], content.length, NOW);
  const body = new Body(content.length, null);
  body.append(Buffer.from(content), 0, content.length);
  body.finish(null);
  return new Entry(
    extra,
    variantOf(admission.vary, request.headers, stored.headers),
    [],
    STAMP,
    admission.times,
    stored,
    body,
  );
}

const asked = (fields: Fields): RequestHead => exchangeOf({ headers: fields }).request;

const text = ({ headers, lineAt }: ResponseHead): string => headers.bytes.latin1Slice(lineAt, headers.end);

test("the head of a hit has its age at the end, as long as that is", () => {
  const entry = entryOf([["X-A", "1"]]);
  for (const [seconds, age] of [
    [0, "0"],
    [9, "9"],
    [123_456, "123456"],
    [10, "10"],
    [1e12, "2147483648"],
  ] as const) {
    const head = entry.hitHead(NOW + seconds * 1000);
    expect(text(head)).toBe(
      `HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nX-A: 1\r\nDate: Thu, 01 Jan 2026 00:00:00 GMT\r\nContent-Length: 5\r\nCache-Status: sluice; hit\r\nAge: ${age}\r\n`,
    );
    expect([head.headers.get("age"), head.headers.get("cache-status")]).toEqual([age, "sluice; hit"]);
    expect([head.body, head.length]).toEqual(["length", 5]);
  }
});

test("what is stored has neither, and a fresh head may be changed", () => {
  const entry = entryOf([["X-A", "1"]]);
  entry.hitHead(NOW);
  const fresh = entry.freshHead();
  fresh.headers.remove("x-a");
  fresh.headers.add("Age", "7");
  for (const { headers } of [entry.stored, entry.freshHead()])
    expect([headers.get("x-a"), headers.get("age"), headers.get("cache-status")]).toEqual(["1", null, null]);
  expect(entry.hitHead(NOW).headers.get("x-a")).toBe("1");
});

test("an expired one is stale from then on, and its windows stay", () => {
  const entry = entryOf([["CDN-Cache-Control", "max-age=60, stale-while-revalidate=60"]]);
  const { refreshUntil } = entry.times;
  entry.expire(NOW + 1000);
  expect(entry.times).toMatchObject({ freshUntil: NOW + 1000, refreshUntil });
  entry.expire(NOW + 5000);
  expect(entry.times.freshUntil).toBe(NOW + 1000);
});

test("an address gives each request the variant and the rest of the key that are its own", () => {
  const vary: Fields = [["Vary", "X-V"]];
  const address = new Address();
  const a = entryOf(vary, asked([["X-V", "a"]]), "1");
  const b = entryOf(vary, asked([["X-V", "b"]]), "1");
  const other = entryOf([], new RequestHead(), "2");
  for (const entry of [a, b, other]) address.add(entry);
  expect(address.select("1", asked([["X-V", "a"]]).headers)).toBe(a);
  expect(address.select("1", asked([["X-V", "b"]]).headers)).toBe(b);
  expect(address.select("1", asked([]).headers)).toBeNull();
  expect(address.select("2", asked([]).headers)).toBe(other);
  expect(address.select("3", asked([]).headers)).toBeNull();
  expect(address.of("1")).toEqual([a, b]);
});

test("a newer answer takes the place of the one for the same requests, and variants are limited", () => {
  const address = new Address();
  const first = entryOf([]);
  const second = entryOf([]);
  address.add(first);
  address.add(second);
  expect(address.variants).toEqual([second]);
  for (let at = 0; at < 100; at += 1) address.add(entryOf([["Vary", "X-V"]], asked([["X-V", String(at)]])));
  expect(address.variants.length).toBe(64);
  expect([address.remove(second), address.remove(address.variants[3]!)]).toEqual([false, true]);
  expect(address.bytes).toBeGreaterThan(63 * 4000);
});
