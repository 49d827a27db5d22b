-- $1 actor, $2 actor type, $3 action, $4 plugin, $5 merchant, $6 since, $7 until, $8 and $9 after, $10 limit
SELECT entry_id AS id, merchant_id, merchant_plugin_id, actor_id, actor_type, action, details,
       ip_address::text AS ip_address, user_agent, created_at AS "created_at: SqlTimestamp",
       (SELECT seq FROM audit_leaves leaf WHERE leaf.entry_id = entry.entry_id) AS "place?"
FROM plugin_audit entry
WHERE ($1::text IS NULL OR actor_id = $1)
  AND ($2::text IS NULL OR actor_type = $2)
  AND ($3::text IS NULL OR action = $3)
  AND ($4::uuid IS NULL OR merchant_plugin_id = $4)
  AND ($5::uuid IS NULL OR merchant_id = $5)
  AND ($6::timestamptz IS NULL OR entry.created_at >= $6)
  AND ($7::timestamptz IS NULL OR entry.created_at < $7)
  AND ($8::timestamptz IS NULL OR (entry.created_at, entry_id) < ($8, $9::uuid))
ORDER BY entry.created_at DESC, entry_id DESC LIMIT $10
