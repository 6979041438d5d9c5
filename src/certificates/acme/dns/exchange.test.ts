import { afterEach, expect, test } from "bun:test";
import { createSocket, type RemoteInfo, type Socket } from "node:dgram";
import { createServer, type Server } from "node:net";
import { ask, askByConnection, serverAddress } from "./exchange.ts";
import { encodeQuery, TYPE } from "./message.ts";

const sockets: (Socket | Server)[] = [];
afterEach(() => {
  for (const socket of sockets.splice(0)) socket.close();
});
const forever = new AbortController().signal;
const QUERY = encodeQuery("a.test", TYPE.TXT, false);

const answerTo = (query: Buffer, flags: number): Buffer => {
  const answer = Buffer.from(query);
  answer.writeUInt16BE(flags, 2);
  return answer;
};
const framed = (message: Buffer): Buffer =>
  Buffer.concat([Buffer.from([message.length >> 8, message.length & 255]), message]);

async function datagrams(onMessage: (socket: Socket, message: Buffer, peer: RemoteInfo) => void): Promise<number> {
  const socket = createSocket("udp4");
  sockets.push(socket);
  socket.on("message", (message, peer) => onMessage(socket, message, peer));
  await new Promise<void>((resolve) => socket.bind(0, "127.0.0.1", resolve));
  return socket.address().port;
}

async function connections(port: number, onData: (data: Buffer) => Buffer | null): Promise<number> {
  const server = createServer((socket) => {
    socket.on("data", (data: Buffer) => {
      const answer = onData(data);
      if (answer === null) socket.end();
      // In pieces: nothing says that an answer arrives at once.
      else for (const byte of answer) socket.write(Buffer.of(byte));
    });
    socket.on("error", () => {});
  });
  await new Promise<void>((resolve, reject) => {
    server.on("error", reject);
    server.listen(port, "127.0.0.1", resolve);
  });
  sockets.push(server);
  return (server.address() as { port: number }).port;
}

test("addresses of servers", () => {
  const cases: readonly (readonly [string, string, number])[] = [
    ["10.0.0.1", "10.0.0.1", 53],
    ["10.0.0.1:5353", "10.0.0.1", 5353],
    ["2001:db8::1", "2001:db8::1", 53],
    ["[2001:db8::1]", "2001:db8::1", 53],
    ["[2001:db8::1]:5353", "2001:db8::1", 5353],
  ];
  for (const [text, host, port] of cases) expect(serverAddress(text)).toEqual({ host, port });
});

test("datagrams that answer something else are passed over", async () => {
  const port = await datagrams((socket, query, peer) => {
    const other = answerTo(query, 0x8003);
    other.writeUInt16BE((query.readUInt16BE(0) + 1) & 0xffff, 0);
    for (const message of [other, query, Buffer.from("x"), answerTo(query, 0x8400)])
      socket.send(message, peer.port, peer.address);
  });
  expect(await ask(`127.0.0.1:${port}`, QUERY, forever)).toMatchObject({ rcode: 0, isAuthoritative: true });
});

test("an answer that is cut off is asked for again over a connection", async () => {
  // Another program may have the port for connections.
  let port = 0;
  for (let attempt = 0; port === 0 && attempt < 20; attempt += 1) {
    const free = await datagrams((socket, query, { port, address }) =>
      socket.send(answerTo(query, 0x8200), port, address),
    );
    port = await connections(free, (data) => framed(answerTo(data.subarray(2), 0x8400))).catch(() => 0);
  }
  expect(await ask(`127.0.0.1:${port}`, QUERY, forever)).toMatchObject({ isTruncated: false, isAuthoritative: true });
});

test("a connection that ends, refuses, or says something else is an error", async () => {
  const ends = await connections(0, () => null);
  await expect(askByConnection(`127.0.0.1:${ends}`, QUERY, forever)).rejects.toThrow("without an answer");
  const odd = await connections(0, () => framed(Buffer.alloc(20)));
  await expect(askByConnection(`127.0.0.1:${odd}`, QUERY, forever)).rejects.toThrow("something else");
  await expect(askByConnection("127.0.0.1:1", QUERY, forever)).rejects.toThrow(/connect/i);
});

test("waiting ends when the work is called off", async () => {
  const port = await datagrams(() => {});
  const off = new AbortController();
  const waiting = ask(`127.0.0.1:${port}`, QUERY, off.signal);
  off.abort(new Error("stopping"));
  await expect(waiting).rejects.toThrow("stopping");
});
