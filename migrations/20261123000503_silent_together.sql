-- A part of the fleet that falls silent at once is not ill: something between it and us is cut. Until when that is believed.
ALTER TABLE plugin_detectors ADD COLUMN excused_until timestamptz;
