// An address that cannot be listened on, in words for whoever has to mend it.

/** What the system's codes mean to an operator. */
const WHY: Readonly<Record<string, string>> = {
  EADDRINUSE: "another program, or another Sluice, listens there",
  EADDRNOTAVAIL: "this machine does not have that address",
  EAFNOSUPPORT: "this machine does not speak that kind of address",
  EACCES: "permission denied (ports below 1024 need rights)",
  ENOENT: "the directory of the socket does not exist",
};

/** Why a listener could not be opened. `code` is the system's (EADDRINUSE and the like), "" when it gave none. */
export class ListenError extends Error {
  readonly address: string;
  readonly code: string;
  constructor(address: string, cause: unknown) {
    const { code = "", message = String(cause) } = cause as { code?: string; message?: string };
    super(`cannot listen on ${address}: ${WHY[code] ?? (code === "" ? message : code)}`);
    this.name = "ListenError";
    this.address = address;
    this.code = code;
  }
}
