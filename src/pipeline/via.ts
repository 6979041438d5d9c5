// The Via field (RFC 9110 §7.6.3): shows that a message went through, and lets the proxy know its own messages again.

let pseudonym = "sluice";
let values: readonly string[] = [];
let lines: readonly string[] = [];

/**
 * Sets the name under which this process appears in Via. It is its own, so that a request that comes back is a loop,
 * while one that went through another Sluice is not.
 */
export function setViaPseudonym(name: string): void {
  pseudonym = name;
  values = ["1.0", "1.1", "2", "3"].map((version) => `${version} ${name}`);
  lines = values.map((value) => `Via: ${value}\r\n`);
}
setViaPseudonym("sluice");

const indexOf = (version: 10 | 11 | 20 | 30): number => (version === 11 ? 1 : version === 10 ? 0 : version / 10);

/** The whole line for a message that was received in this version. */
export function viaLine(version: 10 | 11 | 20 | 30): string {
  return lines[indexOf(version)]!;
}

/** The field's value for a message that was received in this version. */
export function viaValue(version: 10 | 11 | 20 | 30): string {
  return values[indexOf(version)]!;
}

/** Whether a received Via names this process. */
export function namesThisProxy(via: string): boolean {
  // Members are only looked at when one may be it: a list may hold thousands.
  return via.includes(pseudonym) && via.split(",").some((member) => member.trim().split(/[ \t]+/)[1] === pseudonym);
}
