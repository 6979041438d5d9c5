import { describe, expect, test } from "bun:test";
import { createHash, createHmac, generateKeyPairSync, type KeyObject, sign } from "node:crypto";
import type { z } from "zod";
import { signatureSchema } from "../../../config/schema-auth-tokens.ts";
import { type ExchangeOptions, exchangeOf } from "../../../pipeline/exchange.fixture.ts";
import type { Authenticator, Verdict } from "../../authenticator.ts";
import { contextFor, START, said, TestShared } from "../tokens.testing.ts";
import { compileSignature } from "./signature.ts";

type Input = z.input<typeof signatureSchema>;
type Fields = readonly (readonly [string, string])[];

// RFC 9421 appendix B.1.
const RSA_PSS = `-----BEGIN PUBLIC KEY-----
MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAr4tmm3r20Wd/PbqvP1s2
+QEtvpuRaV8Yq40gjUR8y2Rjxa6dpG2GXHbPfvMs8ct+Lh1GH45x28Rw3Ry53mm+
oAXjyQ86OnDkZ5N8lYbggD4O3w6M6pAvLkhk95AndTrifbIFPNU8PPMO7OyrFAHq
gDsznjPFmTOtCEcN2Z1FpWgchwuYLPL+Wokqltd11nqqzi+bJ9cvSKADYdUAAN5W
Utzdpiy6LbTgSxP7ociU4Tn0g5I6aDZJ7A8Lzo0KSyZYoA485mqcO0GVAdVw9lq4
aOT9v6d+nb4bnNkQVklLQ3fVAvJm+xdDOp9LCNCN48V2pnDOkFV6+U9nV5oyc6XI
2wIDAQAB
-----END PUBLIC KEY-----`;
const RSA = `-----BEGIN PUBLIC KEY-----
MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAhAKYdtoeoy8zcAcR874L
8cnZxKzAGwd7v36APp7Pv6Q2jdsPBRrwWEBnez6d0UDKDwGbc6nxfEXAy5mbhgaj
zrw3MOEt8uA5txSKobBpKDeBLOsdJKFqMGmXCQvEG7YemcxDTRPxAleIAgYYRjTS
d/QBwVW9OwNFhekro3RtlinV0a75jfZgkne/YiktSvLG34lw2zqXBDTC5NHROUqG
TlML4PlNZS5Ri2U4aCNx2rUPRcKIlE0PuKxI4T+HIaFpv8+rdV6eUgOrB2xeI1dS
FFn/nnv5OoZJEIB+VmuKn3DCUcCZSFlQPSXSfBDiUGhwOw76WuSSsf1D4b/vLoJ1
0wIDAQAB
-----END PUBLIC KEY-----`;
const ED25519 = `-----BEGIN PUBLIC KEY-----
MCowBQYDK2VwAyEAJrQLj5P/89iXES9+vFgrIy29clF9CC/oPPsw3c5D0bs=
-----END PUBLIC KEY-----`;
const SHARED = "base64:uzvJfB4u3N0Jy4T7NZ75MDVcr8zSTInedJtkgcu46YW4XByzNJjxBdtjUkdJPBtbmHhIDi6pcl8jsasjlTMtDQ==";
const RFC_KEYS: Input["keys"] = [
  { id: "test-key-rsa-pss", name: "pss", algorithm: "rsa-pss-sha512", publicKey: RSA_PSS },
  { id: "test-key-rsa", name: "rsa", algorithm: "rsa-v1_5-sha256", publicKey: RSA },
  { id: "test-key-ed25519", name: "ed25519", algorithm: "ed25519", publicKey: ED25519 },
  { id: "test-shared-secret", name: "hmac", algorithm: "hmac-sha256", secret: SHARED },
];
const DIGEST = "sha-512=:WZDPaVn/7XgHaAy8pmojAkGWoRx2UFChF41A2svX+TaPm+AbwAgBWnrIiYllu7BNNyealdVLvRwEmTHWXvJwew==:";
/** The request of appendix B.2; its body is of no matter to signatures. */
const RFC_REQUEST: Fields = [
  ["Host", "example.com"],
  ["Date", "Tue, 20 Apr 2021 02:07:55 GMT"],
  ["Content-Type", "application/json"],
  ["Content-Digest", DIGEST],
  ["Content-Length", "18"],
];

const VECTORS: readonly (readonly [name: string, user: string, input: string, signature: string])[] = [
  [
    "B.2.1",
    "pss",
    '();created=1618884473;keyid="test-key-rsa-pss";nonce="b3k2pp5k7z-50gnwp.yemd"',
    "d2pmTvmbncD3xQm8E9ZV2828BjQWGgiwAaw5bAkgibUopemLJcWDy/lkbbHAve4cRAtx31Iq786U7it++wgGxbtRxf8Udx7zFZsckzXaJMkA7ChG52eSkFxykJeNqsrWH5S+oxNFlD4dzVuwe8DhTSja8xxbR/Z2cOGdCbzR72rgFWhzx2VjBqJzsPLMIQKhO4DGezXehhWwE56YCE+O6c0mKZsfxVrogUvA4HELjVKWmAvtl6UnCh8jYzuVG5WSb/QEVPnP5TmcAnLH1g+s++v6d4s8m0gCw1fV5/SITLq9mhho8K3+7EPYTU8IU1bLhdxO5Nyt8C8ssinQ98Xw9Q==",
  ],
  [
    "B.2.2",
    "pss",
    '("@authority" "content-digest" "@query-param";name="Pet");created=1618884473;keyid="test-key-rsa-pss";tag="header-example"',
    "LjbtqUbfmvjj5C5kr1Ugj4PmLYvx9wVjZvD9GsTT4F7GrcQEdJzgI9qHxICagShLRiLMlAJjtq6N4CDfKtjvuJyE5qH7KT8UCMkSowOB4+ECxCmT8rtAmj/0PIXxi0A0nxKyB09RNrCQibbUjsLS/2YyFYXEu4TRJQzRw1rLEuEfY17SARYhpTlaqwZVtR8NV7+4UKkjqpcAoFqWFQh62s7Cl+H2fjBSpqfZUJcsIk4N6wiKYd4je2U/lankenQ99PZfB4jY3I5rSV2DSBVkSFsURIjYErOs0tFTQosMTAoxk//0RoKUqiYY8Bh0aaUEb0rQl3/XaVe4bXTugEjHSw==",
  ],
  [
    "B.2.3",
    "pss",
    '("date" "@method" "@path" "@query" "@authority" "content-type" "content-digest" "content-length");created=1618884473;keyid="test-key-rsa-pss"',
    "bbN8oArOxYoyylQQUU6QYwrTuaxLwjAC9fbY2F6SVWvh0yBiMIRGOnMYwZ/5MR6fb0Kh1rIRASVxFkeGt683+qRpRRU5p2voTp768ZrCUb38K0fUxN0O0iC59DzYx8DFll5GmydPxSmme9v6ULbMFkl+V5B1TP/yPViV7KsLNmvKiLJH1pFkh/aYA2HXXZzNBXmIkoQoLd7YfW91kE9o/CCoC1xMy7JA1ipwvKvfrs65ldmlu9bpG6A9BmzhuzF8Eim5f8ui9eH8LZH896+QIF61ka39VBrohr9iyMUJpvRX2Zbhl5ZJzSRxpJyoEZAFL2FUo5fTIztsDZKEgM4cUA==",
  ],
  [
    "B.2.5",
    "hmac",
    '("date" "@authority" "content-type");created=1618884473;keyid="test-shared-secret"',
    "pxcQw6G3AjtMBQjwo8XzkZf/bws5LelbaMk5rGIGtE8=",
  ],
  [
    "B.2.6",
    "ed25519",
    '("date" "@method" "@path" "@authority" "content-type" "content-length");created=1618884473;keyid="test-key-ed25519"',
    "wqcAqbmYJ2ji2glfAMaRy4gruYYnx2nEFN2HN6jrnDnQCK1u02Gb04v9EDgwUPiu4A0w6vuQv5lIp5WPpBKRCw==",
  ],
];

interface Made {
  readonly way: Authenticator;
  readonly time: TestShared;
}

function made(config: Partial<Input>, ms: number = START): Made {
  const time = new TestShared();
  time.ms = ms;
  return { way: compileSignature(signatureSchema.parse(config), contextFor(time.shared)), time };
}

const SECRET = "0123456789abcdef0123456789abcdef";
const NOW = START / 1000;

/** A request that is signed over this text with the secret; the components' values are what a client would write. */
function signed(
  input: string,
  lines: readonly string[],
  request: ExchangeOptions & { fields?: Fields } = {},
  by: (base: Buffer) => Buffer = (base) => createHmac("sha256", SECRET).update(base).digest(),
): ExchangeOptions {
  const base = Buffer.from([...lines, `"@signature-params": ${input}`].join("\n"), "latin1");
  const signature = by(base).toString("base64");
  const fields: Fields = [
    ...(request.fields ?? []),
    ["signature-input", `sig=${input}`],
    ["signature", `sig=:${signature}:`],
  ];
  return { ...request, headers: fields };
}

const judge = async ({ way }: Made, options: ExchangeOptions): Promise<Verdict> =>
  way.authenticate(exchangeOf(options));

describe("RFC 9421 appendix B.2", () => {
  for (const [name, user, input, signature] of VECTORS)
    test(name, async () => {
      const first = input.slice(1, input.indexOf(")"));
      const components = /"@authority"/.test(first) ? ["@authority"] : undefined;
      const config: Partial<Input> = { keys: RFC_KEYS, components: components ?? ["@method"], body: "unsigned" };
      const all = made(config, 1_618_884_500_000);
      const request: ExchangeOptions = {
        method: "POST",
        target: "/foo?param=Value&Pet=dog",
        headers: [...RFC_REQUEST, ["Signature-Input", `s=${input}`], ["Signature", `s=:${signature}:`]],
      };
      // The first one signs nothing at all, which is refused whoever has signed it.
      const want = first === "" ? "too little is signed" : user;
      expect(said(await judge(all, request))).toBe(want);
      if (want !== user) return;
      expect(
        said(
          await judge(all, {
            ...request,
            headers: [
              ...request.headers!.map(
                ([n, v]) => [n, v.replace("json", "xml").replace("WZD", "WZE").replace("07:55", "07:56")] as const,
              ),
            ],
          }),
        ),
      ).toBe("a wrong signature");
    });

  test("section 4.3: of a proxy, beside the client's", async () => {
    const input =
      '("@method" "@authority" "@path" "content-digest" "content-type" "content-length" "forwarded");created=1618884480;keyid="test-key-rsa";alg="rsa-v1_5-sha256";expires=1618884540';
    const signature =
      "S6ZzPXSdAMOPjN/6KXfXWNO/f7V6cHm7BXYUh3YD/fRad4BCaRZxP+JH+8XY1I6+8Cy+CM5g92iHgxtRPz+MjniOaYmdkDcnL9cCpXJleXsOckpURl49GwiyUpZ10KHgOEe11sx3G2gxI8S0jnxQB+Pu68U9vVcasqOWAEObtNKKZd8tSFu7LB5YAv0RAGhB8tmpv7sFnIm9y+7X5kXQfi8NMaZaA8i2ZHwpBdg7a6CMfwnnrtflzvZdXAsD3LH2TwevU+/PBPv0B6NMNk93wUs/vfJvye+YuI87HU38lZHowtznbLVdp770I6VHR6WfgS9ddzirrswsE1w5o0LV/g==";
    const headers: Fields = [
      ...RFC_REQUEST.filter(([name]) => name !== "Host"),
      ["Host", "origin.host.internal.example"],
      ["Forwarded", "for=192.0.2.123;host=example.com;proto=https"],
      ["Signature-Input", 'theirs=("@method");keyid="somebody"'],
      ["Signature", "theirs=:AAAA:"],
      ["Signature-Input", `proxy_sig=${input}`],
      ["Signature", `proxy_sig=:${signature}:`],
    ];
    const authority = "origin.host.internal.example";
    const all = made({ keys: RFC_KEYS, components: ["@method", "forwarded"], body: "unsigned" }, 1_618_884_500_000);
    const request: ExchangeOptions = { method: "POST", target: "/foo?param=Value&Pet=dog", authority, headers };
    expect(said(await judge(all, request))).toBe("rsa");
  });
});

describe("components", () => {
  const CASES: readonly (readonly [name: string, component: string, value: string, request?: object])[] = [
    ["@method", '"@method"', "GET"],
    ["@authority", '"@authority"', "example.com"],
    ["@authority, with a port", '"@authority"', "example.com:8080", { authority: "example.com:8080" }],
    ["@authority, with the usual port", '"@authority"', "example.com", { authority: "example.com:80" }],
    ["@scheme", '"@scheme"', "http"],
    ["@target-uri", '"@target-uri"', "http://example.com/a?b=c", { target: "/a?b=c" }],
    ["@request-target", '"@request-target"', "/a?b=c", { target: "/a?b=c" }],
    ["@path", '"@path"', "/a%20b", { target: "/a%20b?c" }],
    ["@query", '"@query"', "?b=c&d", { target: "/a?b=c&d" }],
    ["@query without one", '"@query"', "?", { target: "/a" }],
    [
      "@query-param",
      '"@query-param";name="var"',
      "this%20is%20a%20big%0Amultiline%20value",
      { target: "/?var=this%20is%20a%20big%0Amultiline%20value" },
    ],
    [
      "@query-param, plus signs",
      '"@query-param";name="bar"',
      "with%20plus%20whitespace",
      { target: "/?bar=with+plus+whitespace" },
    ],
    [
      "@query-param, a name that is encoded",
      '"@query-param";name="fa%C3%A7ade%22%3A%20"',
      "something",
      { target: "/?fa%C3%A7ade%22%3A%20=something" },
    ],
    ["@query-param, empty", '"@query-param";name="qux"', "", { target: "/?a=b&qux" }],
    ["a field", '"x-a"', "b", { fields: [["X-A", "b"]] }],
    ["a field that is empty", '"x-a"', "", { fields: [["X-A", ""]] }],
    [
      "lines of a field",
      '"x-a"',
      "b, c",
      {
        fields: [
          ["X-A", "b"],
          ["x-a", "c"],
        ],
      },
    ],
    ["sf", '"x-d";sf', "a=1, b=2;x=1;y=2, c=(a b c)", { fields: [["x-d", "  a=1,    b=2;x=1;y=2,   c=(a   b   c)"]] }],
    ["key", '"x-d";key="c"', "(a b c)", { fields: [["x-d", "a=1, b=2;x=1;y=2, c=(a   b    c), d"]] }],
    ["key that is true", '"x-d";key="d"', "?1", { fields: [["x-d", "a=1, d"]] }],
    [
      "bs",
      '"x-b";bs',
      ":dmFsdWUsIHdpdGgsIGxvdHM=:, :b2YsIGNvbW1hcw==:",
      {
        fields: [
          ["X-B", "value, with, lots"],
          ["X-B", "of, commas"],
        ],
      },
    ],
    ["priority as a dictionary", '"priority";sf', "u=1, i", { fields: [["priority", "u=1,i=?1"]] }],
  ];
  for (const [name, component, value, request] of CASES)
    test(name, async () => {
      const input = `(${component});created=${NOW};keyid="k"`;
      const field = /^"([^"]+)"/.exec(component)![1]!;
      // What a part of the address is signed by does not count as all of it.
      const own = component.includes(";key") || field === "@query-param" ? "@method" : field;
      const method = own === "@method" && field !== "@method" ? ['"@method"'] : [];
      const all = made({ components: [own], keys: [KEY] });
      const whole = input.replace(component, [component, ...method].join(" "));
      const lines = [`${component}: ${value}`, ...method.map(() => '"@method": GET')];
      expect(said(await judge(all, signed(whole, lines, request)))).toBe("acme");
    });

  const LACKING: readonly (readonly [name: string, component: string, request?: object])[] = [
    ["a field that is not there", '"x-a"'],
    ["a member that is not there", '"x-d";key="z"', { fields: [["x-d", "a=1"]] }],
    ["sf of what is no structured field", '"x-d";sf', { fields: [["x-d", "a=("]] }],
    ["a parameter that is there twice", '"@query-param";name="a"', { target: "/?a=1&a=2" }],
    ["a parameter that is not there", '"@query-param";name="a"', { target: "/?b" }],
    ["@query-param without a name", '"@query-param"', { target: "/?a" }],
    ["@status", '"@status"'],
    ["@method of another request", '"@method";req'],
    ["a trailer", '"x-a";tr', { fields: [["x-a", "b"]] }],
    ["sf and bs", '"x-a";sf;bs', { fields: [["x-a", "b"]] }],
    ["a name in upper case", '"X-A"', { fields: [["x-a", "b"]] }],
    ["no text", "x-a", { fields: [["x-a", "b"]] }],
    ["something derived that there is not", '"@constructor"'],
    ["@path of *", '"@path"', { target: "*", form: "asterisk", method: "OPTIONS" }],
  ];
  for (const [name, component, request] of LACKING)
    test(`${name}: refused`, async () => {
      const method = (request as ExchangeOptions | undefined)?.method ?? "GET";
      const input = `("@method" ${component});created=${NOW};keyid="k"`;
      const lines = [`"@method": ${method}`, `${component}: b`];
      const all = made({ keys: [KEY], components: ["@method"] });
      expect(said(await judge(all, signed(input, lines, request)))).toBe("the request lacks something that is signed");
    });
});

const KEY: NonNullable<Input["keys"]>[number] = {
  ...{ id: "k", name: "acme", algorithm: "hmac-sha256", secret: SECRET, plan: "gold" },
  ...{ scopes: ["s"], groups: ["g"] },
};
const ALL = ['"@method": GET', '"@target-uri": http://example.com/'];
const input = (parameters: string): string => `("@method" "@target-uri")${parameters}`;

describe("a signature", () => {
  const CASES: readonly (readonly [name: string, parameters: string, want: string, config?: Partial<Input>])[] = [
    ["of now", `;created=${NOW};keyid="k"`, "acme"],
    ["with its algorithm", `;created=${NOW};keyid="k";alg="hmac-sha256"`, "acme"],
    ["with another algorithm", `;created=${NOW};keyid="k";alg="ed25519"`, "the key is for another algorithm"],
    ["by somebody else", `;created=${NOW};keyid="x"`, "an unknown key"],
    ["by nobody", `;created=${NOW}`, "an unknown key"],
    ["without a date", ';keyid="k"', "the signature does not say when it was made"],
    ["with a date that is none", `;created="${NOW}";keyid="k"`, "no signature that can be read"],
    ["that is old", `;created=${NOW - 331};keyid="k"`, "the signature is too old"],
    ["nearly too old", `;created=${NOW - 329};keyid="k"`, "acme"],
    ["from the future", `;created=${NOW + 31};keyid="k"`, "the signature is from the future"],
    ["from a clock that is ahead", `;created=${NOW + 29};keyid="k"`, "acme"],
    ["that has expired", `;created=${NOW - 60};expires=${NOW - 31};keyid="k"`, "the signature is too old"],
    ["without a nonce", `;created=${NOW};keyid="k"`, "there is no nonce", { nonce: "required" }],
    ["with an empty nonce", `;created=${NOW};keyid="k";nonce=""`, "there is no nonce", { nonce: "required" }],
    ["without the tag", `;created=${NOW};keyid="k"`, "no signature that can be read", { tag: "app" }],
    ["with the tag", `;created=${NOW};keyid="k";tag="app"`, "acme", { tag: "app" }],
    ["of too little", `;created=${NOW};keyid="k"`, "too little is signed", { components: ["@method", "x-a"] }],
  ];
  for (const [name, parameters, want, config] of CASES)
    test(name, async () => {
      expect(said(await judge(made({ keys: [KEY], ...config }), signed(input(parameters), ALL)))).toBe(want);
    });

  test("says who it is", async () => {
    const verdict = await judge(made({ keys: [KEY] }), signed(input(`;created=${NOW};keyid="k"`), ALL));
    const want = {
      kind: "signature",
      user: "acme",
      issuer: "",
      consumer: "",
      limits: null,
      groups: ["g"],
      scopes: ["s"],
      plan: "gold",
      claims: {},
    };
    expect(verdict).toEqual(want as never);
  });

  test("with a nonce is accepted once, until it would be too old anyway", async () => {
    const all = made({ keys: [KEY] });
    const request = (created: number, nonce: string) =>
      signed(input(`;created=${created};keyid="k";nonce="${nonce}"`), ALL);
    expect(said(await judge(all, request(NOW, "a")))).toBe("acme");
    expect(said(await judge(all, request(NOW, "a")))).toBe("the nonce was used before");
    expect(said(await judge(all, request(NOW, "b")))).toBe("acme");
    all.time.ms += 329_000;
    expect(said(await judge(all, request(NOW + 329, "a")))).toBe("the nonce was used before");
    all.time.ms += 10_000;
    expect(said(await judge(all, request(NOW + 339, "a")))).toBe("acme");
  });

  test("a nonce that was not signed takes no room", async () => {
    const all = made({ keys: [KEY] });
    const good = signed(input(`;created=${NOW};keyid="k";nonce="a"`), ALL);
    const bad = { ...good, headers: good.headers!.map(([n, v]) => [n, n === "signature" ? "sig=:AAAA:" : v] as const) };
    expect(said(await judge(all, bad))).toBe("a wrong signature");
    expect(said(await judge(all, good))).toBe("acme");
  });

  const FIELDS: readonly (readonly [name: string, fields: Fields, want: string])[] = [
    ["none", [], "nothing"],
    ["no input", [["signature", "sig=:AAAA:"]], "no signature that can be read"],
    ["no signature", [["signature-input", 'sig=("@method");keyid="k"']], "no signature that can be read"],
    [
      "other labels",
      [
        ["signature-input", 'a=("@method");keyid="k"'],
        ["signature", "b=:AAAA:"],
      ],
      "no signature that can be read",
    ],
    [
      "no list",
      [
        ["signature-input", 'a="@method";keyid="k"'],
        ["signature", "a=:AAAA:"],
      ],
      "no signature that can be read",
    ],
    [
      "no bytes",
      [
        ["signature-input", 'a=("@method");keyid="k"'],
        ["signature", "a=AAAA"],
      ],
      "no signature that can be read",
    ],
    [
      "garbage",
      [
        ["signature-input", "((("],
        ["signature", "((("],
      ],
      "no signature that can be read",
    ],
    [
      "the same component twice",
      [
        ["signature-input", `a=("@method" "@method");created=${NOW};keyid="k"`],
        ["signature", "a=:AAAA:"],
      ],
      "no signature that can be read",
    ],
    [
      "too many components",
      [
        ["signature-input", `a=(${Array.from({ length: 60 }, (_, i) => `"x-${i}"`).join(" ")});keyid="k"`],
        ["signature", "a=:AAAA:"],
      ],
      "no signature that can be read",
    ],
  ];
  for (const [name, headers, want] of FIELDS)
    test(name, async () => {
      expect(said(await judge(made({ keys: [KEY] }), { headers }))).toBe(want);
    });
});

describe("algorithms", () => {
  const pem = (key: KeyObject): string => key.export({ type: "spki", format: "pem" }) as string;
  const ec = (curve: string) => generateKeyPairSync("ec", { namedCurve: curve });
  const CASES = [
    [
      "ecdsa-p256-sha256",
      () => ec("P-256"),
      (base: Buffer, key: KeyObject) => sign("sha256", base, { key, dsaEncoding: "ieee-p1363" }),
      64,
    ],
    [
      "ecdsa-p384-sha384",
      () => ec("P-384"),
      (base: Buffer, key: KeyObject) => sign("sha384", base, { key, dsaEncoding: "ieee-p1363" }),
      96,
    ],
    ["ed25519", () => generateKeyPairSync("ed25519"), (base: Buffer, key: KeyObject) => sign(null, base, key), 64],
    [
      "rsa-v1_5-sha256",
      () => generateKeyPairSync("rsa", { modulusLength: 2048 }),
      (base: Buffer, key: KeyObject) => sign("sha256", base, key),
      256,
    ],
  ] as const;
  for (const [algorithm, makeKeys, by, length] of CASES)
    test(algorithm, async () => {
      const { publicKey, privateKey } = makeKeys();
      const all = made({ keys: [{ id: "k", name: "acme", algorithm, publicKey: pem(publicKey) }] });
      const text = input(`;created=${NOW};keyid="k"`);
      expect(
        said(
          await judge(
            all,
            signed(text, ALL, {}, (base) => by(base, privateKey)),
          ),
        ),
      ).toBe("acme");
      for (const bytes of [Buffer.alloc(length), Buffer.alloc(0), Buffer.alloc(length + 1, 1)])
        expect(
          said(
            await judge(
              all,
              signed(text, ALL, {}, () => bytes),
            ),
          ),
        ).toBe("a wrong signature");
    });

  const SETTINGS: readonly (readonly [name: string, key: object, want: string])[] = [
    ["no secret", { algorithm: "hmac-sha256" }, "hmac-sha256 needs a `secret`"],
    ["a short secret", { algorithm: "hmac-sha256", secret: "short" }, "at least 32 bytes"],
    ["a public key as a secret", { algorithm: "hmac-sha256", publicKey: ED25519 }, "hmac-sha256 needs a `secret`"],
    ["no public key", { algorithm: "ed25519" }, "name a `publicKey` or a `file`"],
    ["a secret for a public key", { algorithm: "ed25519", secret: SECRET }, "needs a public key"],
    ["the key of another algorithm", { algorithm: "ecdsa-p256-sha256", publicKey: ED25519 }, "this key is not for"],
    ["no key", { algorithm: "ed25519", publicKey: "x" }, "this is no public key in PEM"],
    [
      "a short RSA key",
      { algorithm: "rsa-pss-sha512", publicKey: pem(generateKeyPairSync("rsa", { modulusLength: 1024 }).publicKey) },
      "has at least 2048 bits",
    ],
  ];
  for (const [name, key, want] of SETTINGS)
    test(name, () => {
      expect(() => made({ keys: [{ id: "k", name: "a", ...key } as NonNullable<Input["keys"]>[number]] })).toThrow(
        want,
      );
    });

  test("components that there are not", () => {
    for (const name of ["@status", "X-A", "a b", "@query-param"])
      expect(() => made({ keys: [KEY], components: [name] })).toThrow("is nothing to sign");
    expect(() => made({ keys: [KEY, KEY] })).toThrow('another key with the id "k"');
  });
});

describe("digests of no body", () => {
  const empty = `sha-256=:${createHash("sha256").digest("base64")}:`;
  const CASES: readonly (readonly [name: string, digest: string, want: string])[] = [
    ["of nothing", empty, "acme"],
    ["of something", DIGEST, "the body is not the one that was signed"],
    ["one of two is wrong", `${empty}, ${DIGEST}`, "the body is not the one that was signed"],
    ["of a kind that is not known", "md5=:AAAA:", "the body is not signed"],
  ];
  for (const [name, digest, want] of CASES)
    test(name, async () => {
      const text = `("@method" "@target-uri" "content-digest");created=${NOW};keyid="k"`;
      const lines = [...ALL, `"content-digest": ${digest}`];
      const request = signed(text, lines, { fields: [["content-digest", digest]] });
      expect(said(await judge(made({ keys: [KEY] }), request))).toBe(want);
    });
});
