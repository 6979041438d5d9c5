// One message to a name server and its answer: datagrams first, a connection when the answer does not fit (RFC 7766).
import { createSocket } from "node:dgram";
import { connect, isIPv6 } from "node:net";
import { type DnsMessage, decodeMessage } from "./message.ts";

const PORT = 53;
/** A datagram may be lost, so it is sent again while its answer is awaited. */
const SENDS = 3;
const SEND_EVERY_MS = 1500;
const CONNECTION_MS = 10_000;

interface Address {
  readonly host: string;
  readonly port: number;
}

/** `ip`, `ip:port` or `[ip]:port`. */
export function serverAddress(text: string): Address {
  const bracketed = /^\[([^\]]+)\](?::(\d+))?$/.exec(text);
  if (bracketed !== null) return { host: bracketed[1]!, port: Number(bracketed[2] ?? PORT) };
  const colon = text.lastIndexOf(":");
  if (colon < 0 || isIPv6(text)) return { host: text, port: PORT };
  return { host: text.slice(0, colon), port: Number(text.slice(colon + 1)) };
}

/**
 * Asks by datagram, and again by connection when the answer is cut off.
 *
 * @throws Error when there is no answer, or the reason of the signal
 */
export async function ask(server: string, message: Buffer, signal: AbortSignal): Promise<DnsMessage> {
  const answer = await askByDatagram(serverAddress(server), message, signal);
  return answer.isTruncated ? await askByConnection(server, message, signal) : answer;
}

function askByDatagram(server: Address, message: Buffer, signal: AbortSignal): Promise<DnsMessage> {
  const { promise, resolve, reject } = Promise.withResolvers<DnsMessage>();
  const socket = createSocket(isIPv6(server.host) ? "udp6" : "udp4");
  const onAbort = (): void => reject(signal.reason);
  let sends = 0;
  const send = (): void => {
    sends += 1;
    if (sends > SENDS) reject(new Error(`${server.host} does not answer`));
    else socket.send(message, server.port, server.host);
  };
  const timer = setInterval(send, SEND_EVERY_MS);
  socket.on("error", reject);
  socket.on("message", (bytes, peer) => {
    // Anybody can send datagrams: what does not come from the server, or answers another question, is no answer.
    const answer = peer.port === server.port ? readAnswer(bytes, message) : null;
    if (answer !== null) resolve(answer);
  });
  if (signal.aborted) onAbort();
  else send();
  signal.addEventListener("abort", onAbort);
  return promise.finally(() => {
    clearInterval(timer);
    signal.removeEventListener("abort", onAbort);
    socket.close();
  });
}

/**
 * Over a connection, which cannot be answered by others and has no limit of size: for updates, too.
 *
 * @throws Error when there is no answer, or the reason of the signal
 */
export function askByConnection(server: string, message: Buffer, signal: AbortSignal): Promise<DnsMessage> {
  const { promise, resolve, reject } = Promise.withResolvers<DnsMessage>();
  const socket = connect(serverAddress(server));
  const onAbort = (): void => reject(signal.reason);
  let received = Buffer.alloc(0);
  socket.setTimeout(CONNECTION_MS, () => reject(new Error(`${server} does not answer`)));
  socket.on("error", reject);
  socket.on("close", () => reject(new Error(`${server} closed the connection without an answer`)));
  socket.on("connect", () => {
    const length = Buffer.alloc(2);
    length.writeUInt16BE(message.length);
    socket.write(Buffer.concat([length, message]));
  });
  socket.on("data", (chunk: Buffer) => {
    received = Buffer.concat([received, chunk]);
    if (received.length < 2 || received.length < 2 + received.readUInt16BE(0)) return;
    const answer = readAnswer(received.subarray(2, 2 + received.readUInt16BE(0)), message);
    if (answer === null) reject(new Error(`${server} sent something else than an answer`));
    else resolve(answer);
  });
  if (signal.aborted) onAbort();
  signal.addEventListener("abort", onAbort);
  return promise.finally(() => {
    signal.removeEventListener("abort", onAbort);
    socket.destroy();
  });
}

function readAnswer(bytes: Buffer, question: Buffer): DnsMessage | null {
  try {
    const answer = decodeMessage(bytes);
    return answer.isResponse && answer.id === question.readUInt16BE(0) ? answer : null;
  } catch {
    return null;
  }
}
