-- A quarantine is lifted with a reason, and listed by its age.
ALTER TABLE release_quarantines ADD COLUMN IF NOT EXISTS lifted_why text;
CREATE INDEX release_quarantines_newest ON release_quarantines (created_at DESC, id DESC);
CREATE INDEX release_quarantines_of_plugin ON release_quarantines (plugin_id) WHERE plugin_id IS NOT NULL;
