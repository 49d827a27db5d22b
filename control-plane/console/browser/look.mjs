// Starts a stand with a seeded fleet and leaves it running, for whoever works on the console:
// PLUGMEND_TEST_DATABASE_URL=... node browser/look.mjs
import { mkdirSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { speak } from "./people.mjs";
import { seed } from "./seed.mjs";
import { start } from "./stand.mjs";

const folder = fileURLToPath(new URL("../../../target/console-look/", import.meta.url));
mkdirSync(folder, { recursive: true });
const stand = await start({ folder });
await seed(stand.db);
await speak(stand);
console.log(`${stand.address}\n${stand.token("awa.diop")}`);
const end = () => void stand.stop().then(() => process.exit(0));
process.once("SIGINT", end);
process.once("SIGTERM", end);
