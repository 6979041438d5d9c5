// What the kernel knows about processes (Linux, /proc): CPU time and memory of a process and all its descendants.
import { readdirSync, readFileSync } from "node:fs";

/** The fields of /proc/PID/stat that we use (proc(5)); times in clock ticks. */
export interface ProcessStat {
  readonly pid: number;
  readonly parent: number;
  /** User + system time of all its threads, and of children that it has waited for. */
  readonly cpuTicks: number;
  /** Since boot; with the pid it names a process for good, as pids are used again. */
  readonly startTicks: number;
}

const TICKS_PER_SECOND = Number(Bun.spawnSync(["getconf", "CLK_TCK"]).stdout.toString()) || 100;

/** Parses one /proc/PID/stat line. The command name may hold spaces and parentheses, so fields count from its end. */
export function parseStat(line: string): ProcessStat {
  const fields = line.slice(line.lastIndexOf(")") + 2).split(" ");
  const field = (number: number) => Number(fields[number - 3]); // proc(5) counts from 1, and two are cut off.
  return {
    pid: Number.parseInt(line, 10),
    parent: field(4),
    cpuTicks: field(14) + field(15) + field(16) + field(17),
    startTicks: field(22),
  };
}

/** The process and its descendants that are alive now; empty when it is gone. */
export function processTree(root: number): ProcessStat[] {
  const all: ProcessStat[] = [];
  for (const name of readdirSync("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    const line = readProc(`${name}/stat`);
    if (line !== null) all.push(parseStat(line));
  }
  const tree = all.filter((stat) => stat.pid === root);
  // The tree grows while it is walked.
  for (const parent of tree) tree.push(...all.filter((stat) => stat.parent === parent.pid));
  return tree;
}

/** CPU seconds, user + system, that the process tree has used so far. */
export function cpuSeconds(root: number): number {
  return processTree(root).reduce((sum, stat) => sum + stat.cpuTicks, 0) / TICKS_PER_SECOND;
}

/** Resident bytes of the process tree: the plain sum, so pages shared by master and worker count for each. */
export function residentBytes(root: number): number {
  return sumOf(root, "status", ["VmRSS"]);
}

/** Bytes that only this process tree holds: what its growth costs the machine. */
export function privateBytes(root: number): number {
  return sumOf(root, "smaps_rollup", ["Private_Clean", "Private_Dirty", "Swap"]);
}

/** True while that very process lives (a pid used again by another one does not count). */
export function isAlive(stat: ProcessStat): boolean {
  const line = readProc(`${stat.pid}/stat`);
  return line !== null && parseStat(line).startTicks === stat.startTicks && !/\) Z /.test(line);
}

/** The cores that this process may run on, in order. */
export function allowedCores(): number[] {
  const list = /^Cpus_allowed_list:\s*(\S+)/m.exec(readProc("self/status") ?? "")?.[1] ?? "";
  return list.split(",").flatMap((range) => {
    const [first, last = first] = range.split("-").map(Number);
    return first === undefined || last === undefined
      ? []
      : Array.from({ length: last - first + 1 }, (_, index) => first + index);
  });
}

function sumOf(root: number, file: string, names: readonly string[]): number {
  let kilobytes = 0;
  for (const { pid } of processTree(root)) {
    const text = readProc(`${pid}/${file}`) ?? "";
    for (const name of names) kilobytes += Number(new RegExp(`^${name}:\\s*(\\d+) kB`, "m").exec(text)?.[1] ?? 0);
  }
  return kilobytes * 1024;
}

function readProc(path: string): string | null {
  try {
    return readFileSync(`/proc/${path}`, "utf8");
  } catch {
    return null; // It ended between listing and reading.
  }
}
