-- A change of settings that is taken back, also by the runbook's hand, is undone key by key with what the agent said they
-- held before. A roll-back to the version that runs would change nothing and look like success. Where nobody knows what was
-- before, no order is made, and the incident goes to people as "taken_back".
CREATE FUNCTION plugmend_undo_settings() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  before jsonb;
BEGIN
  SELECT command.response -> 'settings_before' INTO before
  FROM plugin_autopatch_attempts attempt LEFT JOIN plugin_agent_commands command ON command.id = attempt.command_id
  WHERE attempt.id = NEW.attempt_id AND attempt.method = 'config_fix';
  IF NOT FOUND THEN
    RETURN NEW;
  END IF;
  IF jsonb_typeof(before) IS DISTINCT FROM 'object' OR before = '{}' THEN
    RETURN NULL;
  END IF;
  NEW.command_type := 'config_update';
  NEW.command_payload := (NEW.command_payload - 'version') || jsonb_build_object('config', before);
  RETURN NEW;
END $$;
CREATE TRIGGER plugin_agent_commands_undo_settings BEFORE INSERT ON plugin_agent_commands
  FOR EACH ROW WHEN (NEW.created_by = 'take-back' AND NEW.command_type = 'rollback')
  EXECUTE FUNCTION plugmend_undo_settings();
