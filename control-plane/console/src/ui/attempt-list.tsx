// Cures in a table, the same wherever they are listed.
import type { Attempt } from "../api/types";
import { useSpeech } from "../app/language";
import { link } from "../app/router";
import { Versions } from "./parts";
import { type Column, Rows } from "./rows";
import { Term } from "./term";
import { When } from "./when";

export function AttemptList({ attempts, label }: { attempts: Attempt[]; label: string }) {
  const { t, term } = useSpeech();
  const nothing = t("list.nothing");
  const to = (attempt: Attempt) =>
    attempt.incident_id ? `/incidents/${attempt.incident_id}` : `/plugins/${attempt.merchant_plugin_id}`;
  const columns: Column<Attempt>[] = [
    {
      title: t("attempt.method"),
      as: "wide",
      cell: (attempt) => (
        <a className="row-link" data-row-link {...link(to(attempt))}>
          {term(attempt.method)}
        </a>
      ),
    },
    { title: t("attempt.versions"), cell: (attempt) => <Versions from={attempt.from_version} to={attempt.to_version} /> },
    {
      title: t("attempt.status"),
      cell: (attempt) => (
        <span className="together">
          <Term name={attempt.status} />
          {attempt.requires_approval && attempt.status === "pending" && (
            <Term name="approval" tone="warn" label={t("attempt.needsApproval")} />
          )}
        </span>
      ),
    },
    {
      title: t("attempt.incident"),
      cell: (attempt) => (attempt.incident_type ? term(attempt.incident_type) : nothing),
    },
    {
      title: t("incident.plugin"),
      cell: (attempt) => <a {...link(`/plugins/${attempt.merchant_plugin_id}`)}>{attempt.cms}</a>,
    },
    { title: t("attempt.by"), cell: (attempt) => term(attempt.executed_by) },
    { title: t("attempt.created"), cell: (attempt) => <When at={attempt.created_at} /> },
  ];
  return <Rows label={label} columns={columns} rows={attempts} id={(one) => one.id} to={to} />;
}
