// The console in a real browser, against the real control plane and a real database.
import assert from "node:assert/strict";
import { mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { serious } from "./axe.mjs";
import { open, settled, signIn, visit } from "./browser.mjs";
import { say, speak } from "./people.mjs";
import { startProvider } from "./provider.mjs";
import { IDS, seed, uuid } from "./seed.mjs";
import { start } from "./stand.mjs";

const FOLDER = fileURLToPath(new URL("../../../target/console-test/", import.meta.url));
const PAGES = [
  ["overview", "/"],
  ["incidents", "/incidents"],
  ["incident that asks", `/incidents/${IDS.asks}`],
  ["incident healed", `/incidents/${IDS.healed}`],
  ["incident nobody can cure", `/incidents/${IDS.stuck}`],
  ["approvals", "/approvals"],
  ["cures", "/attempts"],
  ["plugins", "/plugins"],
  ["plugin", `/plugins/${IDS.plugin}`],
  ["merchants", "/merchants"],
  ["releases", "/releases"],
  ["policy", "/policy"],
  ["audit", "/audit"],
  ["webhooks", "/webhooks"],
  ["figures", "/kpis"],
  ["no such page", "/plugins/1/2/3"],
];
const WAYS = [
  ["light", {}],
  ["dark", { dark: true }],
  ["french", { language: "fr-FR" }],
  ["phone", { width: 360, height: 780 }],
];

let provider;
let stand;
let token;

before(async () => {
  rmSync(FOLDER, { recursive: true, force: true });
  mkdirSync(FOLDER, { recursive: true });
  provider = await startProvider(() => token);
  const settings = { PLUGMEND_CONSOLE_ISSUER: provider.address, PLUGMEND_CONSOLE_CLIENT_ID: "plugmend-console" };
  stand = await start({ folder: FOLDER, settings });
  await seed(stand.db);
  await speak(stand);
  token = stand.token("awa.diop");
});
after(async () => {
  await stand?.stop();
  await provider?.stop();
});

/** Does something in a browser of its own, and sees to it that nothing went wrong in it. */
async function browse(options, act) {
  const browser = await open({ address: stand.address, ...options });
  try {
    await act(browser.page, browser);
    assert.deepEqual(browser.wrong, [], "the page complained");
    assert.deepEqual(browser.elsewhere, [], "the page asked somebody else");
  } catch (error) {
    await browser.page.screenshot({ path: join(FOLDER, "failed.png"), fullPage: true }).catch(() => undefined);
    throw error;
  } finally {
    await browser.close();
  }
}

for (const [way, options] of WAYS) {
  test(`every page is whole, and axe finds nothing serious: ${way}`, async () => {
    await browse(options, async (page) => {
      await signIn(page, token);
      for (const [name, path] of PAGES) {
        await visit(page, path);
        await page.waitForFunction(() => document.querySelector(".chart canvas, .page") !== null);
        await page.screenshot({ path: join(FOLDER, `${way} ${name}.png`), fullPage: true });
        assert.deepEqual(await serious(page), [], `${name}, ${way}`);
        const wide = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
        assert.ok(wide <= 0, `${name}, ${way}: ${wide} pixels too wide`);
        assert.equal(await page.locator(".failure").count(), 0, `${name}, ${way}: something could not be had`);
      }
    });
  });
}

describe("signing in", () => {
  test("a token is tried, kept out of every address, and forgotten with the session", async () => {
    await browse({}, async (page) => {
      await visit(page, "/incidents?status=escalated");
      await page.screenshot({ path: join(FOLDER, "light sign-in.png"), fullPage: true });
      assert.deepEqual(await serious(page), []);
      await page.locator("input[type=password]").fill("not a token");
      await page.getByRole("button", { name: "Sign in", exact: true }).click();
      await page.getByRole("alert").waitFor();
      const addresses = [];
      page.on("request", (request) => addresses.push(request.url()));
      await page.locator("input[type=password]").fill(token);
      await page.getByRole("button", { name: "Sign in", exact: true }).click();
      await page.getByRole("heading", { level: 1, name: "Incidents" }).waitFor();
      assert.ok(page.url().endsWith("/incidents?status=escalated"), "one comes to where one wanted to be");
      assert.ok(addresses.every((address) => !address.includes(token)));
      assert.equal(await page.evaluate(() => JSON.stringify(window.localStorage).includes("eyJ")), false);
      assert.equal((await page.context().cookies()).length, 0);
      await page.getByRole("button", { name: "You and your settings" }).click();
      await page.getByRole("menuitem", { name: "Sign out" }).click();
      await page.locator("input[type=password]").waitFor();
      assert.equal(await page.evaluate(() => window.sessionStorage.getItem("plugmend.token")), null);
    });
  });

  test("at a provider, by the code flow with PKCE, and back to where one wanted to be", async () => {
    await browse({ also: [provider.address] }, async (page) => {
      await visit(page, "/plugins");
      await page.getByRole("button", { name: "Sign in with Molam ID" }).click();
      await page.getByRole("heading", { level: 1, name: "Plugins" }).waitFor();
      assert.equal(new URL(page.url()).search, "", "the code is gone from the address");
      const [asked] = provider.asked;
      assert.equal(asked.code_challenge_method, "S256");
      assert.equal(asked.client_id, "plugmend-console");
      assert.ok(!JSON.stringify(provider.asked).includes(token));
    });
  });

  test("an answer that nobody asked for signs nobody in", async () => {
    await browse({ also: [provider.address] }, async (page) => {
      await page.goto("/signed-in?code=stolen&state=guessed");
      await page.getByText("This answer does not belong to a sign-in from this tab").waitFor();
      assert.equal(await page.evaluate(() => window.sessionStorage.getItem("plugmend.token")), null);
    });
  });

  test("a token that is not taken any more ends the session, and says why", async () => {
    await browse({}, async (page) => {
      await page.goto("/");
      await page.evaluate((value) => window.sessionStorage.setItem("plugmend.token", value), `${token.slice(0, -4)}AAAA`);
      await page.goto("/plugins");
      await page.getByText("Your session has ended").waitFor();
    });
  });

  test("whoever only reads is offered no deeds", async () => {
    await browse({}, async (page) => {
      await signIn(page, stand.token("ines.reader", "ops_viewer"));
      await visit(page, `/incidents/${IDS.asks}`);
      assert.equal(await page.getByRole("button", { name: "Approve" }).count(), 0);
      assert.equal(await page.getByRole("button", { name: "Stop everything" }).count(), 0);
      await visit(page, "/policy");
      assert.equal(await page.getByLabel("People in a quorum").isDisabled(), true);
    });
  });
});

test("a yes is given in a few presses, and shows who said so", async () => {
  await browse({}, async (page) => {
    await signIn(page, token);
    await visit(page, "/");
    await page.getByRole("link", { name: "Webhooks fail" }).first().click();
    await page.getByText("One more must say yes").waitFor();
    await page.getByRole("button", { name: "Approve" }).click();
    await page.getByRole("dialog").getByLabel("Reason").fill("Looked at the changelog with the merchant");
    await page.screenshot({ path: join(FOLDER, "light approve.png") });
    assert.deepEqual(await serious(page), []);
    await page.getByRole("dialog").getByRole("button", { name: "Approve" }).click();
    await page.getByText("Your yes is noted.").waitFor();
    const { rows } = await stand.db.query("SELECT status FROM approvals WHERE attempt_id = $1", [IDS.attempt]);
    assert.equal(rows[0].status, "approved");
    await visit(page, "/approvals?status=approved");
    await page.getByText("Looked at the changelog with the merchant").waitFor();
  });
});

test("the kill switch is thrown with a reason, seen on every page, and set back", async () => {
  await browse({}, async (page) => {
    await signIn(page, token);
    await visit(page, "/plugins");
    await page.getByRole("button", { name: "Stop everything" }).click();
    const dialog = page.getByRole("dialog");
    await dialog.getByRole("button", { name: "Stop everything" }).click();
    assert.ok(await dialog.isVisible(), "nothing is done without a reason");
    await dialog.getByLabel("Reason").fill("Payments fail everywhere");
    await dialog.getByRole("button", { name: "Stop everything" }).click();
    await page.getByText("Automatic changes are stopped", { exact: true }).waitFor();
    const enabled = async () => (await stand.db.query("SELECT autopatch_enabled FROM ops_policy")).rows[0].autopatch_enabled;
    assert.equal(await enabled(), false);
    for (const [name, path] of PAGES) {
      await visit(page, path);
      assert.ok(await page.getByText("Automatic changes are stopped", { exact: true }).isVisible(), name);
      if (name === "overview") {
        await page.getByText("Payments fail everywhere").waitFor();
        await page.screenshot({ path: join(FOLDER, "light stopped.png"), fullPage: true });
        assert.deepEqual(await serious(page), []);
      }
    }
    await page.getByRole("button", { name: "Switch on again" }).click();
    await dialog.getByLabel("Reason").fill("The provider is back");
    await dialog.getByRole("button", { name: "Switch on again" }).click();
    await page.getByRole("button", { name: "Stop everything" }).waitFor();
    assert.equal(await enabled(), true);
  });
});

test("the policy is tried, changed with a reason, and refused when somebody was faster", async () => {
  await browse({}, async (page) => {
    await signIn(page, token);
    await visit(page, "/policy");
    const confidence = page.getByLabel("Confidence that is wanted");
    await confidence.fill("0.85");
    await page.getByRole("button", { name: "Try it" }).click();
    await page.getByText("cures were judged in that time").waitFor();
    await page.screenshot({ path: join(FOLDER, "light policy tried.png"), fullPage: true });
    await page.getByRole("button", { name: "Save the change" }).click();
    const dialog = page.getByRole("dialog");
    await dialog.getByText("Confidence that is wanted").waitFor();
    // Somebody else is faster.
    const read = await fetch(`${stand.address}/api/ops/policy`, { headers: { authorization: `Bearer ${token}` } });
    const change = { policy: { canary_percentage: 10 }, reason: "A canary first" };
    await say(stand, token, "PATCH", "/api/ops/policy", change, { "if-match": read.headers.get("etag") });
    await dialog.getByLabel("Reason").fill("Too many cures were taken back");
    await dialog.getByRole("button", { name: "Save the change" }).click();
    await dialog.getByText("Somebody changed the policy in the meantime").waitFor();
    await dialog.getByRole("button", { name: "Save the change" }).click();
    await page.getByText("The policy is changed.").waitFor();
    const { rows } = await stand.db.query("SELECT sira_min_confidence::float8 AS least, canary_percentage FROM ops_policy");
    assert.deepEqual(rows[0], { least: 0.85, canary_percentage: 10 });
    await page.getByText("Too many cures were taken back").waitFor();
  });
});

test("everything is reached by the keyboard alone", async () => {
  await browse({}, async (page) => {
    await signIn(page, token);
    await visit(page, "/");
    await page.keyboard.press("Tab");
    assert.equal(await page.evaluate(() => document.activeElement?.className), "skip", "the first stop leads past the frame");
    await page.keyboard.press("g");
    await page.keyboard.press("i");
    await page.getByRole("heading", { level: 1, name: "Incidents" }).waitFor();
    await settled(page);
    await page.locator("[data-row-link]").nth(1).waitFor();
    await page.keyboard.press("j");
    await page.keyboard.press("j");
    await page.keyboard.press("k");
    assert.ok(await page.evaluate(() => document.activeElement?.hasAttribute("data-row-link")));
    const outline = await page.evaluate(() => getComputedStyle(document.activeElement).outlineStyle);
    assert.notEqual(outline, "none", "the focus is seen");
    await page.keyboard.press("Enter");
    await page.waitForURL(/\/incidents\/.+/);
    await page.keyboard.press("Control+k");
    await page.getByRole("dialog").waitFor();
    await page.keyboard.type("poli");
    await page.keyboard.press("Enter");
    await page.getByRole("heading", { level: 1, name: "Policy" }).waitFor();
    await page.keyboard.press("?");
    await page.getByRole("dialog", { name: "Keyboard shortcuts" }).waitFor();
    await page.screenshot({ path: join(FOLDER, "light keys.png") });
    await page.keyboard.press("Escape");
    await page.getByRole("dialog").waitFor({ state: "hidden" });
  });
});

test("a view is its address: filters, search, and the way back", async () => {
  await browse({}, async (page) => {
    await signIn(page, token);
    await visit(page, "/incidents?severity=critical");
    assert.equal(await page.getByRole("row").count(), 2, "the heading, and one incident");
    await page.getByLabel("Severity").selectOption("");
    await page.waitForURL((url) => url.search === "");
    await page.goBack();
    await page.waitForURL(/severity=critical/);
    await visit(page, "/incidents");
    await page.getByLabel("Search").fill(uuid("merchant 1").slice(0, 13));
    await page.keyboard.press("Enter");
    await page.waitForURL(/q=/);
    await settled(page);
    await visit(page, "/plugins?health=silent");
    await settled(page);
  });
});

test("a control plane that is away is said, and what was here stays", async () => {
  await browse({}, async (page) => {
    await signIn(page, token);
    await visit(page, "/plugins");
    await page.route("**/api/ops/plugins*", (route) => route.abort());
    await page.getByLabel("Platform").selectOption("magento");
    await page.getByText("The control plane can not be reached").or(page.getByText("does not answer")).first().waitFor();
    await page.unroute("**/api/ops/plugins*");
  });
});

test("a page is there soon", async () => {
  await browse({}, async (page) => {
    await signIn(page, token);
    for (const path of ["/", `/incidents/${IDS.healed}`]) {
      const began = Date.now();
      await visit(page, path);
      console.log(`${path === "/" ? "overview" : "incident"}: ${Date.now() - began} ms from the address to everything shown`);
    }
  });
});

test("what happens is seen without a reload", async () => {
  await browse({}, async (page) => {
    await signIn(page, token);
    await visit(page, "/incidents");
    await page.getByText("Live", { exact: true }).waitFor();
    // From here on the jobs run: they give events their places, and look after the seeded fleet in their own way.
    stand.work();
    await stand.db.query(
      `INSERT INTO plugin_incidents (merchant_plugin_id, incident_type, severity, status, next_look_at)
       VALUES ($1, 'version_incompatibility', 'low', 'open', NULL)`,
      [uuid("plugin 21")],
    );
    const began = Date.now();
    await page.getByRole("row", { name: /Version does not fit.*open/ }).first().waitFor();
    console.log(`a new incident was on the page after ${Date.now() - began} ms`);
  });
});
