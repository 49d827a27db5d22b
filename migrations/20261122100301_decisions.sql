-- Decisions, so that each can be looked at and computed again, and what is learned from how they turned out.

CREATE TABLE sira_decisions (
  id uuid PRIMARY KEY,
  incident_id uuid REFERENCES plugin_incidents (id) ON DELETE SET NULL,
  merchant_id uuid NOT NULL,
  merchant_plugin_id uuid NOT NULL REFERENCES merchant_plugins (id) ON DELETE CASCADE,
  -- What was asked, what was learned so far included: all that a replay needs.
  input jsonb NOT NULL,
  output jsonb NOT NULL,
  source text NOT NULL CHECK (source IN ('external', 'built_in', 'heuristics')),
  model_version text NOT NULL,
  training_epoch bigint NOT NULL,
  -- Why those who were asked before gave no answer.
  passed_over text[] NOT NULL DEFAULT '{}',
  created_at timestamptz NOT NULL
);
CREATE INDEX sira_decisions_of_incident ON sira_decisions (incident_id, created_at DESC);
CREATE INDEX sira_decisions_of_plugin ON sira_decisions (merchant_plugin_id, id DESC);
CREATE INDEX sira_decisions_age ON sira_decisions (created_at);

-- How often each kind of cure worked; '' stands for "any".
CREATE TABLE sira_tallies (
  arm text NOT NULL,
  incident_type text NOT NULL,
  product text NOT NULL,
  from_version text NOT NULL,
  -- The version, or the name of a remedy.
  to_version text NOT NULL,
  successes double precision NOT NULL DEFAULT 0 CHECK (successes >= 0),
  failures double precision NOT NULL DEFAULT 0 CHECK (failures >= 0),
  updated_at timestamptz NOT NULL,
  PRIMARY KEY (incident_type, product, arm, from_version, to_version)
);

-- How releases did before they cured anything: staging runs, and installations that kept them or went back.
CREATE TABLE sira_release_seeds (
  product text NOT NULL,
  version text NOT NULL,
  staging_passed integer NOT NULL DEFAULT 0,
  staging_failed integer NOT NULL DEFAULT 0,
  kept integer NOT NULL DEFAULT 0,
  reverted integer NOT NULL DEFAULT 0,
  PRIMARY KEY (product, version)
);

-- Settings that were tried as cures; their tallies go by `id`.
CREATE TABLE sira_remedies (
  product text NOT NULL,
  incident_type text NOT NULL,
  id text NOT NULL,
  settings jsonb NOT NULL,
  successes double precision NOT NULL DEFAULT 0,
  failures double precision NOT NULL DEFAULT 0,
  updated_at timestamptz NOT NULL,
  PRIMARY KEY (product, incident_type, id)
);

-- How the deciders stand. Whoever learns holds the built-in model's row.
CREATE TABLE sira_models (
  source text PRIMARY KEY CHECK (source IN ('external', 'built_in')),
  epoch bigint NOT NULL DEFAULT 0,
  demoted_at timestamptz,
  demoted_because jsonb,
  -- Outcomes from before do not count against it any more.
  judged_since timestamptz NOT NULL DEFAULT 'epoch'
);
INSERT INTO sira_models (source) VALUES ('built_in'), ('external');

ALTER TABLE sira_learning_feedback
  ADD COLUMN IF NOT EXISTS decision_id uuid REFERENCES sira_decisions (id) ON DELETE SET NULL,
  -- Who decided what was then done; NULL where people chose something else.
  ADD COLUMN IF NOT EXISTS source text,
  -- What the decider said of its chances.
  ADD COLUMN IF NOT EXISTS confidence double precision;
CREATE INDEX sira_learning_feedback_judged ON sira_learning_feedback (source, created_at DESC)
  WHERE source IS NOT NULL AND feedback_label IN ('positive', 'negative');
CREATE INDEX sira_learning_feedback_of_attempt ON sira_learning_feedback (autopatch_attempt_id);

-- What there is to learn from: written by whoever ends an attempt, also by hand, in the same transaction.
CREATE TABLE sira_lessons_due (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  attempt_id uuid NOT NULL REFERENCES plugin_autopatch_attempts (id) ON DELETE CASCADE,
  -- What it became, and what it was.
  status text NOT NULL,
  was text NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now()
);

CREATE FUNCTION plugmend_note_lesson() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO sira_lessons_due (attempt_id, status, was) VALUES (NEW.id, NEW.status, OLD.status);
  RETURN NULL;
END $$;
CREATE TRIGGER plugin_autopatch_attempts_lesson AFTER UPDATE OF status ON plugin_autopatch_attempts
  FOR EACH ROW
  WHEN (NEW.status IN ('success', 'failed', 'rolled_back') AND OLD.status IS DISTINCT FROM NEW.status
        AND NEW.origin IS NOT NULL)
  EXECUTE FUNCTION plugmend_note_lesson();

-- Versions that do worse than their siblings across the fleet.
CREATE TABLE fleet_findings (
  id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
  product text NOT NULL,
  version text NOT NULL,
  platform text NOT NULL,
  -- That it is real, 0 to 1.
  confidence double precision NOT NULL,
  found_at timestamptz NOT NULL,
  last_evidence_at timestamptz NOT NULL,
  ended_at timestamptz
);
CREATE UNIQUE INDEX fleet_findings_live ON fleet_findings (product, version, platform) WHERE ended_at IS NULL;

-- How the others with a product are doing. Neither column changes with a heartbeat.
CREATE INDEX merchant_plugins_product ON merchant_plugins (product, cms, id) WHERE product IS NOT NULL;
