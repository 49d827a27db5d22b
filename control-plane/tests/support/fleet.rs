//! A fleet by SQL: many rows at once, for what is about lists.

use super::database::TestDatabase;

/// How many rows.
#[derive(Debug, Clone, Copy)]
pub struct Size {
    pub merchants: u32,
    pub plugins: u32,
    pub incidents: u32,
    pub audit: u32,
}

/// Fills a database. Everything follows from the numbers of the rows: plugin n has merchant n modulo their number, and so on.
/// Triggers do not fire: these rows are history.
pub async fn fill(database: &TestDatabase, size: Size) {
    let Size {
        merchants,
        plugins,
        incidents,
        audit,
    } = size;
    database
        .run(&format!(
            "SET session_replication_role = replica;
             CREATE FUNCTION pg_temp.name(kind int, n bigint) RETURNS uuid LANGUAGE sql IMMUTABLE AS
               $$ SELECT (lpad(to_hex(kind), 8, '0') || '-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid $$;
             INSERT INTO merchants (id, name)
               SELECT pg_temp.name(1, n), 'Shop ' || n || ' of Ada' FROM generate_series(0, {merchants} - 1) n;
             INSERT INTO merchant_plugins (id, merchant_id, product, cms, plugin_version, status, heard, last_heartbeat,
                                           agent_managed)
               SELECT pg_temp.name(2, n), pg_temp.name(1, n % {merchants}), 'molam-pay-' || n % 3,
                      (ARRAY['woocommerce', 'shopify', 'magento', 'prestashop', 'wix', 'node', 'php', 'python'])[1 + n % 8],
                      '1.' || n % 20 || '.0',
                      CASE n % 100 WHEN 7 THEN 'disabled' WHEN 8 THEN 'error' ELSE 'active' END,
                      n % 50 <> 9, CASE WHEN n % 50 <> 9 THEN now() END, true
               FROM generate_series(0, {plugins} - 1) n;
             INSERT INTO agents (plugin_id, merchant_id, product, agent_version, enrolled_at, enrolled_from, revoked_at)
               SELECT pg_temp.name(2, n), pg_temp.name(1, n % {merchants}), 'molam-pay-' || n % 3, '0.1.0', now(),
                      '127.0.0.1', CASE WHEN n % 200 = 3 THEN now() END
               FROM generate_series(0, {plugins} - 1) n;
             INSERT INTO agent_certificates (fingerprint, serial, plugin_id, renewals, key_sha256, certificate_pem,
                                             issued_at, not_after, renew_after)
               SELECT sha256(n::text::bytea), to_hex(n), pg_temp.name(2, n), 0, sha256(n::text::bytea), '', now(),
                      now() + n * interval '1 minute', now()
               FROM generate_series(0, {plugins} - 1) n;
             INSERT INTO plugin_detectors (plugin_id, state, suspect_since)
               SELECT pg_temp.name(2, n), '', CASE WHEN n % 100 = 11 THEN now() END
               FROM generate_series(0, {plugins} - 1) n;
             INSERT INTO plugin_incidents (id, merchant_plugin_id, merchant_id, incident_type, severity, status,
                                           detected_at, next_look_at, began_at)
               SELECT pg_temp.name(3, n), pg_temp.name(2, n % {plugins}), pg_temp.name(1, n % {plugins} % {merchants}),
                      (ARRAY['heartbeat_missed', 'webhook_fail_rate', 'error_spike', 'signature_invalid',
                             'version_incompatibility', 'config_drift', 'telemetry_anomaly'])[1 + n % 7],
                      (ARRAY['low', 'medium', 'high', 'critical'])[1 + n / 7 % 4],
                      -- The newest are under way, one a plugin.
                      CASE WHEN {incidents} - n > {plugins} / 50 THEN 'closed'
                        ELSE (ARRAY['open', 'in_progress', 'mitigated', 'escalated'])[1 + n % 4] END,
                      now() - ({incidents} - n) * interval '1 second', NULL, now() - ({incidents} - n + 60) * interval '1 second'
               FROM generate_series(0, {incidents} - 1) n;
             INSERT INTO plugin_autopatch_attempts (id, incident_id, merchant_plugin_id, merchant_id, from_version,
                                                    to_version, method, status, requires_approval, created_at, origin)
               SELECT pg_temp.name(4, n), pg_temp.name(3, n), pg_temp.name(2, n % {plugins}),
                      pg_temp.name(1, n % {plugins} % {merchants}), '1.0.0', '1.1.0',
                      (ARRAY['patch', 'config_fix', 'reinstall', 'rollback', 'hotfix'])[1 + n % 5],
                      CASE WHEN {incidents} - n > {plugins} / 100
                        THEN (ARRAY['success', 'failed', 'rolled_back', 'cancelled'])[1 + n % 4]
                        ELSE (ARRAY['pending', 'staging', 'applying'])[1 + n % 3] END,
                      n % 3 = 0, now() - ({incidents} - n) * interval '1 second', 'automatic'
               FROM generate_series(0, {incidents} - 1) n;
             INSERT INTO plugin_agent_commands (id, merchant_plugin_id, merchant_id, command_type, status, attempt_id,
                                                created_at, created_by)
               SELECT pg_temp.name(5, n), pg_temp.name(2, n % {plugins}), pg_temp.name(1, n % {plugins} % {merchants}),
                      (ARRAY['update', 'rollback', 'config_update', 'health_check', 'restart'])[1 + n % 5],
                      CASE WHEN {incidents} - n > {plugins} / 100
                        THEN (ARRAY['completed', 'failed', 'timeout'])[1 + n % 3]
                        ELSE (ARRAY['pending', 'sent', 'acknowledged', 'executing'])[1 + n % 4] END,
                      pg_temp.name(4, n), now() - ({incidents} - n) * interval '1 second', 'sira'
               FROM generate_series(0, {incidents} - 1) n;
             INSERT INTO plugin_audit (merchant_id, merchant_plugin_id, actor_id, actor_type, action, created_at, entry_id)
               SELECT pg_temp.name(1, n % {plugins} % {merchants}), pg_temp.name(2, n % {plugins}),
                      CASE WHEN n % 40 = 0 THEN 'person ' || n / 40 % 30 END,
                      CASE WHEN n % 40 = 0 THEN 'ops' WHEN n % 2 = 0 THEN 'sira' ELSE 'system' END,
                      (ARRAY['incident_opened', 'incident_closed', 'attempt_created', 'attempt_success',
                             'command_created', 'command_completed', 'agent_revoked'])[1 + n % 7],
                      now() - ({audit} - n) * interval '1 second', pg_temp.name(6, n)
               FROM generate_series(0, {audit} - 1) n;
             INSERT INTO audit_leaves (seq, entry_id, leaf)
               SELECT n, pg_temp.name(6, n), sha256(n::text::bytea) FROM generate_series(0, {audit} - 1) n;
             SET session_replication_role = origin;
             ANALYZE;"
        ))
        .await;
}
