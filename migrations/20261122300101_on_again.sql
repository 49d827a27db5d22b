-- The kill switch set back to true: what waited under it is looked at now, not when its pause is over. Rows that somebody
-- works on are left to them.
CREATE FUNCTION plugmend_go_on() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  UPDATE plugin_autopatch_attempts SET next_look_at = 'epoch', updated_at = updated_at
  WHERE id IN (
    SELECT id FROM plugin_autopatch_attempts
    WHERE status IN ('pending', 'staging') AND origin = 'automatic' AND NOT requires_approval AND next_look_at > now()
    FOR UPDATE SKIP LOCKED);
  UPDATE plugin_incidents SET next_look_at = 'epoch', updated_at = updated_at
  WHERE id IN (
    SELECT id FROM plugin_incidents
    WHERE status IN ('open', 'in_progress') AND duplicate_of IS NULL AND next_look_at > now()
    FOR UPDATE SKIP LOCKED);
  PERFORM pg_notify('plugmend_healing', 'policy');
  RETURN NULL;
END $$;
CREATE TRIGGER ops_policy_go_on AFTER UPDATE ON ops_policy
  FOR EACH ROW WHEN (NEW.autopatch_enabled AND NOT OLD.autopatch_enabled) EXECUTE FUNCTION plugmend_go_on();
