-- Lists stay fast with a million plugins, five million incidents and twenty million audit entries: every filter has its index
-- in the order of the list, and whose a row is stands in the row.

ALTER TABLE plugin_incidents ADD COLUMN IF NOT EXISTS merchant_id uuid;
ALTER TABLE plugin_autopatch_attempts ADD COLUMN IF NOT EXISTS merchant_id uuid;
ALTER TABLE plugin_agent_commands ADD COLUMN IF NOT EXISTS merchant_id uuid;

-- Whether it was ever heard. An index on last_heartbeat itself would forbid in-page updates.
ALTER TABLE merchant_plugins ADD COLUMN heard boolean NOT NULL DEFAULT false;

-- Rows of the reference system may hold words that our checks would refuse (they are NOT VALID for that): the checks stand
-- aside meanwhile, and no row is lost.
DO $$
DECLARE
  step record;
  held record;
  aside text[];
BEGIN
  FOR step IN
    SELECT * FROM (VALUES
      ('plugin_incidents', 'UPDATE plugin_incidents AS it SET merchant_id = plugin.merchant_id
         FROM merchant_plugins plugin WHERE plugin.id = it.merchant_plugin_id'),
      ('plugin_autopatch_attempts', 'UPDATE plugin_autopatch_attempts AS it SET merchant_id = plugin.merchant_id
         FROM merchant_plugins plugin WHERE plugin.id = it.merchant_plugin_id'),
      ('plugin_agent_commands', 'UPDATE plugin_agent_commands AS it SET merchant_id = plugin.merchant_id
         FROM merchant_plugins plugin WHERE plugin.id = it.merchant_plugin_id'),
      ('merchant_plugins', 'UPDATE merchant_plugins SET heard = true WHERE last_heartbeat IS NOT NULL')
    ) AS steps (of_table, statement)
  LOOP
    EXECUTE format('ALTER TABLE %I DISABLE TRIGGER USER', step.of_table);
    aside := '{}';
    FOR held IN
      SELECT conname, pg_get_constraintdef(oid) AS rule FROM pg_constraint
      WHERE conrelid = to_regclass(format('%I', step.of_table)) AND contype = 'c' AND NOT convalidated
    LOOP
      EXECUTE format('ALTER TABLE %I DROP CONSTRAINT %I', step.of_table, held.conname);
      aside := aside || format('ALTER TABLE %I ADD CONSTRAINT %I %s', step.of_table, held.conname, held.rule);
    END LOOP;
    EXECUTE step.statement;
    FOR i IN 1 .. coalesce(array_length(aside, 1), 0) LOOP
      EXECUTE aside[i];
    END LOOP;
    EXECUTE format('ALTER TABLE %I ENABLE TRIGGER USER', step.of_table);
  END LOOP;
END $$;

CREATE FUNCTION plugmend_name_merchant() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  SELECT merchant_id INTO NEW.merchant_id FROM merchant_plugins WHERE id = NEW.merchant_plugin_id;
  RETURN NEW;
END $$;

CREATE TRIGGER plugin_incidents_merchant BEFORE INSERT ON plugin_incidents
  FOR EACH ROW EXECUTE FUNCTION plugmend_name_merchant();
CREATE TRIGGER plugin_autopatch_attempts_merchant BEFORE INSERT ON plugin_autopatch_attempts
  FOR EACH ROW EXECUTE FUNCTION plugmend_name_merchant();
CREATE TRIGGER plugin_agent_commands_merchant BEFORE INSERT ON plugin_agent_commands
  FOR EACH ROW EXECUTE FUNCTION plugmend_name_merchant();

-- Incidents, newest first.
CREATE INDEX plugin_incidents_newest ON plugin_incidents (detected_at DESC, id DESC);
CREATE INDEX plugin_incidents_by_status ON plugin_incidents (status, detected_at DESC, id DESC);
DROP INDEX IF EXISTS plugin_incidents_open;
CREATE INDEX plugin_incidents_by_severity ON plugin_incidents (severity, detected_at DESC, id DESC);
CREATE INDEX plugin_incidents_by_type ON plugin_incidents (incident_type, detected_at DESC, id DESC);
CREATE INDEX plugin_incidents_of_merchant ON plugin_incidents (merchant_id, detected_at DESC, id DESC);
-- Those that are not over, for what is looked at all the time.
CREATE INDEX plugin_incidents_not_over ON plugin_incidents (status, severity, merchant_plugin_id)
  WHERE status <> 'closed' AND duplicate_of IS NULL;

-- Attempts and orders, newest first.
CREATE INDEX plugin_autopatch_attempts_newest ON plugin_autopatch_attempts (created_at DESC, id DESC);
CREATE INDEX plugin_autopatch_attempts_by_status ON plugin_autopatch_attempts (status, created_at DESC, id DESC);
CREATE INDEX plugin_autopatch_attempts_by_method ON plugin_autopatch_attempts (method, created_at DESC, id DESC);
CREATE INDEX plugin_autopatch_attempts_of_merchant
  ON plugin_autopatch_attempts (merchant_id, created_at DESC, id DESC);
CREATE INDEX plugin_autopatch_attempts_waiting_for_people ON plugin_autopatch_attempts (created_at DESC, id DESC)
  WHERE status = 'pending' AND requires_approval;
CREATE INDEX plugin_agent_commands_newest ON plugin_agent_commands (created_at DESC, id DESC);
CREATE INDEX plugin_agent_commands_by_status ON plugin_agent_commands (status, created_at DESC, id DESC);
CREATE INDEX plugin_agent_commands_by_type ON plugin_agent_commands (command_type, created_at DESC, id DESC);
CREATE INDEX plugin_agent_commands_of_merchant ON plugin_agent_commands (merchant_id, created_at DESC, id DESC);

-- The audit trail, newest first.
CREATE INDEX plugin_audit_newest ON plugin_audit (created_at DESC, entry_id DESC);
CREATE INDEX plugin_audit_by_action ON plugin_audit (action, created_at DESC, entry_id DESC);
CREATE INDEX plugin_audit_by_actor ON plugin_audit (actor_id, created_at DESC, entry_id DESC)
  WHERE actor_id IS NOT NULL;
CREATE INDEX plugin_audit_by_actor_type ON plugin_audit (actor_type, created_at DESC, entry_id DESC);

-- Plugins, by id. None of these columns changes with a heartbeat: the version is written each time, but the same, and such
-- an update stays in its page all the same.
CREATE INDEX merchant_plugins_by_status ON merchant_plugins (status, id);
CREATE INDEX merchant_plugins_by_cms ON merchant_plugins (cms, id);
CREATE INDEX merchant_plugins_by_product ON merchant_plugins (product, id);
CREATE INDEX merchant_plugins_by_version ON merchant_plugins (plugin_version, id);
CREATE INDEX merchant_plugins_by_product_version ON merchant_plugins (product, plugin_version, id);

CREATE INDEX merchant_plugins_unheard ON merchant_plugins (id) WHERE NOT heard;
CREATE INDEX plugin_detectors_suspect ON plugin_detectors (plugin_id) WHERE suspect_since IS NOT NULL;

-- Merchants by the words of their names.
CREATE INDEX merchants_words ON merchants USING gin (to_tsvector('simple', name));

-- Agents that are not in good standing, and certificates by their end.
CREATE INDEX agents_revoked ON agents (plugin_id) WHERE revoked_at IS NOT NULL;
CREATE INDEX agents_fenced ON agents (plugin_id) WHERE fenced_at IS NOT NULL;
CREATE INDEX agents_product ON agents (product, plugin_id);
CREATE INDEX agent_certificates_by_end ON agent_certificates (not_after, serial);

-- How a plugin is doing, in a word; the worst that can be said goes first.
CREATE FUNCTION plugmend_health(plugin uuid, plugin_status text, was_heard boolean) RETURNS text
LANGUAGE sql STABLE PARALLEL SAFE AS $$
  SELECT CASE
    WHEN plugin_status IN ('disabled', 'blocked') THEN 'off'
    WHEN EXISTS (SELECT 1 FROM plugin_incidents
                 WHERE merchant_plugin_id = plugin AND status IN ('open', 'in_progress', 'escalated')
                   AND duplicate_of IS NULL) THEN 'ill'
    WHEN EXISTS (SELECT 1 FROM plugin_detectors WHERE plugin_id = plugin AND suspect_since IS NOT NULL) THEN 'silent'
    WHEN NOT was_heard THEN 'unknown'
    WHEN EXISTS (SELECT 1 FROM plugin_agent_commands
                 WHERE merchant_plugin_id = plugin AND status IN ('sent', 'acknowledged', 'executing')) THEN 'changing'
    WHEN EXISTS (SELECT 1 FROM plugin_incidents
                 WHERE merchant_plugin_id = plugin AND status = 'mitigated' AND duplicate_of IS NULL) THEN 'recovering'
    ELSE 'healthy'
  END
$$;
