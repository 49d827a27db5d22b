// What axe-core says of a page: WCAG 2.2, A and AA, and its own best practices.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

const SOURCE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"];

/** Everything serious or critical, as lines that say what and where. */
export async function serious(page) {
  // By the debugger, not by a script in the page: the page's own policy would refuse that, and should.
  await page.evaluate(SOURCE);
  const found = await page.evaluate(async (tags) => {
    const { violations } = await globalThis.axe.run(document, { runOnly: { type: "tag", values: tags } });
    return violations.map(({ id, impact, help, nodes }) => ({
      id,
      impact,
      help,
      where: nodes.slice(0, 4).map((node) => `${node.target.join(" ")} — ${node.any[0]?.message ?? node.html.slice(0, 120)}`),
    }));
  }, TAGS);
  return found
    .filter(({ impact }) => impact === "serious" || impact === "critical")
    .map(({ id, help, where }) => `${id}: ${help}\n    ${where.join("\n    ")}`);
}
