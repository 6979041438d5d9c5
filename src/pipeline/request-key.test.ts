import { expect, test } from "bun:test";
import { exchangeOf } from "./exchange.fixture.ts";
import { requestKey } from "./request-key.ts";

/** 64 bits of what is hashed, kept to be compared. */
const hash = () => {
  let whole = 0n;
  return {
    of: (key: string | Uint8Array) => {
      whole = Bun.hash.xxHash3(key, 7n);
    },
    get low() {
      return Number(whole & 0xffffffffn);
    },
    get high() {
      return Number(whole >> 32n);
    },
  };
};

const CASES: readonly (readonly [parts: readonly string[], ip: string, values: readonly string[]])[] = [
  [["ip"], "192.0.2.1", ["a192.0.2.1"]],
  [["ip"], "2001:db8::1:2", ["a2001:db8::/64"]],
  [["ip"], "", ["a"]],
  [["header:x-user"], "192.0.2.1", ["hann"]],
  [["cookie:id"], "192.0.2.1", ["ca/64b"]],
  [["route", "ip", "cookie:none", "header:x-user"], "192.0.2.1", ["r", "a192.0.2.1", "a192.0.2.1", "hann"]],
];

for (const [parts, ip, values] of CASES)
  test(`the values of ${parts.join()} for "${ip}" have the hash of the request`, () => {
    const headers = [
      ["X-User", "ann"],
      ["Cookie", "id=a/64b"],
    ] as const;
    const x = exchangeOf({ headers });
    x.ip = ip;
    const [one, other] = [requestKey(parts, hash()), requestKey(parts, hash())];
    one.of(x);
    expect(one.values(x)).toEqual([...values]);
    other.ofValues(values);
    expect([other.low, other.high]).toEqual([one.low, one.high]);
    other.ofValues([...values.slice(1), "hbob"]);
    expect(other.low).not.toBe(one.low);
  });
