-- Agents, their certificates, and the one-time tokens that make them.

CREATE TABLE agents (
  plugin_id uuid PRIMARY KEY REFERENCES merchant_plugins (id),
  merchant_id uuid NOT NULL REFERENCES merchants (id),
  product text NOT NULL,
  agent_version text NOT NULL,
  enrolled_at timestamptz NOT NULL,
  enrolled_from text NOT NULL,
  -- What has been seen of it, for telling one host from two.
  sightings jsonb NOT NULL DEFAULT '{}',
  revoked_at timestamptz,
  revoked_reason text,
  revoked_by text,
  fenced_at timestamptz,
  fence_evidence jsonb,
  -- For replicas that missed a notification.
  standing_changed_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX agents_standing_changed ON agents (standing_changed_at);
CREATE INDEX agents_merchant ON agents (merchant_id, plugin_id);

CREATE TABLE agent_certificates (
  -- SHA-256 of the certificate (DER).
  fingerprint bytea PRIMARY KEY CHECK (octet_length(fingerprint) = 32),
  serial text NOT NULL UNIQUE,
  plugin_id uuid NOT NULL REFERENCES agents (plugin_id),
  renewals bigint NOT NULL CHECK (renewals >= 0),
  -- SHA-256 of the public key (SubjectPublicKeyInfo, DER).
  key_sha256 bytea NOT NULL CHECK (octet_length(key_sha256) = 32),
  certificate_pem text NOT NULL,
  issued_at timestamptz NOT NULL,
  not_after timestamptz NOT NULL,
  renew_after timestamptz NOT NULL,
  revoked_at timestamptz,
  revoked_reason text
);
CREATE INDEX agent_certificates_of_agent ON agent_certificates (plugin_id, issued_at DESC);
-- One certificate for each place in the line; those before an enrolment anew are revoked.
CREATE UNIQUE INDEX agent_certificates_line ON agent_certificates (plugin_id, renewals) WHERE revoked_at IS NULL;

CREATE TABLE enrolment_tokens (
  id uuid PRIMARY KEY,
  -- HMAC-SHA256 under the control plane's secret key.
  secret_hash bytea NOT NULL CHECK (octet_length(secret_hash) = 32),
  merchant_id uuid NOT NULL REFERENCES merchants (id),
  product text NOT NULL,
  cms text NOT NULL,
  -- The plugin to enrol anew; none: a new one is made.
  plugin_id uuid REFERENCES merchant_plugins (id),
  created_by text NOT NULL,
  created_at timestamptz NOT NULL,
  expires_at timestamptz NOT NULL,
  spent_at timestamptz,
  spent_from text,
  -- What it was spent on, so that a lost answer can be given again to the holder of the same key.
  spent_on uuid REFERENCES agents (plugin_id),
  spent_key_sha256 bytea,
  CHECK ((spent_at IS NULL) = (spent_on IS NULL) AND (spent_at IS NULL) = (spent_key_sha256 IS NULL))
);
CREATE INDEX enrolment_tokens_merchant ON enrolment_tokens (merchant_id, created_at DESC);

-- A revocation counts at once, on every replica and on open connections, also one that is written by hand. The payload
-- names the plugins while they fit, else '*': forget everything.
CREATE FUNCTION plugmend_touch_standing() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF (NEW.revoked_at, NEW.fenced_at, NEW.enrolled_at, NEW.standing_changed_at)
     IS DISTINCT FROM (OLD.revoked_at, OLD.fenced_at, OLD.enrolled_at, OLD.standing_changed_at) THEN
    NEW.standing_changed_at := clock_timestamp();
  END IF;
  RETURN NEW;
END $$;

CREATE TRIGGER agents_touch_standing BEFORE UPDATE ON agents
  FOR EACH ROW EXECUTE FUNCTION plugmend_touch_standing();

CREATE FUNCTION plugmend_announce_standing() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  plugins text;
  how_many bigint;
BEGIN
  SELECT count(*), CASE WHEN count(*) <= 100 THEN string_agg(plugin_id::text, ',') END
  INTO how_many, plugins
  FROM (SELECT DISTINCT plugin_id FROM changed LIMIT 101) AS touched;
  IF how_many > 0 THEN
    PERFORM pg_notify('plugmend_standing', coalesce(plugins, '*'));
  END IF;
  RETURN NULL;
END $$;

CREATE TRIGGER agents_announce AFTER UPDATE ON agents REFERENCING NEW TABLE AS changed
  FOR EACH STATEMENT EXECUTE FUNCTION plugmend_announce_standing();
CREATE TRIGGER agents_announce_delete AFTER DELETE ON agents REFERENCING OLD TABLE AS changed
  FOR EACH STATEMENT EXECUTE FUNCTION plugmend_announce_standing();

-- A certificate's own revocation goes by its agent.
CREATE FUNCTION plugmend_touch_agent_of_certificate() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  UPDATE agents SET standing_changed_at = clock_timestamp()
  WHERE plugin_id IN (SELECT plugin_id FROM changed);
  RETURN NULL;
END $$;

CREATE TRIGGER agent_certificates_touch AFTER UPDATE ON agent_certificates REFERENCING NEW TABLE AS changed
  FOR EACH STATEMENT EXECUTE FUNCTION plugmend_touch_agent_of_certificate();
CREATE TRIGGER agent_certificates_touch_delete AFTER DELETE ON agent_certificates REFERENCING OLD TABLE AS changed
  FOR EACH STATEMENT EXECUTE FUNCTION plugmend_touch_agent_of_certificate();
