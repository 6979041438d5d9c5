// A name server for tests: real UDP on loopback, answers from a table that the test may change at any time (RFC 1035).
import { createSocket, type Socket } from "node:dgram";
import { isIPv4 } from "node:net";

/** What the server says about one name and type. Several may be given: "silence" sends nothing, "hold" waits for `release`. */
export type DnsReply =
  | { readonly kind: "addresses"; readonly addresses: readonly string[]; readonly ttlSeconds: number }
  | { readonly kind: "services"; readonly services: readonly DnsService[]; readonly ttlSeconds: number }
  | { readonly kind: "servfail" | "nxdomain" | "refused" | "silence" | "hold" };

/** An SRV record (RFC 2782). */
export interface DnsService {
  readonly priority: number;
  readonly weight: number;
  readonly port: number;
  /** Without a final dot; empty for "there is no such service". */
  readonly target: string;
}

type DnsKey = `A ${string}` | `AAAA ${string}` | `SRV ${string}`;

const TYPES: ReadonlyMap<number, string> = new Map([
  [1, "A"],
  [28, "AAAA"],
  [33, "SRV"],
]);
const RESPONSE = 0x8180; // an answer, recursion desired and available
const RCODES: { readonly [kind in DnsReply["kind"]]?: number } = { servfail: 2, nxdomain: 3, refused: 5 };
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
      const key = `${TYPES.get(question.type)} ${question.name}`;
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

  /** Sets what is answered for `A name`, `AAAA name` or `SRV name` from now on; names never set have no records. */
  set(key: DnsKey, reply: DnsReply | readonly string[], ttlSeconds = 60): void {
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
  const records = recordsOf(reply, question.type);
  head.writeUInt16BE(RESPONSE | (RCODES[reply.kind] ?? 0), 2);
  head.writeUInt16BE(1, 4);
  head.writeUInt16BE(records.length, 6);
  head.writeUInt16BE(0, 8);
  head.writeUInt16BE(0, 10); // the asker's EDNS record is not repeated
  return Buffer.concat([head, ...records]);
}

function recordsOf(reply: DnsReply, type: number): Buffer[] {
  if (reply.kind === "addresses") {
    return reply.addresses.map((each) => {
      const data = isIPv4(each) ? Buffer.from(each.split(".").map(Number)) : ipv6Bytes(each);
      return record(data, type, reply.ttlSeconds);
    });
  }
  return reply.kind === "services" ? reply.services.map((each) => record(srvData(each), type, reply.ttlSeconds)) : [];
}

function srvData({ priority, weight, port, target }: DnsService): Buffer {
  const numbers = Buffer.alloc(6);
  numbers.writeUInt16BE(priority, 0);
  numbers.writeUInt16BE(weight, 2);
  numbers.writeUInt16BE(port, 4);
  const labels = target === "" ? [] : target.split(".");
  const name = labels.map((label) => Buffer.from(`${String.fromCharCode(label.length)}${label}`, "latin1"));
  return Buffer.concat([numbers, ...name, Buffer.of(0)]);
}

function record(data: Buffer, type: number, ttlSeconds: number): Buffer {
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
