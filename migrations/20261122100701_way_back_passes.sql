-- One change in flight a plugin, and beside it at most one way back: a roll-back must not wait behind the watch of the
-- change that it is to take back. Rows of the reference system have no generation and are left alone.
CREATE UNIQUE INDEX plugin_agent_commands_one_in_flight
  ON plugin_agent_commands (merchant_plugin_id, (command_type = 'rollback'))
  WHERE status IN ('sent', 'acknowledged', 'executing') AND generation IS NOT NULL;
DROP INDEX IF EXISTS plugin_agent_commands_in_flight;
