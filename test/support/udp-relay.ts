// A network in the middle of a QUIC connection: its outer port can change, as that of a NAT does, and it can lose packets.
export class UdpRelay implements AsyncDisposable {
  readonly port: number;
  /** Whether packets get through. */
  toServer = true;
  toClient = true;
  readonly #inner: Bun.udp.Socket<"buffer">;
  #outer: Bun.udp.ConnectedSocket<"buffer">;
  readonly #way: Way;

  private constructor(inner: Bun.udp.Socket<"buffer">, outer: Bun.udp.ConnectedSocket<"buffer">, way: Way) {
    this.#inner = inner;
    this.#outer = outer;
    this.#way = way;
    this.port = inner.port;
    way.relay = this;
  }

  /** Relays to a port of 127.0.0.1. */
  static async to(port: number): Promise<UdpRelay> {
    const way: Way = { relay: null, client: 0, server: port };
    const inner = await Bun.udpSocket({
      hostname: "127.0.0.1",
      port: 0,
      socket: {
        data(_socket, packet, from) {
          way.client = from;
          if (way.relay?.toServer === true) way.relay.#outer.send(packet);
        },
      },
    });
    return new UdpRelay(inner, await outerOf(way, inner), way);
  }

  /** From now on the server sees another port. */
  async rebind(): Promise<void> {
    this.#outer.close();
    this.#outer = await outerOf(this.#way, this.#inner);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#outer.close();
    this.#inner.close();
    await Promise.resolve();
  }
}

interface Way {
  relay: UdpRelay | null;
  client: number;
  readonly server: number;
}

const outerOf = (way: Way, inner: Bun.udp.Socket<"buffer">): Promise<Bun.udp.ConnectedSocket<"buffer">> =>
  Bun.udpSocket({
    connect: { hostname: "127.0.0.1", port: way.server },
    socket: {
      data(_socket, packet) {
        if (way.relay?.toClient === true) inner.send(packet, way.client, "127.0.0.1");
      },
    },
  });
