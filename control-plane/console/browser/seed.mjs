// A fleet to look at: merchants, plugins, what went wrong with them and what was done, as the control plane would have
// written it. The same numbers each time.
import { createHash } from "node:crypto";

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;

/** A UUID that is the same each time. */
export function uuid(name) {
  const hex = createHash("sha256").update(name).digest("hex");
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-7${hex.slice(13, 16)}-8${hex.slice(17, 20)}-${hex.slice(20, 32)}`;
}

/** Numbers between 0 and 1 that only look random. */
function dice(seed) {
  let state = seed;
  return () => {
    state = (state * 1664525 + 1013904223) % 4294967296;
    return state / 4294967296;
  };
}

const MERCHANTS = [
  "Atelier Bonnefoy",
  "Dakar Textiles",
  "Fjord & Fell",
  "Librairie du Canal",
  "Maison Kouyaté",
  "Nordlicht Kaffee",
  "Olive et Sel",
  "Vélo République",
];
const PRODUCTS = [
  ["molam-pay-woocommerce", "woocommerce", "1.2.2"],
  ["molam-pay-prestashop", "prestashop", "2.0.1"],
  ["molam-pay-magento", "magento", "3.4.0"],
  ["molam-pay-node", "node", "0.9.4"],
];

export const IDS = {
  /** Waits for a yes to a major version. */
  asks: uuid("incident asks"),
  /** Was cured. */
  healed: uuid("incident healed"),
  /** Waits for a person who chooses. */
  stuck: uuid("incident stuck"),
  tampered: uuid("incident tampered"),
  plugin: uuid("plugin 0"),
  attempt: uuid("attempt asks"),
};

export async function seed(db, now = Date.now()) {
  const at = (ago) => new Date(now - ago).toISOString();
  const put = (table, row) => {
    const names = Object.keys(row);
    const values = names.map((name) => {
      const value = row[name];
      return value !== null && typeof value === "object" && !Buffer.isBuffer(value) && !Array.isArray(value)
        ? JSON.stringify(value)
        : value;
    });
    const places = names.map((_, index) => `$${index + 1}`);
    return db.query(`INSERT INTO ${table} (${names.join(", ")}) VALUES (${places.join(", ")})`, values);
  };
  await merchantsAndPlugins(put, at);
  await db.query("UPDATE merchant_plugins SET heard = last_heartbeat IS NOT NULL");
  await releases(put, at);
  await incidents(put, at);
  await telemetry(db, now);
  await webhooks(put, at);
  await audit(put, at);
}

async function merchantsAndPlugins(put, at) {
  for (const [index, name] of MERCHANTS.entries()) {
    await put("merchants", {
      id: uuid(`merchant ${index}`),
      name,
      created_at: at((90 - index) * 24 * HOUR),
      autopatch_opt_out: index === 6,
      maintenance_window:
        index === 2 ? { days: [1, 2, 3, 4], from: "02:00", to: "05:00", utc_offset_minutes: 60 } : null,
    });
  }
  const roll = dice(7);
  for (let index = 0; index < 24; index += 1) {
    const [product, cms, version] = PRODUCTS[index % PRODUCTS.length];
    const silent = index === 9;
    const id = uuid(`plugin ${index}`);
    const errors = index === 0 ? 212 : index === 1 ? 50 : Math.floor(roll() * 6);
    await put("merchant_plugins", {
      id,
      merchant_id: uuid(`merchant ${index % MERCHANTS.length}`),
      cms,
      product,
      plugin_version: index === 7 ? "0.9.3" : version,
      status: index === 13 ? "disabled" : index === 5 ? "pending_update" : "active",
      telemetry: heartbeat(errors, index),
      last_heartbeat: at(silent ? 14 * MINUTE : Math.floor(roll() * 110) * 1000),
      error_count_24h: errors,
      agent_managed: index % 6 !== 5,
      capabilities: index % 6 === 5 ? ["update", "config_update"] : [],
      created_at: at((60 - index) * 24 * HOUR),
    });
    if (index % 6 === 5) continue;
    await put("agents", {
      plugin_id: id,
      merchant_id: uuid(`merchant ${index % MERCHANTS.length}`),
      product,
      agent_version: "0.4.0",
      enrolled_at: at((59 - index) * 24 * HOUR),
      enrolled_from: `203.0.113.${10 + index}`,
      fenced_at: index === 14 ? at(3 * HOUR) : null,
      fence_evidence: index === 14 ? { boot_ids: 2 } : null,
    });
    await put("agent_certificates", {
      fingerprint: createHash("sha256").update(`certificate ${index}`).digest(),
      serial: createHash("sha256").update(`serial ${index}`).digest("hex").slice(0, 32),
      plugin_id: id,
      renewals: 2,
      key_sha256: createHash("sha256").update(`key ${index}`).digest(),
      certificate_pem: "-",
      issued_at: at(10 * 24 * HOUR),
      not_after: at(-20 * 24 * HOUR),
      renew_after: at(-10 * 24 * HOUR),
    });
  }
  await put("plugin_version_changes", {
    plugin_id: IDS.plugin,
    at: at(52 * MINUTE),
    from_version: "1.2.1",
    to_version: "1.2.2",
  });
  const order = (name, row) =>
    put("plugin_agent_commands", { id: uuid(name), generation: 1, next_retry_at: null, ...row });
  await order("order 1", {
    merchant_plugin_id: IDS.plugin,
    command_type: "update",
    command_payload: { version: "1.2.2", reason: "The July release for everybody" },
    status: "completed",
    created_by: "awa.diop",
    created_at: at(53 * MINUTE),
    sent_at: at(53 * MINUTE - 400),
    completed_at: at(52 * MINUTE),
  });
  await order("order 2", {
    merchant_plugin_id: IDS.plugin,
    command_type: "health_check",
    status: "failed",
    error_message: "the probe did not answer within 3 s",
    created_by: "awa.diop",
    created_at: at(26 * HOUR),
    sent_at: at(26 * HOUR),
    completed_at: at(26 * HOUR - 4000),
    generation: 2,
  });
}

function heartbeat(errors, index) {
  return {
    env: { platform: PRODUCTS[index % PRODUCTS.length][1], php: "8.2.14", wordpress: "6.6.1" },
    errors_last_24h: errors,
    webhook_fail_rate: index === 0 ? 0.61 : 0.004,
    uptime: 86_400 * 3,
    agent: { version: "0.4.0", rss_bytes: 6_900_000 },
    integrity: index === 3 ? { checked_at: new Date().toISOString(), intact: false, differing: ["src/Gateway.php"] } : { checked_at: new Date().toISOString(), intact: true },
    last_window: { seq: 901, requests: 420, errors: Math.floor(errors / 12), webhook_total: 80, webhook_failed: index === 0 ? 49 : 0 },
  };
}

async function releases(put, at) {
  const all = [
    ["molam-pay-woocommerce", "1.2.1", "low", 70, null],
    ["molam-pay-woocommerce", "1.2.2", "low", 4, null],
    ["molam-pay-woocommerce", "1.2.3", "low", 1, null],
    ["molam-pay-woocommerce", "2.0.0", "high", 0.2, null],
    ["molam-pay-prestashop", "2.0.1", "medium", 20, null],
    ["molam-pay-magento", "3.4.0", "medium", 31, null],
    ["molam-pay-magento", "3.4.1", "medium", 2, "slower checkouts on 2.4.6"],
    ["molam-pay-node", "0.9.4", "low", 12, null],
  ];
  for (const [product, version, impact, days, blocked] of all) {
    await put("releases", {
      product,
      version,
      digest: createHash("sha256").update(`${product} ${version}`).digest(),
      impact,
      fixes: version === "1.2.3" || version === "2.0.0" ? ["webhook_fail_rate"] : [],
      undo: version === "2.0.0" ? "needs_snapshot" : "code_only",
      approvals_required: version === "2.0.0" ? 2 : 0,
      files: 412,
      bytes: 3_812_004,
      pack_bytes: 921_337,
      manifest: {},
      published_at: at(days * 24 * HOUR),
      published_by: "release.team",
      blocked_at: blocked ? at(24 * HOUR) : null,
      blocked_reason: blocked,
      blocked_by: blocked ? "awa.diop" : null,
    });
  }
  await put("release_quarantines", {
    product: "molam-pay-magento",
    version: "3.4.1",
    release_digest: createHash("sha256").update("molam-pay-magento 3.4.1").digest(),
    reason: "taken back on three plugins",
    created_at: at(20 * HOUR),
  });
}

const WHY_ASKS =
  "Update 1.2.2 to 2.0.0. The release declares that it fixes webhook_fail_rate, and fits what is installed. For this kind of trouble it worked 11 times out of 12. 88 % sure that it works, 97 % that the trouble is real.";

async function incidents(put, at) {
  const open = (row) =>
    put("plugin_incidents", {
      next_look_at: null,
      confidence: 0.97,
      plugin_version: "1.2.2",
      telemetry_snapshot: heartbeat(50, 1),
      ...row,
      status_since: row.detected_at,
      created_at: row.detected_at,
      updated_at: row.detected_at,
    });
  const attempt = (row) =>
    put("plugin_autopatch_attempts", { next_look_at: null, origin: null, ...row, updated_at: row.created_at });
  await open({
    id: IDS.asks,
    merchant_plugin_id: IDS.plugin,
    incident_type: "webhook_fail_rate",
    severity: "high",
    detected_at: at(46 * MINUTE),
    began_at: at(51 * MINUTE),
    telemetry_snapshot: heartbeat(212, 0),
    status: "escalated",
    escalated_to_ops: true,
    escalated_at: at(45 * MINUTE),
    escalation_reason: "another major version: 2 people of both roles must say yes; severity high is above the cap medium",
    sira_decision: {
      action: "patch",
      patch_version: "2.0.0",
      current_version: "1.2.2",
      confidence: 0.88,
      confidence_real: 0.97,
      explanation: WHY_ASKS,
      estimated_impact: "high: one swap of the plugin's code, watched; changes data, undone only by the host's snapshot",
      method: "patch",
    },
  });
  await attempt({
    id: IDS.attempt,
    incident_id: IDS.asks,
    merchant_plugin_id: IDS.plugin,
    from_version: "1.2.2",
    to_version: "2.0.0",
    method: "patch",
    status: "pending",
    origin: "automatic",
    product: "molam-pay-woocommerce",
    release_digest: createHash("sha256").update("molam-pay-woocommerce 2.0.0").digest(),
    impact: "high",
    confidence: 0.88,
    requires_approval: true,
    approval_needed: {
      people: 2,
      one_of_each: ["pay_admin", "compliance_ops"],
      reasons: ["major_version"],
      words: ["it is another major version", "severity high is above the cap medium"],
    },
    approved_by: "[]",
    status_since: at(45 * MINUTE),
    deadline_at: at(-23 * HOUR),
    created_at: at(45 * MINUTE),
    logs: JSON.stringify([
      { timestamp: at(45 * MINUTE), level: "info", message: "the policy asks people: it is another major version" },
    ]),
  });
  await open({
    id: IDS.stuck,
    merchant_plugin_id: uuid("plugin 9"),
    incident_type: "heartbeat_missed",
    severity: "medium",
    detected_at: at(6 * MINUTE),
    status: "escalated",
    escalated_to_ops: true,
    escalated_at: at(5 * MINUTE),
    escalation_reason: "no cure is known: a person should look",
    confidence: 0.9,
    telemetry_snapshot: heartbeat(0, 9),
    sira_decision: {
      action: "notify_ops",
      current_version: "2.0.1",
      confidence: 0.62,
      confidence_real: 0.9,
      explanation: "No cure is known: a person should look.",
      estimated_impact: null,
      method: null,
    },
  });
  await healed(open, attempt, at);
  await tampered(open, attempt, at);
  await many(open, attempt, at);
}

async function healed(open, attempt, at) {
  await open({
    id: IDS.healed,
    merchant_plugin_id: uuid("plugin 4"),
    incident_type: "webhook_fail_rate",
    severity: "medium",
    detected_at: at(3 * HOUR),
    began_at: at(3 * HOUR + 2 * MINUTE),
    status: "mitigated",
    resolution: "cured",
    sira_decision: {
      action: "patch",
      patch_version: "1.2.3",
      current_version: "1.2.2",
      confidence: 0.87,
      confidence_real: 0.95,
      explanation:
        "Update 1.2.2 to 1.2.3. The release declares that it fixes webhook_fail_rate, and fits what is installed. For this kind of trouble it worked 9 times out of 9. 87 % sure that it works, 95 % that the trouble is real.",
      estimated_impact: "low: one swap of the plugin's code, watched; can be undone",
      method: "patch",
    },
  });
  await attempt({
    id: uuid("attempt healed"),
    incident_id: IDS.healed,
    merchant_plugin_id: uuid("plugin 4"),
    from_version: "1.2.2",
    to_version: "1.2.3",
    method: "patch",
    status: "success",
    origin: "automatic",
    executed_at: at(3 * HOUR - 2 * MINUTE),
    created_at: at(3 * HOUR - MINUTE),
    staging_result: { passed: true, tests_run: 14, duration_ms: 8_412, errors: [] },
    production_result: {
      applied_at: at(3 * HOUR - 2 * MINUTE),
      health_check_passed: true,
      error_rate_before: 0.118,
      error_rate_after: 0.002,
    },
    logs: JSON.stringify([
      { timestamp: at(3 * HOUR - MINUTE), level: "info", message: "the policy lets it go on by itself" },
      { timestamp: at(3 * HOUR - 70_000), level: "info", message: "staging passed 14 tests in 8.4 s" },
      { timestamp: at(3 * HOUR - 2 * MINUTE), level: "info", message: "applied; the agent watches for 90 s" },
      { timestamp: at(3 * HOUR - 4 * MINUTE), level: "info", message: "healthy: no worse than before" },
    ]),
  });
}

async function tampered(open, attempt, at) {
  await open({
    id: IDS.tampered,
    merchant_plugin_id: uuid("plugin 3"),
    incident_type: "signature_invalid",
    severity: "critical",
    detected_at: at(12 * MINUTE),
    plugin_version: "0.9.4",
    telemetry_snapshot: heartbeat(3, 3),
    status: "in_progress",
    sira_decision: {
      action: "patch",
      patch_version: "0.9.4",
      current_version: "0.9.4",
      confidence: 0.99,
      confidence_real: 1,
      explanation: "Restore 0.9.4 from verified content. Installed files differ from the signed ones.",
      estimated_impact: "low: one swap of the plugin's code, watched; can be undone",
      method: "reinstall",
    },
  });
  await attempt({
    id: uuid("attempt tampered"),
    incident_id: IDS.tampered,
    merchant_plugin_id: uuid("plugin 3"),
    from_version: "0.9.4",
    to_version: "0.9.4",
    method: "reinstall",
    status: "applying",
    origin: null,
    executed_at: at(11 * MINUTE),
    created_at: at(12 * MINUTE),
    staging_result: { passed: true, tests_run: 9, duration_ms: 5_210, errors: [] },
    logs: JSON.stringify([{ timestamp: at(11 * MINUTE), level: "info", message: "the order is with the plugin" }]),
  });
}

async function many(open, attempt, at) {
  const kinds = ["error_spike", "config_drift", "telemetry_anomaly", "webhook_fail_rate", "version_incompatibility"];
  const ends = ["success", "success", "rolled_back", "success", "failed"];
  for (let index = 0; index < 14; index += 1) {
    const kind = kinds[index % kinds.length];
    const plugin = uuid(`plugin ${10 + (index % 12)}`);
    const detected = (7 + index * 9) * HOUR;
    const id = uuid(`incident past ${index}`);
    await open({
      id,
      merchant_plugin_id: plugin,
      incident_type: kind,
      severity: ["low", "medium", "medium", "high"][index % 4],
      detected_at: at(detected),
      status: "closed",
      resolution: index % 5 === 4 ? "closed_by_hand" : index % 5 === 2 ? "recovered" : "cured",
      confidence: 0.7 + (index % 4) * 0.08,
      sira_decision: {
        action: kind === "config_drift" ? "config_fix" : index % 5 === 2 ? "rollback" : "patch",
        patch_version: kind === "config_drift" ? null : "1.2.3",
        current_version: "1.2.2",
        confidence: 0.8,
        confidence_real: 0.9,
        explanation: "It worked before for this kind of trouble.",
        estimated_impact: "low: settings change, watched, and go back by themselves when it hurts",
        method: kind === "config_drift" ? "config_fix" : "patch",
        ...(kind === "config_drift" ? { config: { webhook_timeout_ms: 8000 } } : {}),
      },
    });
    const end = ends[index % ends.length];
    await attempt({
      id: uuid(`attempt past ${index}`),
      incident_id: id,
      merchant_plugin_id: plugin,
      from_version: "1.2.2",
      to_version: kind === "config_drift" ? "1.2.2" : "1.2.3",
      method: kind === "config_drift" ? "config_fix" : "patch",
      status: end,
      origin: null,
      executed_by: index % 5 === 4 ? "awa.diop" : "sira",
      executed_at: at(detected - 3 * MINUTE),
      rolled_back_at: end === "rolled_back" ? at(detected - 9 * MINUTE) : null,
      rollback_reason: end === "rolled_back" ? "more errors than before the change" : null,
      end_reason: end === "failed" ? "staging_failed" : end === "rolled_back" ? "worse" : null,
      created_at: at(detected - MINUTE),
      staging_result: { passed: end !== "failed", tests_run: 14, duration_ms: 7_900, errors: end === "failed" ? ["test checkout: exit code 1"] : [] },
      production_result:
        end === "failed" ? null : { health_check_passed: end === "success", error_rate_before: 0.04, error_rate_after: end === "success" ? 0.003 : 0.19 },
    });
  }
}

/** Two hours of windows of the plugin whose webhooks fail: well, until it was updated. */
async function telemetry(db, now) {
  const roll = dice(3);
  const began = now - 51 * MINUTE;
  const first = Math.ceil((now - 3 * HOUR) / (2 * MINUTE)) * 2 * MINUTE;
  await db.query("SELECT ensure_telemetry_partitions((now() AT TIME ZONE 'UTC')::date - 2, (now() AT TIME ZONE 'UTC')::date + 1)");
  let seq = 1;
  for (let from = first; from + 2 * MINUTE <= now; from += 2 * MINUTE) {
    const ill = from >= began;
    const requests = 380 + Math.floor(60 * Math.sin(from / 1.7e6) + 40 * roll());
    const webhooks = 70 + Math.floor(20 * roll());
    await db.query(
      `INSERT INTO plugin_telemetry (merchant_id, plugin_id, window_from, window_to, seq, requests, errors,
         webhook_total, webhook_failed, dropped, latency, received_at)
       VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, 0, $10, $4)`,
      [
        uuid("merchant 0"),
        IDS.plugin,
        new Date(from).toISOString(),
        new Date(from + 2 * MINUTE).toISOString(),
        seq,
        requests,
        ill ? Math.floor(requests * (0.02 + 0.02 * roll())) : Math.floor(2 * roll()),
        webhooks,
        ill ? Math.floor(webhooks * (0.52 + 0.18 * roll())) : Math.floor(2 * roll()),
        JSON.stringify({ count: requests, mean_ms: 90 + 20 * roll(), p95_ms: (ill ? 340 : 210) + 40 * roll(), max_ms: 900 }),
      ],
    );
    seq += 1;
  }
}

async function webhooks(put, at) {
  const hooks = [
    ["ops_webhooks", "hook ops", null, "plugin.incident_requires_approval", "https://ops.example/hooks/plugmend", "active"],
    ["ops_webhooks", "hook pager", null, "plugin.autopatch_failed", "https://pager.example/v2/enqueue", "active"],
    ["merchant_webhooks", "hook merchant", uuid("merchant 1"), "plugin.autopatch_success", "https://dakar-textiles.example/plugmend", "error"],
  ];
  for (const [table, name, merchant, kind, url, status] of hooks) {
    await put(table, {
      id: uuid(name),
      ...(merchant === null ? {} : { merchant_id: merchant }),
      event_type: kind,
      url,
      secret: "sealed",
      status,
      last_success_at: at(2 * HOUR),
      last_failure_at: status === "error" ? at(20 * MINUTE) : null,
      failure_count: status === "error" ? 7 : 0,
      success_count: 41,
      avg_response_time_ms: 184,
    });
  }
  for (let index = 0; index < 9; index += 1) {
    const event = uuid(`event ${index}`);
    await put("outbox_events", {
      id: event,
      kind: index % 3 === 2 ? "plugin.autopatch_success" : "plugin.incident_requires_approval",
      data: {},
      created_at: at(index * 33 * MINUTE + 20_000),
      spread_at: at(index * 33 * MINUTE + 19_000),
    });
    const dead = index % 3 === 2;
    await put("webhook_deliveries", {
      id: uuid(`delivery ${index}`),
      event_id: event,
      webhook_id: uuid(dead ? "hook merchant" : "hook ops"),
      status: dead ? "dead" : "delivered",
      attempts: dead ? 8 : 1,
      next_attempt_at: at(index * 33 * MINUTE),
      last_status: dead ? 503 : 204,
      last_error: dead ? "the receiver answered 503" : null,
      ended_at: at(index * 33 * MINUTE),
      created_at: at(index * 33 * MINUTE + 19_000),
    });
  }
}

async function audit(put, at) {
  const entries = [
    ["ops", "awa.diop", "release_blocked", { product: "molam-pay-magento", version: "3.4.1", reason: "slower checkouts on 2.4.6" }, 24 * 60],
    ["ops", "awa.diop", "command_created", { type: "update", version: "1.2.2" }, 53],
    ["sira", null, "incident_opened", { incident_id: IDS.asks, incident_type: "webhook_fail_rate" }, 46],
    ["sira", null, "incident_decided", { incident_id: IDS.asks, action: "patch", version: "2.0.0" }, 46],
    ["sira", null, "attempt_created", { attempt_id: IDS.attempt, requires_approval: true }, 45],
    ["system", null, "incident_opened", { incident_id: IDS.stuck, incident_type: "heartbeat_missed" }, 6],
  ];
  for (const [kind, who, action, details, minutes] of entries) {
    await put("plugin_audit", {
      merchant_id: uuid("merchant 0"),
      merchant_plugin_id: IDS.plugin,
      actor_type: kind,
      actor_id: who,
      action,
      details,
      created_at: at(minutes * MINUTE),
    });
  }
}
