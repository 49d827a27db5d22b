-- What each plugin that changed its version has to say about the new one, in nats; positive speaks against it. Summed over
-- the fleet, by whichever replica looks: a release that is worse than its siblings shows.
ALTER TABLE plugin_detectors
  ADD COLUMN word double precision,
  -- Until when the early word of the agent's own detector counts.
  ADD COLUMN early_until timestamptz;
CREATE INDEX plugin_detectors_words ON plugin_detectors (plugin_id) WHERE word IS NOT NULL;
