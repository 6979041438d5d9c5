import { expect, test } from "bun:test";
import fc from "fast-check";
import { parseList } from "../../http/structured.ts";
import {
  type Forwarded,
  type ForwardReason,
  forwardedStatus,
  HIT_STATUS,
  hitStatus,
  keyParameter,
  STANDS_IN,
} from "./cache-status.ts";

const PLAIN: Forwarded = { reason: "miss", status: 0, stored: false, collapsed: false, detail: "" };

const CASES: readonly (readonly [forwarded: Partial<Forwarded>, want: string])[] = [
  [{}, "sluice; fwd=miss"],
  [{ reason: "uri-miss", stored: true }, "sluice; fwd=uri-miss; stored"],
  [{ reason: "uri-miss", collapsed: true }, "sluice; fwd=uri-miss; collapsed"],
  [{ reason: "uri-miss", stored: true, collapsed: true }, "sluice; fwd=uri-miss; stored; collapsed"],
  [{ reason: "stale", status: 304, stored: true }, "sluice; fwd=stale; fwd-status=304; stored"],
  [{ reason: "stale", status: 503, detail: STANDS_IN }, "sluice; fwd=stale; fwd-status=503; detail=stale-if-error"],
  [{ reason: "bypass", detail: "no cache" }, 'sluice; fwd=bypass; detail="no cache"'],
  [{ detail: '"\\ü' }, 'sluice; fwd=miss; detail="\\"\\\\?"'],
];
for (const [forwarded, want] of CASES)
  test(`RFC 9211: ${want}`, () => {
    expect(forwardedStatus({ ...PLAIN, ...forwarded })).toBe(want);
    expect(forwardedStatus({ ...PLAIN, ...forwarded })).toBe(want); // the second time from what was made
  });

test("RFC 9211: hits", () => {
  expect(HIT_STATUS).toBe("sluice; hit");
  expect(hitStatus(12.9)).toBe("sluice; hit; ttl=12");
  expect(hitStatus(-3.5)).toBe("sluice; hit; ttl=-4");
  expect(HIT_STATUS + keyParameter('a\n"b"')).toBe('sluice; hit; key="a \\"b\\""');
});

test("every value is a list of structured fields, and no two deeds have the same", () => {
  const reasons: readonly ForwardReason[] = [
    "bypass",
    "method",
    "uri-miss",
    "vary-miss",
    "miss",
    "request",
    "stale",
    "partial",
  ];
  const forwarded = fc.record({
    reason: fc.constantFrom(...reasons),
    status: fc.constantFrom(0, 200, 304, 503, 999),
    stored: fc.boolean(),
    collapsed: fc.boolean(),
    detail: fc.oneof(fc.constant(""), fc.string({ unit: "binary", maxLength: 8 })),
  });
  fc.assert(
    fc.property(forwarded, forwarded, (one, other) => {
      expect(parseList(forwardedStatus(one))).toHaveLength(1);
      const same = JSON.stringify({ ...one, detail: "" }) === JSON.stringify({ ...other, detail: "" });
      expect(forwardedStatus({ ...one, detail: "" }) === forwardedStatus({ ...other, detail: "" })).toBe(same);
    }),
  );
});
