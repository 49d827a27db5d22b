// What the control plane answers, by hand, as far as the console shows it. Times are RFC 3339 in UTC.

export type Json = null | boolean | number | string | Json[] | { [name: string]: Json };

/** An error on the wire (RFC 9457); `error` is stable, for programs. */
export interface Problem {
  title: string;
  status: number;
  detail?: string;
  error: string;
}

export interface Plugin {
  id: string;
  merchant_id: string;
  product: string | null;
  cms: string;
  plugin_version: string;
  status: string;
  agent_managed: boolean;
  capabilities: string[];
  last_heartbeat: string | null;
  error_count_24h: number;
  telemetry: Json;
  created_at: string;
}

export interface PluginPage {
  plugins: Plugin[];
  /** What `after` takes to go on; null on the last page. */
  next: string | null;
}

export interface Certificate {
  serial: string;
  renewals: number;
  issued_at: string;
  not_after: string;
  renew_after: string;
  revoked?: string;
}

export interface Agent {
  plugin_id: string;
  standing: "active" | "revoked" | "fenced";
  agent_version: string;
  enrolled_at: string;
  enrolled_from: string;
  revoked?: { at: string; reason: string | null; by: string | null };
  fenced?: { at: string; evidence: Json };
  certificates: Certificate[];
}

/** An order to a plugin. */
export interface Command {
  id: string;
  plugin_id: string;
  type: string;
  payload: Json;
  status: string;
  error_message: string | null;
  retry_count: number;
  max_retries: number;
  created_by: string | null;
  created_at: string;
  completed_at: string | null;
  expires_at: string | null;
}

export interface NewOrder {
  type: "update" | "rollback";
  version?: string;
  reason: string;
}

export interface Given {
  id: string;
  status: string;
  expires_at: string;
}

export interface Release {
  product: string;
  version: string;
  state: "published" | "blocked" | "revoked" | "withdrawn";
}

export interface Incident {
  id: string;
  merchant_plugin_id: string;
  merchant_id: string;
  cms: string;
  plugin_version: string;
  incident_type: string;
  severity: string;
  detected_at: string;
  telemetry_snapshot: Json;
  sira_decision: Json;
  status: string;
  escalated_to_ops: boolean;
  escalation_reason: string | null;
  confidence: number | null;
  resolution: string | null;
  attempts_count: number;
  updated_at: string;
}

export interface Attempt {
  id: string;
  incident_id: string | null;
  merchant_plugin_id: string;
  cms: string;
  incident_type: string | null;
  severity: string | null;
  from_version: string;
  to_version: string | null;
  method: string;
  status: string;
  executed_by: string;
  executed_at: string | null;
  rollback_reason: string | null;
  requires_approval: boolean;
  end_reason: string | null;
  command_id: string | null;
  created_at: string;
  updated_at: string;
}

export const INCIDENT_STATUSES = ["open", "in_progress", "mitigated", "closed", "escalated"] as const;
export const SEVERITIES = ["low", "medium", "high", "critical"] as const;
export const ATTEMPT_STATUSES = [
  "pending",
  "staging",
  "applying",
  "success",
  "failed",
  "rolled_back",
  "cancelled",
] as const;
