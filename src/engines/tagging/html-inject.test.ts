import { describe, expect, test } from "bun:test";
import { HeadInjector } from "./html-inject.ts";

function injected(page: string, ...cuts: readonly number[]): string {
  const injector = new HeadInjector(Buffer.from("[X]"));
  const bytes = Buffer.from(page);
  const out: Buffer[] = [];
  let from = 0;
  for (const to of [...cuts, bytes.length]) {
    out.push(Buffer.from(injector.push(bytes.subarray(from, to))));
    from = to;
  }
  out.push(injector.end());
  return Buffer.concat(out).toString();
}

const CASES: readonly (readonly [name: string, before: string, after: string])[] = [
  ["a page", "<!doctype html><html><head><title>a</title>", "<!doctype html><html><head>[X]<title>a</title>"],
  ["capitals and attributes", `<HTML><HEAD lang="a>b" x='>'>c`, `<HTML><HEAD lang="a>b" x='>'>[X]c`],
  ["once", "<head></head><head></head>", "<head>[X]</head><head></head>"],
  ["no head", "<p>text < 3 and </p>", "<p>text < 3 and </p>"],
  ["a header is none", "<header>x</header>", "<header>x</header>"],
  ["in a comment", "<!-- <head> --><head>y", "<!-- <head> --><head>[X]y"],
  ["in a comment with dashes", "<!--- <head> -- > --->a<head>y", "<!--- <head> -- > --->a<head>[X]y"],
  ["in a script", "<script>'<head>'</script><head>y", "<script>'<head>'</script><head>[X]y"],
  ["in a value", `<html data-x="<head>"><head>y`, `<html data-x="<head>"><head>[X]y`],
  ["nothing", "", ""],
];

describe("a snippet in the head", () => {
  test.each(CASES)("%s", (_name, before, after) => {
    expect(injected(before)).toBe(after);
    for (let at = 0; at <= before.length; at += 1) expect(injected(before, at)).toBe(after);
    expect(injected(before, ...Array.from({ length: before.length }, (_, at) => at))).toBe(after);
  });

  test("a page that begins with too much gets none", () => {
    const page = `${"<p>x</p>".repeat(20_000)}<head>`;
    expect(injected(page, 1000, 90_000)).toBe(page);
  });
});
