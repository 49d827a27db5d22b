-- Ended certificates are forgotten every hour; without this each time reads them all.
CREATE INDEX agent_certificates_not_after ON agent_certificates (not_after);
