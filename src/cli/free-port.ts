// Finding a port for commands that need one and were given none.
import { createServer } from "node:net";

/** How many ports are tried before it is left to the system to choose. */
const TRIES = 20;

/** Whether nobody listens there. Someone may come in between the answer and its use; binding then fails as usual. */
export function isFree(host: string, port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = createServer();
    probe.once("error", () => resolve(false));
    probe.listen({ host, port, exclusive: true }, () => probe.close(() => resolve(true)));
  });
}

/** `port`, or the next one that is free; 0 (any) when a whole row of them is taken. */
export async function firstFree(host: string, port: number): Promise<number> {
  for (let next = port; next < port + TRIES; next += 1) if (await isFree(host, next)) return next;
  return 0;
}
