-- What the design adds beside the reference tables: merchants, dispatch of commands, plugin secrets, idempotency.

CREATE TABLE merchants (
  id uuid PRIMARY KEY,
  name text NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now()
);

-- Every merchant that the reference system knew only by number gets a row of its own.
INSERT INTO merchants (id, name)
SELECT known.id, 'merchant ' || known.id
FROM (SELECT merchant_id FROM merchant_plugins UNION SELECT merchant_id FROM merchant_webhooks) AS known (id)
WHERE known.id IS NOT NULL;

ALTER TABLE merchant_plugins
  ADD COLUMN IF NOT EXISTS product text,
  -- Whether an agent looks after it; such a plugin can not use a plugin secret.
  ADD COLUMN IF NOT EXISTS agent_managed boolean NOT NULL DEFAULT false,
  -- What an agentless plugin can carry out; an agent can do everything.
  ADD COLUMN IF NOT EXISTS capabilities text[] NOT NULL DEFAULT '{}',
  -- The highest generation given to a command of this plugin; it only grows.
  ADD COLUMN IF NOT EXISTS command_generation bigint NOT NULL DEFAULT 0,
  -- The last heartbeat taken: which life of the agent, which number, and its own clock.
  ADD COLUMN IF NOT EXISTS heartbeat_boot_id uuid,
  ADD COLUMN IF NOT EXISTS heartbeat_seq bigint,
  ADD COLUMN IF NOT EXISTS heartbeat_sent_at timestamptz,
  -- Keyed hashes (HMAC-SHA256) of the plugin secret, and of the one before while both are taken.
  ADD COLUMN IF NOT EXISTS secret_hash bytea,
  ADD COLUMN IF NOT EXISTS secret_previous_hash bytea,
  ADD COLUMN IF NOT EXISTS secret_previous_until timestamptz;

DO $$
BEGIN
  IF NOT EXISTS (SELECT 1 FROM pg_constraint WHERE conname = 'merchant_plugins_merchant_fk') THEN
    ALTER TABLE merchant_plugins
      ADD CONSTRAINT merchant_plugins_merchant_fk FOREIGN KEY (merchant_id) REFERENCES merchants (id);
  END IF;
END $$;

ALTER TABLE plugin_agent_commands
  ADD COLUMN IF NOT EXISTS generation bigint,
  ADD COLUMN IF NOT EXISTS expires_at timestamptz,
  -- When the present state has lasted too long; kept by every transition into a state that waits for the plugin.
  ADD COLUMN IF NOT EXISTS deadline_at timestamptz,
  ADD COLUMN IF NOT EXISTS executing_at timestamptz,
  ADD COLUMN IF NOT EXISTS attempt_id uuid,
  ADD COLUMN IF NOT EXISTS created_by text,
  -- The last thing the plugin said on the way: {state, step, detail, done}.
  ADD COLUMN IF NOT EXISTS progress jsonb;

-- One command in flight a plugin. Rows of the reference system have no generation and are left alone.
CREATE UNIQUE INDEX IF NOT EXISTS plugin_agent_commands_in_flight
  ON plugin_agent_commands (merchant_plugin_id)
  WHERE status IN ('sent', 'acknowledged', 'executing') AND generation IS NOT NULL;
CREATE INDEX IF NOT EXISTS plugin_agent_commands_waiting
  ON plugin_agent_commands (merchant_plugin_id, created_at)
  WHERE status IN ('pending', 'sent', 'acknowledged', 'executing');
CREATE INDEX IF NOT EXISTS plugin_agent_commands_of_plugin
  ON plugin_agent_commands (merchant_plugin_id, created_at DESC);
CREATE INDEX IF NOT EXISTS plugin_agent_commands_of_attempt
  ON plugin_agent_commands (attempt_id) WHERE attempt_id IS NOT NULL;

CREATE TABLE idempotency_keys (
  actor text NOT NULL,
  key text NOT NULL,
  request_hash bytea NOT NULL,
  status integer NOT NULL,
  body jsonb NOT NULL,
  created_at timestamptz NOT NULL,
  PRIMARY KEY (actor, key)
);
CREATE INDEX idempotency_keys_age ON idempotency_keys (created_at);

-- Tells the replicas that plugins have orders waiting: one notification a statement, never one a heartbeat.
-- The payload names the plugins while they fit, else '*': look for yourselves.
CREATE FUNCTION plugmend_announce_commands() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  plugins text;
  how_many bigint;
BEGIN
  SELECT count(*), CASE WHEN count(*) <= 100 THEN string_agg(merchant_plugin_id::text, ',') END
  INTO how_many, plugins
  FROM (SELECT DISTINCT merchant_plugin_id FROM changed WHERE status = 'pending' LIMIT 101) AS waiting;
  IF how_many > 0 THEN
    PERFORM pg_notify('plugmend_commands', coalesce(plugins, '*'));
  END IF;
  RETURN NULL;
END $$;

CREATE TRIGGER plugin_agent_commands_announce_insert
  AFTER INSERT ON plugin_agent_commands REFERENCING NEW TABLE AS changed
  FOR EACH STATEMENT EXECUTE FUNCTION plugmend_announce_commands();
