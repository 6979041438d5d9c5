// What single calls cost, for the benchmarks of parts: nanoseconds against a budget.

/** The first round, which comes beside these, warms up. */
export const ROUNDS = 7;
const PER_ROUND = 200_000;

let isOver = false;

/** Prints the median of the nanoseconds of one call, and remembers whether it is over its budget. */
export function report(name: string, budgetNs: number, times: readonly number[], bytes: string = ""): void {
  const median = times.toSorted((a, b) => a - b)[times.length >> 1]!;
  isOver ||= median > budgetNs;
  const columns = [`${median.toFixed(0)} ns`, bytes, `budget ${budgetNs} ns`].map((column) => column.padStart(14));
  console.log(name.padEnd(50), ...columns, median > budgetNs ? "  OVER" : "");
}

/** Measures calls of `one`, whose results must not come to nothing; each reads or writes so many bytes. */
export function bench(name: string, bytes: number, budgetNs: number, one: () => number, perRound = PER_ROUND): void {
  const times: number[] = [];
  let check = 0;
  for (let round = 0; round <= ROUNDS; round += 1) {
    const start = Bun.nanoseconds();
    for (let i = 0; i < perRound; i += 1) check += one();
    if (round > 0) times.push((Bun.nanoseconds() - start) / perRound);
  }
  if (check <= 0) throw new Error(`${name}: nothing was done`);
  report(name, budgetNs, times, `${bytes} bytes`);
}

/** Ends the benchmark, with 1 when anything was over its budget. */
export function finish(): void {
  if (!isOver) return;
  console.error("over a budget");
  process.exit(1);
}
