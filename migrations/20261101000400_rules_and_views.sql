-- Functions, triggers and views that people's SQL and runbooks rely on.

-- Those of the reference system may have other argument names or result types, which OR REPLACE would refuse.
DO $$
DECLARE
  found record;
BEGIN
  FOR found IN
    SELECT p.oid::regprocedure AS signature
    FROM pg_proc p
    WHERE p.pronamespace = current_schema()::regnamespace
      AND p.proname IN ('compute_incident_severity', 'is_autopatch_allowed', 'log_plugin_audit')
  LOOP
    EXECUTE format('DROP FUNCTION %s', found.signature);
  END LOOP;
END $$;

-- A number out of a JSON object; NULL when it is absent or is no number.
CREATE FUNCTION plugmend_json_number(object jsonb, field text) RETURNS double precision
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
  SELECT CASE WHEN jsonb_typeof(object -> field) = 'number' THEN (object ->> field)::double precision END
$$;

CREATE FUNCTION plugmend_severity_rank(severity text) RETURNS integer
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
  SELECT array_position(ARRAY['low', 'medium', 'high', 'critical'], severity)
$$;

-- How bad an incident is. The promised example holds: errors_last_24h = 50, webhook_fail_rate = 0.6 is 'medium'.
CREATE FUNCTION compute_incident_severity(incident_type text, telemetry jsonb) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
  SELECT CASE
    WHEN incident_type = 'signature_invalid' THEN 'critical'
    WHEN incident_type = 'version_incompatibility' THEN 'high'
    WHEN incident_type = 'config_drift' THEN 'low'
    WHEN incident_type = 'heartbeat_missed' THEN CASE
      WHEN coalesce(plugmend_json_number(telemetry, 'seconds_since_heartbeat'), 0) >= 3600 THEN 'high'
      ELSE 'medium' END
    WHEN incident_type = 'webhook_fail_rate' THEN CASE
      WHEN coalesce(plugmend_json_number(telemetry, 'webhook_fail_rate'), 0) >= 0.95
        AND coalesce(plugmend_json_number(telemetry, 'errors_last_24h'), 0) >= 1000 THEN 'critical'
      WHEN coalesce(plugmend_json_number(telemetry, 'webhook_fail_rate'), 0) >= 0.8 THEN 'high'
      WHEN coalesce(plugmend_json_number(telemetry, 'webhook_fail_rate'), 0) >= 0.3 THEN 'medium'
      ELSE 'low' END
    WHEN incident_type = 'error_spike' THEN CASE
      WHEN coalesce(plugmend_json_number(telemetry, 'errors_last_24h'), 0) >= 1000 THEN 'critical'
      WHEN coalesce(plugmend_json_number(telemetry, 'errors_last_24h'), 0) >= 200 THEN 'high'
      WHEN coalesce(plugmend_json_number(telemetry, 'errors_last_24h'), 0) >= 20 THEN 'medium'
      ELSE 'low' END
    WHEN incident_type = 'telemetry_anomaly' THEN 'medium'
    -- What we do not know is for people: above what heals by itself.
    ELSE 'high'
  END
$$;

-- Whether a cure of that severity may run by itself at that merchant: kill switch, whitelist (empty: all), cap.
-- Unknown severity, or no policy: no.
CREATE FUNCTION is_autopatch_allowed(merchant_id uuid, severity text) RETURNS boolean
LANGUAGE sql STABLE AS $$
  SELECT coalesce((
    SELECT policy.autopatch_enabled
      AND (jsonb_array_length(policy.autopatch_whitelist) = 0
           OR policy.autopatch_whitelist ? is_autopatch_allowed.merchant_id::text)
      AND plugmend_severity_rank(is_autopatch_allowed.severity) <= plugmend_severity_rank(policy.autopatch_max_severity)
    FROM ops_policy policy WHERE policy.id = 1), false)
$$;

-- Writes one entry of the audit trail.
CREATE FUNCTION log_plugin_audit(
  p_merchant_id uuid,
  p_merchant_plugin_id uuid,
  p_actor_id text,
  p_actor_type text,
  p_action text,
  p_details jsonb DEFAULT '{}',
  p_ip_address inet DEFAULT NULL,
  p_user_agent text DEFAULT NULL
) RETURNS void LANGUAGE sql AS $$
  INSERT INTO plugin_audit
    (merchant_id, merchant_plugin_id, actor_id, actor_type, action, details, ip_address, user_agent)
  VALUES
    (p_merchant_id, p_merchant_plugin_id, p_actor_id, p_actor_type, p_action, coalesce(p_details, '{}'),
     p_ip_address, p_user_agent)
$$;

-- The trail is append-only, for every role.
CREATE FUNCTION plugmend_refuse_audit_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'plugin_audit is append-only' USING ERRCODE = 'insufficient_privilege';
END $$;

CREATE TRIGGER plugin_audit_append_only BEFORE UPDATE OR DELETE ON plugin_audit
  FOR EACH ROW EXECUTE FUNCTION plugmend_refuse_audit_change();
CREATE TRIGGER plugin_audit_no_truncate BEFORE TRUNCATE ON plugin_audit
  FOR EACH STATEMENT EXECUTE FUNCTION plugmend_refuse_audit_change();

-- updated_at follows every change that does not set it itself (the batch update of heartbeats does).
CREATE FUNCTION plugmend_touch_updated_at() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  NEW.updated_at := now();
  RETURN NEW;
END $$;

DO $$
DECLARE
  of_table text;
BEGIN
  FOREACH of_table IN ARRAY ARRAY['merchant_plugins', 'plugin_incidents', 'plugin_autopatch_attempts', 'ops_policy',
                                  'plugin_agent_commands', 'merchant_webhooks'] LOOP
    EXECUTE format(
      'CREATE TRIGGER plugmend_updated_at BEFORE UPDATE ON %I FOR EACH ROW
         WHEN (NEW.updated_at IS NOT DISTINCT FROM OLD.updated_at)
         EXECUTE FUNCTION plugmend_touch_updated_at()', of_table);
  END LOOP;
END $$;

-- Logs of an attempt are append-only: an update may add lines, never change or drop one.
CREATE FUNCTION plugmend_keep_attempt_logs() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF jsonb_typeof(NEW.logs) IS DISTINCT FROM 'array'
     OR jsonb_path_query_array(NEW.logs, '$[0 to $n]', jsonb_build_object('n', jsonb_array_length(OLD.logs) - 1))
        IS DISTINCT FROM OLD.logs AND jsonb_array_length(OLD.logs) > 0 THEN
    RAISE EXCEPTION 'logs of an attempt are append-only' USING ERRCODE = 'insufficient_privilege';
  END IF;
  RETURN NEW;
END $$;

CREATE TRIGGER plugin_autopatch_attempts_keep_logs BEFORE UPDATE OF logs ON plugin_autopatch_attempts
  FOR EACH ROW WHEN (NEW.logs IS DISTINCT FROM OLD.logs AND jsonb_typeof(OLD.logs) = 'array')
  EXECUTE FUNCTION plugmend_keep_attempt_logs();

-- The runbook's emergency stop and take-back, written as plain SQL, must reach the plugins.
-- Cancelled: what no agent has heard of is withdrawn; what is on its way or begun is sent back by a roll-back that
-- waits for it to end. Taken back after success: a roll-back to the version before.
CREATE FUNCTION plugmend_follow_attempt() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  on_its_way boolean;
BEGIN
  IF NEW.status = 'cancelled' THEN
    UPDATE plugin_agent_commands
    SET status = 'failed', error_message = 'cancelled: the attempt was cancelled before the order was sent',
        completed_at = now(), next_retry_at = NULL
    WHERE attempt_id = NEW.id AND status = 'pending' AND generation IS NULL AND command_type <> 'rollback';
    -- One that waits for another try has been sent before, and may be running all the same.
    UPDATE plugin_agent_commands
    SET max_retries = retry_count,
        status = CASE WHEN status = 'pending' THEN 'timeout' ELSE status END,
        completed_at = CASE WHEN status = 'pending' THEN now() ELSE completed_at END,
        next_retry_at = NULL
    WHERE attempt_id = NEW.id AND status IN ('pending', 'sent', 'acknowledged', 'executing')
      AND command_type <> 'rollback';
    on_its_way := FOUND;
  ELSE
    on_its_way := true;
  END IF;
  IF on_its_way AND NOT EXISTS (
    SELECT 1 FROM plugin_agent_commands
    WHERE attempt_id = NEW.id AND command_type = 'rollback'
      AND status IN ('pending', 'sent', 'acknowledged', 'executing')
  ) THEN
    INSERT INTO plugin_agent_commands
      (merchant_plugin_id, command_type, command_payload, attempt_id, created_by, expires_at)
    SELECT NEW.merchant_plugin_id, 'rollback',
           jsonb_strip_nulls(jsonb_build_object(
             'product', plugin.product, 'attempt_id', NEW.id,
             -- What is no version means "the one before": an order has a version that can be read, or none.
             'version', CASE WHEN NEW.from_version
               ~ '^(0|[1-9][0-9]*)(\.(0|[1-9][0-9]*)){2}(-[0-9A-Za-z.-]+)?(\+[0-9A-Za-z.-]+)?$'
               THEN NEW.from_version END,
             'reason', coalesce(NEW.rollback_reason, 'the attempt was ' || NEW.status))),
           NEW.id, 'system', now() + interval '24 hours'
    FROM merchant_plugins plugin WHERE plugin.id = NEW.merchant_plugin_id;
  END IF;
  PERFORM log_plugin_audit(
    (SELECT merchant_id FROM merchant_plugins WHERE id = NEW.merchant_plugin_id), NEW.merchant_plugin_id,
    session_user::text, 'system', 'attempt_' || NEW.status,
    jsonb_build_object('attempt_id', NEW.id, 'was', OLD.status, 'rollback_ordered', on_its_way));
  RETURN NULL;
END $$;

CREATE TRIGGER plugin_autopatch_attempts_follow AFTER UPDATE OF status ON plugin_autopatch_attempts
  FOR EACH ROW
  WHEN (NEW.status = 'cancelled' AND OLD.status IN ('pending', 'staging', 'applying')
        OR NEW.status = 'rolled_back' AND OLD.status = 'success')
  EXECUTE FUNCTION plugmend_follow_attempt();

CREATE VIEW plugin_incidents_stats AS
SELECT incident.*,
       plugin.merchant_id, plugin.cms, plugin.plugin_version,
       count(attempt.id) AS attempts_count,
       count(attempt.id) FILTER (WHERE attempt.status = 'success') AS success_count,
       count(attempt.id) FILTER (WHERE attempt.status = 'rolled_back') AS rollback_count
FROM plugin_incidents incident
JOIN merchant_plugins plugin ON plugin.id = incident.merchant_plugin_id
LEFT JOIN plugin_autopatch_attempts attempt ON attempt.incident_id = incident.id
GROUP BY incident.id, plugin.id;

CREATE VIEW autopatch_monitoring AS
SELECT date_trunc('day', created_at) AS day,
       count(*) AS total_attempts,
       count(*) FILTER (WHERE status = 'success') AS successful,
       count(*) FILTER (WHERE status = 'failed') AS failed,
       count(*) FILTER (WHERE status = 'rolled_back') AS rolled_back,
       avg(extract(epoch FROM updated_at - created_at)) AS avg_duration_seconds
FROM plugin_autopatch_attempts
GROUP BY date_trunc('day', created_at)
ORDER BY day DESC;
