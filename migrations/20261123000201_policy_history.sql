-- Every policy that ever counted, with who set it and why. Written by the trigger that follows the policy, so that a change by
-- the runbook's hand is in it too. What comes through the API says who and why in `plugmend.actor` and `plugmend.reason`,
-- which last as long as their transaction.

-- Counts changes: what a person read is what they change.
ALTER TABLE ops_policy ADD COLUMN IF NOT EXISTS version bigint NOT NULL DEFAULT 1;

CREATE TABLE ops_policy_history (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  version bigint NOT NULL,
  changed_at timestamptz NOT NULL DEFAULT now(),
  -- A person by the subject of their token, or the role in the database of whoever wrote SQL.
  changed_by text NOT NULL,
  by_hand boolean NOT NULL,
  reason text,
  -- {column: {was, is}}
  changes jsonb NOT NULL,
  -- The whole of it from then on; NULL: somebody deleted the row.
  policy jsonb
);

CREATE FUNCTION plugmend_policy_content(policy ops_policy) RETURNS jsonb LANGUAGE sql STABLE AS $$
  SELECT to_jsonb(policy) - '{id,version,updated_at,updated_by}'::text[]
$$;

INSERT INTO ops_policy_history (version, changed_at, changed_by, by_hand, reason, changes, policy)
SELECT version, updated_at, coalesce(updated_by, session_user::text), true, 'as it was when this history began', '{}',
       plugmend_policy_content(ops_policy)
FROM ops_policy WHERE id = 1;

CREATE FUNCTION plugmend_refuse_history_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'ops_policy_history is append-only' USING ERRCODE = 'insufficient_privilege';
END $$;
CREATE TRIGGER ops_policy_history_append_only BEFORE UPDATE OR DELETE ON ops_policy_history
  FOR EACH ROW EXECUTE FUNCTION plugmend_refuse_history_change();
CREATE TRIGGER ops_policy_history_no_truncate BEFORE TRUNCATE ON ops_policy_history
  FOR EACH STATEMENT EXECUTE FUNCTION plugmend_refuse_history_change();

CREATE FUNCTION plugmend_number_policy() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  who text := nullif(current_setting('plugmend.actor', true), '');
BEGIN
  IF TG_OP = 'INSERT' THEN
    NEW.version = (SELECT coalesce(max(version), 0) + 1 FROM ops_policy_history);
    RETURN NEW;
  END IF;
  NEW.version = OLD.version;
  IF plugmend_policy_content(NEW) IS DISTINCT FROM plugmend_policy_content(OLD) THEN
    NEW.version = OLD.version + 1;
    IF who IS NOT NULL THEN
      NEW.updated_by = who;
    ELSIF NEW.updated_by IS NOT DISTINCT FROM OLD.updated_by THEN
      NEW.updated_by = session_user;
    END IF;
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER ops_policy_number BEFORE INSERT OR UPDATE ON ops_policy
  FOR EACH ROW EXECUTE FUNCTION plugmend_number_policy();

CREATE FUNCTION plugmend_keep_policy(was jsonb, is_now jsonb, version bigint) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  who text := nullif(current_setting('plugmend.actor', true), '');
  why text := nullif(current_setting('plugmend.reason', true), '');
  changes jsonb := (
    SELECT coalesce(jsonb_object_agg(key, jsonb_build_object('was', was -> key, 'is', is_now -> key)), '{}')
    FROM jsonb_object_keys(coalesce(was, '{}') || coalesce(is_now, '{}')) AS key
    WHERE was -> key IS DISTINCT FROM is_now -> key);
BEGIN
  INSERT INTO ops_policy_history (version, changed_by, by_hand, reason, changes, policy)
  VALUES (version, coalesce(who, session_user::text), who IS NULL, why, changes, is_now);
  PERFORM log_plugin_audit(NULL, NULL, coalesce(who, session_user::text),
    CASE WHEN who IS NULL THEN 'system' ELSE 'ops' END, 'policy_changed',
    jsonb_build_object('version', version, 'reason', why, 'changes', changes));
  PERFORM pg_notify('plugmend_healing', 'policy');
END $$;

-- As before, but for what it leaves behind.
CREATE OR REPLACE FUNCTION plugmend_follow_policy() RETURNS trigger LANGUAGE plpgsql AS $$
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
  IF NEW.version <> OLD.version THEN
    PERFORM plugmend_keep_policy(plugmend_policy_content(OLD), plugmend_policy_content(NEW), NEW.version);
  END IF;
  RETURN NULL;
END $$;

-- A row that is deleted and put back by hand: without it nothing is done by itself.
CREATE FUNCTION plugmend_policy_gone_or_back() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP = 'DELETE' THEN
    PERFORM plugmend_keep_policy(plugmend_policy_content(OLD), NULL, OLD.version + 1);
  ELSE
    PERFORM plugmend_keep_policy(NULL, plugmend_policy_content(NEW), NEW.version);
  END IF;
  RETURN NULL;
END $$;
CREATE TRIGGER ops_policy_gone_or_back AFTER INSERT OR DELETE ON ops_policy
  FOR EACH ROW EXECUTE FUNCTION plugmend_policy_gone_or_back();

-- What the policy said about each cure when it was first judged, and everything but the policy that this rests on: another
-- policy can be asked the same questions. Kept as long as one may ask back.
CREATE TABLE policy_judgements (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  judged_at timestamptz NOT NULL,
  incident_id uuid NOT NULL REFERENCES plugin_incidents (id) ON DELETE CASCADE,
  -- None was begun where it was refused for good.
  attempt_id uuid,
  merchant_id uuid NOT NULL,
  merchant_plugin_id uuid NOT NULL REFERENCES merchant_plugins (id) ON DELETE CASCADE,
  policy_version bigint NOT NULL,
  outcome text NOT NULL CHECK (outcome IN ('allow', 'needs_approval', 'refuse')),
  -- [{code, words}]
  reasons jsonb NOT NULL,
  grounds jsonb NOT NULL
);
CREATE INDEX policy_judgements_age ON policy_judgements (judged_at, id);
CREATE INDEX policy_judgements_of_incident ON policy_judgements (incident_id);
