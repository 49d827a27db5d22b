// Incidents in a table, the same wherever they are listed.
import type { Incident } from "../api/types";
import { useSpeech } from "../app/language";
import { cure, decisionOf } from "../app/plain";
import { link } from "../app/router";
import { type Column, Rows } from "./rows";
import { Severity, Term } from "./term";
import { When } from "./when";

export function IncidentList({ incidents, label, withPlugin = true }: {
  incidents: Incident[];
  label: string;
  withPlugin?: boolean;
}) {
  const speech = useSpeech();
  const { t, term } = speech;
  const columns: Column<Incident>[] = [
    {
      title: t("incident.type"),
      as: "wide",
      cell: (incident) => (
        <a className="row-link" data-row-link {...link(`/incidents/${incident.id}`)}>
          {term(incident.incident_type)}
        </a>
      ),
    },
    { title: t("incident.severity"), cell: (incident) => <Severity name={incident.severity} /> },
    { title: t("incident.status"), cell: (incident) => <Term name={incident.status} /> },
    {
      title: t("incident.wants"),
      cell: (incident) => {
        const decision = decisionOf(incident.sira_decision);
        if (decision === null) return t("list.nothing");
        const { patch_version: to, current_version: from } = decision;
        return cure({ action: decision.action, method: decision.method, from, to, config: decision.config }, speech);
      },
    },
    ...(withPlugin
      ? [
          {
            title: t("incident.plugin"),
            cell: (incident: Incident) => (
              <a {...link(`/plugins/${incident.merchant_plugin_id}`)}>
                {incident.cms} <span className="mono">{incident.plugin_version}</span>
              </a>
            ),
          },
        ]
      : []),
    { title: t("incident.detected"), cell: (incident) => <When at={incident.detected_at} /> },
  ];
  return (
    <Rows label={label} columns={columns} rows={incidents} id={(one) => one.id} to={(one) => `/incidents/${one.id}`} />
  );
}
