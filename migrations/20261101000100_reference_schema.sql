-- The reference system's tables, names and values. Runs on an empty database and on a filled one of the reference
-- system: nothing is dropped but constraints that we widen, and no row is lost.

-- Drops every CHECK that speaks of one column, whatever it is called.
CREATE FUNCTION plugmend_drop_checks(of_table text, of_column text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  found record;
BEGIN
  FOR found IN
    SELECT con.conname
    FROM pg_constraint con
    JOIN pg_attribute att ON att.attrelid = con.conrelid AND att.attnum = ANY (con.conkey)
    WHERE con.conrelid = to_regclass(format('%I', of_table)) AND con.contype = 'c' AND att.attname = of_column
  LOOP
    EXECUTE format('ALTER TABLE %I DROP CONSTRAINT %I', of_table, found.conname);
  END LOOP;
END $$;

-- A value list for one column. Rows that are already there stay as they are (NOT VALID); new ones are checked.
CREATE FUNCTION plugmend_set_values(of_table text, of_column text, allowed text[]) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  PERFORM plugmend_drop_checks(of_table, of_column);
  EXECUTE format('ALTER TABLE %I ADD CONSTRAINT %I CHECK (%I = ANY (%L::text[])) NOT VALID',
                 of_table, of_table || '_' || of_column || '_values', of_column, allowed);
END $$;

-- Views and functions are ours from here on; they are made anew further down (views would also hold column types fast).
DROP VIEW IF EXISTS plugin_incidents_stats;
DROP VIEW IF EXISTS autopatch_monitoring;

CREATE TABLE IF NOT EXISTS merchant_plugins (
  id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
  merchant_id uuid NOT NULL,
  cms text NOT NULL,
  plugin_version text NOT NULL,
  status text NOT NULL DEFAULT 'active',
  settings jsonb NOT NULL DEFAULT '{}',
  telemetry jsonb NOT NULL DEFAULT '{}',
  last_heartbeat timestamptz,
  error_count_24h integer NOT NULL DEFAULT 0,
  last_error text,
  last_error_at timestamptz,
  created_at timestamptz NOT NULL DEFAULT now(),
  updated_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE IF NOT EXISTS plugin_incidents (
  id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
  merchant_plugin_id uuid NOT NULL REFERENCES merchant_plugins (id),
  incident_type text NOT NULL,
  severity text NOT NULL,
  detected_at timestamptz NOT NULL DEFAULT now(),
  telemetry_snapshot jsonb NOT NULL DEFAULT '{}',
  sira_decision jsonb,
  status text NOT NULL DEFAULT 'open',
  escalated_to_ops boolean NOT NULL DEFAULT false,
  escalated_at timestamptz,
  escalation_reason text,
  created_at timestamptz NOT NULL DEFAULT now(),
  updated_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE IF NOT EXISTS plugin_autopatch_attempts (
  id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
  incident_id uuid REFERENCES plugin_incidents (id),
  merchant_plugin_id uuid NOT NULL REFERENCES merchant_plugins (id),
  from_version text NOT NULL,
  to_version text,
  method text NOT NULL,
  status text NOT NULL DEFAULT 'pending',
  logs jsonb NOT NULL DEFAULT '[]',
  staging_result jsonb,
  production_result jsonb,
  executed_by text NOT NULL DEFAULT 'sira',
  executed_at timestamptz,
  rolled_back_at timestamptz,
  rollback_reason text,
  approved_by jsonb NOT NULL DEFAULT '[]',
  requires_approval boolean NOT NULL DEFAULT false,
  created_at timestamptz NOT NULL DEFAULT now(),
  updated_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE IF NOT EXISTS ops_policy (
  id integer PRIMARY KEY DEFAULT 1,
  autopatch_enabled boolean NOT NULL DEFAULT true,
  autopatch_whitelist jsonb NOT NULL DEFAULT '[]',
  autopatch_max_severity text NOT NULL DEFAULT 'medium',
  require_multisig_for_major boolean NOT NULL DEFAULT true,
  require_multisig_for_high_impact boolean NOT NULL DEFAULT true,
  multisig_quorum_count integer NOT NULL DEFAULT 2,
  require_staging_test boolean NOT NULL DEFAULT true,
  staging_timeout_seconds integer NOT NULL DEFAULT 300,
  health_check_timeout_seconds integer NOT NULL DEFAULT 90,
  health_check_interval_seconds integer NOT NULL DEFAULT 3,
  auto_rollback_on_error_rate_threshold numeric(5, 2) NOT NULL DEFAULT 10.0,
  auto_rollback_on_heartbeat_missed_seconds integer NOT NULL DEFAULT 120,
  sira_min_confidence numeric(4, 3) NOT NULL DEFAULT 0.75,
  sira_learning_enabled boolean NOT NULL DEFAULT true,
  canary_percentage integer NOT NULL DEFAULT 0,
  canary_merchants jsonb NOT NULL DEFAULT '[]',
  updated_at timestamptz NOT NULL DEFAULT now(),
  updated_by text
);

CREATE TABLE IF NOT EXISTS sira_learning_feedback (
  id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
  incident_id uuid REFERENCES plugin_incidents (id),
  autopatch_attempt_id uuid REFERENCES plugin_autopatch_attempts (id),
  sira_input jsonb NOT NULL DEFAULT '{}',
  sira_output jsonb NOT NULL DEFAULT '{}',
  actual_outcome text NOT NULL,
  outcome_details jsonb,
  feedback_label text,
  feedback_notes text,
  model_version text,
  training_epoch integer,
  created_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE IF NOT EXISTS plugin_agent_commands (
  id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
  merchant_plugin_id uuid NOT NULL REFERENCES merchant_plugins (id),
  command_type text NOT NULL,
  command_payload jsonb NOT NULL DEFAULT '{}',
  status text NOT NULL DEFAULT 'pending',
  sent_at timestamptz,
  acknowledged_at timestamptz,
  completed_at timestamptz,
  response jsonb,
  error_message text,
  retry_count integer NOT NULL DEFAULT 0,
  max_retries integer NOT NULL DEFAULT 3,
  next_retry_at timestamptz,
  created_at timestamptz NOT NULL DEFAULT now(),
  updated_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE IF NOT EXISTS plugin_audit (
  id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
  merchant_id uuid,
  merchant_plugin_id uuid,
  actor_id text,
  actor_type text NOT NULL,
  action text NOT NULL,
  details jsonb NOT NULL DEFAULT '{}',
  ip_address inet,
  user_agent text,
  created_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE IF NOT EXISTS merchant_webhooks (
  id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
  merchant_id uuid NOT NULL,
  event_type text NOT NULL,
  url text NOT NULL,
  secret text NOT NULL,
  status text NOT NULL DEFAULT 'active',
  last_success_at timestamptz,
  last_failure_at timestamptz,
  failure_count integer NOT NULL DEFAULT 0,
  success_count integer NOT NULL DEFAULT 0,
  avg_response_time_ms integer,
  failover_url text,
  retry_config jsonb NOT NULL DEFAULT '{}',
  created_at timestamptz NOT NULL DEFAULT now(),
  updated_at timestamptz NOT NULL DEFAULT now(),
  UNIQUE (merchant_id, event_type, url)
);

-- Words are text everywhere: a filled database may hold them as enum types, varchar or (people's ids) uuid, and then
-- neither a new value nor a bound text would be taken. A value list lives in a CHECK, which can be widened.
DO $$
DECLARE
  col record;
BEGIN
  FOR col IN
    SELECT c.table_name, c.column_name, c.column_default
    FROM information_schema.columns c
    JOIN (VALUES
      ('merchant_plugins', 'cms'), ('merchant_plugins', 'status'), ('merchant_plugins', 'plugin_version'),
      ('plugin_incidents', 'incident_type'), ('plugin_incidents', 'severity'), ('plugin_incidents', 'status'),
      ('plugin_autopatch_attempts', 'method'), ('plugin_autopatch_attempts', 'status'),
      ('plugin_autopatch_attempts', 'executed_by'), ('plugin_autopatch_attempts', 'from_version'),
      ('plugin_autopatch_attempts', 'to_version'),
      ('ops_policy', 'autopatch_max_severity'), ('ops_policy', 'updated_by'),
      ('sira_learning_feedback', 'actual_outcome'), ('sira_learning_feedback', 'feedback_label'),
      ('plugin_agent_commands', 'command_type'), ('plugin_agent_commands', 'status'),
      ('plugin_audit', 'actor_id'), ('plugin_audit', 'actor_type'), ('plugin_audit', 'action'),
      ('merchant_webhooks', 'status'), ('merchant_webhooks', 'event_type')
    ) AS wanted (table_name, column_name) USING (table_name, column_name)
    WHERE c.table_schema = current_schema() AND c.data_type <> 'text'
  LOOP
    -- A CHECK or a default that names the old type would stand in the way; the former are made anew below.
    PERFORM plugmend_drop_checks(col.table_name, col.column_name);
    EXECUTE format('ALTER TABLE %I ALTER COLUMN %I DROP DEFAULT', col.table_name, col.column_name);
    EXECUTE format('ALTER TABLE %I ALTER COLUMN %I TYPE text USING %I::text',
                   col.table_name, col.column_name, col.column_name);
    IF col.column_default ~ '^''' THEN
      EXECUTE format('ALTER TABLE %I ALTER COLUMN %I SET DEFAULT %L', col.table_name, col.column_name,
                     substring(col.column_default FROM '^''([^'']*)'''));
    END IF;
  END LOOP;
END $$;

SELECT plugmend_set_values('merchant_plugins', 'cms',
  ARRAY['woocommerce', 'shopify', 'magento', 'prestashop', 'wix', 'node', 'php', 'python']);
SELECT plugmend_set_values('merchant_plugins', 'status',
  ARRAY['active', 'disabled', 'error', 'pending_update', 'blocked']);
SELECT plugmend_set_values('plugin_incidents', 'incident_type',
  ARRAY['heartbeat_missed', 'webhook_fail_rate', 'error_spike', 'signature_invalid', 'version_incompatibility',
        'config_drift', 'telemetry_anomaly']);
SELECT plugmend_set_values('plugin_incidents', 'severity', ARRAY['low', 'medium', 'high', 'critical']);
SELECT plugmend_set_values('plugin_incidents', 'status',
  ARRAY['open', 'in_progress', 'mitigated', 'closed', 'escalated']);
SELECT plugmend_set_values('plugin_autopatch_attempts', 'method',
  ARRAY['patch', 'config_fix', 'reinstall', 'rollback', 'hotfix']);
SELECT plugmend_set_values('plugin_autopatch_attempts', 'status',
  ARRAY['pending', 'staging', 'applying', 'success', 'failed', 'rolled_back', 'cancelled']);
SELECT plugmend_set_values('ops_policy', 'autopatch_max_severity', ARRAY['low', 'medium', 'high', 'critical']);
SELECT plugmend_set_values('sira_learning_feedback', 'actual_outcome',
  ARRAY['success', 'failed', 'rolled_back', 'partial']);
SELECT plugmend_set_values('sira_learning_feedback', 'feedback_label', ARRAY['positive', 'negative', 'neutral']);
SELECT plugmend_set_values('plugin_agent_commands', 'command_type',
  ARRAY['update', 'rollback', 'config_update', 'health_check', 'restart']);
SELECT plugmend_set_values('plugin_agent_commands', 'status',
  ARRAY['pending', 'sent', 'acknowledged', 'executing', 'completed', 'failed', 'timeout']);
SELECT plugmend_set_values('plugin_audit', 'actor_type', ARRAY['merchant', 'ops', 'sira', 'system']);
SELECT plugmend_set_values('merchant_webhooks', 'status', ARRAY['active', 'disabled', 'error']);

-- Exactly one policy, with its defaults where the reference system left none.
ALTER TABLE ops_policy DROP CONSTRAINT IF EXISTS ops_policy_single;
ALTER TABLE ops_policy ADD CONSTRAINT ops_policy_single CHECK (id = 1) NOT VALID;
INSERT INTO ops_policy (id) VALUES (1) ON CONFLICT (id) DO NOTHING;

-- A merchant may run several products or several shops: unique (merchant_id, cms) goes, under whatever name.
DO $$
DECLARE
  found record;
BEGIN
  FOR found IN
    SELECT idx.indexrelid::regclass AS index_name, con.conname
    FROM pg_index idx
    LEFT JOIN pg_constraint con ON con.conindid = idx.indexrelid AND con.contype = 'u'
    WHERE idx.indrelid = 'merchant_plugins'::regclass AND idx.indisunique AND NOT idx.indisprimary
      AND (SELECT array_agg(att.attname::text ORDER BY att.attname)
           FROM pg_attribute att
           WHERE att.attrelid = idx.indrelid AND att.attnum = ANY (idx.indkey::smallint[])) = ARRAY['cms', 'merchant_id']
  LOOP
    IF found.conname IS NULL THEN
      EXECUTE format('DROP INDEX %s', found.index_name);
    ELSE
      EXECUTE format('ALTER TABLE merchant_plugins DROP CONSTRAINT %I', found.conname);
    END IF;
  END LOOP;
  -- An index on what every heartbeat changes would forbid in-page updates (HOT).
  FOR found IN
    SELECT DISTINCT idx.indexrelid::regclass AS index_name
    FROM pg_index idx
    JOIN pg_attribute att ON att.attrelid = idx.indrelid AND att.attnum = ANY (idx.indkey::smallint[])
    WHERE idx.indrelid = 'merchant_plugins'::regclass AND NOT idx.indisunique
      AND att.attname IN ('last_heartbeat', 'telemetry', 'error_count_24h', 'plugin_version', 'updated_at')
  LOOP
    EXECUTE format('DROP INDEX %s', found.index_name);
  END LOOP;
END $$;

CREATE INDEX IF NOT EXISTS merchant_plugins_merchant ON merchant_plugins (merchant_id, id);
CREATE INDEX IF NOT EXISTS plugin_incidents_of_plugin ON plugin_incidents (merchant_plugin_id, detected_at DESC);
CREATE INDEX IF NOT EXISTS plugin_incidents_open ON plugin_incidents (status, detected_at DESC);
CREATE INDEX IF NOT EXISTS plugin_autopatch_attempts_of_incident ON plugin_autopatch_attempts (incident_id);
CREATE INDEX IF NOT EXISTS plugin_autopatch_attempts_of_plugin
  ON plugin_autopatch_attempts (merchant_plugin_id, created_at DESC);
CREATE INDEX IF NOT EXISTS plugin_audit_of_plugin ON plugin_audit (merchant_plugin_id, created_at DESC);
CREATE INDEX IF NOT EXISTS plugin_audit_of_merchant ON plugin_audit (merchant_id, created_at DESC);

-- Room in the page for the next versions of a row that every heartbeat rewrites.
ALTER TABLE merchant_plugins SET (fillfactor = 70);
