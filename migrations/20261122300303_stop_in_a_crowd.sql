-- The runbook's stop, in the middle of a crowd. A look at the incidents of attempts that ended was asked for row by row, before
-- the statement had locked their plugins: incidents before plugins, against the order that everything else keeps, and a
-- heartbeat that waited for the incident closed the circle. Now once a statement, after plugin_autopatch_attempts_follow
-- (triggers of one kind fire in the order of their names).
DROP TRIGGER plugin_autopatch_attempts_nudge ON plugin_autopatch_attempts;
DROP FUNCTION plugmend_look_at_incident();

CREATE FUNCTION plugmend_look_at_incidents() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  touched uuid[];
BEGIN
  SELECT array_agg(DISTINCT is_now.incident_id) INTO touched
  FROM now_rows is_now JOIN was_rows was ON was.id = is_now.id
  WHERE was.status IS DISTINCT FROM is_now.status
    AND is_now.status IN ('success', 'failed', 'rolled_back', 'cancelled');
  IF touched IS NULL THEN
    RETURN NULL;
  END IF;
  PERFORM 1 FROM plugin_incidents WHERE id = ANY (touched) ORDER BY id FOR NO KEY UPDATE;
  UPDATE plugin_incidents SET next_look_at = 'epoch', updated_at = now()
  WHERE id = ANY (touched) AND status <> 'closed' AND next_look_at IS NOT NULL;
  PERFORM pg_notify('plugmend_healing', '');
  RETURN NULL;
END $$;

CREATE TRIGGER plugin_autopatch_attempts_nudge AFTER UPDATE ON plugin_autopatch_attempts
  REFERENCING OLD TABLE AS was_rows NEW TABLE AS now_rows
  FOR EACH STATEMENT EXECUTE FUNCTION plugmend_look_at_incidents();
