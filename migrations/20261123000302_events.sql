-- What people see happen, as it happens. Whoever changes something leaves an event in the same transaction, also by hand;
-- one at a time gives them their positions, so that no event comes to stand before one that was seen already: a reader who
-- remembers a position loses nothing. Kept for days, not for ever: the trail of record is plugin_audit.

CREATE TABLE ops_event_inbox (
  number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  kind text NOT NULL,
  merchant_id uuid,
  plugin_id uuid,
  data jsonb NOT NULL,
  created_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

CREATE TABLE ops_events (
  position bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  kind text NOT NULL,
  merchant_id uuid,
  plugin_id uuid,
  data jsonb NOT NULL,
  created_at timestamptz NOT NULL
);
CREATE INDEX ops_events_of_merchant ON ops_events (merchant_id, position) WHERE merchant_id IS NOT NULL;

-- The last position that was forgotten.
CREATE TABLE ops_events_forgotten (
  id integer PRIMARY KEY DEFAULT 1 CHECK (id = 1),
  position bigint NOT NULL DEFAULT 0
);
INSERT INTO ops_events_forgotten DEFAULT VALUES;

CREATE FUNCTION plugmend_hint_events() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  PERFORM pg_notify('plugmend_events', 'waiting');
  RETURN NULL;
END $$;
CREATE TRIGGER ops_event_inbox_hint AFTER INSERT ON ops_event_inbox
  FOR EACH STATEMENT EXECUTE FUNCTION plugmend_hint_events();

-- Gives at most so many events their positions; how many it did. One caller at a time: the lock ends with the transaction,
-- when its positions are there for everybody to see.
CREATE FUNCTION plugmend_place_events(at_most integer) RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
  placed integer;
BEGIN
  IF NOT EXISTS (SELECT 1 FROM ops_event_inbox) THEN
    RETURN 0;
  END IF;
  PERFORM pg_advisory_xact_lock(7583, 2);
  WITH taken AS (
    DELETE FROM ops_event_inbox
    WHERE number IN (SELECT number FROM ops_event_inbox ORDER BY number LIMIT at_most)
    RETURNING *)
  INSERT INTO ops_events (kind, merchant_id, plugin_id, data, created_at)
  SELECT kind, merchant_id, plugin_id, data, created_at FROM taken ORDER BY number;
  GET DIAGNOSTICS placed = ROW_COUNT;
  IF placed > 0 THEN
    PERFORM pg_notify('plugmend_events', 'placed');
  END IF;
  RETURN placed;
END $$;

-- Forgets at most so many events that are older than `before`, or of which there are more than `most`.
CREATE FUNCTION plugmend_forget_events(before timestamptz, most bigint, at_most integer) RETURNS integer
LANGUAGE plpgsql AS $$
DECLARE
  last bigint;
  forgotten integer;
BEGIN
  SELECT max(position) INTO last FROM (
    SELECT position, created_at FROM ops_events ORDER BY position LIMIT at_most) AS oldest
  WHERE created_at < before OR position <= (SELECT max(position) - most FROM ops_events);
  IF last IS NULL THEN
    RETURN 0;
  END IF;
  UPDATE ops_events_forgotten SET position = greatest(position, last);
  DELETE FROM ops_events WHERE position <= last;
  GET DIAGNOSTICS forgotten = ROW_COUNT;
  RETURN forgotten;
END $$;

CREATE FUNCTION plugmend_say(kind text, merchant_id uuid, plugin_id uuid, data jsonb) RETURNS void LANGUAGE sql AS $$
  INSERT INTO ops_event_inbox (kind, merchant_id, plugin_id, data)
  VALUES (kind, merchant_id, plugin_id, jsonb_strip_nulls(data))
$$;

CREATE FUNCTION plugmend_say_incident() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  PERFORM plugmend_say(TG_ARGV[0], NEW.merchant_id, NEW.merchant_plugin_id, jsonb_build_object(
    'incident_id', NEW.id, 'incident_type', NEW.incident_type, 'severity', NEW.severity, 'status', NEW.status,
    'was', CASE WHEN TG_OP = 'UPDATE' THEN OLD.status END, 'action', NEW.sira_decision ->> 'action',
    'resolution', NEW.resolution, 'escalation_reason', NEW.escalation_reason));
  RETURN NULL;
END $$;
CREATE TRIGGER plugin_incidents_say_opened AFTER INSERT ON plugin_incidents
  FOR EACH ROW EXECUTE FUNCTION plugmend_say_incident('incident.opened');
CREATE TRIGGER plugin_incidents_say_changed AFTER UPDATE ON plugin_incidents
  FOR EACH ROW WHEN (OLD.status IS DISTINCT FROM NEW.status OR OLD.severity IS DISTINCT FROM NEW.severity
                     OR (OLD.sira_decision IS NULL) IS DISTINCT FROM (NEW.sira_decision IS NULL))
  EXECUTE FUNCTION plugmend_say_incident('incident.changed');

CREATE FUNCTION plugmend_say_attempt() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  PERFORM plugmend_say(TG_ARGV[0], NEW.merchant_id, NEW.merchant_plugin_id, jsonb_build_object(
    'attempt_id', NEW.id, 'incident_id', NEW.incident_id, 'method', NEW.method, 'status', NEW.status,
    'was', CASE WHEN TG_OP = 'UPDATE' THEN OLD.status END, 'from_version', NEW.from_version,
    'to_version', NEW.to_version, 'requires_approval', NEW.requires_approval,
    'staging_passed', NEW.staging_result -> 'passed',
    'end_reason', NEW.end_reason));
  RETURN NULL;
END $$;
CREATE TRIGGER plugin_autopatch_attempts_say_created AFTER INSERT ON plugin_autopatch_attempts
  FOR EACH ROW EXECUTE FUNCTION plugmend_say_attempt('attempt.created');
CREATE TRIGGER plugin_autopatch_attempts_say_changed AFTER UPDATE ON plugin_autopatch_attempts
  FOR EACH ROW WHEN (OLD.status IS DISTINCT FROM NEW.status
                     OR (OLD.staging_result IS NULL) IS DISTINCT FROM (NEW.staging_result IS NULL))
  EXECUTE FUNCTION plugmend_say_attempt('attempt.changed');

CREATE FUNCTION plugmend_say_approval() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  PERFORM plugmend_say(TG_ARGV[0], NEW.merchant_id, NEW.merchant_plugin_id, jsonb_build_object(
    'approval_id', NEW.id, 'attempt_id', NEW.attempt_id, 'incident_id', NEW.incident_id, 'command_id', NEW.command_id,
    'action', NEW.action, 'version', NEW.version, 'status', NEW.status, 'expires_at', NEW.expires_at));
  RETURN NULL;
END $$;
CREATE TRIGGER approvals_say_wanted AFTER INSERT ON approvals
  FOR EACH ROW EXECUTE FUNCTION plugmend_say_approval('approval.wanted');
CREATE TRIGGER approvals_say_changed AFTER UPDATE ON approvals
  FOR EACH ROW WHEN (OLD.status IS DISTINCT FROM NEW.status) EXECUTE FUNCTION plugmend_say_approval('approval.changed');

CREATE FUNCTION plugmend_say_vote() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  about approvals;
BEGIN
  SELECT * INTO about FROM approvals WHERE id = NEW.approval_id;
  PERFORM plugmend_say('approval.given', about.merchant_id, about.merchant_plugin_id, jsonb_build_object(
    'approval_id', NEW.approval_id, 'attempt_id', about.attempt_id, 'incident_id', about.incident_id,
    'says', NEW.says, 'person', NEW.person));
  RETURN NULL;
END $$;
CREATE TRIGGER approval_votes_say AFTER INSERT ON approval_votes
  FOR EACH ROW EXECUTE FUNCTION plugmend_say_vote();

CREATE FUNCTION plugmend_say_command() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  PERFORM plugmend_say(TG_ARGV[0], NEW.merchant_id, NEW.merchant_plugin_id, jsonb_build_object(
    'command_id', NEW.id, 'attempt_id', NEW.attempt_id, 'type', NEW.command_type, 'status', NEW.status,
    'was', CASE WHEN TG_OP = 'UPDATE' THEN OLD.status END, 'version', NEW.command_payload ->> 'version',
    'step', NEW.progress ->> 'step', 'error', left(NEW.error_message, 300)));
  RETURN NULL;
END $$;
CREATE TRIGGER plugin_agent_commands_say_created AFTER INSERT ON plugin_agent_commands
  FOR EACH ROW EXECUTE FUNCTION plugmend_say_command('command.created');
CREATE TRIGGER plugin_agent_commands_say_changed AFTER UPDATE ON plugin_agent_commands
  FOR EACH ROW WHEN (OLD.status IS DISTINCT FROM NEW.status
                     OR (OLD.progress ->> 'step') IS DISTINCT FROM (NEW.progress ->> 'step'))
  EXECUTE FUNCTION plugmend_say_command('command.changed');

CREATE FUNCTION plugmend_say_policy() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF OLD.autopatch_enabled IS DISTINCT FROM NEW.autopatch_enabled THEN
    PERFORM plugmend_say('kill_switch.changed', NULL, NULL, jsonb_build_object(
      'autopatch_enabled', NEW.autopatch_enabled, 'by', NEW.updated_by));
  END IF;
  PERFORM plugmend_say('policy.changed', NULL, NULL, jsonb_build_object('by', NEW.updated_by, 'fields', (
    SELECT jsonb_agg(is_now.key ORDER BY is_now.key)
    FROM jsonb_each(to_jsonb(NEW)) AS is_now JOIN jsonb_each(to_jsonb(OLD)) AS was USING (key)
    WHERE was.value IS DISTINCT FROM is_now.value AND key NOT IN ('updated_at', 'updated_by', 'version'))));
  RETURN NULL;
END $$;
CREATE TRIGGER ops_policy_say AFTER UPDATE ON ops_policy
  FOR EACH ROW WHEN (OLD.* IS DISTINCT FROM NEW.*) EXECUTE FUNCTION plugmend_say_policy();

CREATE FUNCTION plugmend_say_agent() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  PERFORM plugmend_say('plugin.standing', NEW.merchant_id, NEW.plugin_id, jsonb_build_object('standing',
    CASE WHEN NEW.revoked_at IS NOT NULL THEN 'revoked' WHEN NEW.fenced_at IS NOT NULL THEN 'fenced'
    ELSE 'active' END));
  RETURN NULL;
END $$;
CREATE TRIGGER agents_say_enrolled AFTER INSERT ON agents FOR EACH ROW EXECUTE FUNCTION plugmend_say_agent();
CREATE TRIGGER agents_say_standing AFTER UPDATE ON agents
  FOR EACH ROW WHEN ((OLD.revoked_at, OLD.fenced_at, OLD.enrolled_at)
                     IS DISTINCT FROM (NEW.revoked_at, NEW.fenced_at, NEW.enrolled_at))
  EXECUTE FUNCTION plugmend_say_agent();

-- Heartbeats rewrite a plugin's row and set neither its status nor anything else that is told here.
CREATE FUNCTION plugmend_say_plugin() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  PERFORM plugmend_say(TG_ARGV[0], NEW.merchant_id, NEW.id, jsonb_build_object(
    'product', NEW.product, 'cms', NEW.cms, 'status', NEW.status));
  RETURN NULL;
END $$;
CREATE TRIGGER merchant_plugins_say_added AFTER INSERT ON merchant_plugins
  FOR EACH ROW EXECUTE FUNCTION plugmend_say_plugin('plugin.added');
CREATE TRIGGER merchant_plugins_say_changed AFTER UPDATE OF status ON merchant_plugins
  FOR EACH ROW WHEN (OLD.status IS DISTINCT FROM NEW.status) EXECUTE FUNCTION plugmend_say_plugin('plugin.changed');

CREATE FUNCTION plugmend_say_version() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  PERFORM plugmend_say('plugin.version', (SELECT merchant_id FROM merchant_plugins WHERE id = NEW.plugin_id),
    NEW.plugin_id, jsonb_build_object('from_version', NEW.from_version, 'to_version', NEW.to_version));
  RETURN NULL;
END $$;
CREATE TRIGGER plugin_version_changes_say AFTER INSERT ON plugin_version_changes
  FOR EACH ROW EXECUTE FUNCTION plugmend_say_version();

CREATE FUNCTION plugmend_say_merchant() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  PERFORM plugmend_say('merchant.changed', NEW.id, NULL, jsonb_build_object(
    'autopatch_opt_out', NEW.autopatch_opt_out, 'maintenance_window', NEW.maintenance_window));
  RETURN NULL;
END $$;
CREATE TRIGGER merchants_say AFTER UPDATE ON merchants
  FOR EACH ROW WHEN ((OLD.autopatch_opt_out, OLD.maintenance_window) IS DISTINCT FROM
                     (NEW.autopatch_opt_out, NEW.maintenance_window))
  EXECUTE FUNCTION plugmend_say_merchant();

CREATE FUNCTION plugmend_say_release() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  PERFORM plugmend_say('release.changed', NULL, NULL, jsonb_build_object(
    'product', NEW.product, 'version', NEW.version, 'state', CASE
      WHEN NEW.withdrawn_at IS NOT NULL THEN 'withdrawn' WHEN NEW.revoked_at IS NOT NULL THEN 'revoked'
      WHEN NEW.blocked_at IS NOT NULL THEN 'blocked' ELSE 'published' END));
  RETURN NULL;
END $$;
CREATE TRIGGER releases_say_published AFTER INSERT ON releases
  FOR EACH ROW EXECUTE FUNCTION plugmend_say_release();
CREATE TRIGGER releases_say_changed AFTER UPDATE ON releases
  FOR EACH ROW WHEN ((OLD.withdrawn_at, OLD.revoked_at, OLD.blocked_at)
                     IS DISTINCT FROM (NEW.withdrawn_at, NEW.revoked_at, NEW.blocked_at))
  EXECUTE FUNCTION plugmend_say_release();

CREATE FUNCTION plugmend_say_quarantine() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  PERFORM plugmend_say('release.quarantined',
    (SELECT merchant_id FROM merchant_plugins WHERE id = NEW.plugin_id), NEW.plugin_id, jsonb_build_object(
      'product', NEW.product, 'version', NEW.version, 'everywhere', NEW.plugin_id IS NULL,
      'lifted', NEW.lifted_at IS NOT NULL));
  RETURN NULL;
END $$;
CREATE TRIGGER release_quarantines_say AFTER INSERT ON release_quarantines
  FOR EACH ROW EXECUTE FUNCTION plugmend_say_quarantine();
CREATE TRIGGER release_quarantines_say_lifted AFTER UPDATE ON release_quarantines
  FOR EACH ROW WHEN ((OLD.lifted_at IS NULL) IS DISTINCT FROM (NEW.lifted_at IS NULL))
  EXECUTE FUNCTION plugmend_say_quarantine();
