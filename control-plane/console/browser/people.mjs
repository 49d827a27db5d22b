// What people do before the tests look: questions are asked and answered by the real API.
import { createHash } from "node:crypto";
import { IDS, uuid } from "./seed.mjs";

/** Asks as somebody, and fails where that is refused. */
export async function say(stand, token, method, path, body, headers = {}) {
  const answer = await fetch(stand.address + path, {
    method,
    headers: { authorization: `Bearer ${token}`, "content-type": "application/json", ...headers },
    body: body === undefined ? undefined : JSON.stringify(body),
  });
  const text = await answer.text();
  if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${text}`);
  return text === "" ? null : JSON.parse(text);
}

/** Somebody of compliance says yes to the major version; somebody of ops wants another one elsewhere. */
export async function speak(stand) {
  const fatou = stand.token("fatou.sow", "compliance_ops");
  const moussa = stand.token("moussa.ba", "pay_admin");
  const release_digest = createHash("sha256").update("molam-pay-woocommerce 2.0.0").digest("hex");
  await say(stand, fatou, "POST", `/api/ops/plugin-incidents/${IDS.asks}/approve`, { release_digest });
  const order = { type: "update", version: "2.0.0", reason: "Dakar Textiles asked for the new checkout" };
  await say(stand, moussa, "POST", `/api/ops/plugins/${uuid("plugin 16")}/commands`, order);
  const first = await fetch(`${stand.address}/api/ops/policy`, { headers: { authorization: `Bearer ${moussa}` } });
  const change = { policy: { autopatch_max_attempts_per_day: 4 }, reason: "Three were too few on sale days" };
  await say(stand, moussa, "PATCH", "/api/ops/policy", change, { "if-match": first.headers.get("etag") });
}
