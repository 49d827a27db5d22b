-- What the loop asks at every look, without reading every attempt that there ever was: how much of the fleet is changing,
-- and whose order has ended.
CREATE INDEX plugin_autopatch_attempts_changing ON plugin_autopatch_attempts (merchant_plugin_id)
  WHERE status = 'applying' AND origin IS NOT NULL;
CREATE INDEX plugin_autopatch_attempts_unended ON plugin_autopatch_attempts (command_id)
  WHERE status = 'applying' AND origin IS NOT NULL AND order_ended_at IS NULL;
