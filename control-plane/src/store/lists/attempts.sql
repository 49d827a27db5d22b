-- $1 status, $2 method, $3 plugin, $4 incident, $5 merchant, $6 waiting for people, $7 and $8 after, $9 limit, $10 offset
SELECT attempt.id, attempt.incident_id, attempt.merchant_plugin_id, plugin.merchant_id, plugin.cms,
       incident.incident_type AS "incident_type?", incident.severity AS "severity?", attempt.from_version,
       attempt.to_version, attempt.method, attempt.status, attempt.logs, attempt.staging_result,
       attempt.production_result, attempt.executed_by, attempt.executed_at AS "executed_at: SqlTimestamp",
       attempt.rolled_back_at AS "rolled_back_at: SqlTimestamp", attempt.rollback_reason, attempt.approved_by,
       attempt.requires_approval, attempt.approval_needed, attempt.end_reason, attempt.command_id,
       attempt.created_at AS "created_at: SqlTimestamp", attempt.updated_at AS "updated_at: SqlTimestamp"
FROM (
  SELECT * FROM plugin_autopatch_attempts
  WHERE ($1::text IS NULL OR status = $1)
    AND ($2::text IS NULL OR method = $2)
    AND ($3::uuid IS NULL OR merchant_plugin_id = $3)
    AND ($4::uuid IS NULL OR incident_id = $4)
    AND ($5::uuid IS NULL OR merchant_id = $5)
    AND (NOT $6::boolean OR status = 'pending' AND requires_approval)
    AND ($7::timestamptz IS NULL OR (created_at, id) < ($7, $8::uuid))
  ORDER BY created_at DESC, id DESC LIMIT $9 OFFSET $10
) AS attempt
JOIN merchant_plugins plugin ON plugin.id = attempt.merchant_plugin_id
LEFT JOIN plugin_incidents incident ON incident.id = attempt.incident_id
ORDER BY attempt.created_at DESC, attempt.id DESC
