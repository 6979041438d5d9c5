// Hellos as real clients sent them, and a maker of others: what tests of several files share.

export interface CapturedHello {
  readonly client: string;
  readonly bytes: Buffer;
  readonly serverName: string | null;
  readonly alpn: readonly string[];
  readonly versions: readonly number[];
  readonly echPresent: boolean;
}

const captured = (
  client: string,
  base64: string,
  serverName: string | null,
  alpn: readonly string[],
  versions: readonly number[],
  echPresent = false,
): CapturedHello => ({ client, bytes: Buffer.from(base64, "base64"), serverName, alpn, versions, echPresent });

const T13: readonly number[] = [0x0304, 0x0303];
const ALL: readonly number[] = [0x0304, 0x0303, 0x0302, 0x0301];
const T12: readonly number[] = [0x0303];

export const CAPTURED: readonly CapturedHello[] = [
  captured(
    "openssl s_client 3.0, TLS 1.3",
    "FgMBAU4BAAFKAwMoHmMK0Il8wtjno1HLfHRiqljvH6PJFY5WNRhDpWSGfSDNBb4cjreoecomUrk6I7H0EIv7k897Kr2SS2VzPGnxyAA+EwITAx" +
      "MBwCzAMACfzKnMqMyqwCvALwCewCTAKABrwCPAJwBnwArAFAA5wAnAEwAzAJ0AnAA9ADwANQAvAP8BAADDAAAAFAASAAAPR2l0LkV4YW1wbGUu" +
      "Y29tAAsABAMAAQIACgAWABQAHQAXAB4AGQAYAQABAQECAQMBBAAjAAAAEAAOAAwCaDIIaHR0cC8xLjEAFgAAABcAAAANACoAKAQDBQMGAwgHCA" +
      "gICQgKCAsIBAgFCAYEAQUBBgEDAwMBAwIEAgUCBgIAKwAJCAMEAwMDAgMBAC0AAgEBADMAJgAkAB0AIPiiiTsb0SdZu/IPWhATe/Cokeywfc2E" +
      "xUsp9Ps8kYV2",
    "git.example.com",
    ["h2", "http/1.1"],
    ALL,
  ),
  captured(
    "openssl s_client -tls1_2",
    "FgMBAM0BAADJAwO+y21VLK2uioDh8OdWq50GPiyrGMRZTYc9/8CZw5QWSwAAOMAswDAAn8ypzKjMqsArwC8AnsAkwCgAa8AjwCcAZ8AKwBQAOc" +
      "AJwBMAMwCdAJwAPQA8ADUALwD/AQAAaAAAABIAEAAADWEuZXhhbXBsZS5jb20ACwAEAwABAgAKAAwACgAdABcAHgAZABgAIwAAABYAAAAXAAAA" +
      "DQAqACgEAwUDBgMIBwgICAkICggLCAQIBQgGBAEFAQYBAwMDAQMCBAIFAgYC",
    "a.example.com",
    [],
    T12,
  ),
  captured(
    "openssl s_client without a name",
    "FgMBASQBAAEgAwNDsNTMF+B4dKe788SYbU0vY5fXcMw/e/vgKAwDY5voVSDqHx9IiY9VhTBO1tRh6bnMgOazkl2enpgddrpSZKU/+AA+EwITAx" +
      "MBwCzAMACfzKnMqMyqwCvALwCewCTAKABrwCPAJwBnwArAFAA5wAnAEwAzAJ0AnAA9ADwANQAvAP8BAACZAAsABAMAAQIACgAWABQAHQAXAB4A" +
      "GQAYAQABAQECAQMBBAAjAAAAFgAAABcAAAANACoAKAQDBQMGAwgHCAgICQgKCAsIBAgFCAYEAQUBBgEDAwMBAwIEAgUCBgIAKwAJCAMEAwMDAg" +
      "MBAC0AAgEBADMAJgAkAB0AIIsIYxvKIBGZcsTFzxfcPPbGoQbpVTpGKn4feUOWHpZ+",
    null,
    [],
    ALL,
  ),
  captured(
    "curl 7.88 with OpenSSL",
    "FgMBAgABAAH8AwO4wgNl06Nqd76JFXyd/upUXfQcK1uUGWReKcw0CNn1xSBoLcFlWieDFwAzG4Loct5oAf/P1OgWUgvA7gp0VkxdQwA+EwITAx" +
      "MBwCzAMACfzKnMqMyqwCvALwCewCTAKABrwCPAJwBnwArAFAA5wAnAEwAzAJ0AnAA9ADwANQAvAP8BAAF1AAAAFQATAAAQc2hvcC5leGFtcGxl" +
      "LmNvbQALAAQDAAECAAoAFgAUAB0AFwAeABkAGAEAAQEBAgEDAQQAEAAOAAwCaDIIaHR0cC8xLjEAFgAAABcAAAAxAAAADQAqACgEAwUDBgMIBw" +
      "gICAkICggLCAQIBQgGBAEFAQYBAwMDAQMCBAIFAgYCACsACQgDBAMDAwIDAQAtAAIBAQAzACYAJAAdACDcO24fxtSZeZ1mFf0U4W5jHoAdAsDG" +
      "1CXeMAZKcvMqfwAVAK0AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA" +
      "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA" +
      "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAA==",
    "shop.example.com",
    ["h2", "http/1.1"],
    ALL,
  ),
  captured(
    "curl 7.88, TLS 1.2, without ALPN",
    "FgMBAMwBAADIAwNi3AvpopHAEiz6WTkjfKWi3ag1Tz95br/t94vXBV9+HwAAOMAswDAAn8ypzKjMqsArwC8AnsAkwCgAa8AjwCcAZ8AKwBQAOc" +
      "AJwBMAMwCdAJwAPQA8ADUALwD/AQAAZwAAABUAEwAAEHNob3AuZXhhbXBsZS5jb20ACwAEAwABAgAKAAwACgAdABcAHgAZABgAFgAAABcAAAAN" +
      "ACoAKAQDBQMGAwgHCAgICQgKCAsIBAgFCAYEAQUBBgEDAwMBAwIEAgUCBgI=",
    "shop.example.com",
    [],
    T12,
  ),
  captured(
    "node:tls on Bun 1.4",
    "FgMBBdIBAAXOAwPJeOLe7c7RldXGQTgp+DKC5CayUcy85F6EykXgZ3ixDiCcg809hbijplBUvJ4vIla+GGON6yo/1MrGn+1rqAk2EAAkEwETAh" +
      "MDwC/AK8AwwCzAJ8ypzKjACcATwArAFACcAJ0ALwA1AQAFYQAAABQAEgAAD2FwaS5leGFtcGxlLmNvbQAXAAD/AQABAAAKAAoACBHsAB0AFwAY" +
      "AAsAAgEAACMAAAAQAAsACQhodHRwLzEuMQANABgAFgQDCAQEAQUDCAUFAQgGBgEIBwYDAgEAMwTqBOgR7ATAwxOi22xVgOS1nUVW+dEDdaovTW" +
      "lXcBsmkhJtJna6OmqRHjdNfmyKCHLBGlJhBuQgGYoaQHkuX4hLZ5crRxRV5Hh7ppTHoolwTvJKuNhBkjab8am5ipeYaTUp+asavFB1MSQ5x1PB" +
      "UzwpzSIGR6hKVsxgOaaVArSJkEpOQhULVGl/u/uKYDrKVTLH9kuWrAu8zvs/F8KkL9ZiBiALUqICP1xJQ4S10tIHIpl7NjrCoBzMkZVPl/XOCu" +
      "Ad/XrBvmJumrkhp9Ohf4RdSnwxbeYeNslCx9C7IcVV92kNFgAfFnkuKsuijIuNoAc46autNRQqP3DEqfGtTSYoB8eVGAxi/JqPkRZ/rYWWFUnE" +
      "F5W66BZspPc1MKo42GZj22AJ6Eyt8QAQYHi8/LDDETCm3ZdVaaKowESNPvdX1bmHKnx54bMf7mC/ROMdOOOpAsgZ1bEyMDO5EnhplnpQiyIjQx" +
      "RweLYkHZuczkeOWkEnQ6ZoKaordMeva2kQv7BCEoVHvWk1JXN1SMTJYDxK3wZp2okto6LFRtAbBDKzMVYzG2pUENPEqRVFJdBd6BhO1laVwFQJ" +
      "TOWFoMU/nAWV5CNaUFW/rtVvoZZ+KKLDQ5C8oblzDckQWEJR1MGyuvoQybSBXBelvUOr7fWqEtFUTSFGGCR/miO67hLB8Nwi7+Ja5tGNC4xpey" +
      "us08pkpfU1w4sztCGOiSFsoOCpdUl45tSFUPNtEKZm2PJa7ZME9/Jsg/K0XHucTdoXi/bBc2ulDUItTPRU1+ylypZQb2aYxZkcSBpKfreUAP2u" +
      "iRAcOdWL8Ya9oDFheFBG8VaOYQJQGhgOu0AYBcaYsUkc5dqDVBM6EtxUtWtrGAFnxdEzQOgusSaTSFZFaGmi3RamUtliLCe6gImNbluCLENhmA" +
      "kpHntVIsyYzrTEhISpqIaTKaAoYeDCV1w78ogocJK0trMhI/i24LAmEoapZ1V7vRQ0R3VwMNoIBtoseSiZ1lCGNxaiBtIKBPGCbHFsd/uqNhNI" +
      "llCTouoaSLEi0ZprFKB7buEhkVSygSRAdjAfHhzNyOxiiTeXDopqnzE9hqFcvxN3c/pYbQIK7GZ806hWjEo6lCfPQwd3r3GsXFNdixwUkHGYEB" +
      "S/75wCobYAlrqL6gk2nvoP51uvXsunyiZIl0FA3CcvzMJ28HtlXbWcVAFjUyVCkdaBiWIpNMS6XvCg7cy3sVIeXSGhEDE8HCpbNCEiNvSEzpB5" +
      "gNFqFzoSQFtxzaFHLeEeUels6WEj/rkCmZZXkXlatjugLONtYBUkYkwkSYkNVqtEhXVI9kZEsdLMVaYiXNwzwgyKbWdexalOzctfU3o/y2xIRD" +
      "RHYBFgbsoumSnBneWW6se56gtlnsV1NueJ4RGbq3U5pSo9v8GObKTHNbysgeFKl+op45O8fZUS99OTcyhOm1kmIyowHvjNPfCoPPpPiZnJaswB" +
      "DvF4PzEFnchwxPYHD7FOPkWQiymwlokBHPN0gnuyHEQOcEWd93CDEvupApN+n/tD7sh7TnZFI5MPY/LJbim3AXs2h8jAkKaP8/w3BYXEvdg/Pb" +
      "cuGPQEKxGQo8uQmR4xdbkd8aVUXYQkC82itJ+AX7fd0jGk25tL5WvlagAdACC0AzWdngZp4hrICjDdQsyneQO8oZKs+bTlKlafRv5lPgAtAAIB" +
      "AQArAAUEAwQDAw==",
    "api.example.com",
    ["http/1.1"],
    T13,
  ),
  captured(
    "node:tls on Node",
    "FgMBAYIBAAF+AwP9gS/NATyj6XQ+UZWTcBMZ5Bqnpb7ccTt3NuLkeP+h1CD38ekdQ2qPJfwfWTXeJr6dr7HpDolZx/VtRUmpf00wYAB2EwITAx" +
      "MBwC/AK8AwwCwAnsAnAGfAKABrAKMAn8ypzKjMqsCvwK3Ao8CfwF3AYcBXwFMAosCuwKzAosCewFzAYMBWwFLAJABqwCMAQMAKwBQAOQA4wAnA" +
      "EwAzADIAncChwJ3AUQCcwKDAnMBQAD0APAA1AC8A/wEAAL8AAAAUABIAAA9hcGkuZXhhbXBsZS5jb20ACwAEAwABAgAKABYAFAAdABcAHgAZAB" +
      "gBAAEBAQIBAwEEACMAAAAQAA4ADAJoMghodHRwLzEuMQAWAAAAFwAAAA0AKgAoBAMFAwYDCAcICAgJCAoICwgECAUIBgQBBQEGAQMDAwEDAgQC" +
      "BQIGAgArAAUEAwQDAwAtAAIBAQAzACYAJAAdACD1HIPSqadCwvopfn3GgLPi9pkF0pm+JjGLkzwjzufmLw==",
    "api.example.com",
    ["h2", "http/1.1"],
    T13,
  ),
  captured(
    "Chromium: GREASE, a post-quantum key share, ECH that is not one",
    "FgMBB94BAAfaAwMsWMK9KWDi9QvLEf4C7Rb7Ybk5jYp4WbrrvhOr8hTF/iCu0W+ejdJeUqit8+7DHpeuxoUM6h417jWLg0iSpo8QkwAgysoTAR" +
      "MCEwPAK8AvwCzAMMypzKjAE8AUAJwAnQAvADUBAAdxenoAAETNAAUAAwJoMgAjAAAAFwAAADME7wTtSkoAAQAR7ATALMk2nHVdX3Ms8lArbYJj" +
      "LqyOOvNN9XtQAxBA/AaYaBgj28xFiDBdqpZI19svblsp2bqaU3IfpGwFGljHZNmUDtcY8pl2l+W8qZI3hOpoXlur6aq0WLaAWHuUVhqI1ioaL8" +
      "cxiyiiYLKl4tebSzUT1WUTLyE5ARhua/iiawidlVuCwqXGOSg2V+KgusMWmHpV7JqA5zM9i1rFnBGpGozKqRDNVBZA5EatDyaCSXCxGJQdYrer" +
      "Dld9u2xjNWgm2mGnEPB+36O+FgyzNjOm7ltx68d67WBvfPvArowrUptCgKDEMBmiq/N/BxqepFLDiOE33pQVlNkS2srP6juH5Wyw44ppHWlKmg" +
      "AlGerNcFcKV5G/HQPMl2CiD1RuAMEnjvUAcfa8MbBjmFpre3ODC4LPOqhpfPN/bzy3Jft+qisPWoZUhxwtq0p6/GGqdSIinEZYQjd1viTBryUq" +
      "p1xuD9MOXKEGW9S8XeN8X1QaWoJdFmACnNMalnUIJuU2GrKXe4BZOQYUrtpNUVZ0JkrGoWqwMciw1ddPQRFI9NFzcEY1ZrbFasQccRslT8AtKP" +
      "HBOnq/KUYz5Pxw+vSvLnMGYfGTc7UxEUQ3t5hB2pCTnzXOUEpud/FK8MHErenNbjwOOTwK+RQP0fEctEyE2ABi5uIWogNUnLcG6ltmndLKDtN1" +
      "vpskMeBlGOOjxjJ/TVTAHKcmzBta2tQ7z0ydhsR8/VELeFfH7XqNkikoISPGWeEeP4AO+fRZWyOkGGNuZzuR0/M147uIhUw0YxafoEdj1yRKuy" +
      "M5Ceh0cWcU5DSDLUtjPadQ08NgjLjCrJOG5ad6zDWb7ukxu3lz2UIs3wm7YQuxP1vIeUoFgrFovYyN01K/ZfgB1Ycg4NFXXWF9rUFcBzWOr1a4" +
      "r8V+taQhWYMz6XQhYkWVPkokSCOn6LkOdPciymQvuvA6mlyp2GSlQ/Sj+KoOjRky0GyqDTEYv2JLEOO+25lYF9qXzmWoGaxremRRJBG6BMoZa9" +
      "ao10u6mQKsgFcg7ENdLbIJjTo/aSgow3m0TGgFBqwDKBoJSPksqKs+4eQ5a1tu4zdNANi+CdZfbneU9+Rn7yhT1hhRz/Ie/agS1nKU/jkBEbxg" +
      "QsZQi+VStxODxLCuHYwRpMWwwrZITeYt4zSVcGw9ytxSG2oF4pJ8+mLHKmxmwXgn/ESm3HFGEBWU2gCWCPNXJ+GrNpoQUZRyyrAWSTg/y7oj+i" +
      "a6hmlAaQlqDsCphXkDLsZp8pdqIwyKnhsRq7GTLXuqetUawyk4RzQoGZwJEEYvlyMd2cm+euqxIGOZnBunQKM6rlg+2PiAJswAsIqxvpwJKHB2" +
      "Bsx2PvbODTKfI5WJXXc3jAYhZGMfGoInTQZAwdrIcjM9LneloEQd/ZBYRKgU60sDtxGCL/w0MJcyetZrbsh1gntt7yWW+scVylcYiYm5BwAYGa" +
      "IKtcSOOhoyWGhqDPMl84jD43aYTpddaXqLKpAoEGc9hQaJg7ePkjjKNJydfYVOt3uwNMx4t+pLS1VKMVegdAA7A6IVlrY26geg+NAbk/sYJUfm" +
      "mpIbeys/hdBt09r7gonhdRRiU4iZ+BioDJ7rW0GTk0F2SX49/53XbZWKUoGFZgAdACD1n0Lpw4KoUB386ikhO0/rcxEaW0AxeFJgMheTzRf2fg" +
      "AQAA4ADAJoMghodHRwLzEuMQAKAAwACkpKEewAHQAXABgAAAAUABIAAA93d3cuZXhhbXBsZS5jb20AEgAAyjQAugC4BYLfEwIBBYLfEwIGBYLf" +
      "EwINBYLfEwIOBYLfEwIPBYLfEwISBYLfEwITBYLfEwIUCIOaZIybLQEHCIOaZIybLQEICIOaZIybLQEJCIOaZIybLQEKCIOaZIybLQELCIOaZI" +
      "ybLQEMCIOaZIybLQENCIOaZIybLQESCIOaZIybLQETBNZ5CQEE1nkJBATWeQkFBNZ5CQYE1nkJBwTWeQkIBNZ5CQoE1nkJCwTWeQkMBNZ5CQ0E" +
      "1nkJD/4NARoAAAEAAUcAIDbz4WStWddOJuaxBYHxps3pdhJ2gybM5PKuItdD04VxAPCfWpkM3TaVbEQXpjOudRxdCoL1xIRwIAy4xmTKVDwlfS" +
      "5IewUsBx57UEHitc41UDVXXd1kblpgmap4e4Bdad85ZOsIyioUnyHZraeQfqWv7qh8E+A3LoIvNFegX3rTjQX3QoYO09LHgB3LFj/SV+t5s5HP" +
      "m7ZA+OfNWzHiRZ0qvDevYAElQOvzvmsWIecyRYPXY27XORPG8drvTcm1hPjYJWHGmtmPMTLj4aDRFtl5N94ICvu8NCa/6fuPHpIQRfnutWxcfE" +
      "QYshLcyQPkDXmEhPhMP+ioAmHxJqZJ4bdOmhiIw3QgiXWNtR2ZZ62I4LYADQAaABjq6gkECQUJBgQDCAQEAQUDCAUFAQgGBgEALQACAQEABQAF" +
      "AQAAAAAAKwAHBkpKAwQDA/8BAAEAABsAAwIAAgALAAIBAFpaAAEA",
    "www.example.com",
    ["h2", "http/1.1"],
    T13,
    true,
  ),
];

const u8 = (n: number): Buffer => Buffer.from([n]);
const u16 = (n: number): Buffer => Buffer.from([n >> 8, n & 0xff]);
const u24 = (n: number): Buffer => Buffer.from([n >> 16, (n >> 8) & 0xff, n & 0xff]);
/** A vector with a length of one or two bytes. */
export const vector8 = (...parts: readonly Buffer[]): Buffer => {
  const all = Buffer.concat(parts);
  return Buffer.concat([u8(all.length), all]);
};
export const vector16 = (...parts: readonly Buffer[]): Buffer => {
  const all = Buffer.concat(parts);
  return Buffer.concat([u16(all.length), all]);
};
export const extension = (type: number, data: Buffer): Buffer => Buffer.concat([u16(type), vector16(data)]);
export const serverName = (name: string, kind = 0): Buffer =>
  extension(0, vector16(u8(kind), vector16(Buffer.from(name, "latin1"))));
export const protocols = (...names: readonly string[]): Buffer =>
  extension(16, vector16(...names.map((name) => vector8(Buffer.from(name, "latin1")))));
export const versions = (...numbers: readonly number[]): Buffer => extension(43, vector8(...numbers.map(u16)));

export interface HelloParts {
  readonly version?: number;
  readonly sessionId?: Buffer;
  readonly suites?: Buffer;
  readonly compressions?: Buffer;
  /** null for a hello that ends before them. */
  readonly extensions?: readonly Buffer[] | null;
  /** Bytes behind all that. */
  readonly tail?: Buffer;
}

/** A ClientHello message, with its header of four bytes. */
export function helloMessage(parts: HelloParts = {}): Buffer {
  const { extensions = [] } = parts;
  const body = Buffer.concat([
    u16(parts.version ?? 0x0303),
    Buffer.alloc(32, 7),
    vector8(parts.sessionId ?? Buffer.alloc(0)),
    vector16(parts.suites ?? Buffer.from([0x13, 0x01])),
    vector8(parts.compressions ?? u8(0)),
    ...(extensions === null ? [] : [vector16(...extensions)]),
    parts.tail ?? Buffer.alloc(0),
  ]);
  return Buffer.concat([u8(1), u24(body.length), body]);
}

/** One record of handshake bytes. */
export const record = (payload: Buffer, type = 22, version = 0x0301): Buffer =>
  Buffer.concat([u8(type), u16(version), vector16(payload)]);

/** A message cut into records of `size` bytes. */
export function records(message: Buffer, size: number): Buffer {
  const cut: Buffer[] = [];
  for (let at = 0; at < message.length; at += size) cut.push(record(message.subarray(at, at + size) as Buffer));
  return Buffer.concat(cut);
}
