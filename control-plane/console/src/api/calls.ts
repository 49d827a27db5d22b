// The endpoints that the console uses, one function each.
import { useAsk } from "../app/session";
import type { Answer, Ask, Asked, Query } from "./http";
import type { Answered, Path, Verb } from "./typed";
import type {
  Agent,
  Approval,
  Attempt,
  AuditEntry,
  Command,
  Course,
  Delivery,
  DryRun,
  Incident,
  Json,
  Kpis,
  Merchant,
  NewOrder,
  OverviewFigures,
  Page,
  Plugin,
  PolicyChange,
  PolicyView,
  Release,
  Webhook,
} from "./types";
import { ApiError } from "./http";

type Signal = { signal?: AbortSignal };

export interface Calls {
  incidents(query: Query, signal?: Signal): Promise<Page<"incidents", Incident>>;
  incident(id: string, signal?: Signal): Promise<Incident>;
  approve(id: string, body: { release_digest?: string }): Promise<unknown>;
  act(id: string, body: ManualAction, key: string): Promise<{ ok: boolean; attempt_id: string | null }>;
  attempts(query: Query, signal?: Signal): Promise<Page<"attempts", Attempt>>;
  plugins(query: Query, signal?: Signal): Promise<Page<"plugins", Plugin>>;
  plugin(id: string, signal?: Signal): Promise<Plugin>;
  /** Null where the plugin has no agent. */
  agent(pluginId: string, signal?: Signal): Promise<Agent | null>;
  commands(query: Query, signal?: Signal): Promise<Page<"commands", Command>>;
  command(id: string, signal?: Signal): Promise<Command>;
  /** The same `key` again is the same order, however often it is sent. */
  order(pluginId: string, order: NewOrder, key: string): Promise<{ id: string; status: string }>;
  releases(query: Query, signal?: Signal): Promise<Page<"releases", Release>>;
  policy(signal?: Signal): Promise<Answer<PolicyView>>;
  /** `etag` is that of the policy which was looked at. */
  changePolicy(change: Change, reason: string, etag: string, key: string): Promise<Answer<PolicyView>>;
  killSwitch(on: boolean, reason: string): Promise<Answer<PolicyView>>;
  policyHistory(query: Query, signal?: Signal): Promise<Page<"changes", PolicyChange>>;
  dryRun(change: Change, days: number): Promise<DryRun>;
  block(release: Release, lift: boolean, reason: string): Promise<{ orders_ended: number }>;
  merchants(query: Query, signal?: Signal): Promise<Page<"merchants", Merchant>>;
  wish(id: string, wishes: { autopatch_opt_out?: boolean; maintenance_window?: Json }, key: string): Promise<Merchant>;
  webhooks(query: Query, signal?: Signal): Promise<Page<"webhooks", Webhook>>;
  addWebhook(webhook: { event_type: string; url: string }): Promise<{ id: string; secret: string }>;
  switchWebhook(id: string, active: boolean): Promise<unknown>;
  replayWebhook(id: string): Promise<{ deliveries: number }>;
  deliveries(query: Query, signal?: Signal): Promise<Page<"deliveries", Delivery>>;
  replayDelivery(id: string): Promise<{ deliveries: number }>;
  audit(query: Query, signal?: Signal): Promise<Page<"entries", AuditEntry>>;
  checkpoints(query: Query, signal?: Signal): Promise<Page<"checkpoints", string>>;
  approvals(query: Query, signal?: Signal): Promise<Page<"approvals", Approval>>;
  sayYes(approval: Approval, comment: string): Promise<Approval>;
  sayNo(id: string, comment: string): Promise<Approval>;
  remark(id: string, comment: string): Promise<Approval>;
  course(id: string, signal?: Signal): Promise<Course>;
  overview(signal?: Signal): Promise<OverviewFigures>;
  kpis(days: number, signal?: Signal): Promise<Kpis>;
}

/** Fields of the policy, as they are to be. */
export type Change = { [field: string]: Json };

export interface ManualAction {
  action: string;
  version?: string;
  reason?: string;
}

export function calls(ask: Ask): Calls {
  const value = async <P extends Path, V extends Verb = "GET">(path: P, asked?: Asked<V>) =>
    (await ask<P, V>(path, asked)).value;
  const list = async <P extends Path, Name extends keyof Answered<P, "GET"> & string>(
    path: P,
    name: Name,
    query: Query,
    { signal }: Signal = {},
  ) => {
    type Things = Record<Name, Answered<P, "GET">[Name]> & { next?: string | null };
    const page = (await value(path, { query, signal })) as unknown as Things;
    return { things: page[name], next: page.next ?? null, name };
  };
  const once = (key: string) => ({ "idempotency-key": key });
  return {
    incidents: (query, signal) => list("/api/ops/plugin-incidents", "incidents", query, signal),
    incident: (id, signal) => value("/api/ops/plugin-incidents/{id}", { path: { id }, ...signal }),
    approve: (id, body) => value("/api/ops/plugin-incidents/{id}/approve", { method: "POST", path: { id }, body }),
    act: (id, body, key) =>
      value("/api/ops/plugin-incidents/{id}/manual-action", { method: "POST", path: { id }, body, headers: once(key) }),
    attempts: (query, signal) => list("/api/ops/autopatch-attempts", "attempts", query, signal),
    plugins: (query, signal) => list("/api/ops/plugins", "plugins", query, signal),
    plugin: (id, signal) => value("/api/ops/plugins/{id}", { path: { id }, ...signal }),
    agent: (plugin_id, signal) =>
      value("/api/ops/agents/{plugin_id}", { path: { plugin_id }, ...signal }).catch((error: unknown) => {
        if (error instanceof ApiError && error.problem?.error === "unknown_agent") return null;
        throw error;
      }),
    commands: (query, signal) => list("/api/ops/commands", "commands", query, signal),
    command: (id, signal) => value("/api/ops/commands/{id}", { path: { id }, ...signal }),
    order: (id, order, key) =>
      value("/api/ops/plugins/{id}/commands", { method: "POST", path: { id }, body: order, headers: once(key) }),
    releases: (query, signal) => list("/api/ops/releases", "releases", query, signal),
    policy: (signal) => ask("/api/ops/policy", { ...signal }),
    changePolicy: (policy, reason, etag, key) =>
      ask("/api/ops/policy", {
        method: "PATCH",
        body: { policy, reason },
        headers: { ...once(key), "if-match": etag },
      }),
    killSwitch: (on, reason) => ask("/api/ops/policy/kill-switch", { method: "POST", body: { on, reason } }),
    policyHistory: (query, signal) => list("/api/ops/policy/history", "changes", query, signal),
    dryRun: (policy, days) =>
      value("/api/ops/policy/dry-run", { method: "POST", body: { policy, days, limit: 50 } }),
    block: ({ product, version }, lift, reason) =>
      value("/api/ops/releases/{product}/{version}/block", {
        method: "POST",
        path: { product, version },
        body: { reason, lift },
      }),
    merchants: (query, signal) => list("/api/ops/merchants", "merchants", query, signal),
    wish: (id, { autopatch_opt_out, ...wishes }, key) =>
      value("/api/ops/merchants/{id}/wishes", {
        method: "POST",
        path: { id },
        body: autopatch_opt_out === undefined ? wishes : { ...wishes, opt_out: autopatch_opt_out },
        headers: once(key),
      }),
    webhooks: (query, signal) => list("/api/ops/webhooks", "webhooks", query, signal),
    addWebhook: (body) => value("/api/ops/webhooks", { method: "POST", body }),
    switchWebhook: (id, active) =>
      value("/api/ops/webhooks/{id}/active", { method: "POST", path: { id }, body: { active } }),
    replayWebhook: (id) => value("/api/ops/webhooks/{id}/replay", { method: "POST", path: { id } }),
    deliveries: (query, signal) => list("/api/ops/webhook-deliveries", "deliveries", query, signal),
    replayDelivery: (id) => value("/api/ops/webhook-deliveries/{id}/replay", { method: "POST", path: { id } }),
    audit: (query, signal) => list("/api/ops/audit", "entries", query, signal),
    checkpoints: (query, signal) => list("/api/ops/audit/checkpoints", "checkpoints", query, signal),
    approvals: (query, signal) => list("/api/ops/approvals", "approvals", query, signal),
    // What was looked at goes along: a yes to something else is refused.
    sayYes: ({ id, content_digest, release_digest }, comment) =>
      value("/api/ops/approvals/{id}/approve", {
        method: "POST",
        path: { id },
        body: { content_digest, release_digest, comment: comment === "" ? null : comment },
      }),
    sayNo: (id, comment) => value("/api/ops/approvals/{id}/reject", { method: "POST", path: { id }, body: { comment } }),
    remark: (id, comment) => value("/api/ops/approvals/{id}/comment", { method: "POST", path: { id }, body: { comment } }),
    course: (id, signal) => value("/api/ops/plugin-incidents/{id}/timeline", { path: { id }, ...signal }),
    overview: (signal) => value("/api/ops/overview", { ...signal }),
    kpis: (days, signal) => value("/api/ops/kpis", { query: { days }, ...signal }),
  };
}

export function useCalls(): Calls {
  return calls(useAsk());
}
