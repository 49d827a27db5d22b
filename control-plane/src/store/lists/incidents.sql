-- $1 status, $2 severity, $3 type, $4 plugin, $5 merchant, $6 since, $7 until, $8 and $9 after,
-- text: $10 any, $11 and $12 ids between, $13 of merchants, $14 limit, $15 offset
SELECT incident.id, incident.merchant_plugin_id, plugin.merchant_id, plugin.cms, plugin.plugin_version,
       incident.incident_type, incident.severity, incident.detected_at AS "detected_at: SqlTimestamp",
       incident.telemetry_snapshot, incident.sira_decision, incident.status, incident.escalated_to_ops,
       incident.escalated_at AS "escalated_at: SqlTimestamp", incident.escalation_reason, incident.confidence,
       incident.resolution,
       (SELECT count(*) FROM plugin_autopatch_attempts attempt WHERE attempt.incident_id = incident.id)
         AS "attempts_count!",
       incident.created_at AS "created_at: SqlTimestamp", incident.updated_at AS "updated_at: SqlTimestamp"
FROM (
  SELECT * FROM plugin_incidents
  WHERE ($1::text IS NULL OR status = $1)
    AND ($2::text IS NULL OR severity = $2)
    AND ($3::text IS NULL OR incident_type = $3)
    AND ($4::uuid IS NULL OR merchant_plugin_id = $4)
    AND ($5::uuid IS NULL OR merchant_id = $5)
    AND ($6::timestamptz IS NULL OR detected_at >= $6)
    AND ($7::timestamptz IS NULL OR detected_at < $7)
    AND ($8::timestamptz IS NULL OR (detected_at, id) < ($8, $9::uuid))
    AND (NOT $10::boolean OR id BETWEEN $11::uuid AND $12::uuid
         OR merchant_plugin_id BETWEEN $11 AND $12 OR merchant_id = ANY ($13::uuid[]))
  ORDER BY detected_at DESC, id DESC LIMIT $14 OFFSET $15
) AS incident
JOIN merchant_plugins plugin ON plugin.id = incident.merchant_plugin_id
ORDER BY incident.detected_at DESC, incident.id DESC
