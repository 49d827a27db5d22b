-- $1 plugin, $2 merchant, $3 ends before, $4 and $5 after, $6 limit
SELECT held.serial, held.plugin_id, agent.merchant_id, held.renewals, held.issued_at AS "issued_at: SqlTimestamp",
       held.not_after AS "not_after: SqlTimestamp", held.renew_after AS "renew_after: SqlTimestamp",
       held.revoked_at AS "revoked_at: SqlTimestamp", held.revoked_reason
FROM agent_certificates held JOIN agents agent ON agent.plugin_id = held.plugin_id
WHERE ($1::uuid IS NULL OR held.plugin_id = $1)
  AND ($2::uuid IS NULL OR agent.merchant_id = $2)
  AND ($3::timestamptz IS NULL OR held.not_after < $3)
  AND ($4::timestamptz IS NULL OR (held.not_after, held.serial) > ($4, $5::text))
ORDER BY held.not_after, held.serial LIMIT $6
