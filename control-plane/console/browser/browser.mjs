// A real Chromium with an empty profile of its own, and what every test asks of every page.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { chromium } from "playwright-core";

const FLAGS = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

/** Opens a browser; `also` is who may be asked beside the control plane; `close` also takes its profile away. */
export async function open({ address, width = 1280, height = 900, dark = false, language = "en-GB", zone = "Europe/Paris", also = [] }) {
  const profile = mkdtempSync(join(tmpdir(), "plugmend-chromium-"));
  const context = await chromium.launchPersistentContext(profile, {
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    headless: true,
    args: FLAGS,
    baseURL: address,
    viewport: { width, height },
    colorScheme: dark ? "dark" : "light",
    locale: language,
    timezoneId: zone,
    reducedMotion: "reduce",
  });
  context.setDefaultTimeout(10_000);
  const page = context.pages()[0] ?? (await context.newPage());
  const wrong = [];
  const elsewhere = [];
  // A refused answer is written there as well; the pages' own tests look at those.
  page.on("console", (message) => {
    if (message.type() === "error" && !/Failed to load resource/.test(message.text())) wrong.push(message.text());
  });
  page.on("pageerror", (error) => wrong.push(String(error)));
  page.on("request", (request) => {
    const mine = [address, "data:", ...also].some((origin) => request.url().startsWith(origin));
    if (!mine) elsewhere.push(request.url());
  });
  return {
    page,
    /** What the page complained about: errors, and what its own policy refused. */
    wrong,
    /** Requests to anywhere but the control plane. */
    elsewhere,
    close: async () => {
      await context.close();
      rmSync(profile, { recursive: true, force: true });
    },
  };
}

/** Puts a token where the console keeps it, as if somebody had signed in. */
export async function signIn(page, token) {
  await page.goto("/");
  await page.evaluate((value) => window.sessionStorage.setItem("plugmend.token", value), token);
}

/** Goes to an address and waits until what it asked for is there. */
export async function visit(page, path) {
  await page.goto(path);
  await settled(page);
}

export async function settled(page) {
  await page.locator("h1").first().waitFor();
  await page.waitForFunction(() => document.querySelector("[aria-busy=true]") === null);
}
