-- $1 plugin, $2 status, $3 type, $4 merchant, $5 and $6 after, $7 limit
SELECT id, merchant_plugin_id, merchant_id AS "merchant_id!", command_type, command_payload, status, generation,
       sent_at AS "sent_at: SqlTimestamp", acknowledged_at AS "acknowledged_at: SqlTimestamp",
       executing_at AS "executing_at: SqlTimestamp", completed_at AS "completed_at: SqlTimestamp", progress,
       response, error_message, retry_count AS "retry_count?", max_retries AS "max_retries?",
       next_retry_at AS "next_retry_at: SqlTimestamp", expires_at AS "expires_at: SqlTimestamp", created_by,
       created_at AS "created_at: SqlTimestamp"
FROM plugin_agent_commands
WHERE ($1::uuid IS NULL OR merchant_plugin_id = $1)
  AND ($2::text IS NULL OR status = $2)
  AND ($3::text IS NULL OR command_type = $3)
  AND ($4::uuid IS NULL OR merchant_id = $4)
  AND ($5::timestamptz IS NULL OR (created_at, id) < ($5, $6::uuid))
ORDER BY plugin_agent_commands.created_at DESC, id DESC LIMIT $7
