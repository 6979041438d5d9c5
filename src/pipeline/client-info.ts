// What is known of the peer of one client connection, and what is said of it to servers, made once.

export class ClientInfo {
  /** The peer's address; "" for unix sockets. */
  readonly address: string;
  #authority = "";
  #scheme = "";
  #via = "";
  #lines: Buffer | null = null;

  constructor(address: string) {
    this.address = address;
  }

  /** The Via and X-Forwarded lines for a request of this peer, and the start of the X-Request-Id line, as bytes. */
  forwardedLines(authority: string, scheme: string, via: string): Buffer {
    if (this.#lines === null || this.#authority !== authority || this.#scheme !== scheme || this.#via !== via) {
      const from = this.address === "" ? "" : `X-Forwarded-For: ${this.address}\r\n`;
      const lines = `${via}${from}X-Forwarded-Proto: ${scheme}\r\nX-Forwarded-Host: ${authority}\r\nX-Request-Id: `;
      this.#lines = Buffer.from(lines, "latin1");
      this.#via = via;
      this.#authority = authority;
      this.#scheme = scheme;
    }
    return this.#lines;
  }
}
