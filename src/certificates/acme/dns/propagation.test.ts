import { expect, test } from "bun:test";
import {
  CLASS,
  type DnsMessage,
  decodeMessage,
  encodeName,
  encodeQuery,
  encodeRecord,
  encodeText,
  TYPE,
} from "./message.ts";
import { type Ask, followCnames, waitForRecord } from "./propagation.ts";

type Zone = Readonly<Record<string, readonly string[]>>;

const DATA: Readonly<Record<string, (text: string) => Buffer>> = {
  A: (text) => Buffer.from(text.split(".").map(Number)),
  AAAA: (text) => Buffer.from(text, "hex"),
  NS: encodeName,
  CNAME: encodeName,
  TXT: encodeText,
};

/** Servers by address, each with its records by `TYPE name`; a server that is not there does not answer. */
function world(servers: Readonly<Record<string, Zone>>): { ask: Ask; asked: string[] } {
  const asked: string[] = [];
  const ask: Ask = async (server, name, type, recursion): Promise<DnsMessage> => {
    const [kind = ""] = Object.entries(TYPE).find(([, number]) => number === type) ?? [];
    asked.push(`${server} ${kind} ${name}${recursion ? " rd" : ""}`);
    const zone = servers[server];
    if (zone === undefined) throw new Error("does not answer");
    const records = (zone[`${kind} ${name}`] ?? []).map((text) =>
      encodeRecord(name, type, CLASS.IN, 1, DATA[kind]!(text)),
    );
    const bytes = Buffer.concat([encodeQuery(name, type, recursion), ...records]);
    bytes.writeUInt16BE(0x8000, 2);
    bytes.writeUInt16BE(records.length, 6);
    return decodeMessage(bytes);
  };
  return { ask, asked };
}

const RECORD = { name: "_acme-challenge.www.a.test", value: "v1" };
const OPTIONS = { resolvers: ["dead", "resolver"], timeoutMs: 5000 };

test("all authoritative servers are asked, and each until it knows the record", async () => {
  const lag: Record<string, readonly string[]> = {};
  const knows = { [`TXT ${RECORD.name}`]: ["other", "v1"] };
  const { ask, asked } = world({
    resolver: {
      "NS a.test": ["ns1.a.test", "ns2.b.test"],
      "A ns1.a.test": ["10.0.0.1"],
      "AAAA ns2.b.test": ["20010db8".padEnd(32, "0")],
    },
    "10.0.0.1": knows,
    "2001:0db8:0000:0000:0000:0000:0000:0000": lag,
  });
  const slept: number[] = [];
  await waitForRecord(RECORD, OPTIONS, ask, async (ms) => {
    slept.push(ms);
    if (slept.length === 2) lag[`TXT ${RECORD.name}`] = ["v1"];
  });
  expect(slept).toEqual([200, 2000]);
  expect(asked.filter((line) => line.includes("TXT")).map((line) => line.split(" ")[0])).toEqual([
    "10.0.0.1",
    "2001:0db8:0000:0000:0000:0000:0000:0000",
    "2001:0db8:0000:0000:0000:0000:0000:0000",
    "2001:0db8:0000:0000:0000:0000:0000:0000",
  ]);
});

test("a server that never knows it is named; one that nobody tells of is missed", async () => {
  const servers = ["10.0.0.1", "10.0.0.2"];
  const { ask } = world({
    "10.0.0.1": { [`TXT ${RECORD.name}`]: ["v1"] },
    "10.0.0.2": { [`TXT ${RECORD.name}`]: ["old"] },
  });
  let ms = 0;
  const sleep = async (more: number): Promise<void> => void (ms += more);
  await expect(waitForRecord(RECORD, { servers, timeoutMs: 5000 }, ask, sleep)).rejects.toThrow(
    /not visible at 10\.0\.0\.2 after 5 s/,
  );
  expect(ms).toBeWithin(5000, 8000);
  await expect(waitForRecord(RECORD, OPTIONS, ask, sleep)).rejects.toThrow("cannot find the name servers");
  await waitForRecord(RECORD, { timeoutMs: 0 }, ask, sleep);
});

test("CNAME records lead to where the record must be; a ring is an error", async () => {
  const { ask } = world({
    resolver: { "CNAME a.test": ["b.test"], "CNAME b.test": ["c.test"], "CNAME r.test": ["r.test"] },
  });
  expect(await followCnames("a.test", OPTIONS, ask)).toBe("c.test");
  expect(await followCnames("c.test", OPTIONS, ask)).toBe("c.test");
  expect(await followCnames("c.test", { resolvers: ["dead"] }, ask)).toBe("c.test");
  await expect(followCnames("r.test", OPTIONS, ask)).rejects.toThrow("too many CNAME");
});
