-- Figures that cost too much to count at every look: counted by a worker every minute, and kept for everybody.
CREATE TABLE ops_kept_figures (
  name text PRIMARY KEY,
  counted_at timestamptz NOT NULL,
  took_ms integer NOT NULL,
  data jsonb NOT NULL
);

-- Decisions and their chances by time.
CREATE INDEX IF NOT EXISTS sira_decisions_of_merchant ON sira_decisions (merchant_id, created_at DESC);
