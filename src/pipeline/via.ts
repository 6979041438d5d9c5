// The Via field (RFC 9110 §7.6.3): shows that a message went through, and lets the proxy know its own messages again.

let pseudonym = "sluice";
let lines: readonly string[] = [];

/**
 * Sets the name under which this process appears in Via. It is its own, so that a request that comes back is a loop,
 * while one that went through another Sluice is not.
 */
export function setViaPseudonym(name: string): void {
  pseudonym = name;
  lines = ["1.0", "1.1", "2", "3"].map((version) => `Via: ${version} ${name}\r\n`);
}
setViaPseudonym("sluice");

/** The whole line for a message that was received in this version. */
export function viaLine(version: 10 | 11 | 20 | 30): string {
  return lines[version === 11 ? 1 : version === 10 ? 0 : version / 10]!;
}

/** Whether a received Via names this process. */
export function namesThisProxy(via: string): boolean {
  // Members are only looked at when one may be it: a list may hold thousands.
  return via.includes(pseudonym) && via.split(",").some((member) => member.trim().split(/[ \t]+/)[1] === pseudonym);
}
