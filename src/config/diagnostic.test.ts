import { expect, test } from "bun:test";
import { join } from "node:path";
import { renderDiagnostic, showFile } from "./diagnostic.ts";

const CASES: readonly (readonly [file: string, folder: string, shown: string])[] = [
  ["/srv/app/sluice.yaml", "/srv/app", "sluice.yaml"],
  ["/srv/app/conf/sluice.yaml", "/srv/app", "conf/sluice.yaml"],
  ["/srv/app/..odd/sluice.yaml", "/srv/app", "..odd/sluice.yaml"],
  ["/srv/application/sluice.yaml", "/srv/app", "/srv/application/sluice.yaml"],
  ["/srv/sluice.yaml", "/srv/app", "/srv/sluice.yaml"],
  ["/srv", "/srv/app", "/srv"],
  ["/srv/app", "/srv/app", "/srv/app"],
  ["/etc/sluice/sluice.yaml", "/", "/etc/sluice/sluice.yaml"],
  ["", "/srv/app", ""],
];
for (const [file, folder, shown] of CASES)
  test(`"${file}" from ${folder}`, () => expect(showFile(file, folder)).toBe(shown));

test("a diagnostic names its file from the working directory on", () => {
  const place = { line: 3, column: 5, path: ["routes"] };
  const at = (file: string): string => renderDiagnostic({ severity: "error", message: "no", file, ...place });
  expect(at(join(process.cwd(), "conf/sluice.yaml"))).toBe("conf/sluice.yaml:3:5: error: no");
  expect(at("/elsewhere/sluice.yaml")).toBe("/elsewhere/sluice.yaml:3:5: error: no");
});
