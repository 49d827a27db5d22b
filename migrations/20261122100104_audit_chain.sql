-- The audit trail can be proved: a sealer gives entries their places in a Merkle tree (RFC 6962) and signs its heads. What
-- is signed is witnessed outside of the database, by a file and by the agents.

-- The name of an entry in the tree: in a filled database of the reference system the trail's own ids are numbers.
ALTER TABLE plugin_audit ADD COLUMN entry_id uuid NOT NULL DEFAULT gen_random_uuid();
CREATE UNIQUE INDEX plugin_audit_entry ON plugin_audit (entry_id);

-- Which entries wait for their place. The order is that of their writing; an entry of a long transaction just comes later.
CREATE TABLE audit_waiting (
  number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  entry_id uuid NOT NULL
);

-- Places. No foreign key: what somebody removes from the trail must leave a gap that shows.
CREATE TABLE audit_leaves (
  seq bigint PRIMARY KEY CHECK (seq >= 0),
  entry_id uuid NOT NULL UNIQUE,
  leaf bytea NOT NULL CHECK (octet_length(leaf) = 32)
);

-- Signed heads, with what is needed to grow the tree.
CREATE TABLE audit_checkpoints (
  size bigint PRIMARY KEY CHECK (size > 0),
  note text NOT NULL,
  heads bytea NOT NULL,
  created_at timestamptz NOT NULL
);

CREATE FUNCTION plugmend_queue_audit() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO audit_waiting (entry_id) VALUES (NEW.entry_id);
  RETURN NULL;
END $$;

CREATE TRIGGER plugin_audit_queue AFTER INSERT ON plugin_audit FOR EACH ROW EXECUTE FUNCTION plugmend_queue_audit();

-- What was there before comes first.
INSERT INTO audit_waiting (entry_id) SELECT entry_id FROM plugin_audit ORDER BY created_at, id;
