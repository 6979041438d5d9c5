import { describe, expect, test } from "bun:test";
import { addressServers, afterAnswer, type DiscoveredServer, merged, type Service, serviceServers } from "./servers.ts";

/** `id weight`, and a star for a backup. */
const show = (servers: readonly DiscoveredServer[]): string[] =>
  servers.map((each) => `${each.id} ${each.weight}${each.backup ? " *" : ""}`);
/** `priority weight port addresses…` */
const service = (text: string): Service => {
  const [priority, weight, port, ...addresses] = text.split(" ");
  return { priority: Number(priority), weight: Number(weight), port: Number(port), addresses };
};

test("addresses are servers of weight 1, in one order, once each", () => {
  const servers = addressServers(["10.0.0.2", "fd00::1", "10.0.0.1", "10.0.0.2"], 81);
  expect(show(servers)).toEqual(["10.0.0.1:81 1", "10.0.0.2:81 1", "[fd00::1]:81 1"]);
  expect(servers[2]).toEqual({ id: "[fd00::1]:81", host: "fd00::1", port: 81, weight: 1, backup: false });
});

describe("SRV records", () => {
  const CASES: readonly (readonly [name: string, records: readonly string[], want: readonly string[]])[] = [
    ["weights and ports are theirs", ["0 10 81 a", "0 30 82 b"], ["a:81 10", "b:82 30"]],
    ["any order gives the same", ["0 30 82 b", "0 10 81 a"], ["a:81 10", "b:82 30"]],
    [
      "all above the lowest priority are backups",
      ["20 5 1 b", "10 5 1 a", "30 7 1 c"],
      ["a:1 5", "b:1 5 *", "c:1 7 *"],
    ],
    ["a lowest priority without addresses does not count", ["1 5 1", "2 5 1 b", "3 5 1 c"], ["b:1 5", "c:1 5 *"]],
    ["weight 0 beside others is the least", ["0 0 1 a", "0 50 1 b"], ["a:1 1", "b:1 50"]],
    ["all weights 0 are equal", ["0 0 1 a", "0 0 1 b"], ["a:1 1", "b:1 1"]],
    ["large weights are scaled", ["0 65535 1 a", "0 13107 1 b", "0 0 1 c"], ["a:1 1000", "b:1 200", "c:1 1"]],
    ["1000 is not large", ["0 1000 1 a", "0 1 1 b"], ["a:1 1000", "b:1 1"]],
    ["backups are scaled by themselves", ["0 1 1 a", "1 2000 1 b", "1 200 1 c"], ["a:1 1", "b:1 1000 *", "c:1 100 *"]],
    ["addresses share their target's weight", ["0 3 1 a b", "0 3 1 c"], ["a:1 3", "b:1 3", "c:1 6"]],
    ["in which a weight of 0 is still the least", ["0 0 1 a b", "0 0 1 c"], ["a:1 1", "b:1 1", "c:1 2"]],
    ["two records of one server add up", ["0 3 1 a", "0 4 1 a"], ["a:1 7"]],
    ["two ports of one address are two servers", ["0 1 1 a", "0 1 2 a"], ["a:1 1", "a:2 1"]],
    ["a server of both kinds is no backup", ["0 1 1 a", "1 9 1 a", "1 9 1 b"], ["a:1 1", "b:1 9 *"]],
    ["no record has an address", ["0 1 1", "1 1 1"], []],
  ];
  for (const [name, records, want] of CASES)
    test(name, () => expect(show(serviceServers(records.map(service)))).toEqual([...want]));

  test("shares stay right and in bounds for any numbers of addresses", () => {
    const counts = [1, 2, 3, 5, 7, 11, 13];
    const services = counts.map((count, at) => ({
      priority: 0,
      weight: 100,
      port: at + 1,
      addresses: Array.from({ length: count }, (_, host) => `h${host}`),
    }));
    const servers = serviceServers(services);
    for (const [at, count] of counts.entries()) {
      const weights = servers.filter((each) => each.port === at + 1).map((each) => each.weight);
      expect(weights).toEqual(new Array(count).fill(Math.round(1000 / count)));
    }
  });
});

describe("answers one after another", () => {
  /** Each answer as the servers that it has; `a-` for one that is known and was left out. */
  const CASES: readonly (readonly [name: string, answers: readonly string[], want: string])[] = [
    ["a new server comes at once", ["a", "a b"], "a b"],
    ["one miss is forgiven", ["a b", "a"], "a b-"],
    ["two misses in a row are not", ["a b", "a", "a"], "a"],
    ["two misses with the server between are", ["a b", "a", "a b", "a"], "a b-"],
    ["all change", ["a b", "c d"], "c d a- b-"],
    ["all have changed", ["a b", "c d", "c d"], "c d"],
  ];
  for (const [name, answers, want] of CASES)
    test(name, () => {
      const known = answers.reduce<ReturnType<typeof afterAnswer>>((before, answer) => {
        const servers = answer.split(" ").map((host) => ({ id: host, host, port: 1, weight: 1, backup: false }));
        return afterAnswer(before, servers);
      }, []);
      expect(known.map(({ server, isMissing }) => `${server.id}${isMissing ? "-" : ""}`).join(" ")).toBe(want);
    });

  test("a server that is still there takes its new weight", () => {
    const [before, after] = [1, 2].map((weight) => [{ id: "a:1", host: "a", port: 1, weight, backup: false }]);
    expect(afterAnswer(afterAnswer([], before!), after!)).toEqual([{ server: after![0]!, isMissing: false }]);
  });

  test("those that were left out are never kept beyond the bound", () => {
    const many = (from: number) =>
      addressServers(
        Array.from({ length: 700 }, (_, at) => `10.0.${from}.${at}`),
        1,
      );
    const known = afterAnswer(afterAnswer([], many(1)), many(2));
    expect(known.length).toBe(1000);
    expect(known.filter((each) => !each.isMissing).length).toBe(700);
  });
});

test("lists of several sources", () => {
  const server = (id: string, weight: number, backup: boolean) => ({ id, host: id, port: 1, weight, backup });
  expect(show(merged([[server("b", 1, true), server("c", 1, true)], [server("a", 2, false)]]))).toEqual([
    "a 2",
    "b 1 *",
    "c 1 *",
  ]);
  expect(show(merged([[server("a", 3, true)], [server("a", 2, false)]]))).toEqual(["a 3"]);
  expect(show(merged([[server("a", 3, false)], [server("a", 2, true)]]))).toEqual(["a 3"]);
});
