// Prints the most resident memory of a process that stores 300,000 answers of a kilobyte, each asked for once; what it
// may store is the argument, in megabytes.

import { answersOf } from "./answers.testing.ts";
import { Answers } from "./answers.ts";

const ADDRESSES = 300_000;
const content = "x".repeat(1024);
const answers = new Answers(Number(process.argv[2]) * 1024 * 1024, () => {});
let most = 0;
for (let at = 0; at < ADDRESSES; at += 1) {
  answers.put(`https\nwww.example.com\n/products/item-${at}.html\n`, answersOf(content));
  if (at % 100 !== 0) continue;
  await new Promise<void>((resolve) => setImmediate(resolve)); // requests come in turns of the event loop
  most = Math.max(most, process.memoryUsage.rss());
}
console.log(most);
