// Chromium as a client.
import { chromium, type Page } from "playwright-core";
import { findProgram } from "../../tools/debian.ts";

/** A browser may take longer to start than other programs. */
export const BROWSER_START_MS = 60_000;

/** A page of a browser of its own, which keeps its files in `folder`. Close its context in the end. */
export async function openPage(url: string, folder: string, ...args: readonly string[]): Promise<Page> {
  const browser = await chromium.launchPersistentContext(folder, {
    executablePath: findProgram("chromium") ?? "chromium",
    args: [
      "--headless",
      "--no-sandbox",
      "--disable-gpu",
      "--no-first-run",
      "--disable-background-networking",
      "--disable-component-update",
      "--disable-sync",
      ...args,
    ],
  });
  try {
    const page = await browser.newPage();
    await page.goto(url);
    return page;
  } catch (error) {
    await browser.close();
    throw error;
  }
}
