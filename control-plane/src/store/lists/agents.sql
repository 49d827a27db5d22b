-- $1 merchant, $2 product, $3 standing, $4 after, $5 limit
SELECT agent.plugin_id, agent.merchant_id, agent.product, agent.agent_version,
       agent.enrolled_at AS "enrolled_at: SqlTimestamp", agent.revoked_at AS "revoked_at: SqlTimestamp",
       agent.revoked_reason, agent.fenced_at AS "fenced_at: SqlTimestamp",
       plugin.last_heartbeat AS "last_heartbeat: SqlTimestamp", plugin.plugin_version,
       (SELECT max(not_after) FROM agent_certificates held
        WHERE held.plugin_id = agent.plugin_id AND held.revoked_at IS NULL) AS "certificate_ends: SqlTimestamp"
FROM (
  SELECT * FROM agents
  WHERE ($1::uuid IS NULL OR merchant_id = $1)
    AND ($2::text IS NULL OR product = $2)
    AND ($3::text IS DISTINCT FROM 'revoked' OR revoked_at IS NOT NULL)
    AND ($3::text IS DISTINCT FROM 'fenced' OR fenced_at IS NOT NULL AND revoked_at IS NULL)
    AND ($3::text IS DISTINCT FROM 'active' OR fenced_at IS NULL AND revoked_at IS NULL)
    AND ($4::uuid IS NULL OR plugin_id > $4)
  ORDER BY plugin_id LIMIT $5
) AS agent
JOIN merchant_plugins plugin ON plugin.id = agent.plugin_id
ORDER BY agent.plugin_id
