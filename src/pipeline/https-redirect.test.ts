import { expect, test } from "bun:test";
import { type ExchangeOptions, exchangeOf } from "./exchange.fixture.ts";
import { redirectToHttps } from "./https-redirect.ts";

const CASES: readonly (readonly [name: string, request: ExchangeOptions, port: number, want: string])[] = [
  ["a page", { target: "/a?b=1" }, 443, "308 https://example.com/a?b=1"],
  ["another port", { target: "/" }, 8443, "308 https://example.com:8443/"],
  ["the port of the plain listener", { authority: "example.com:8080", target: "/a" }, 443, "308 https://example.com/a"],
  ["both", { authority: "example.com:8080", target: "/a" }, 8443, "308 https://example.com:8443/a"],
  ["IPv6", { authority: "[2001:db8::1]:80", target: "/" }, 8443, "308 https://[2001:db8::1]:8443/"],
  ["IPv6 without a port", { authority: "[2001:db8::1]", target: "/" }, 443, "308 https://[2001:db8::1]/"],
  ["POST", { method: "POST", target: "/form" }, 443, "308 https://example.com/form"],
  ["as the client wrote it", { target: "/a%2fb/../c//d" }, 443, "308 https://example.com/a%2fb/../c//d"],
  ["a path that looks like a host", { target: "//evil.example/" }, 443, "308 https://example.com//evil.example/"],
  ["OPTIONS *", { method: "OPTIONS", target: "*", form: "asterisk" }, 443, "308 https://example.com"],
  ["an absolute target", { target: "/a", form: "absolute" }, 443, "308 https://example.com/a"],
  ["no host", { authority: "" }, 443, "400 null"],
  ["a question of a CA", { target: "/.well-known/acme-challenge/token" }, 443, "served"],
  ["one with a query", { target: "/.well-known/acme-challenge/token?x" }, 443, "served"],
  [
    "not below it",
    { target: "/.well-known/acme-challenge" },
    443,
    "308 https://example.com/.well-known/acme-challenge",
  ],
  [
    "out of it again",
    { target: "/.well-known/acme-challenge/../security.txt" },
    443,
    "308 https://example.com/.well-known/acme-challenge/../security.txt",
  ],
  ["into it", { target: "/a/../.well-known/acme-challenge/token" }, 443, "served"],
  [
    "another case",
    { target: "/.Well-Known/acme-challenge/t" },
    443,
    "308 https://example.com/.Well-Known/acme-challenge/t",
  ],
];
for (const [name, request, port, want] of CASES)
  test(name, () => {
    const answer = redirectToHttps(exchangeOf(request).request, port);
    expect(answer === null ? "served" : `${answer.status} ${answer.headers.get("location")}`).toBe(want);
  });
