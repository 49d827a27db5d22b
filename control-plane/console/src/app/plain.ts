// What happened, in plain words, out of what is stored.
import type { Decision, Incident, Json } from "../api/types";
import { isWord, type Word } from "../words";
import type { Speech } from "./language";

/** The fields of an object; none of anything else. */
export function fields(value: Json | undefined): { [name: string]: Json } {
  return value !== null && typeof value === "object" && !Array.isArray(value) ? value : {};
}

export function asNumber(value: Json | undefined): number | null {
  return typeof value === "number" ? value : null;
}

export function asText(value: Json | undefined): string | null {
  return typeof value === "string" && value !== "" ? value : null;
}

/** What is wrong, in one sentence, and the numbers that say so. */
export function whatIsWrong(incident: Incident, { t, number, percent }: Speech): { says: string; numbers: string[] } {
  const word = `sees.${incident.incident_type}`;
  const says = isWord(word) ? t(word) : incident.incident_type;
  const seen = fields(incident.telemetry_snapshot);
  const last = fields(seen["last_window"]);
  const numbers: string[] = [];
  const share = asNumber(seen["webhook_fail_rate"]);
  if (share !== null && share > 0.01) numbers.push(t("sees.webhookRate", { share: percent(share) }));
  const [errors, requests] = [asNumber(last["errors"]), asNumber(last["requests"])];
  if (errors !== null && requests !== null && requests > 0) {
    numbers.push(t("sees.window", { errors: number(errors), requests: number(requests) }));
  }
  const day = asNumber(seen["errors_last_24h"]);
  if (day !== null && day > 0) numbers.push(t("sees.errors", { n: number(day) }));
  const files = changedFiles(fields(seen["integrity"]));
  if (files.length > 0) numbers.push(t("sees.files", { files: files.join(", ") }));
  return { says, numbers };
}

function changedFiles(integrity: { [name: string]: Json }): string[] {
  const listed = integrity["differing"];
  return (Array.isArray(listed) ? listed.filter((one) => typeof one === "string") : []).slice(0, 5) as string[];
}

/** The decision that is stored with an incident; null when there is none. */
export function decisionOf(stored: Json): Decision | null {
  const found = fields(stored);
  return typeof found["action"] === "string" ? (found as unknown as Decision) : null;
}

/** A cure as one would say it: "Update to 1.2.3". */
export function cure(
  { action, method, from, to, config }: {
    action: string;
    method?: string | null | undefined;
    from?: string | undefined;
    to?: string | null | undefined;
    config?: { [key: string]: Json } | undefined;
  },
  { t, term }: Speech,
): string {
  const name = method === "reinstall" ? "reinstall" : action === "hotfix" ? "patch" : action;
  const word = `does.${name}`;
  if (!isWord(word)) return term(action);
  return t(word as Word, {
    to: to ?? t("does.before"),
    from: from ?? "",
    keys: Object.keys(config ?? {}).join(", ") || "…",
  });
}
