import { expect, test } from "bun:test";
import { type Shared, UNSHARED } from "../pipeline/shared.ts";
import { Audit } from "./audit.ts";

test("ten lines in a second, the next one says how many were left out, and all are counted", () => {
  let now = 5000;
  const lines: Readonly<Record<string, string | number>>[] = [];
  const counted: string[] = [];
  const shared: Shared = {
    ...UNSHARED,
    now: () => now,
    tell: (_, fields) => void lines.push(fields),
    count: (_, labels) => void counted.push(labels.join(" ")),
  };
  const audit = new Audit("site", shared);
  const x = { ip: "192.0.2.1", requestId: "id-1" };
  const refused = { kind: "basic", result: "refused", user: "a".repeat(500), why: "wrong" } as const;
  for (let i = 0; i < 25; i += 1) audit.tell(x, refused);
  expect(lines.length).toBe(10);
  expect(lines[0]).toMatchObject({ result: "refused", kind: "basic", route: "site", ip: "192.0.2.1", why: "wrong" });
  expect(String(lines[0]!.user).length).toBeLessThan(140);
  now += 1000;
  audit.tell(null, { kind: "oidc", result: "logout", user: "ann", why: "" });
  expect(lines[10]).toEqual({ result: "logout", kind: "oidc", route: "site", user: "ann", untold: 15 });
  audit.tell(x, { kind: "", result: "required", user: "", why: "" });
  expect(lines.length).toBe(11);
  expect(counted.filter((one) => one === "basic refused").length).toBe(25);
  expect(counted.slice(25)).toEqual(["oidc logout", "none required"]);
});
