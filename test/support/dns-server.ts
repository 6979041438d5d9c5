// A name server for tests: real UDP on loopback, answers from a table that the test may change at any time (RFC 1035).
import { createSocket, type Socket } from "node:dgram";
import { isIPv4 } from "node:net";

/** What the server says about one name and type. Several may be given: "silence" sends nothing, "hold" waits for `release`. */
export type DnsReply =
  | { readonly kind: "addresses"; readonly addresses: readonly string[]; readonly ttlSeconds: number }
  | { readonly kind: "servfail" | "nxdomain" | "silence" | "hold" };

const AAAA = 28;
const RESPONSE = 0x8180; // an answer, recursion desired and available
const RCODE = { noerror: 0, servfail: 2, nxdomain: 3 } as const;
const NAME_AT_QUESTION = 0xc00c; // a pointer to the name in the question
const CLASS_IN = 1;

export class DnsServer {
  readonly #socket: Socket;
  readonly #table = new Map<string, DnsReply>();
  #held: (() => void)[] = [];
  /** Every question in the order of arrival, as `A app.test`. */
  readonly questions: string[] = [];

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.on("message", (message, peer) => {
      const question = readQuestion(message);
      const key = `${question.type === AAAA ? "AAAA" : "A"} ${question.name}`;
      this.questions.push(key);
      const send = () => {
        const reply = this.#table.get(key) ?? { kind: "addresses", addresses: [], ttlSeconds: 0 };
        if (reply.kind === "silence") return;
        socket.send(answer(message, question, reply), peer.port, peer.address);
      };
      if (this.#table.get(key)?.kind === "hold") this.#held.push(send);
      else send();
    });
  }

  /** Listens on a free port of 127.0.0.1. */
  static async start(): Promise<DnsServer> {
    const socket = createSocket("udp4");
    await new Promise<void>((resolve) => socket.bind(0, "127.0.0.1", resolve));
    return new DnsServer(socket);
  }

  get address(): string {
    return `127.0.0.1:${this.#socket.address().port}`;
  }

  /** Sets what is answered for `A name` or `AAAA name` from now on; names never set have no records. */
  set(key: `A ${string}` | `AAAA ${string}`, reply: DnsReply | readonly string[], ttlSeconds = 60): void {
    this.#table.set(key, "kind" in reply ? reply : { kind: "addresses", addresses: reply, ttlSeconds });
  }

  /** Answers every question that was held, with what the table says now. */
  release(): void {
    const held = this.#held;
    this.#held = [];
    for (const send of held) send();
  }

  close(): Promise<void> {
    return new Promise((resolve) => this.#socket.close(resolve));
  }
}

interface Question {
  readonly name: string;
  readonly type: number;
  /** Where the question ends in the message. */
  readonly end: number;
}

function readQuestion(message: Buffer): Question {
  const labels: string[] = [];
  let at = 12;
  for (let size = message[at]!; size > 0; size = message[at]!) {
    labels.push(message.toString("latin1", at + 1, at + 1 + size));
    at += 1 + size;
  }
  return { name: labels.join(".").toLowerCase(), type: message.readUInt16BE(at + 1), end: at + 5 };
}

function answer(message: Buffer, question: Question, reply: DnsReply): Buffer {
  const head = Buffer.from(message.subarray(0, question.end));
  const records =
    reply.kind === "addresses" ? reply.addresses.map((each) => record(each, question.type, reply.ttlSeconds)) : [];
  const rcode = reply.kind === "servfail" || reply.kind === "nxdomain" ? RCODE[reply.kind] : RCODE.noerror;
  head.writeUInt16BE(RESPONSE | rcode, 2);
  head.writeUInt16BE(1, 4);
  head.writeUInt16BE(records.length, 6);
  head.writeUInt16BE(0, 8);
  head.writeUInt16BE(0, 10); // the asker's EDNS record is not repeated
  return Buffer.concat([head, ...records]);
}

function record(address: string, type: number, ttlSeconds: number): Buffer {
  const data = isIPv4(address) ? Buffer.from(address.split(".").map(Number)) : ipv6Bytes(address);
  const head = Buffer.alloc(12);
  head.writeUInt16BE(NAME_AT_QUESTION, 0);
  head.writeUInt16BE(type, 2);
  head.writeUInt16BE(CLASS_IN, 4);
  head.writeUInt32BE(ttlSeconds, 6);
  head.writeUInt16BE(data.length, 10);
  return Buffer.concat([head, data]);
}

function ipv6Bytes(address: string): Buffer {
  const [before = "", after] = address.split("::");
  const groups = (text: string | undefined) =>
    text === undefined || text === "" ? [] : text.split(":").map((each) => Number.parseInt(each, 16));
  const left = groups(before);
  const right = groups(after);
  const all = [...left, ...new Array<number>(8 - left.length - right.length).fill(0), ...right];
  return Buffer.from(all.flatMap((group) => [group >> 8, group & 255]));
}
