// Checks what compilers and linters do not: import directions, cycles, sizes, banned calls, leftovers, decisions.
import { cycleProblems, directionProblem, importsOf } from "./tidy/imports.ts";
import { decisionProblems, textProblems } from "./tidy/text.ts";

const ROOT = new URL("..", import.meta.url).pathname;
const FILES = ["{src,test,bench,tools,examples}/**/*", "docs/**/*.md", "*.{md,json,ts}", "bin/*", ".ci/*"];
const TEXT = /\.(?:ts|md|json|yaml|yml|conf|html|css|sh)$|\/[a-z]+$/;

const problems: string[] = [];
const graph = new Map<string, readonly string[]>();

for (const path of paths()) {
  const text = await Bun.file(`${ROOT}${path}`).text();
  problems.push(...textProblems(path, text));
  if (path.startsWith("docs/decisions/") && !path.endsWith("/README.md"))
    problems.push(...decisionProblems(path, text));
  if (!path.endsWith(".ts")) continue;
  const imports: string[] = [];
  for (const target of importsOf(path, text)) {
    // Quoted in a comment or a test's data, and not a module of this tree.
    if (await Bun.file(`${ROOT}${target}`).exists()) imports.push(target);
  }
  graph.set(path, imports);
  // Unit tests stand beside the code and may use what lies under test/.
  if (/\.(?:test|fuzz)\.ts$/.test(path)) continue;
  for (const target of imports) {
    const problem = directionProblem(path, target);
    if (problem !== null) problems.push(problem);
  }
}
problems.push(...cycleProblems(graph));

for (const problem of problems) console.error(problem);
console.log(problems.length === 0 ? `tidy: ${graph.size} modules are` : `tidy: ${problems.length} problems`);
process.exitCode = problems.length === 0 ? 0 : 1;

function paths(): string[] {
  const found = FILES.flatMap((pattern) => [...new Bun.Glob(pattern).scanSync({ cwd: ROOT, dot: true })]);
  return found
    .filter((path) => TEXT.test(path) && !path.includes("bench/results/") && path !== "package-lock.json")
    .sort();
}
