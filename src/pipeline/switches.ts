// What operators have switched at run time, as threads see it: maintenance, and the weights of split routes. The
// supervisor has the book (control/switch-book.ts) and hands out what is in it as text in memory.

/** Names the memory. */
export const SWITCHES = "switches at run time";

/** Whether there is maintenance, where somebody has said so; the configuration's own word otherwise. */
export interface MaintenanceSwitch {
  readonly enabled: boolean;
  /** When the configuration's word holds again, in milliseconds since 1970; null for when it is taken back. */
  readonly untilMs: number | null;
  /** For operators, and the answer's detail; "" for none. */
  readonly reason: string;
}

export interface Switches {
  /** By route; "" for all others. */
  readonly maintenance: ReadonlyMap<string, MaintenanceSwitch>;
  /** By route: the weights of its upstreams, by their names. */
  readonly splits: ReadonlyMap<string, Readonly<Record<string, number>>>;
}

export const NO_SWITCHES: Switches = { maintenance: new Map(), splits: new Map() };

/** Puts them where all threads see them. */
export function layOutSwitches({ maintenance, splits }: Switches): SharedArrayBuffer {
  const text = Buffer.from(JSON.stringify([[...maintenance], [...splits]]));
  const memory = new SharedArrayBuffer(text.length);
  text.copy(Buffer.from(memory));
  return memory;
}

/** What `layOutSwitches` has put there; nothing where there is no memory. */
export function readSwitches(memory: SharedArrayBuffer): Switches {
  if (memory.byteLength === 0) return NO_SWITCHES;
  const [maintenance, splits] = JSON.parse(Buffer.from(memory).toString()) as [
    [string, MaintenanceSwitch][],
    [string, Record<string, number>][],
  ];
  if (maintenance.length === 0 && splits.length === 0) return NO_SWITCHES;
  return { maintenance: new Map(maintenance), splits: new Map(splits) };
}
