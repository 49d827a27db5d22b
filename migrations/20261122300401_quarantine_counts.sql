-- A release that one host can not run (its agent is too old, a hook of its own fails) is kept from that plugin; only what
-- lies in the release counts towards keeping it from everybody.
ALTER TABLE release_quarantines ADD COLUMN IF NOT EXISTS counts boolean NOT NULL DEFAULT true;
