-- Windows of telemetry, partitioned by day (UTC): made ahead, dropped when old, never deleted row by row.

CREATE TABLE plugin_telemetry (
  merchant_id uuid NOT NULL,
  plugin_id uuid NOT NULL,
  window_from timestamptz NOT NULL,
  window_to timestamptz NOT NULL,
  seq bigint NOT NULL,
  requests bigint NOT NULL,
  errors bigint NOT NULL,
  webhook_total bigint NOT NULL,
  webhook_failed bigint NOT NULL,
  dropped bigint NOT NULL,
  latency jsonb,
  custom jsonb,
  received_at timestamptz NOT NULL,
  -- A window sent twice is counted once. Its start is part of its name, so that an agent that lost its counter
  -- (a sled moved aside) and begins again at one is not mistaken for a repeat.
  PRIMARY KEY (merchant_id, plugin_id, window_from, seq)
) PARTITION BY RANGE (window_from);

CREATE INDEX plugin_telemetry_received ON plugin_telemetry USING brin (received_at);

-- Makes the partitions of the days `first` to `last`; those that exist are left alone. Concurrent calls wait for each
-- other.
CREATE FUNCTION ensure_telemetry_partitions(first date, last date) RETURNS integer LANGUAGE plpgsql
-- Behind a long reader (a backup) it gives up, so that no heartbeat has to wait behind it; the job tries again.
SET lock_timeout = '500ms' AS $$
DECLARE
  day date;
  made integer := 0;
  partition_name text;
BEGIN
  IF last - first > 60 THEN
    RAISE EXCEPTION 'at most 60 days of telemetry partitions at once';
  END IF;
  PERFORM pg_advisory_xact_lock(7583, 1);
  FOR day IN SELECT generate_series(first, last, interval '1 day')::date LOOP
    partition_name := 'plugin_telemetry_' || to_char(day, 'YYYYMMDD');
    IF to_regclass(partition_name) IS NULL THEN
      EXECUTE format('CREATE TABLE %I PARTITION OF plugin_telemetry FOR VALUES FROM (%L) TO (%L)',
                     partition_name, day::text || ' 00:00:00+00', (day + 1)::text || ' 00:00:00+00');
      made := made + 1;
    END IF;
  END LOOP;
  RETURN made;
END $$;

-- Drops the partitions of the days before `oldest`, at most `at_most` of them.
CREATE FUNCTION drop_telemetry_partitions(oldest date, at_most integer) RETURNS integer LANGUAGE plpgsql
-- Behind a long reader (a backup) it gives up, so that no heartbeat has to wait behind it; the job tries again.
SET lock_timeout = '500ms' AS $$
DECLARE
  found record;
  dropped integer := 0;
BEGIN
  PERFORM pg_advisory_xact_lock(7583, 1);
  FOR found IN
    SELECT child.relname
    FROM pg_inherits inh JOIN pg_class child ON child.oid = inh.inhrelid
    WHERE inh.inhparent = 'plugin_telemetry'::regclass
      AND child.relname ~ '^plugin_telemetry_[0-9]{8}$'
      AND to_date(right(child.relname, 8), 'YYYYMMDD') < oldest
    ORDER BY child.relname
    LIMIT at_most
  LOOP
    EXECUTE format('DROP TABLE %I', found.relname);
    dropped := dropped + 1;
  END LOOP;
  RETURN dropped;
END $$;

SELECT ensure_telemetry_partitions((now() AT TIME ZONE 'UTC')::date - 9, (now() AT TIME ZONE 'UTC')::date + 3);
