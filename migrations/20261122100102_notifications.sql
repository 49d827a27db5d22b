-- What merchants and ops are told, by signed webhooks: events are written in the transaction they tell of, and leave
-- from there. Nothing of it is held in memory only.

-- Ops' own receivers, beside merchant_webhooks. event_type '*' is every event.
CREATE TABLE ops_webhooks (
  id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
  event_type text NOT NULL,
  url text NOT NULL,
  secret text NOT NULL,
  status text NOT NULL DEFAULT 'active' CHECK (status IN ('active', 'disabled', 'error')),
  last_success_at timestamptz,
  last_failure_at timestamptz,
  failure_count integer NOT NULL DEFAULT 0,
  success_count integer NOT NULL DEFAULT 0,
  avg_response_time_ms integer,
  failover_url text,
  retry_config jsonb NOT NULL DEFAULT '{}',
  created_at timestamptz NOT NULL DEFAULT now(),
  updated_at timestamptz NOT NULL DEFAULT now(),
  UNIQUE (event_type, url)
);
CREATE TRIGGER plugmend_updated_at BEFORE UPDATE ON ops_webhooks FOR EACH ROW
  WHEN (NEW.updated_at IS NOT DISTINCT FROM OLD.updated_at) EXECUTE FUNCTION plugmend_touch_updated_at();

-- The outbox. `spread_at` is when its deliveries were made.
CREATE TABLE outbox_events (
  id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
  kind text NOT NULL,
  merchant_id uuid,
  plugin_id uuid,
  data jsonb NOT NULL DEFAULT '{}',
  created_at timestamptz NOT NULL DEFAULT now(),
  spread_at timestamptz
);
CREATE INDEX outbox_events_waiting ON outbox_events (created_at) WHERE spread_at IS NULL;
CREATE INDEX outbox_events_age ON outbox_events (created_at);

-- One event to one receiver. The receiver is a row of merchant_webhooks or of ops_webhooks.
CREATE TABLE webhook_deliveries (
  id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
  event_id uuid NOT NULL REFERENCES outbox_events (id) ON DELETE CASCADE,
  webhook_id uuid NOT NULL,
  status text NOT NULL DEFAULT 'pending' CHECK (status IN ('pending', 'delivered', 'dead')),
  attempts integer NOT NULL DEFAULT 0,
  next_attempt_at timestamptz NOT NULL,
  last_status integer,
  last_error text,
  ended_at timestamptz,
  created_at timestamptz NOT NULL,
  UNIQUE (event_id, webhook_id)
);
CREATE INDEX webhook_deliveries_due ON webhook_deliveries (webhook_id, next_attempt_at) WHERE status = 'pending';
CREATE INDEX webhook_deliveries_dead ON webhook_deliveries (ended_at DESC, id) WHERE status = 'dead';
CREATE INDEX webhook_deliveries_of_webhook ON webhook_deliveries (webhook_id, created_at DESC, id);

-- One lane a receiver: what is due there is sent by one worker at a time, so that a receiver that hangs or fails holds up
-- nobody but itself.
CREATE TABLE webhook_lanes (
  webhook_id uuid PRIMARY KEY,
  -- When the first of its deliveries is due; none waits when NULL.
  due_at timestamptz,
  leased_until timestamptz,
  -- Failures in a row, and until when it is left in peace for them.
  failures integer NOT NULL DEFAULT 0,
  rests_until timestamptz
);
CREATE INDEX webhook_lanes_due ON webhook_lanes (due_at) WHERE due_at IS NOT NULL;
