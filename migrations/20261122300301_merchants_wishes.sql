-- What a merchant wants counts at once, also when it is written by hand: cures that wait (for a window that was moved, say)
-- are judged anew. Only those that nobody has in hand; whoever has one judges it right before its order.
CREATE FUNCTION plugmend_follow_merchants() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  WITH free AS (
    SELECT attempt.id
    FROM plugin_autopatch_attempts attempt JOIN merchant_plugins plugin ON plugin.id = attempt.merchant_plugin_id
    WHERE plugin.merchant_id = NEW.id AND attempt.status IN ('pending', 'staging') AND attempt.origin IS NOT NULL
      AND NOT attempt.requires_approval AND attempt.next_look_at > now()
    FOR UPDATE OF attempt SKIP LOCKED)
  UPDATE plugin_autopatch_attempts SET next_look_at = now(), updated_at = updated_at
  FROM free WHERE plugin_autopatch_attempts.id = free.id;
  PERFORM pg_notify('plugmend_healing', '');
  RETURN NULL;
END $$;

CREATE TRIGGER merchants_follow AFTER UPDATE ON merchants
  FOR EACH ROW WHEN ((OLD.autopatch_opt_out, OLD.maintenance_window) IS DISTINCT FROM
                     (NEW.autopatch_opt_out, NEW.maintenance_window))
  EXECUTE FUNCTION plugmend_follow_merchants();
