import { expect, test } from "bun:test";
import { issueLeaf } from "../issue.ts";
import { backOffMs } from "./pauses.ts";
import { certificateId, nextAskMs, renewalTime, timeInWindow, windowIn } from "./renewal.ts";
import { retryAfter } from "./transport.ts";

// RFC 9773, appendix A
const EXAMPLE = `-----BEGIN CERTIFICATE-----
MIIBQzCB66ADAgECAgUAh2VDITAKBggqhkjOPQQDAjAVMRMwEQYDVQQDEwpFeGFt
cGxlIENBMCIYDzAwMDEwMTAxMDAwMDAwWhgPMDAwMTAxMDEwMDAwMDBaMBYxFDAS
BgNVBAMTC2V4YW1wbGUuY29tMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEeBZu
7cbpAYNXZLbbh8rNIzuOoqOOtmxA1v7cRm//AwyMwWxyHz4zfwmBhcSrf47NUAFf
qzLQ2PPQxdTXREYEnKMjMCEwHwYDVR0jBBgwFoAUaYhba4dGQEHhs3uEe6CuLN4B
yNQwCgYIKoZIzj0EAwIDRwAwRAIge09+S5TZAlw5tgtiVvuERV6cT4mfutXIlwTb
+FYN/8oCIClDsqBklhB9KAelFiYt9+6FDj3z4KGVelYM5MdsO3pK
-----END CERTIFICATE-----
`;
const DAY_MS = 86_400_000;

test("the identifier of a certificate is that of RFC 9773; a self-signed one has none", () => {
  expect(certificateId(EXAMPLE)).toBe("aYhba4dGQEHhs3uEe6CuLN4ByNQ.AIdlQyE");
  const { certPem } = issueLeaf(["a.test"], { notBeforeMs: 0, notAfterMs: DAY_MS }, null);
  expect(certificateId(certPem)).toBeNull();
});

test("a certificate of 90 days is renewed after 57.3 to 60 of them", () => {
  expect(renewalTime(0, 90 * DAY_MS, () => 0)).toBe(60 * DAY_MS);
  expect(renewalTime(0, 90 * DAY_MS, () => 1)).toBe(57.3 * DAY_MS);
});

test("a window of time is one whose end is after its beginning", () => {
  const window = (start: unknown, end: unknown) => ({ suggestedWindow: { start, end } });
  const good = windowIn(window("2026-01-01T00:00:00Z", "2026-01-03T00:00:00+00:00"));
  expect(timeInWindow(good, () => 0.5)).toBe(Date.UTC(2026, 0, 2));
  const time = "2026-01-01T00:00:00Z";
  for (const bad of [null, [], "x", {}, { suggestedWindow: null }, window(time, time), window("x", time), window(1, 2)])
    expect(() => windowIn(bad)).toThrow("no window");
});

test("the next question comes when the authority says, within reason", () => {
  expect([null, 0, 7_200_000, 30 * DAY_MS].map(nextAskMs)).toEqual([21_600_000, 60_000, 7_200_000, DAY_MS]);
});

test("tries after failures: five in the first hour, then fewer, never none", () => {
  const waits = Array.from({ length: 12 }, (_, i) => backOffMs(i + 1, () => 0) / 60_000);
  expect(waits).toEqual([2.5, 5, 10, 20, 40, 80, 160, 320, 360, 360, 360, 360]);
  expect(backOffMs(1, () => 1)).toBe(180_000);
  expect(backOffMs(5000, () => 0)).toBe(21_600_000);
});

test("Retry-After in seconds and as a date", () => {
  const date = "Wed, 01 Jul 2026 10:00:00 GMT";
  const cases: readonly (readonly [string | undefined, number | null])[] = [
    ["120", 120_000],
    ["0", 0],
    ["-5", 0],
    ["Wed, 01 Jul 2026 10:05:00 GMT", 300_000],
    ["99999999", 7 * DAY_MS],
    ["soon", null],
    [undefined, null],
  ];
  for (const [text, want] of cases)
    expect(retryAfter(text === undefined ? { date } : { date, "retry-after": text })).toBe(want);
});
