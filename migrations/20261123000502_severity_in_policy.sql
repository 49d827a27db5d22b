-- From where on an incident is how bad is ops' to say. The defaults keep the promised example: errors_last_24h = 50,
-- webhook_fail_rate = 0.6 is 'medium'.
ALTER TABLE ops_policy
  -- The share of webhooks or requests that fails, 0 to 1.
  ADD COLUMN severity_share_medium double precision NOT NULL DEFAULT 0.3,
  ADD COLUMN severity_share_high double precision NOT NULL DEFAULT 0.8,
  ADD COLUMN severity_share_critical double precision NOT NULL DEFAULT 0.95,
  -- Errors in 24 hours, where heartbeats count nothing else.
  ADD COLUMN severity_errors_medium integer NOT NULL DEFAULT 20,
  ADD COLUMN severity_errors_high integer NOT NULL DEFAULT 200,
  ADD COLUMN severity_errors_critical integer NOT NULL DEFAULT 1000,
  -- Payments hit since it began, where heartbeats count them.
  ADD COLUMN severity_payments_medium integer NOT NULL DEFAULT 100,
  ADD COLUMN severity_payments_high integer NOT NULL DEFAULT 10000,
  ADD COLUMN severity_payments_critical integer NOT NULL DEFAULT 100000,
  -- Silence for so long, in seconds.
  ADD COLUMN severity_silence_high_seconds integer NOT NULL DEFAULT 3600,
  ADD CONSTRAINT ops_policy_severities CHECK (
    0 < severity_share_medium AND severity_share_medium <= severity_share_high
    AND severity_share_high <= severity_share_critical AND severity_share_critical <= 1
    AND 0 < severity_errors_medium AND severity_errors_medium <= severity_errors_high
    AND severity_errors_high <= severity_errors_critical
    AND 0 < severity_payments_medium AND severity_payments_medium <= severity_payments_high
    AND severity_payments_high <= severity_payments_critical
    AND 0 < severity_silence_high_seconds);

-- What ops have said, or the defaults.
CREATE VIEW plugmend_severities AS
  SELECT coalesce(max(severity_share_medium), 0.3) AS share_medium,
         coalesce(max(severity_share_high), 0.8) AS share_high,
         coalesce(max(severity_share_critical), 0.95) AS share_critical,
         coalesce(max(severity_errors_medium), 20) AS errors_medium,
         coalesce(max(severity_errors_high), 200) AS errors_high,
         coalesce(max(severity_errors_critical), 1000) AS errors_critical,
         coalesce(max(severity_payments_medium), 100) AS payments_medium,
         coalesce(max(severity_payments_high), 10000) AS payments_high,
         coalesce(max(severity_payments_critical), 100000) AS payments_critical,
         coalesce(max(severity_silence_high_seconds), 3600) AS silence_high_seconds
  FROM ops_policy WHERE id = 1;

-- How bad an incident is.
CREATE OR REPLACE FUNCTION compute_incident_severity(incident_type text, telemetry jsonb) RETURNS text
LANGUAGE sql STABLE PARALLEL SAFE AS $$
  SELECT CASE
    WHEN incident_type = 'signature_invalid' THEN 'critical'
    WHEN incident_type = 'version_incompatibility' THEN 'high'
    WHEN incident_type = 'config_drift' THEN 'low'
    WHEN incident_type = 'heartbeat_missed' THEN CASE
      WHEN said.silent >= policy.silence_high_seconds THEN 'high'
      ELSE 'medium' END
    WHEN incident_type = 'webhook_fail_rate' THEN CASE
      WHEN said.failing >= policy.share_critical AND said.errors >= policy.errors_critical THEN 'critical'
      WHEN said.failing >= policy.share_high THEN 'high'
      WHEN said.failing >= policy.share_medium THEN 'medium'
      ELSE 'low' END
    WHEN incident_type = 'error_spike' THEN CASE
      WHEN said.errors >= policy.errors_critical THEN 'critical'
      WHEN said.errors >= policy.errors_high THEN 'high'
      WHEN said.errors >= policy.errors_medium THEN 'medium'
      ELSE 'low' END
    WHEN incident_type = 'telemetry_anomaly' THEN 'medium'
    -- What we do not know is for people: above what heals by itself.
    ELSE 'high'
  END
  FROM plugmend_severities policy, (
    SELECT coalesce(plugmend_json_number(telemetry, 'seconds_since_heartbeat'), 0) AS silent,
           coalesce(plugmend_json_number(telemetry, 'webhook_fail_rate'), 0) AS failing,
           coalesce(plugmend_json_number(telemetry, 'errors_last_24h'), 0) AS errors) AS said
$$;
