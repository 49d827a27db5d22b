-- The healing loop: what detectors remember, what is known of incidents and attempts on their way, which releases failed
-- where, what merchants want, and what the kill switch does.
--
-- Locks are taken in this order everywhere: policy, attempts, incidents, plugins (by id), commands. Ingest, which holds
-- plugins, touches only incidents that nobody holds.

-- Beside merchant_plugins, so that the row that every heartbeat rewrites stays small.
CREATE TABLE plugin_detectors (
  plugin_id uuid PRIMARY KEY REFERENCES merchant_plugins (id) ON DELETE CASCADE,
  state bytea NOT NULL CHECK (octet_length(state) <= 1024),
  -- The incident types that the detectors hold for ill now.
  ill text[] NOT NULL DEFAULT '{}',
  -- Since when nothing was heard for suspiciously long.
  suspect_since timestamptz,
  updated_at timestamptz NOT NULL DEFAULT now()
) WITH (fillfactor = 70);

-- Which version a plugin said it runs, since when: whether trouble began with a change.
CREATE TABLE plugin_version_changes (
  plugin_id uuid NOT NULL REFERENCES merchant_plugins (id) ON DELETE CASCADE,
  at timestamptz NOT NULL,
  from_version text NOT NULL,
  to_version text NOT NULL,
  PRIMARY KEY (plugin_id, at)
);

ALTER TABLE plugin_incidents
  -- That it is real, 0 to 1.
  ADD COLUMN IF NOT EXISTS confidence double precision,
  ADD COLUMN IF NOT EXISTS plugin_version text,
  ADD COLUMN IF NOT EXISTS began_at timestamptz,
  ADD COLUMN IF NOT EXISTS evidence_count bigint NOT NULL DEFAULT 1,
  ADD COLUMN IF NOT EXISTS last_evidence_at timestamptz,
  ADD COLUMN IF NOT EXISTS status_since timestamptz,
  -- When the reconciler looks at it; NULL: never (incidents that the reference system left behind).
  ADD COLUMN IF NOT EXISTS next_look_at timestamptz,
  ADD COLUMN IF NOT EXISTS lease_until timestamptz,
  ADD COLUMN IF NOT EXISTS lease_by uuid,
  -- How it ended, in a word: recovered, cured, relapsed, ...
  ADD COLUMN IF NOT EXISTS resolution text,
  -- One live incident a plugin and type; older ones of the reference system stay as they are, out of the way.
  ADD COLUMN IF NOT EXISTS duplicate_of uuid;
ALTER TABLE plugin_incidents
  ALTER COLUMN status_since SET DEFAULT now(),
  ALTER COLUMN next_look_at SET DEFAULT now();

ALTER TABLE plugin_incidents DISABLE TRIGGER plugmend_updated_at;
UPDATE plugin_incidents AS older SET duplicate_of = newest.id
FROM (
  SELECT DISTINCT ON (merchant_plugin_id, incident_type) id, merchant_plugin_id, incident_type
  FROM plugin_incidents WHERE status <> 'closed'
  ORDER BY merchant_plugin_id, incident_type, detected_at DESC, id DESC
) AS newest
WHERE older.merchant_plugin_id = newest.merchant_plugin_id AND older.incident_type = newest.incident_type
  AND older.status <> 'closed' AND older.id <> newest.id;
ALTER TABLE plugin_incidents ENABLE TRIGGER plugmend_updated_at;

CREATE UNIQUE INDEX plugin_incidents_live ON plugin_incidents (merchant_plugin_id, incident_type)
  WHERE status <> 'closed' AND duplicate_of IS NULL;
CREATE INDEX plugin_incidents_due ON plugin_incidents (next_look_at) WHERE status <> 'closed' AND next_look_at IS NOT NULL;

ALTER TABLE plugin_autopatch_attempts
  -- 'automatic' or 'person'; NULL: not ours to drive (the reference system's, or written by hand).
  ADD COLUMN IF NOT EXISTS origin text CHECK (origin IN ('automatic', 'person')),
  ADD COLUMN IF NOT EXISTS product text,
  ADD COLUMN IF NOT EXISTS release_digest bytea CHECK (octet_length(release_digest) = 32),
  -- Settings to set, for config_fix.
  ADD COLUMN IF NOT EXISTS config jsonb,
  -- That it works, 0 to 1.
  ADD COLUMN IF NOT EXISTS confidence double precision,
  ADD COLUMN IF NOT EXISTS impact text,
  -- Who must say yes, and why: {people, one_of_each, reasons}.
  ADD COLUMN IF NOT EXISTS approval_needed jsonb,
  -- The order that carries it out; known before it is given.
  ADD COLUMN IF NOT EXISTS command_id uuid,
  -- When its order was found ended: from then on the plugin is listened to.
  ADD COLUMN IF NOT EXISTS order_ended_at timestamptz,
  ADD COLUMN IF NOT EXISTS status_since timestamptz,
  ADD COLUMN IF NOT EXISTS deadline_at timestamptz,
  ADD COLUMN IF NOT EXISTS next_look_at timestamptz,
  ADD COLUMN IF NOT EXISTS lease_until timestamptz,
  ADD COLUMN IF NOT EXISTS lease_by uuid,
  ADD COLUMN IF NOT EXISTS staging_tries integer NOT NULL DEFAULT 0,
  -- Why it ended, in a word.
  ADD COLUMN IF NOT EXISTS end_reason text;

-- One cure at a time a plugin.
CREATE UNIQUE INDEX plugin_autopatch_attempts_live ON plugin_autopatch_attempts (merchant_plugin_id)
  WHERE status IN ('pending', 'staging', 'applying') AND origin IS NOT NULL;
CREATE INDEX plugin_autopatch_attempts_due ON plugin_autopatch_attempts (next_look_at)
  WHERE status IN ('pending', 'staging', 'applying') AND origin IS NOT NULL;

-- A release that failed: on one plugin, or (plugin_id NULL) on so many that nobody should have it.
CREATE TABLE release_quarantines (
  id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
  product text NOT NULL,
  version text NOT NULL,
  release_digest bytea NOT NULL CHECK (octet_length(release_digest) = 32),
  plugin_id uuid REFERENCES merchant_plugins (id) ON DELETE CASCADE,
  attempt_id uuid,
  reason text NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now(),
  lifted_at timestamptz,
  lifted_by text
);
CREATE UNIQUE INDEX release_quarantines_here ON release_quarantines (release_digest, plugin_id)
  WHERE lifted_at IS NULL AND plugin_id IS NOT NULL;
CREATE UNIQUE INDEX release_quarantines_everywhere ON release_quarantines (release_digest)
  WHERE lifted_at IS NULL AND plugin_id IS NULL;

ALTER TABLE merchants
  ADD COLUMN autopatch_opt_out boolean NOT NULL DEFAULT false,
  -- {"days": [1..7], "from": "HH:MM", "to": "HH:MM", "utc_offset_minutes": n}; NULL: any time.
  ADD COLUMN maintenance_window jsonb;

ALTER TABLE ops_policy
  ADD COLUMN IF NOT EXISTS autopatch_max_attempts_per_day integer NOT NULL DEFAULT 3,
  ADD COLUMN IF NOT EXISTS autopatch_cooldown_seconds integer NOT NULL DEFAULT 600,
  ADD COLUMN IF NOT EXISTS autopatch_max_fleet_percent numeric(5, 2) NOT NULL DEFAULT 5.0;

-- When an order was withdrawn that a plugin may have in hands already: it is told so when it asks before activation.
ALTER TABLE plugin_agent_commands ADD COLUMN IF NOT EXISTS withdrawn_at timestamptz;

-- Hints for the workers: something changed. Carries nothing.
CREATE FUNCTION plugmend_hint_healing() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  PERFORM pg_notify('plugmend_healing', '');
  RETURN NULL;
END $$;

CREATE TRIGGER plugin_incidents_hint AFTER INSERT ON plugin_incidents
  FOR EACH STATEMENT EXECUTE FUNCTION plugmend_hint_healing();
CREATE TRIGGER plugin_autopatch_attempts_hint AFTER INSERT ON plugin_autopatch_attempts
  FOR EACH STATEMENT EXECUTE FUNCTION plugmend_hint_healing();
CREATE TRIGGER plugin_agent_commands_hint AFTER UPDATE OF status ON plugin_agent_commands
  FOR EACH ROW WHEN (NEW.attempt_id IS NOT NULL AND NEW.status IN ('completed', 'failed', 'timeout')
                     AND OLD.status IS DISTINCT FROM NEW.status)
  EXECUTE FUNCTION plugmend_hint_healing();

-- Whatever becomes of an attempt, also by hand: its incident is looked at.
CREATE FUNCTION plugmend_look_at_incident() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  UPDATE plugin_incidents SET next_look_at = 'epoch', updated_at = now()
  WHERE id = NEW.incident_id AND status <> 'closed' AND next_look_at IS NOT NULL;
  PERFORM pg_notify('plugmend_healing', '');
  RETURN NULL;
END $$;
CREATE TRIGGER plugin_autopatch_attempts_nudge AFTER UPDATE OF status ON plugin_autopatch_attempts
  FOR EACH ROW WHEN (OLD.status IS DISTINCT FROM NEW.status
                     AND NEW.status IN ('success', 'failed', 'rolled_back', 'cancelled'))
  EXECUTE FUNCTION plugmend_look_at_incident();

-- The kill switch, as the runbook writes it. Orders of automatic attempts that no plugin has heard of are ended; those
-- that one may have in hands are not sent again, and it is told when it asks before activation. Ways back are left
-- alone. Whoever gives such an order holds the policy's row, so none slips through.
CREATE FUNCTION plugmend_follow_policy() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  touched uuid[];
BEGIN
  IF OLD.autopatch_enabled AND NOT NEW.autopatch_enabled THEN
    SELECT array_agg(command.id) INTO touched
    FROM plugin_agent_commands command JOIN plugin_autopatch_attempts attempt ON attempt.id = command.attempt_id
    WHERE command.status IN ('pending', 'sent', 'acknowledged', 'executing') AND command.withdrawn_at IS NULL
      AND command.created_by IS DISTINCT FROM 'take-back' AND attempt.origin = 'automatic';
    PERFORM 1 FROM merchant_plugins
    WHERE id IN (SELECT merchant_plugin_id FROM plugin_agent_commands WHERE id = ANY (touched))
    ORDER BY id FOR NO KEY UPDATE;
    UPDATE plugin_agent_commands
    SET withdrawn_at = now(), max_retries = retry_count, expires_at = least(expires_at, now()), next_retry_at = NULL,
        status = CASE WHEN status = 'pending' THEN 'failed' ELSE status END,
        completed_at = CASE WHEN status = 'pending' THEN now() ELSE completed_at END,
        error_message = CASE WHEN status = 'pending'
          THEN 'withdrawn: automatic changes were switched off before the order was carried out' ELSE error_message END
    WHERE id = ANY (touched) AND status IN ('pending', 'sent', 'acknowledged', 'executing');
  END IF;
  PERFORM log_plugin_audit(NULL, NULL, session_user::text, 'system', 'policy_changed', (
    SELECT coalesce(jsonb_object_agg(is_now.key, jsonb_build_object('was', was.value, 'is', is_now.value)), '{}')
    FROM jsonb_each(to_jsonb(NEW)) AS is_now JOIN jsonb_each(to_jsonb(OLD)) AS was USING (key)
    WHERE was.value IS DISTINCT FROM is_now.value AND key <> 'updated_at'));
  PERFORM pg_notify('plugmend_healing', 'policy');
  RETURN NULL;
END $$;
CREATE TRIGGER ops_policy_follow AFTER UPDATE ON ops_policy
  FOR EACH ROW WHEN (OLD.* IS DISTINCT FROM NEW.*) EXECUTE FUNCTION plugmend_follow_policy();

-- May an order that a plugin has in hands still be begun? Asked by it right before activation.
CREATE FUNCTION plugmend_may_begin(command plugin_agent_commands) RETURNS boolean LANGUAGE sql STABLE AS $$
  SELECT command.withdrawn_at IS NULL
    AND command.status IN ('sent', 'acknowledged', 'executing')
    AND (command.attempt_id IS NULL OR command.created_by = 'take-back' OR NOT EXISTS (
      SELECT 1 FROM plugin_autopatch_attempts attempt
      WHERE attempt.id = command.attempt_id
        AND (attempt.status = 'cancelled'
             OR attempt.origin = 'automatic' AND NOT (SELECT autopatch_enabled FROM ops_policy WHERE id = 1))))
$$;
