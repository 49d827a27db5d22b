-- The runbook's emergency stop and take-back, once a statement instead of once a row.
--
-- Locks are taken in the order that everything else takes them: attempts (the statement itself), then the plugins'
-- rows by id, then their commands. Heartbeats and long polls hold the plugin before its commands, so nothing is
-- dispatched between the look and the deed, and two statements do not wait for each other in a circle.
--
-- Cancelled: what no agent has heard of is withdrawn; what was sent, and did not come back as failed, is sent back by a
-- roll-back that waits for it to end. An order that went overdue in the same moment, or has been completed while its
-- attempt still watches, was sent all the same. Taken back after success: a roll-back to the version before.
-- One roll-back a plugin: several attempts go back to where the oldest of them began. Orders made here are known by who
-- gave them ('take-back'): a cure may be a roll-back itself.

DROP TRIGGER plugin_autopatch_attempts_follow ON plugin_autopatch_attempts;
DROP FUNCTION plugmend_follow_attempt();

-- Where an attempt stands in the history of its plugin.
CREATE FUNCTION plugmend_attempt_began(attempt plugin_autopatch_attempts) RETURNS timestamptz
LANGUAGE sql IMMUTABLE AS $$ SELECT coalesce(attempt.executed_at, attempt.created_at) $$;

CREATE FUNCTION plugmend_follow_attempts() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  stopped uuid[];
  taken_back uuid[];
  plugins uuid[];
  to_undo uuid[];
  ordered uuid[];
BEGIN
  SELECT array_agg(attempt.id) FILTER (WHERE attempt.status = 'cancelled'),
         array_agg(attempt.id) FILTER (WHERE attempt.status = 'rolled_back'),
         array_agg(DISTINCT attempt.merchant_plugin_id)
  INTO stopped, taken_back, plugins
  FROM now_rows attempt JOIN was_rows was ON was.id = attempt.id
  WHERE attempt.status = 'cancelled' AND was.status IN ('pending', 'staging', 'applying')
     OR attempt.status = 'rolled_back' AND was.status = 'success';
  IF plugins IS NULL THEN
    RETURN NULL;
  END IF;
  stopped := coalesce(stopped, '{}');
  taken_back := coalesce(taken_back, '{}');

  PERFORM 1 FROM merchant_plugins WHERE id = ANY (plugins) ORDER BY id FOR NO KEY UPDATE;
  PERFORM 1 FROM plugin_agent_commands
  WHERE attempt_id = ANY (stopped) AND status IN ('pending', 'sent', 'acknowledged', 'executing')
  ORDER BY merchant_plugin_id, created_at, id FOR UPDATE;

  UPDATE plugin_agent_commands
  SET status = 'failed', error_message = 'cancelled: the attempt was cancelled before the order was sent',
      completed_at = now(), next_retry_at = NULL
  WHERE attempt_id = ANY (stopped) AND status = 'pending' AND generation IS NULL
    AND created_by IS DISTINCT FROM 'take-back';
  -- One that waits for another try has been sent before, and may be running all the same.
  UPDATE plugin_agent_commands
  SET max_retries = retry_count,
      status = CASE WHEN status = 'pending' THEN 'timeout' ELSE status END,
      completed_at = CASE WHEN status = 'pending' THEN now() ELSE completed_at END,
      next_retry_at = NULL
  WHERE attempt_id = ANY (stopped) AND status IN ('pending', 'sent', 'acknowledged', 'executing')
    AND created_by IS DISTINCT FROM 'take-back';

  SELECT coalesce(array_agg(DISTINCT attempt_id), '{}') || taken_back INTO to_undo
  FROM plugin_agent_commands
  WHERE attempt_id = ANY (stopped) AND created_by IS DISTINCT FROM 'take-back' AND status <> 'failed'
    AND (generation IS NOT NULL OR sent_at IS NOT NULL);

  WITH oldest AS (
    SELECT DISTINCT ON (attempt.merchant_plugin_id) attempt.*
    FROM plugin_autopatch_attempts attempt WHERE attempt.id = ANY (to_undo)
    ORDER BY attempt.merchant_plugin_id, plugmend_attempt_began(attempt), attempt.created_at, attempt.id
  ), made AS (
    INSERT INTO plugin_agent_commands
      (merchant_plugin_id, command_type, command_payload, attempt_id, created_by, expires_at)
    SELECT oldest.merchant_plugin_id, 'rollback',
           jsonb_strip_nulls(jsonb_build_object(
             'product', plugin.product, 'attempt_id', oldest.id,
             -- What is no version means "the one before": an order has a version that can be read, or none.
             'version', CASE WHEN oldest.from_version
               ~ '^(0|[1-9][0-9]*)(\.(0|[1-9][0-9]*)){2}(-[0-9A-Za-z.-]+)?(\+[0-9A-Za-z.-]+)?$'
               THEN oldest.from_version END,
             'reason', coalesce(oldest.rollback_reason, 'the attempt was ' || oldest.status))),
           oldest.id, 'take-back', now() + interval '24 hours'
    FROM oldest JOIN merchant_plugins plugin ON plugin.id = oldest.merchant_plugin_id
    -- Not again, and not forward again: a roll-back of this attempt or of an older one goes at least as far back.
    WHERE NOT EXISTS (
      SELECT 1
      FROM plugin_agent_commands command JOIN plugin_autopatch_attempts older ON older.id = command.attempt_id
      WHERE command.merchant_plugin_id = oldest.merchant_plugin_id AND command.created_by = 'take-back'
        AND command.status NOT IN ('failed', 'timeout')
        AND (older.id = oldest.id
             OR plugmend_attempt_began(older) <= coalesce(oldest.executed_at, oldest.created_at)
                AND command.created_at >= coalesce(oldest.executed_at, oldest.created_at)))
    RETURNING merchant_plugin_id
  )
  SELECT coalesce(array_agg(merchant_plugin_id), '{}') INTO ordered FROM made;

  PERFORM log_plugin_audit(
    plugin.merchant_id, attempt.merchant_plugin_id, session_user::text, 'system', 'attempt_' || attempt.status,
    jsonb_build_object('attempt_id', attempt.id, 'was', was.status,
      'rollback_ordered', attempt.id = ANY (to_undo) AND attempt.merchant_plugin_id = ANY (ordered)))
  FROM now_rows attempt JOIN was_rows was ON was.id = attempt.id
  JOIN merchant_plugins plugin ON plugin.id = attempt.merchant_plugin_id
  WHERE attempt.id = ANY (stopped) OR attempt.id = ANY (taken_back)
  ORDER BY attempt.id;
  RETURN NULL;
END $$;

CREATE TRIGGER plugin_autopatch_attempts_follow AFTER UPDATE ON plugin_autopatch_attempts
  REFERENCING OLD TABLE AS was_rows NEW TABLE AS now_rows
  FOR EACH STATEMENT EXECUTE FUNCTION plugmend_follow_attempts();
