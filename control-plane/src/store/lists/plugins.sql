-- $1 merchant, $2 cms, $3 product, $4 version, $5 status, $6 health, $7 after,
-- text: $8 any, $9 and $10 ids between, $11 products, $12 of merchants, $13 limit
SELECT plugin.id, plugin.merchant_id, (SELECT name FROM merchants WHERE id = plugin.merchant_id) AS "merchant_name!", plugin.product, plugin.cms, plugin.plugin_version,
       plugin.status, plugin.agent_managed, plugin.capabilities, plugin.telemetry AS "telemetry?",
       plugin.last_heartbeat AS "last_heartbeat: SqlTimestamp", plugin.error_count_24h AS "error_count_24h?",
       plugin.created_at AS "created_at: SqlTimestamp", plugmend_health(plugin.id, plugin.status, plugin.heard) AS "health!",
       (SELECT count(*) FROM plugin_incidents incident
        WHERE incident.merchant_plugin_id = plugin.id AND incident.status <> 'closed'
          AND incident.duplicate_of IS NULL) AS "open_incidents!"
FROM (
  SELECT * FROM merchant_plugins plugin
  WHERE ($1::uuid IS NULL OR merchant_id = $1)
    AND ($2::text IS NULL OR cms = $2)
    AND ($3::text IS NULL OR product = $3)
    AND ($4::text IS NULL OR plugin_version = $4)
    AND ($5::text IS NULL OR status = $5)
    AND ($6::text IS NULL OR plugmend_health(id, status, heard) = $6)
    AND ($7::uuid IS NULL OR id > $7)
    AND (NOT $8::boolean OR id BETWEEN $9::uuid AND $10::uuid OR product = ANY ($11::text[])
         OR merchant_id = ANY ($12::uuid[]))
  ORDER BY id LIMIT $13
) AS plugin
ORDER BY plugin.id
