-- What people are asked, what they said, and what it came to: cures that wait for a yes, and orders of people that the policy
-- wants more people for. `plugin_autopatch_attempts.approved_by` goes on showing who said yes to a cure.
--
-- Locks: policy, attempts, incidents, approvals, plugins (by id), commands.
CREATE TABLE approvals (
  id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
  attempt_id uuid REFERENCES plugin_autopatch_attempts (id) ON DELETE CASCADE,
  incident_id uuid,
  -- An order as it will be given, under the id that it will have; NULL for a cure.
  order_asked jsonb,
  command_id uuid,
  merchant_id uuid NOT NULL,
  merchant_plugin_id uuid NOT NULL REFERENCES merchant_plugins (id) ON DELETE CASCADE,
  -- patch, rollback, update, ...
  action text NOT NULL,
  product text,
  version text,
  release_digest bytea CHECK (octet_length(release_digest) = 32),
  -- Of everything that would be done: another one is another question.
  content_digest bytea NOT NULL CHECK (octet_length(content_digest) = 32),
  -- Whom a yes is about; one plugin, so far.
  scope text NOT NULL,
  -- {people, one_of_each}
  quorum jsonb NOT NULL,
  -- [{code, words}]
  reasons jsonb NOT NULL,
  -- A person by the subject of their token, who has no vote; or the loop.
  requested_by text NOT NULL,
  by_person boolean NOT NULL,
  requested_why text,
  requested_at timestamptz NOT NULL,
  expires_at timestamptz NOT NULL,
  status text NOT NULL DEFAULT 'pending' CHECK (status IN ('pending', 'approved', 'rejected', 'expired', 'void')),
  ended_at timestamptz,
  -- Why it was rejected, or is void.
  ended_why text,
  CHECK ((attempt_id IS NULL) = (order_asked IS NOT NULL AND command_id IS NOT NULL))
);
CREATE UNIQUE INDEX approvals_live_of_attempt ON approvals (attempt_id) WHERE status IN ('pending', 'approved');
CREATE INDEX approvals_of_attempt ON approvals (attempt_id, requested_at DESC) WHERE attempt_id IS NOT NULL;
CREATE INDEX approvals_of_plugin ON approvals (merchant_plugin_id);
CREATE INDEX approvals_newest ON approvals (requested_at DESC, id DESC);
CREATE INDEX approvals_by_status ON approvals (status, requested_at DESC, id DESC);
CREATE INDEX approvals_due ON approvals (expires_at) WHERE status = 'pending' AND attempt_id IS NULL;

CREATE TABLE approval_votes (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  approval_id uuid NOT NULL REFERENCES approvals (id) ON DELETE CASCADE,
  person text NOT NULL,
  -- Those that could approve, at that moment.
  roles text[] NOT NULL,
  says text NOT NULL CHECK (says IN ('yes', 'no', 'comment')),
  comment text,
  -- {keyid, sig, expires}, for the agent; NULL where the person did not sign.
  signature jsonb,
  at timestamptz NOT NULL
);
-- Nobody approves twice.
CREATE UNIQUE INDEX approval_votes_once ON approval_votes (approval_id, person, says) WHERE says <> 'comment';
CREATE INDEX approval_votes_of ON approval_votes (approval_id, id);

-- Whatever becomes of an attempt, also by hand: nobody is asked about what is over.
CREATE FUNCTION plugmend_end_approvals() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  ended record;
BEGIN
  FOR ended IN
    UPDATE approvals SET ended_at = now(),
      status = CASE WHEN is_now.end_reason = 'not_approved' THEN 'expired' ELSE 'void' END,
      ended_why = 'the attempt is ' || is_now.status || coalesce(': ' || is_now.end_reason, '')
    FROM now_rows is_now JOIN was_rows was ON was.id = is_now.id
    WHERE approvals.attempt_id = is_now.id AND is_now.status IS DISTINCT FROM was.status
      AND is_now.status NOT IN ('pending', 'staging')
      AND (approvals.status = 'pending' OR approvals.status = 'approved' AND was.status IN ('pending', 'staging')
           AND is_now.status <> 'applying')
    RETURNING approvals.*
  LOOP
    PERFORM log_plugin_audit(ended.merchant_id, ended.merchant_plugin_id, NULL, 'system', 'approval_' || ended.status,
      jsonb_build_object('approval_id', ended.id, 'attempt_id', ended.attempt_id, 'why', ended.ended_why));
  END LOOP;
  RETURN NULL;
END $$;
CREATE TRIGGER plugin_autopatch_attempts_nobody_is_asked AFTER UPDATE ON plugin_autopatch_attempts
  REFERENCING OLD TABLE AS was_rows NEW TABLE AS now_rows
  FOR EACH STATEMENT EXECUTE FUNCTION plugmend_end_approvals();
