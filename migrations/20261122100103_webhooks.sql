-- Both kinds of receivers as one list, for those who send.
CREATE VIEW webhooks AS
SELECT id, merchant_id, event_type, url, secret, status, last_success_at, last_failure_at, failure_count, success_count,
       avg_response_time_ms, failover_url, retry_config, created_at
FROM merchant_webhooks
UNION ALL
SELECT id, NULL::uuid, event_type, url, secret, status, last_success_at, last_failure_at, failure_count, success_count,
       avg_response_time_ms, failover_url, retry_config, created_at
FROM ops_webhooks;

-- What came of one try. `new_status` NULL leaves the status alone; one that is disabled stays so.
CREATE FUNCTION plugmend_webhook_tried(
  of_webhook uuid, succeeded boolean, took_ms integer, new_status text, at timestamptz
) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  of_table text;
BEGIN
  FOREACH of_table IN ARRAY ARRAY['merchant_webhooks', 'ops_webhooks'] LOOP
    EXECUTE format(
      'UPDATE %I SET
         success_count = success_count + CASE WHEN $2 THEN 1 ELSE 0 END,
         failure_count = failure_count + CASE WHEN $2 THEN 0 ELSE 1 END,
         last_success_at = CASE WHEN $2 THEN $5 ELSE last_success_at END,
         last_failure_at = CASE WHEN $2 THEN last_failure_at ELSE $5 END,
         -- A moving mean over about the last twenty tries.
         avg_response_time_ms = CASE WHEN $3 IS NULL THEN avg_response_time_ms
           ELSE coalesce(avg_response_time_ms + ($3 - avg_response_time_ms) / 20, $3) END,
         status = CASE WHEN status = ''disabled'' THEN status ELSE coalesce($4, status) END,
         updated_at = $5
       WHERE id = $1', of_table)
    USING of_webhook, succeeded, took_ms, new_status, at;
  END LOOP;
END $$;
