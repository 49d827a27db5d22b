// What the control plane answers, as far as the console shows it. Times are RFC 3339 in UTC.

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
  merchant_name?: string;
  product: string | null;
  cms: string;
  plugin_version: string;
  status: string;
  health?: string;
  open_incidents?: number;
  agent_managed: boolean;
  capabilities: string[];
  last_heartbeat: string | null;
  error_count_24h: number;
  telemetry: Json;
  created_at: string;
}

export interface Page<Name extends string, Thing> {
  things: Thing[];
  /** What `after` takes to go on; null on the last page. */
  next: string | null;
  /** The name under which the things came. */
  name?: Name;
}

export interface Certificate {
  serial: string;
  renewals: number;
  issued_at: string;
  not_after: string;
  renew_after: string;
  revoked: string | null;
}

export interface Agent {
  plugin_id: string;
  /** `active`, `revoked` or `fenced`. */
  standing: string;
  agent_version: string;
  enrolled_at: string;
  enrolled_from: string;
  revoked: { at: string; reason: string | null; by: string | null } | null;
  fenced: { at: string; evidence: Json } | null;
  certificates: Certificate[];
}

/** An order to a plugin. */
export interface Command {
  id: string;
  plugin_id: string;
  type: string;
  payload: Json;
  status: string;
  progress?: Json;
  error_message: string | null;
  retry_count: number;
  max_retries: number;
  created_by: string | null;
  created_at: string;
  sent_at?: string | null;
  acknowledged_at?: string | null;
  executing_at?: string | null;
  completed_at: string | null;
  expires_at: string | null;
}

export interface NewOrder {
  type: "update" | "rollback";
  version?: string;
  reason: string;
}

export interface Release {
  product: string;
  version: string;
  digest: string;
  /** `published`, `blocked`, `revoked` or `withdrawn`. */
  state: string;
  impact: string;
  fixes: string[];
  undo: string;
  approvals_required: number;
  files: number;
  bytes: number;
  pack_bytes: number;
  published_at: string;
  reason: string | null;
}

/** What SIRA wants; stored at the incident as it was said. */
export interface Decision {
  action: string;
  patch_version?: string | null;
  current_version?: string;
  /** That the action works, 0 to 1. */
  confidence?: number;
  /** That the incident is real, 0 to 1. */
  confidence_real?: number;
  explanation?: string;
  estimated_impact?: Json;
  method?: string | null;
  config?: { [key: string]: Json };
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
  escalated_at?: string | null;
  escalation_reason: string | null;
  confidence: number | null;
  resolution: string | null;
  attempts_count: number;
  created_at?: string;
  updated_at: string;
}

export interface Attempt {
  id: string;
  incident_id: string | null;
  merchant_plugin_id: string;
  merchant_id: string;
  cms: string;
  incident_type: string | null;
  severity: string | null;
  from_version: string;
  to_version: string | null;
  method: string;
  status: string;
  logs: Json;
  staging_result: Json;
  production_result: Json;
  executed_by: string;
  executed_at: string | null;
  rolled_back_at: string | null;
  rollback_reason: string | null;
  approved_by: Json;
  requires_approval: boolean;
  approval_needed: Json;
  end_reason: string | null;
  command_id: string | null;
  created_at: string;
  updated_at: string;
}

export const INCIDENT_STATUSES = ["escalated", "open", "in_progress", "mitigated", "closed"] as const;
export const SEVERITIES = ["critical", "high", "medium", "low"] as const;
export const INCIDENT_TYPES = [
  "heartbeat_missed",
  "webhook_fail_rate",
  "error_spike",
  "signature_invalid",
  "version_incompatibility",
  "config_drift",
  "telemetry_anomaly",
] as const;
export const ATTEMPT_STATUSES = [
  "pending",
  "staging",
  "applying",
  "success",
  "failed",
  "rolled_back",
  "cancelled",
] as const;

/** The columns of `ops_policy`, in their units. */
export type Policy = { autopatch_enabled: boolean } & { [field: string]: Json };

export interface PolicyView {
  version: number;
  updated_at: string;
  updated_by: string | null;
  policy: Policy;
}

export interface PolicyChange {
  version: number;
  changed_at: string;
  changed_by: string;
  by_hand: boolean;
  reason: string | null;
  /** `{field: {was, is}}` */
  changes: Json;
}

export type Outcome = "allow" | "needs_approval" | "refuse";

export interface DryRun {
  since: string;
  judged: number;
  is_cut: boolean;
  unreadable: number;
  not_judged: number;
  was: Record<Outcome, number>;
  would_be: Record<Outcome, number>;
  differ: number;
  differences: {
    incident_id: string;
    incident_type: string;
    severity: string;
    method: string;
    to_version: string | null;
    judged_at: string;
    was: { outcome: Outcome; reasons: Json[] };
    would_be: { outcome: Outcome; reasons: Json[] };
  }[];
  next: string | null;
}

export interface Merchant {
  id: string;
  name: string;
  autopatch_opt_out: boolean;
  maintenance_window: Json;
  created_at: string;
}

export interface Webhook {
  id: string;
  merchant_id: string | null;
  event_type: string;
  url: string;
  status: string;
  last_success_at: string | null;
  last_failure_at: string | null;
  failure_count: number;
  success_count: number;
  avg_response_time_ms: number | null;
  failover_url: string | null;
  waiting: number;
  rests_until: string | null;
}

export interface Delivery {
  id: string;
  webhook_id: string;
  event_id: string;
  kind: string;
  status: string;
  attempts: number;
  next_attempt_at: string | null;
  last_status: number | null;
  last_error: string | null;
  created_at: string;
  ended_at: string | null;
}

export interface AuditEntry {
  id: string;
  merchant_id: string | null;
  merchant_plugin_id: string | null;
  actor_id: string | null;
  actor_type: string;
  action: string;
  details: Json;
  ip_address: string | null;
  created_at: string;
  /** Its place in the tree that proves the trail; null until it is sealed. */
  place: number | null;
}

export interface Approval {
  id: string;
  /** `pending`, `approved`, `rejected`, `expired` or `void`. */
  status: string;
  attempt_id: string | null;
  incident_id: string | null;
  incident_type: string | null;
  severity: string | null;
  command_id: string | null;
  merchant_id: string;
  plugin_id: string;
  action: string;
  product: string | null;
  from_version: string;
  to_version: string | null;
  release_digest: string | null;
  content_digest: string;
  quorum: { people: number; one_of_each: string[] };
  missing: { people: number; one_of_each: string[] };
  reasons: Json;
  requested_by: string;
  requested_why: string | null;
  requested_at: string;
  expires_at: string;
  ended_at: string | null;
  ended_why: string | null;
  votes: Vote[];
}

export interface Vote {
  person: string;
  roles: string[];
  /** `yes`, `no` or `comment`. */
  says: string;
  comment: string | null;
  /** The key that they signed it with for the agent. */
  signed_by: string | null;
  at: string;
}

/** The course of an incident. */
export interface Course {
  incident_id: string;
  moments: Moment[];
  series: {
    from: string;
    to: string;
    step_s: number;
    points: Point[];
    detected_at: string;
    changes: { at: string; from_version: string; to_version: string }[];
  };
}

export interface Moment {
  at: string;
  kind: string;
  actor_type: string | null;
  actor_id: string | null;
  data: Json;
}

export interface Point {
  at: string;
  requests: number;
  errors: number;
  webhook_total: number;
  webhook_failed: number;
  p95_ms: number | null;
}

export type Counted = Record<string, number>;

export interface OverviewFigures {
  plugins: {
    total: number;
    by_health: Counted;
    versions: { product: string | null; version: string; plugins: number }[];
  };
  incidents_by_severity: Counted;
  incidents_by_status: Counted;
  attempts: Counted;
  awaiting_approval: number;
  deliveries: Counted;
  agents: Counted;
  plugins_counted_at: string;
}

export interface Durations {
  count: number;
  mean_s: number | null;
  p50_s: number | null;
  p95_s: number | null;
}

export interface Kpis {
  days: number;
  since: string;
  until: string;
  targets: { kpi: string; /** `at_most` or `at_least`. */ bound: string; target: number; value: number | null; holds: boolean | null }[];
  mttd: Durations;
  mttd_silence: Durations;
  mttr: Durations;
  patch_time: Durations;
  ended: Counted;
  success_rate: number | null;
  rollback_rate: number | null;
  confidence: { from: number; to: number; decisions: number }[];
  calibration: Record<string, { outcomes: number; worked: number; said: number; brier: number; ece: number }>;
  incidents: { incident_type: string; severity: string; incidents: number; escalated: number }[];
}
