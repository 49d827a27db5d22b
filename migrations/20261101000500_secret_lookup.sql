-- A report about an order names no plugin: its secret does. Neither column changes with a heartbeat.
CREATE INDEX merchant_plugins_secret ON merchant_plugins (secret_hash) WHERE secret_hash IS NOT NULL;
CREATE INDEX merchant_plugins_secret_previous ON merchant_plugins (secret_previous_hash)
  WHERE secret_previous_hash IS NOT NULL;
